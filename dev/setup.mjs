// Brings a clean clone to where everything runs: Debian packages, npm packages, build.
//
//   node dev/setup.mjs           for the build and all tests on this kernel
//   node dev/setup.mjs kernel    also for those on the complete kernel
//   node dev/setup.mjs unit      npm packages and validators alone, which need no root
//
// Each step looks first and does only what is missing: with everything in place it takes a tenth of a second.
// Plain Node without dependencies: it runs before npm ci.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const OLDEST_NODE = 20;

/** Debian packages, each with a file that shows that it is there: a command's name, or a path. */
const packages = {
  gcc: "gcc",
  "libc6-dev": "/usr/include/stdio.h",
  "musl-tools": "musl-gcc",
  "gcc-aarch64-linux-gnu": "aarch64-linux-gnu-gcc",
  "libc6-dev-arm64-cross": "/usr/aarch64-linux-gnu/lib/libc.a",
  "qemu-user-static": "qemu-aarch64-static",
  iproute2: "ip",
  iptables: "iptables",
  nftables: "nft",
  kmod: "modprobe",
  "iputils-ping": "ping",
  strace: "strace",
  socat: "socat",
  conntrack: "conntrack",
  "etcd-server": "etcd",
  "etcd-client": "etcdctl",
  openssl: "openssl",
  "dnsmasq-base": "dnsmasq",
  udhcpd: "udhcpd",
  "dbus-bin": "dbus-send",
  "dbus-daemon": "dbus-daemon",
  firewalld: "firewalld",
  "containernetworking-plugins": "/usr/lib/cni/bridge",
};
const kernelPackages = {
  "qemu-system-x86": "qemu-system-x86_64",
  "busybox-static": "/usr/share/doc/busybox-static", // /bin/busybox may be the dynamic one
  cpio: "cpio",
};

/** Debian starts services that it installs, etcd's among them; the tests start their own. policy-rc.d is where it asks. */
const quietApt = `
  if [ ! -e /usr/sbin/policy-rc.d ]; then
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d
  fi
  DEBIAN_FRONTEND=noninteractive apt-get "$@"`;

process.chdir(join(dirname(fileURLToPath(import.meta.url)), ".."));
const wanted = process.argv[2];
needNode();
if (wanted !== "unit") installDebianPackages(wanted === "kernel" ? { ...packages, ...kernelPackages } : packages);
installNpmPackages();
if (wanted === "unit") await compileValidators();
else buildIfChanged();

function needNode() {
  if (Number.parseInt(process.versions.node, 10) < OLDEST_NODE) {
    stop(`Node ${OLDEST_NODE} or later is needed, this is ${process.version}`);
  }
}

function installDebianPackages(wanted) {
  const missing = Object.entries(wanted).filter(([, proof]) => !isThere(proof));
  if (missing.length === 0) return;
  const names = missing.map(([name]) => name);
  say(`these Debian packages are missing: ${names.join(" ")}`);
  if (!isThere("apt-get")) {
    stop(`no apt-get here: please install what gives ${missing.map(([, proof]) => proof).join(", ")}, then try again`);
  }
  const asRoot = process.getuid() === 0 ? [] : ["sudo"];
  if (asRoot.length > 0 && !isThere("sudo")) stop(`please run as root: apt-get install ${names.join(" ")}`);
  say(asRoot.length > 0 ? "installing them with sudo" : "installing them");
  const apt = (...args) => run([...asRoot, "sh", "-c", quietApt, "sh", "-q", "-y", ...args]) === 0;
  const install = () => apt("install", "--no-install-recommends", ...names);
  const haveLists = globOf("/var/lib/apt/lists", /_Packages/).length > 0;
  if (haveLists && install()) return;
  if (!apt("update") || !install()) stop(`apt-get could not install ${names.join(" ")}`); // lists grow stale
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
  return [...below, "build.mjs", "dev/compile-schemas.mjs", "package.json", "package-lock.json"].sort();
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
