// dist/packages: for each architecture packages of Debian (twill, twill-flanneld) and archives for other systems, with checksums and a bill of materials.
//
//   npm run package            for amd64 and arm64; on a machine with arm64 for that alone
//
// Two runs on the same commit give the same bytes: names are in order, all is root's and has the time of the commit (or SOURCE_DATE_EPOCH).
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { bundledPackages } from "../build.mjs";
import { arOf, tarOf } from "./archive.mjs";
import { manPage } from "./man-page.mjs";
import { newerNode } from "./unpacked.mjs";

process.chdir(join(dirname(fileURLToPath(import.meta.url)), ".."));
const TO = "dist/packages";
const { version } = JSON.parse(readFileSync("package.json", "utf8"));
const time = Number(
  process.env.SOURCE_DATE_EPOCH ?? execFileSync("git", ["log", "-1", "--format=%ct"], { encoding: "utf8" }),
);

/** The architectures by Debian's names: npm's name, and where the build puts what it makes. */
const architectures = {
  ...(process.arch === "x64" && { amd64: { npm: "x64", dist: "dist", build: [] } }),
  arm64: { npm: "arm64", dist: process.arch === "arm64" ? "dist" : "dist/arm64", build: ["--arm64"] },
};
const foreignPackages = JSON.parse(readFileSync("package-lock.json", "utf8")).packages;

async function packageAll() {
  rmSync(TO, { recursive: true, force: true });
  mkdirSync(TO, { recursive: true });
  for (const { build } of Object.values(architectures))
    execFileSync(process.execPath, ["build.mjs", ...build], { stdio: "inherit" });
  const [twill, flanneld] = [sharedOfTwill(), sharedOfFlanneld()];
  for (const [architecture, { npm, dist }] of Object.entries(architectures))
    for (const one of [twillPackage(dist, twill), flanneldPackage(npm, flanneld)]) writePackage(one, architecture);
  write(`twill-${version}.cdx.json`, Buffer.from(`${JSON.stringify(await billOfMaterials(), undefined, 2)}\n`));
  const names = readdirSync(TO).sort();
  write("SHA256SUMS", Buffer.from(names.map((name) => `${sha256(readFileSync(join(TO, name)))}  ${name}\n`).join("")));
  console.log(`packages   ${TO}: ${names.join(" ")}`);
}

function writePackage({ name, files, ...more }, architecture) {
  const isLink = ({ hardLink }) => Number(hardLink !== undefined); // behind the file that it is a link to
  const entries = files.sort((one, other) => isLink(one) - isLink(other) || (one.path < other.path ? -1 : 1));
  write(`${name}_${version}_${architecture}.deb`, debOf({ name, architecture, entries, ...more }));
  const folder = `${name}-${version}-linux-${architecture}`;
  write(`${folder}.tar.gz`, compressed(tarOf(forAnySystem(entries), time, { prefix: `${folder}/` })));
}

// --- The package twill -------------------------------------------------------------------------------------------------------------------

/** The plugins and tools, one file with hard links below /usr, where Debian's podman and containerd look for plugins. */
function twillPackage(dist, shared) {
  const names = (folder) =>
    readdirSync(join(dist, folder))
      .filter((name) => name !== "twill" && name !== "flanneld")
      .sort();
  const executable = "usr/bin/twill";
  const links = [
    ...names("bin").map((name) => `usr/bin/${name}`),
    ...names("plugins").map((name) => `usr/lib/cni/${name}`),
  ];
  return {
    name: "twill",
    description: "plugins for container networks (CNI), in one executable",
    details:
      "bridge, ptp, macvlan, ipvlan, vlan, portmap, firewall, flannel and the\nothers, with the configurations and results of the reference plugins,\nwhich this package takes the place of; and tools for networks, installation,\ndiagnosis and repair.",
    relations: {
      Provides: "container-network-stack (= 1), containernetworking-plugins (= 1.9.1)",
      Conflicts: "containernetworking-plugins",
      Replaces: "containernetworking-plugins",
    },
    scripts: { preinst: PREINST, ...unitScripts(unitsOf(shared)) },
    files: [
      { path: executable, content: readFileSync(join(dist, "bin/twill")), mode: 0o755 },
      ...links.map((path) => ({ path, hardLink: executable })),
      ...shared,
    ],
  };
}

