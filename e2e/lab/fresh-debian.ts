/** A Debian of its own for tests of what is installed: made by debootstrap from this machine's package sources. */
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { unpackedFolder } from "../../dev/unpacked.mjs";
import { projectRoot } from "./project.ts";

/** Makes a minimal Debian below `root`, with this machine's names and authorities. @param included Packages */
export function installDebian(root: string, included: readonly string[]): void {
  const targets = execFileSync("apt-get", [
    "indextargets",
    "--format",
    "$(ORIGIN) $(COMPONENT) $(CODENAME) $(REPO_URI)",
  ]);
  const [, suite = "", mirror = ""] = /^Debian main (\w+) (\S+)$/m.exec(String(targets)) ?? [];
  const debootstrap = unpackedFolder(projectRoot, "debootstrap");
  execFileSync(
    join(debootstrap, "usr/sbin/debootstrap"),
    ["--variant=minbase", `--include=${included.join(",")}`, suite, root, mirror],
    { env: { ...process.env, DEBOOTSTRAP_DIR: join(debootstrap, "usr/share/debootstrap") }, stdio: "pipe" },
  );
  for (const path of ["/etc/resolv.conf", "/etc/hosts", "/etc/ssl/certs/ca-certificates.crt"]) copyInto(root, path);
}

/** Copies a file of this machine to the same place below `root`. */
export function copyInto(root: string, path: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  execFileSync("cp", ["-L", path, join(root, path)]);
}
