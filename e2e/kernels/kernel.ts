// Debian's kernel with its complete configuration, fetched from the machine's package sources and never installed:
// unpacked into a cache folder, with an initramfs that finds its root on a 9p share.
import { execFileSync } from "node:child_process";
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { unpackedProgram } from "../../dev/unpacked.mjs";
import { projectRoot } from "../lab/project.ts";

export interface Kernel {
  release: string;
  image: string;
  initramfs: string;
  /** Folder to appear as /lib/modules. */
  modules: string;
}

/** Kept between runs, out of reach of `git clean` of a build. */
const cache = join(projectRoot, "node_modules/.cache/twill/kernel");

/** The kernel that the package linux-image-amd64 stands for today, or the one that was fetched before. */
export function completeKernel(): Kernel {
  const unpacked = join(cache, "root");
  if (!existsSync(unpacked)) fetchKernel(unpacked);
  const modules = join(unpacked, "lib/modules");
  const [release = ""] = readdirSync(modules);
  const image = join(unpacked, "boot", `vmlinuz-${release}`);
  const initramfs = join(cache, "initramfs");
  makeInitramfs(unpacked, release, initramfs);
  return { release, image, initramfs, modules };
}

/** Whole or not at all: an interrupted call leaves nothing that the next one takes for a kernel. */
function fetchKernel(unpacked: string): void {
  const work = `${unpacked}.new`;
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work, { recursive: true });
  const depends = execFileSync("apt-cache", ["depends", "linux-image-amd64"], { encoding: "utf8" });
  const name = /Depends: (linux-image-\S+)/.exec(depends)?.[1];
  if (!name) throw new Error("apt knows no linux-image-amd64: run apt-get update");
  console.log(`# fetching ${name} (70 MB; it is unpacked, not installed)`);
  execFileSync("apt-get", ["download", "-q", "-o", "APT::Sandbox::User=root", name], { cwd: work, stdio: "pipe" });
  const [archive = ""] = readdirSync(work);
  execFileSync("dpkg", ["-x", archive, "."], { cwd: work });
  rmSync(join(work, archive));
  const [release = ""] = readdirSync(join(work, "lib/modules"));
  execFileSync("depmod", ["-b", work, release]);
  renameSync(work, unpacked);
}

/** What it takes to mount the host's root with a layer for writing on top, and the share for the results. */
const modulesForRoot = ["virtio_pci", "9pnet_virtio", "9p", "overlay"];

function makeInitramfs(root: string, release: string, initramfs: string): void {
  const options = ["-d", root, "-S", release, "--show-depends", "-a", ...modulesForRoot];
  const commands = execFileSync("modprobe", options, { encoding: "utf8" });
  const found = [...new Set([...commands.matchAll(/^insmod (\S+)/gm)].map(([, file]) => String(file)))]; // in order
  const tree = `${initramfs}.d`;
  rmSync(tree, { recursive: true, force: true });
  for (const dir of ["bin", "modules", "proc", "sys", "dev", "lower", "upper", "root"])
    mkdirSync(join(tree, dir), { recursive: true });
  cpSync(unpackedProgram(projectRoot, "busybox-static"), join(tree, "bin/busybox"));
  for (const file of found) cpSync(file, join(tree, "modules", basename(file)));
  const insmods = found.map((file) => `/bin/busybox insmod /modules/${basename(file)}`).join("\n");
  writeFileSync(join(tree, "init"), initScript(insmods));
  chmodSync(join(tree, "init"), 0o755);
  execFileSync("sh", ["-c", `cd "$0" && find . | cpio --quiet -o -H newc > "$1"`, tree, initramfs]);
}

const initScript = (insmods: string) => `#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
${insmods}
share="-t 9p -o trans=virtio,version=9p2000.L,msize=512000"
/bin/busybox mount $share,ro,cache=loose rootfs /lower
/bin/busybox mount -t tmpfs tmpfs /upper
/bin/busybox mkdir /upper/files /upper/work
/bin/busybox mount -t overlay -o lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work overlay /root
/bin/busybox mount --move /dev /root/dev
/bin/busybox mount -t tmpfs tmpfs /root/run
/bin/busybox mkdir /root/run/results
/bin/busybox mount $share results /root/run/results
exec /bin/busybox switch_root /root /bin/sh /run/results/guest.sh
`;
