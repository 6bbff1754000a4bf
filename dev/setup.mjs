// Brings a clean clone to where something runs: Debian packages, npm packages, build. Each purpose brings its own packages alone.
//
//   node dev/setup.mjs           what a build needs, and the build itself
//   node dev/setup.mjs PURPOSE   the same for the demo, the tests and so on: the names in `purposes` below
//   node dev/setup.mjs build     what a build needs, without building
//   node dev/setup.mjs unit      npm packages and validators alone, which need no root
//
// Each step looks first and does only what is missing: with everything in place it takes a tenth of a second.
// Plain Node without dependencies: it runs before npm ci.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { contents, newerNode, unpackedFolder } from "./unpacked.mjs";

const OLDEST_NODE = 20;

/** Debian packages that are installed, each with a file that shows that it is there: a command's name, or a path. */
const build = { gcc: "gcc", "libc6-dev": "/usr/include/stdio.h", "musl-tools": "musl-gcc" };
const arm64 = {
  "gcc-aarch64-linux-gnu": "aarch64-linux-gnu-gcc",
  "libc6-dev-arm64-cross": "/usr/aarch64-linux-gnu/lib/libc.a",
};
const demo = { iproute2: "ip", nftables: "nft", "iputils-ping": "ping", procps: "sysctl" };
const endToEnd = {
  iptables: "iptables",
  kmod: "modprobe",
  strace: "strace",
  socat: "socat",
  conntrack: "conntrack",
  openssl: "openssl",
  "bind9-dnsutils": "dig",
  "dbus-bin": "dbus-send",
  "dbus-daemon": "dbus-daemon",
  "python3-firewall": "/usr/lib/python3/dist-packages/firewall", // what firewalld consists of, without the service
  "python3-nftables": "/usr/lib/python3/dist-packages/nftables",
  "containernetworking-plugins": "/usr/lib/cni/bridge",
};
const kernel = { "qemu-system-x86": "qemu-system-x86_64", cpio: "cpio" };

/** Packages of dev/unpacked.mjs. */
const etcd = ["etcd-server", "etcd-client"];
const docker = ["docker.io", "containerd", "runc", "libdevmapper1.02.1"];
const podman = [
  "podman",
  "conmon",
  "runc",
  "golang-github-containernetworking-plugin-dnsname",
  "libgpgme11",
  "libassuan0",
  "libsubid4",
];
const rootless = ["slirp4netns", "libslirp0", "uidmap"];
const servers = [...etcd, "dnsmasq-base", "firewalld", "ufw", "busybox-static"];

const purposes = {
  build: { installed: build, unpacked: [] },
  arm64: { installed: { ...build, ...arm64 }, unpacked: ["qemu-user-static"] },
  package: { installed: { ...build, ...arm64 }, unpacked: ["qemu-user-static"] },
  demo: { installed: { ...build, ...demo }, unpacked: etcd },
  bench: { installed: { ...build, ...demo, ...endToEnd }, unpacked: [...servers, ...podman] },
  "bench:datapath": { installed: { ...build, ...demo, ...endToEnd }, unpacked: [...servers, ...docker] },
  test: {
    installed: { ...build, ...arm64, ...demo, ...endToEnd },
    unpacked: [...servers, ...podman, "qemu-user-static"],
  },
  all: {
    installed: { ...build, ...arm64, ...demo, ...endToEnd },
    unpacked: [...servers, ...podman, ...docker, "qemu-user-static"],
  },
  kernel: { installed: { ...build, ...demo, ...endToEnd, ...kernel }, unpacked: servers },
  long: {
    installed: { ...build, ...arm64, ...demo, ...endToEnd, ...kernel },
    unpacked: [...servers, ...docker, ...podman, ...rootless, "qemu-user-static", "debootstrap"],
    newerNode: true,
  },
};

process.chdir(join(dirname(fileURLToPath(import.meta.url)), ".."));
const [wanted] = process.argv.slice(2);
needNode();
if (wanted === "unit") {
  installNpmPackages();
  await compileValidators();
} else {
  const purpose =
    purposes[wanted ?? "build"] ?? stop(`no purpose "${wanted}": ${Object.keys(purposes).join(", ")}, unit`);
  installDebianPackages(purpose.installed);
  installNpmPackages();
  unpackDebianPackages(purpose.unpacked); // npm ci would remove them
  if (purpose.newerNode) installNewerNode();
  if (wanted !== "build") buildIfChanged();
}

function needNode() {
  if (Number.parseInt(process.versions.node, 10) < OLDEST_NODE) {
    stop(
      `Node ${OLDEST_NODE} or later is needed, this is ${process.version}. To fix: npm install -g node@${OLDEST_NODE} puts one into /usr/local, or install it as the distribution does`,
    );
  }
}

function installDebianPackages(wanted) {
  const missing = Object.entries(wanted).filter(([, proof]) => !isThere(proof));
  if (missing.length === 0) return;
  const names = missing.map(([name]) => name);
  say(`installing Debian packages: ${names.join(" ")}`);
  if (!isThere("apt-get")) {
    stop(`no apt-get here: please install what gives ${missing.map(([, proof]) => proof).join(", ")}, then try again`);
  }
  withLists(
    () => apt("install", "--no-install-recommends", ...names),
    `apt-get could not install ${names.join(" ")}: its own words above say why`,
  );
  say(`to remove them again: apt-get autoremove --purge ${names.join(" ")}`);
}