function sharedOfTwill() {
  const units = readdirSync("conf", { recursive: true })
    .filter((name) => /\.(service|socket|timer)$|\.service\.d\/.*\.conf$/.test(name) && name !== "flanneld.service")
    .map((name) => ({ path: `lib/systemd/system/${name}`, content: Buffer.from(withPackagePaths(`conf/${name}`)) }));
  const samples = readdirSync("conf")
    .filter((name) => name.endsWith(".conflist"))
    .map((name) => ({ path: `usr/share/doc/twill/examples/${name}`, content: readFileSync(`conf/${name}`) }));
  return [
    ...units,
    ...samples,
    ...manPages(),
    ...["cnitool", "twill"].flatMap(completionsOf),
    {
      path: "usr/share/doc/twill/copyright",
      content: Buffer.concat([readFileSync("NOTICE"), readFileSync("LICENSE")]),
    },
  ];
}

function completionsOf(tool) {
  const files = {
    bash: `usr/share/bash-completion/completions/${tool}`,
    zsh: `usr/share/zsh/vendor-completions/_${tool}`,
    fish: `usr/share/fish/vendor_completions.d/${tool}.fish`,
  };
  return Object.entries(files).map(([shell, path]) => ({
    path,
    content: Buffer.from(printed(`dist/bin/${tool}`, "completion", shell)),
  }));
}

/** Where a package has what `make install` by hand has below /opt and /usr/local. */
const withPackagePaths = (file) =>
  readFileSync(file, "utf8")
    .replaceAll("/usr/local/bin/", "/usr/bin/")
    .replaceAll("/opt/cni/bin/", "/usr/lib/cni/")
    .replaceAll("/opt/twill/dist/bin/flanneld", "/usr/sbin/flanneld");

/** twill's own page, one for each of its commands, as `man twill-doctor`, and those of the tools. */
function manPages() {
  const help = printed("dist/bin/twill", "--help").replaceAll("dist/bin/", "");
  const abouts = (title) => {
    const [, list = ""] = new RegExp(`^${title}.*\\n((?: {2}.*\\n)+)`, "m").exec(help) ?? [];
    return list
      .trimEnd()
      .split("\n")
      .map((line) => /^ {2}(\S+) +(.*)$/.exec(line)?.slice(1));
  };
  const page = (name, about, text) => manEntry(name, about, text, 1);
  return [
    page("twill", "container network plugins in one executable", help),
    ...abouts("Commands of twill itself").map(([name, about]) =>
      page(`twill-${name}`, about, printed("dist/bin/twill", name, "--help")),
    ),
    ...abouts("Tools for the command line").map(([name, about]) =>
      page(name, about, printed(`dist/bin/${name}`, "--help")),
    ),
  ];
}

function manEntry(name, about, help, section) {
  const content = Buffer.from(manPage({ name, section, about, help, version }));
  return { path: `usr/share/man/man${section}/${name}.${section}.gz`, content: compressed(content) };
}

/** `twill install` keeps what it replaces, and would put it back over the package's files. */
const PREINST = `#!/bin/sh
set -e
if [ -e /var/lib/twill/install.json ]; then
  echo "twill: plugins of this node were installed by 'twill install', which would put back what it replaced over this package's files. To fix: run 'twill uninstall', then install the package" >&2
  exit 1
fi
`;

// --- The package twill-flanneld ----------------------------------------------------------------------------------------------------------

