// Debian packages that tests and the demo run, but that are not installed: they bring services that Debian enables, users, or
// a file that another package of the machine owns. What is needed of each lies in a cache folder, and goes with node_modules.
//
// It knows nothing of where it is: tests import it from a bundle as well.
import { existsSync } from "node:fs";
import { basename, dirname, join } from "node:path";

const library = `lib/${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu`;

/** Of each package, the files or folders that are unpacked, a program first, or a library that one of the others needs. */
export const contents = {
  "etcd-server": ["usr/bin/etcd"],
  "etcd-client": ["usr/bin/etcdctl"],
  "dnsmasq-base": ["usr/sbin/dnsmasq"],
  firewalld: ["usr/sbin/firewalld", "usr/bin/firewall-cmd", "usr/lib/firewalld", "etc/firewalld"],
  ufw: ["usr/sbin/ufw", "etc/ufw", "etc/default/ufw", "lib/ufw", "usr/share/ufw", "usr/lib/python3/dist-packages/ufw"],
  "busybox-static": ["bin/busybox"],
  "qemu-user-static": ["usr/bin/qemu-aarch64-static"],
  debootstrap: ["usr/sbin/debootstrap", "usr/share/debootstrap"],
  "docker.io": ["usr/sbin/dockerd", "usr/sbin/docker-proxy", "usr/bin/docker"],
  containerd: ["usr/bin/containerd", "usr/bin/containerd-shim-runc-v2", "usr/bin/ctr"],
  runc: ["usr/sbin/runc"],
  "libdevmapper1.02.1": [`${library}/libdevmapper.so.1.02.1`],
  podman: ["usr/bin/podman", "usr/lib/podman/rootlessport"],
  conmon: ["usr/bin/conmon"],
  "golang-github-containernetworking-plugin-dnsname": ["usr/lib/cni/dnsname"],
  libgpgme11: [`usr/${library}/libgpgme.so.11`, `usr/${library}/libgpgme.so.11.27.0`],
  libassuan0: [`usr/${library}/libassuan.so.0`, `usr/${library}/libassuan.so.0.8.5`],
  slirp4netns: ["usr/bin/slirp4netns"],
  libslirp0: [`usr/${library}/libslirp.so.0`, `usr/${library}/libslirp.so.0.4.0`],
  uidmap: ["usr/bin/newuidmap", "usr/bin/newgidmap"],
  libsubid4: [`usr/${library}/libsubid.so.4`, `usr/${library}/libsubid.so.4.0.0`],
};

/** Where a package's files are. */
export function unpackedFolder(projectRoot, name) {
  return join(projectRoot, "node_modules/.cache/twill/debian", name);
}

/** A later Node than the oldest one that is supported, for the daemon's test on it: npm's package of that name, beside what Debian has. */
export const newerNode = {
  version: "24.22.3",
  package: `node-linux-${process.arch}`,
  /** Of the packages for each architecture, as the registry has them. */
  integrity: {
    x64: "sha512-KHsob+Fv9YerATvYujMbiyJqnRCvLtrcr/eTNqRqiOSGp97EOiRP1yP47+knGgQ/xnc3XY8xzkW587dlZzNqRA==",
    arm64: "sha512-IZx0J52/1NDwAsY2iyWR9nlPIYuYviTWetjj8+ElvYQh2+XRhLfCfkbFEF/2O5vGI2hcUbyPNHV+nz342FbJXw==",
  },
  folder: (projectRoot) => join(projectRoot, "node_modules/.cache/twill/node-24"),
  binFolder: (projectRoot) => join(newerNode.folder(projectRoot), "node_modules", newerNode.package, "bin"),
};

/** PATH with the programs of what is unpacked in front. */
export function withUnpacked(projectRoot, path) {
  const folders = Object.entries(contents)
    .flatMap(([name, files]) => files.map((file) => join(unpackedFolder(projectRoot, name), dirname(file))))
    .filter((folder) => /bin$/.test(folder) && existsSync(folder) && !path.split(":").includes(folder));
  return [...new Set(folders), path].join(":");
}

/** LD_LIBRARY_PATH for programs of what is unpacked. */
export function unpackedLibraries(projectRoot) {
  const folders = Object.entries(contents)
    .flatMap(([name, files]) => files.map((file) => join(unpackedFolder(projectRoot, name), dirname(file))))
    .filter((folder) => folder.endsWith(library));
  return [...new Set(folders)].join(":");
}

/** A package's program, or its name where PATH has to find it. */
export function unpackedProgram(projectRoot, name) {
  const [program] = contents[name];
  const file = join(unpackedFolder(projectRoot, name), program);
  return existsSync(file) ? file : basename(program);
}