/** Where there is no apt-get, the machine's own programs are taken. */
function unpackDebianPackages(names) {
  const isOnMachine = ([file]) => isThere(basename(file)) || file.includes(".so"); // a library comes with the program
  const isThereAlready = (name) =>
    contents[name].every((path) => existsSync(join(unpackedFolder(".", name), path))) ||
    (!isThere("apt-get") && isOnMachine(contents[name]));
  const missing = [...new Set(names)].filter((name) => !isThereAlready(name));
  if (missing.length === 0) return;
  say(
    `unpacking Debian packages into ${dirname(unpackedFolder(".", "*"))}, without installing them: ${missing.join(" ")}`,
  );
  if (!isThere("apt-get")) stop("no apt-get here: please install what gives their programs, then try again");
  for (const name of missing)
    withLists(() => unpack(name), `apt-get could not download ${name}: its own words above say why`);
}

/** Whole or not at all. @returns whether it worked */
function unpack(name) {
  const folder = unpackedFolder(".", name);
  const work = `${folder}.new`;
  const files = contents[name].map((path) => `./${path}`).join(" ");
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work, { recursive: true });
  const script = `cd "$0" && apt-get -q download -o APT::Sandbox::User=root ${name} &&
    dpkg-deb --fsys-tarfile *.deb | tar -x ${files} && rm *.deb`;
  if (run(["sh", "-c", script, work]) !== 0) return false;
  rmSync(folder, { recursive: true, force: true }); // an earlier build unpacked less
  renameSync(work, folder);
  return true;
}

/** In a folder of its own: among the project's packages it would be the `node` of every npm script. */
function installNewerNode() {
  const folder = newerNode.folder(".");
  if (textOf(join(newerNode.binFolder("."), "../package.json"))?.includes(`"${newerNode.version}"`)) return;
  say(`Node ${newerNode.version} into ${folder}, for the tests of flanneld on it`);
  mkdirSync(folder, { recursive: true });
  const install = ["npm", "install", "--prefix", folder, "--no-save", "--no-audit", "--no-fund"];
  if (run([...install, `${newerNode.package}@${newerNode.version}`]) !== 0)
    stop(`npm could not install ${newerNode.package}@${newerNode.version}: its own words above say why`);
}

/** Tries again with new lists of packages: they may be missing, or stale. */
function withLists(work, complaint) {
  const haveLists = globOf("/var/lib/apt/lists", /_Packages/).length > 0;
  if (haveLists && work()) return;
  if (!apt("update") || !work()) stop(complaint);
}

/** @returns whether it worked */
function apt(...args) {
  const asRoot = process.getuid() === 0 ? [] : ["sudo"];
  if (asRoot.length > 0 && !isThere("sudo")) stop(`please run as root: apt-get ${args.join(" ")}`);
  return run([...asRoot, "sh", "dev/apt/install.sh", "-q", "-y", ...args]) === 0;
}

/** npm keeps a lock file of what it installed; `ready` says that tap was built for our plugins as well. */
function installNpmPackages() {
  const ready = "node_modules/.twill-ready";
  const stamp = hashOf([readFileSync("package-lock.json"), readFileSync(".taprc")]);
  if (textOf(ready) === stamp) return;
  if (!installedMatchesLock()) {
    say("npm packages are missing or outdated: npm ci");
    if (run(["npm", "ci", "--no-progress"]) !== 0) stop("npm ci failed");
  }
  say("tap is built for the plugins that .taprc names");
  if (run([process.execPath, "node_modules/tap/dist/esm/run.mjs", "build"], "ignore") !== 0) stop("tap build failed");
  writeFileSync(ready, stamp);
}

function installedMatchesLock() {
  const installed = textOf("node_modules/.package-lock.json");
  if (installed === undefined) return false;
  const have = JSON.parse(installed).packages;
  const { "": _project, ...want } = JSON.parse(readFileSync("package-lock.json", "utf8")).packages;
  return (
    Object.keys(have).every((path) => want[path]) &&
    Object.entries(want).every(([path, { version, optional }]) => have[path]?.version === version || optional)
  );
}

function buildIfChanged() {
  const built = "dist/.built";
  const stamp = hashOf(sources().map((file) => `${file} ${statSync(file).size} ${statSync(file).mtimeMs}\n`));
  if (textOf(built) === stamp && existsSync("dist/plugins/bridge")) return;
  say("sources have changed: building");
  rmSync(built, { force: true });
  if (run([process.execPath, "build.mjs"]) !== 0) stop("the build failed");
  mkdirSync("dist", { recursive: true });
  writeFileSync(built, stamp);
}

/** What unit tests import of the build. */
async function compileValidators() {
  const { compileSchemas } = await import("./compile-schemas.mjs");
  await compileSchemas();
}

/** Everything that the build is made from. */
function sources() {
  const below = ["cmd", "pkg", "native"].flatMap((folder) =>
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && !entry.name.endsWith(".test.ts") && !entry.name.endsWith(".md"))
      .map((entry) => join(entry.parentPath, entry.name)),
  );
  return [
    ...below,
    "build.mjs",
    "dev/compile-schemas.mjs",
    "dev/image-layout.mjs",
    "package.json",
    "package-lock.json",
  ].sort();
}

/** @param proof A command's name, or a path. */
function isThere(proof) {
  if (proof.startsWith("/")) return existsSync(proof);
  const folders = [...(process.env.PATH ?? "").split(":"), "/usr/sbin", "/sbin"];
  return folders.some((folder) => existsSync(join(folder, proof)));
}

function globOf(folder, pattern) {
  return existsSync(folder) ? readdirSync(folder).filter((name) => pattern.test(name)) : [];
}

function textOf(file) {
  return existsSync(file) ? readFileSync(file, "utf8") : undefined;
}

function hashOf(parts) {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
}

function run([command, ...args], output = "inherit") {
  return spawnSync(command, args, { stdio: ["ignore", output, "inherit"] }).status;
}

function say(text) {
  console.log(`setup: ${text}`);
}

function stop(text) {
  console.error(`setup: ${text}`);
  process.exit(1);
}