/** The daemon with the Node that it runs on: Debian 12 has 18, which is too old. */
function flanneldPackage(npm, shared) {
  const node = { name: `node-linux-${npm}`, version: newerNode.version, integrity: newerNode.integrity[npm] };
  const koffiName = `@koromix/koffi-linux-${npm}`;
  const koffi = foreignPackages[`node_modules/${koffiName}`];
  return {
    name: "twill-flanneld",
    description: "overlay networks for containers over many hosts, as flannel",
    details: "The daemon flanneld with all backends and stores of flannel, and the Node\nthat it runs on.",
    relations: {
      Depends: "libc6 (>= 2.28), libgcc-s1, libstdc++6",
      Recommends: "iptables | nftables",
      Conflicts: "flannel",
    },
    scripts: unitScripts(unitsOf(shared)),
    files: [
      ...shared,
      { path: `${DAEMON}/node`, content: fileOfNpm(node, "bin/node"), mode: 0o755 },
      { path: "usr/share/doc/twill-flanneld/node.license", content: fileOfNpm(node, "LICENSE") },
      { path: `${DAEMON}/koffi.node`, content: fileOfNpm({ name: koffiName, ...koffi }, `linux_${npm}/koffi.node`) },
    ],
  };
}

const DAEMON = "usr/lib/twill-flanneld";

function sharedOfFlanneld() {
  const scripts = ["flanneld.mjs", "flanneld-udp.mjs"].map((name) => ({
    path: `${DAEMON}/${name}`,
    content: readFileSync(`dist/${name}`),
  }));
  const samples = readdirSync("conf")
    .filter((name) => /^net-conf-.*\.json$/.test(name))
    .map((name) => ({ path: `usr/share/doc/twill-flanneld/examples/${name}`, content: readFileSync(`conf/${name}`) }));
  return [
    ...scripts,
    ...samples,
    { path: `${DAEMON}/bin/flanneld`, content: readFileSync("dist/bin/flanneld"), mode: 0o755 },
    { path: "usr/sbin/flanneld", symbolicLink: `../lib/twill-flanneld/bin/flanneld` },
    { path: "lib/systemd/system/flanneld.service", content: Buffer.from(withPackagePaths("conf/flanneld.service")) },
    manEntry("flanneld", "connects the containers of many hosts", printed("dist/bin/flanneld", "--help"), 8),
    {
      path: "usr/share/doc/twill-flanneld/copyright",
      content: Buffer.concat(["NOTICE", "LICENSE", "dist/flanneld.licenses"].map((file) => readFileSync(file))),
    },
  ];
}

/** Returns a file of a package that npm may not have installed, since it is for another architecture. */
function fileOfNpm({ name, version, integrity }, file) {
  const folder = "node_modules/.cache/twill/npm";
  const archive = join(folder, `${name.replace(/^@/, "").replace("/", "-")}-${version}.tgz`);
  if (!existsSync(archive)) {
    mkdirSync(folder, { recursive: true });
    execFileSync("npm", ["pack", "--silent", "--pack-destination", folder, `${name}@${version}`], {
      stdio: ["ignore", "ignore", "inherit"],
    });
  }
  const found = `sha512-${createHash("sha512").update(readFileSync(archive)).digest("base64")}`;
  if (found !== integrity)
    throw new Error(
      `${archive} has the hash ${found}, not ${integrity}. To fix: remove the file; if that does not help, the registry has another package of this name`,
    );
  return execFileSync("tar", ["-xzOf", archive, `package/${file}`], { maxBuffer: 1 << 30 });
}

// --- Archives ----------------------------------------------------------------------------------------------------------------------------

