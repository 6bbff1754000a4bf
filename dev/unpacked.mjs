// Debian packages that tests and the demo run, but that are not installed: they bring services that Debian enables, users, or
// a file that another package of the machine owns. What is needed of each lies in a cache folder, and goes with node_modules.
//
// It knows nothing of where it is: tests import it from a bundle as well.
import { existsSync } from "node:fs";
import { basename, dirname, join } from "node:path";

/** Of each package, the files or folders that are unpacked, a program first. */
export const contents = {
  "etcd-server": ["usr/bin/etcd"],
  "etcd-client": ["usr/bin/etcdctl"],
  "dnsmasq-base": ["usr/sbin/dnsmasq"],
  firewalld: ["usr/sbin/firewalld", "usr/bin/firewall-cmd", "usr/lib/firewalld", "etc/firewalld"],
  "busybox-static": ["bin/busybox"],
  "qemu-user-static": ["usr/bin/qemu-aarch64-static"],
  debootstrap: ["usr/sbin/debootstrap", "usr/share/debootstrap"],
};

/** Where a package's files are. */
export function unpackedFolder(projectRoot, name) {
  return join(projectRoot, "node_modules/.cache/twill/debian", name);
}

/** PATH with the programs of what is unpacked in front. */
export function withUnpacked(projectRoot, path) {
  const folders = Object.entries(contents)
    .map(([name, [program]]) => join(unpackedFolder(projectRoot, name), dirname(program)))
    .filter((folder) => existsSync(folder) && !path.split(":").includes(folder));
  return [...folders, path].join(":");
}

/** A package's program, or its name where PATH has to find it. */
export function unpackedProgram(projectRoot, name) {
  const [program] = contents[name];
  const file = join(unpackedFolder(projectRoot, name), program);
  return existsSync(file) ? file : basename(program);
}
