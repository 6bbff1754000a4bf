// ufw of its own for a throw-away node: what Debian's package and its installation write lies in a folder of the test.
import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { unpackedFolder } from "../../dev/unpacked.mjs";
import type { Test } from "../cluster/program.ts";
import type { Host } from "./host.ts";
import { projectRoot } from "./project.ts";

/** As setup unpacked it, else the machine's own. */
const folder = unpackedFolder(projectRoot, "ufw");
const root = existsSync(folder) ? folder : "/";

const parts = ["etc/ufw", "etc/default/ufw", "lib/ufw", "usr/share/ufw"];

export interface Ufw {
  /** Runs ufw, as "allow 22/tcp". @returns What it printed. @throws Error it failed */
  ufw(command: string): string;
}

export function installUfw(t: Test, node: Host): Ufw {
  const own = mkdtempSync(join(tmpdir(), "twill-ufw-"));
  t.teardown(() => rmSync(own, { recursive: true }));
  for (const part of parts) cpSync(join(root, part), join(own, part), { recursive: true, dereference: true });
  const share = join(own, "usr/share/ufw");
  for (const from of [join(share, "iptables"), share]) // as the package's postinst does
    for (const file of readdirSync(from).filter((name) => /\.(conf|init|rules)$/.test(name)))
      cpSync(join(from, file), join(own, "etc/ufw", file), { dereference: true, force: false });
  const program = `PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=${join(root, "usr/lib/python3/dist-packages")} ${join(root, "usr/sbin/ufw")}`;
  return { ufw: (command) => node.sh(`${program} --rootdir=${own} --datadir=${own} ${command}`) };
}