/** The files without Debian's folders: programs in bin and plugins, pages and samples beside them, units with the paths of an installation by hand. */
function forAnySystem(entries) {
  const places = [
    [/^usr\/(bin|share\/man|share\/bash-completion|share\/zsh|share\/fish)\//, "$1/"],
    [/^usr\/lib\/cni\//, "plugins/"],
    [/^usr\/lib\/twill-flanneld\//, ""],
    [/^lib\/systemd\/system\//, "units/"],
    [/^usr\/share\/doc\/[^/]+\//, "doc/"],
  ];
  const moved = (path) => {
    const place = places.find(([pattern]) => pattern.test(path));
    return place && path.replace(...place);
  };
  return entries.flatMap((entry) => {
    const path = moved(entry.path);
    if (path === undefined) return [];
    if (path.startsWith("units/")) return [{ path, content: readFileSync(path.replace("units/", "conf/")) }];
    return [{ ...entry, path, ...(entry.hardLink && { hardLink: moved(entry.hardLink) }) }];
  });
}

function debOf({ name, architecture, entries, description, details, relations, scripts }) {
  const bytes = entries.reduce((sum, { content }) => sum + (content?.length ?? 0), 0);
  const fields = {
    Package: name,
    Version: version,
    Architecture: architecture,
    Maintainer: "The authors of twill <root@localhost>",
    "Installed-Size": Math.ceil(bytes / 1024),
    ...relations,
    Section: "net",
    Priority: "optional",
    Description: `${description}\n ${details.replaceAll("\n", "\n ")}`,
  };
  const control = Object.entries(fields).map(([field, value]) => `${field}: ${value}\n`);
  const md5 = (content) => createHash("md5").update(content).digest("hex");
  const contentOf = ({ content, hardLink }) => content ?? entries.find(({ path }) => path === hardLink)?.content;
  const md5sums = entries.flatMap((entry) =>
    contentOf(entry) === undefined ? [] : [`${md5(contentOf(entry))}  ${entry.path}\n`],
  );
  const controlFiles = [
    { path: "control", content: Buffer.from(control.join("")) },
    { path: "md5sums", content: Buffer.from(md5sums.join("")) },
    ...Object.entries(scripts).map(([script, text]) => ({ path: script, content: Buffer.from(text), mode: 0o755 })),
  ];
  return arOf(
    [
      ["debian-binary", Buffer.from("2.0\n")],
      ["control.tar.gz", compressed(tarOf(controlFiles, time, { prefix: "./" }))],
      ["data.tar.gz", compressed(tarOf(entries, time, { prefix: "./" }))],
    ],
    time,
  );
}

const unitsOf = (files) =>
  files.flatMap(({ path }) => /^lib\/systemd\/system\/([^/]+\.(?:service|socket|timer))$/.exec(path)?.[1] ?? []);

/** No unit is enabled or started: that is the administrator's decision. An upgrade leaves what runs; removal ends it. */
function unitScripts(units) {
  const script = (lines) => `#!/bin/sh\nset -e\n${lines.join("\n")}\n`;
  const reload = "if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi";
  return {
    postinst: script([reload]),
    prerm: script([
      `if [ "$1" = remove ] && [ -d /run/systemd/system ]; then systemctl disable --now ${units.join(" ")}; fi`,
    ]),
    postrm: script([reload]),
  };
}

const compressed = (content) => gzipSync(content, { level: 6 });
const sha256 = (content) => createHash("sha256").update(content).digest("hex");
const write = (name, content) => writeFileSync(join(TO, name), content);

/** Returns what a program prints when it is asked for help; one of them knows no --help, and prints its usage as an error. */
function printed(program, ...args) {
  const { stdout, stderr, error } = spawnSync(program, args, { encoding: "utf8", env: { PATH: process.env.PATH } });
  if (error !== undefined) throw error;
  return stdout || stderr.replace(/^.*illegal option.*\n/, "");
}

// --- The bill of materials ---------------------------------------------------------------------------------------------------------------

/** CycloneDX: the packages whose code is in what is shipped. */
async function billOfMaterials() {
  const bundled = await bundledPackages();
  const component = ({ name, version, license }) => ({
    type: "library",
    name,
    version,
    ...(license && { licenses: [{ license: { id: license } }] }),
    purl: `pkg:npm/${name.replace("@", "%40")}@${version}`,
  });
  const nodes = Object.values(architectures).map(({ npm }) => ({
    name: `node-linux-${npm}`,
    version: newerNode.version,
  }));
  const koffis = Object.values(architectures).map(({ npm }) => ({
    name: `@koromix/koffi-linux-${npm}`,
    ...foreignPackages[`node_modules/@koromix/koffi-linux-${npm}`],
  }));
  const all = [...bundled, ...nodes, ...koffis].map(component);
  return {
    bomFormat: "CycloneDX",
    specVersion: "1.5",
    version: 1,
    metadata: {
      timestamp: new Date(1000 * time).toISOString(),
      component: { type: "application", name: "twill", version, licenses: [{ license: { id: "Apache-2.0" } }] },
    },
    components: [...new Map(all.map((one) => [one.purl, one])).values()].sort((one, other) =>
      one.purl < other.purl ? -1 : 1,
    ),
  };
}

await packageAll();
