/** A Debian of its own for tests of what is installed: made by debootstrap from this machine's package sources. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
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
  const command = [join(debootstrap, "usr/sbin/debootstrap"), "--variant=minbase", `--include=${included.join(",")}`];
  execFileSync("unshare", ["--mount", ...command, suite, root, mirror], {
    // It mounts /proc below the root: where it is killed, whoever removes the root would go into the machine's own.
    env: { ...process.env, DEBOOTSTRAP_DIR: join(debootstrap, "usr/share/debootstrap") },
    stdio: "pipe",
  });
  writeFileSync(join(root, "etc/dpkg/dpkg.cfg.d/no-fsync"), "force-unsafe-io\n"); // it outlives no power failure, and takes half of the time
  for (const path of ["/etc/resolv.conf", "/etc/hosts", "/etc/ssl/certs/ca-certificates.crt"]) copyInto(root, path);
}

/** Copies a file of this machine to the same place below `root`. */
export function copyInto(root: string, path: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  execFileSync("cp", ["-L", path, join(root, path)]);
}

/** TMPDIR and NODE_OPTIONS are the test's, with folders that are not there. pivot_root, since runtimes of containers call it too. */
const enter = `
  root=$1
  mount --bind $root $root
  mount --rbind /dev $root/dev && mount -t tmpfs none $root/dev/shm && mount -t proc proc $root/proc
  mount -t sysfs none $root/sys && mount --rbind /sys/fs/cgroup $root/sys/fs/cgroup
  mount -t tmpfs none $root/run
  mkdir $root/run/machine && cd $root && pivot_root . run/machine && umount -l run/machine && rmdir run/machine
  exec env -u NODE_OPTIONS -u TMPDIR HOME=/root DEBIAN_FRONTEND=noninteractive \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin sh -c "$2"`;

export interface Ended {
  status: number | null;
  stdout: string;
  stderr: string;
}

/** Runs a script on such a Debian, which sees what earlier ones have left in files. Mounts and processes end with it. */
export function runInDebian(
  root: string,
  script: string,
  network: "the machine's" | "its own" = "the machine's",
): Ended {
  const apart = ["--mount", "--pid", "--fork", "--kill-child", ...(network === "its own" ? ["--net"] : [])];
  const args = [...apart, "sh", "-ec", enter, "sh", root, script];
  const { status, stdout, stderr } = spawnSync("unshare", args, { encoding: "utf8", maxBuffer: 64 << 20 });
  return { status, stdout, stderr };
}
