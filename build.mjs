// cmd/*, pkg/*, native/* -> dist/plugins and dist/bin: one static executable with a hard link per plugin and per tool, and the
// daemon's launcher. Runtimes run every file of their plugin directory, some without asking what it is: tools lie elsewhere.
//
//   node build.mjs            for this machine            node build.mjs --watch   again after each change
//   node build.mjs --arm64    dist/arm64/plugins and dist/arm64/bin, with Debian's cross compiler and qemu-user (both architectures share stages 1 to 3)
//
//   1 validators   cmd/*/netconf.ts -> dist/validate/*.js     JSON schemas become code (ajv)
//   2 bundle       cmd/twill/main.ts -> dist/twill.js         TypeScript becomes one script (esbuild), with its line table
//   3 bytecode     dist/twill.js -> dist/twill.bytecode       the compiler that comes with the engine; details that only take memory are left out
//   4 host         native/*.c + engine -> dist/<arch>/host    an executable that can load bytecode (gcc)
//   5 layout       native/transcripts -> dist/twill.layout    recorded calls of plugins are replayed, to see which memory they touch
//   6 freeze       host + bytecode -> dist/bin/twill          the program is loaded, its memory becomes part of the executable
//   7 links        dist/plugins/bridge, dist/plugins/host-local ..., dist/bin/cnitool ...
//   8 daemon       cmd/flanneld/main.ts -> dist/flanneld.mjs, with dist/koffi.node beside it, for Node; dist/bin/flanneld starts it;
//                  pkg/flannel/udp-data-path/main.ts -> dist/flanneld-udp.mjs, which the daemon starts
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  watch,
  writeFileSync,
} from "node:fs";
import { createRequire, SourceMap } from "node:module";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { withoutDetails } from "./dev/bytecode.mjs";
import { compileSchemas } from "./dev/compile-schemas.mjs";
import { arrange, copiedPages, orderFile, readReport, writtenBytes } from "./dev/image-layout.mjs";
import { unpackedProgram } from "./dev/unpacked.mjs";

const ENGINE = "node_modules/@suchipi/quickjs/build";
/** The address of the image in memory: near enough to the code for the compiler's usual addressing, far from anything else. */
const IMAGE_ADDRESS = 0x10000000;

const C_FLAGS =
  "-static -no-pie -O2 -fno-asynchronous-unwind-tables -Wall -Wextra -Werror -ffunction-sections -fdata-sections -Wl,--gc-sections -s".split(
    " ",
  );

/**
 * How to make and to start an executable for an architecture, and the largest size of its pages: the image's place in the file
 * is a multiple of that. musl gives half the size, but Debian has no cross musl.
 */
const targets = {
  x64: { compiler: "musl-gcc", objcopy: "objcopy", engine: "x86_64-unknown-linux-musl", start: [], page: 4096 },
  arm64: { compiler: "musl-gcc", objcopy: "objcopy", engine: "aarch64-unknown-linux-musl", start: [], page: 65536 },
  arm64Cross: {
    compiler: "aarch64-linux-gnu-gcc",
    objcopy: "aarch64-linux-gnu-objcopy",
    engine: "aarch64-unknown-linux-gnu",
    start: [unpackedProgram(".", "qemu-user-static")],
    page: 65536,
  },
};

const cross = process.argv.includes("--arm64") && process.arch !== "arm64";
const target = cross ? targets.arm64Cross : targets[process.arch];
const dist = cross ? "dist/arm64" : "dist";
const pluginFolder = `${dist}/plugins`;
const toolFolder = `${dist}/bin`;
const twill = `${toolFolder}/twill`;
const hostFile = `${dist}/host`;
const PROFILING_HOST = "dist/profiling-host";
export const TRANSCRIPTS = "native/transcripts";
export const COSTS = `${TRANSCRIPTS}/costs.json`;
const LAYOUT = "dist/twill.layout";

const stages = { validators, bundle, bytecode, host, layout, freeze, links, ...(!cross && { daemon }) };

async function buildAll() {
  for (const folder of [pluginFolder, toolFolder]) mkdirSync(folder, { recursive: true });
  const started = performance.now();
  for (const [name, stage] of Object.entries(stages)) {
    const from = performance.now();
    const made = await stage();
    console.log(`${name.padEnd(10)} ${String(Math.round(performance.now() - from)).padStart(5)} ms  ${made}`);
  }
  console.log(`${"".padEnd(10)} ${String(Math.round(performance.now() - started)).padStart(5)} ms`);
}

async function validators() {
  return await compileSchemas();
}

async function bundle() {
  return await bundleScript("cmd/twill/main.ts", "dist/twill.js", { define: versionConstant() });
}

function versionConstant() {
  const { version } = JSON.parse(readFileSync("package.json", "utf8"));
  return { TWILL_VERSION: JSON.stringify(version) };
}

/** Files of systemd, which `twill install` has inside. */
const unitsAsText = Object.fromEntries([".service", ".socket", ".timer", ".conf"].map((ending) => [ending, "text"]));

/** TypeScript -> one script for the engine, with the table that turns its lines back into the sources' lines. */
export async function bundleScript(entry, script, options = {}) {
  const { outputFiles } = await build({
    entryPoints: [entry],
    outfile: script,
    bundle: true,
    write: false,
    format: "iife",
    target: "es2022",
    conditions: ["quickjs"],
    sourcemap: "external",
    loader: unitsAsText,
    logLevel: "warning",
    ...options,
  });
  const [map, code] = [".js.map", ".js"].map((ending) => outputFiles.find(({ path }) => path.endsWith(ending)).text);
  const parsed = JSON.parse(map);
  const table = lineTable(parsed, code.split("\n").length);
  writeFileSync(script, `${code}host.lineTable = ${JSON.stringify(table)};\n`); // behind the code, whose lines stay
  return `${kB(code.length)} of script, ${parsed.sources.length} files`;
}

/**
 * Which source line a line of the script comes from, for stack traces (pkg/sys/stack-trace.ts). A line for each source, in the order of
 * the script: its path, and pairs of numbers, each for lines that count on together in both: how many script lines behind the pair
 * before it they begin, and by how much more the source's lines are ahead of the script's. A text, since a list would be code.
 */
function lineTable(map, lineCount) {
  const decoded = new SourceMap(map);
  const parts = [];
  let last = { source: undefined, begin: 1, ahead: 0 };
  for (let line = 0; line < lineCount; line++) {
    const entry = decoded.findEntry(line, 1e6); // the last mapping at or before the line's end
    if (entry.generatedLine !== line) continue;
    const now = { source: entry.originalSource, begin: line + 1, ahead: entry.originalLine - line };
    if (now.source === last.source && now.ahead === last.ahead) continue;
    if (now.source !== last.source) parts.push([now.source.replace(/^(\.\.\/)+/, "")]);
    parts.at(-1).push(now.begin - last.begin, now.ahead - last.ahead);
    last = now;
  }
  return parts.map((part) => part.join(" ")).join("\n");
}

function bytecode() {
  return compileScript("dist/twill.js", "dist/twill.bytecode");
}

export function compileScript(script, bytecodeFile) {
  const tools = `${ENGINE}/${process.arch === "arm64" ? "aarch64" : "x86_64"}-unknown-linux-static/bin`;
  const args = [`${tools}/file-to-bytecode.js`, "--strip", "source", script, bytecodeFile, "twill.js"];
  execFileSync(`${tools}/quickjs-run`, args, { stdio: ["ignore", "ignore", "inherit"] });
  const bytecode = withoutDetails(readFileSync(bytecodeFile));
  writeFileSync(bytecodeFile, bytecode);
  return kB(bytecode.length);
}

function host() {
  return linkIfChanged(target, hostFile, ["native"], []);
}

/** Links the host that the machine which builds can replay transcripts with. @returns its path */
export function profilingHost() {
  linkIfChanged(targets[process.arch], PROFILING_HOST, ["native", "native/profiling"], ["-DPROFILE"]);
  return PROFILING_HOST;
}

/** Links a host again only when one of its inputs has changed. */
function linkIfChanged(target, executable, folders, flags) {
  const sources = folders.flatMap((folder) =>
    readdirSync(folder)
      .filter((name) => /\.[ch]$/.test(name))
      .map((name) => `${folder}/${name}`),
  );
  return makeIfChanged(executable, [...sources, "build.mjs", "package-lock.json"], () => {
    const archive = `${executable}.engine.a`;
    makeEngineArchive(target, archive);
    linkHost(archive, executable, { target, folders, flags });
    return kB(statSync(executable).size);
  });
}

/** Compiles the host and links it with the engine. */
export function linkHost(
  archive,
  executable,
  { target = targets[process.arch], folders = ["native"], flags = [] } = {},
) {
  const sources = folders.flatMap((folder) =>
    readdirSync(folder)
      .filter((name) => name.endsWith(".c"))
      .map((name) => `${folder}/${name}`),
  );
  const include = ["-isystem", `${ENGINE}/${target.engine}/include`];
  const place = `-Wl,--section-start=.image=0x${IMAGE_ADDRESS.toString(16)}`; // the linker reads hexadecimal only
  const args = [...C_FLAGS, ...flags, place, ...include, ...sources, archive, "-lm", "-lpthread", "-o", executable];
  execFileSync(target.compiler, args, { stdio: "inherit" });
}

/** The engine's functions for memory, which native/frozen-image.c has in their place. */
const REPLACED = ["js_malloc_rt", "js_free_rt", "js_realloc_rt", "js_malloc_usable_size_rt"];

/** The engine's library as the host needs it: definitions of the host go before its own, and the 84 kB for C++ exceptions, which nothing throws, are left out. */
export function makeEngineArchive({ objcopy, engine }, archive) {
  const weaken = REPLACED.map((symbol) => `--weaken-symbol=${symbol}`);
  const library = `${ENGINE}/${engine}/lib/quickjs-core.a`;
  execFileSync(objcopy, ["--remove-section=.eh_frame", ...weaken, library, archive]);
}

/** Decides which blocks of the program lie together, anew only when the program, the host or a transcript has changed. */
function layout() {
  const files = [profilingHost(), "dev/image-layout.mjs", "dist/twill.bytecode", ...transcripts()];
  return makeIfChanged(LAYOUT, files, () => {
    const report = replay();
    writeFileSync(LAYOUT, orderFile(report, arrange(report)));
    const stale = report.runs.filter(({ stale }) => stale !== undefined).map(({ name, stale }) => `${name} (${stale})`);
    const advice = stale.length > 0 ? `, stale: ${stale.join(", ")}; "npm run profile" records them again` : "";
    return `${report.runs.length} transcripts${advice}`;
  });
}

function transcripts() {
  const names = readdirSync(TRANSCRIPTS).filter((name) => name.endsWith(".txt"));
  return names.map((name) => `${TRANSCRIPTS}/${name}`);
}

/** Makes a file unless it was made of the same inputs; what `make` says of it is kept beside it. */
function makeIfChanged(file, inputs, make) {
  const hash = createHash("sha256");
  for (const input of inputs) hash.update(readFileSync(input));
  const stamp = hash.digest("hex");
  const stampFile = `${file}.stamp`;
  const [madeOf, said] = existsSync(file) && existsSync(stampFile) ? readFileSync(stampFile, "utf8").split("\n") : [];
  if (madeOf === stamp) return `unchanged: ${said}`;
  const says = make();
  writeFileSync(stampFile, `${stamp}\n${says}`);
  return says;
}

/** Runs the program for each transcript. */
export function replay() {
  const args = ["replay", ...transcripts()];
  const input = readFileSync("dist/twill.bytecode");
  return readReport(
    execFileSync(`./${profilingHost()}`, args, { input, env: {}, encoding: "utf8", maxBuffer: 64 << 20 }),
  );
}

/** What each recorded call costs: system calls, steps of the engine (calls of functions and passes of loops), and what it writes to of the frozen program. */
export function costs(report) {
  const copied = copiedPages(report, arrange(report));
  const costsOf = (run) => ({
    systemCalls: run.calls,
    steps: run.steps,
    writtenBytes: writtenBytes(run),
    copiedPages: copied(run),
  });
  return Object.fromEntries(report.runs.map((run) => [run.name, costsOf(run)]));
}

function freeze() {
  return freezeProgram("dist/twill.bytecode", twill, [LAYOUT]);
}

/** Starts the host on the bytecode and appends the memory it hands back, so that exec maps it where it was. */
export function freezeProgram(bytecodeFile, executableFile, layoutFiles = []) {
  const [command, ...args] = [...target.start, `./${hostFile}`, ...layoutFiles];
  const input = readFileSync(bytecodeFile);
  const image = execFileSync(command, args, {
    input,
    maxBuffer: 64 << 20,
    env: {},
    stdio: ["pipe", "pipe", "inherit"],
  });
  const executable = readFileSync(hostFile);
  const at = Math.ceil(executable.length / target.page) * target.page;
  const header = programHeader(executable, IMAGE_ADDRESS);
  executable.writeBigUInt64LE(BigInt(at), header + 8); // p_offset
  executable.writeBigUInt64LE(BigInt(image.length), header + 32); // p_filesz; p_memsz stays: what a run adds
  const padding = Buffer.alloc(at - executable.length);
  const program = Buffer.concat([executable, padding, image]);
  replace(executableFile, Buffer.concat([program, buildLine(program)]), 0o755);
  return `${kB(image.length)} of image, ${kB(at + image.length)} in all`;
}

/** By which a copy of the program is known for one (pkg/cni/same-build.ts). */
const buildLine = (program) => Buffer.from(`\ntwill ${createHash("sha256").update(program).digest("hex")}\n`);

/** Offset of the Elf64_Phdr of the segment at an address. */
function programHeader(elf, address) {
  const [table, count] = [Number(elf.readBigUInt64LE(32)), elf.readUInt16LE(56)];
  for (let at = table; at < table + 56 * count; at += 56) {
    if (elf.readBigUInt64LE(at + 16) === BigInt(address)) return at;
  }
  throw new Error(`the linker made no segment at 0x${address.toString(16)} for the image`);
}

/** Makes the hard links that the executable lists, and removes others, which are of an earlier build. */
function links() {
  const plugins = linkAll("--plugins", pluginFolder, []);
  const tools = linkAll("--tools", toolFolder, ["twill", "flanneld"]);
  return `${plugins.length} plugins: ${plugins.join(" ")}; ${tools.length} tools: ${tools.join(" ")}`;
}

function linkAll(listOption, folder, kept) {
  const [command, ...args] = [...target.start, twill, listOption];
  const names = execFileSync(command, args, { encoding: "utf8" }).split("\n").filter(Boolean);
  for (const name of readdirSync(folder)) if (!kept.includes(name)) rmSync(`${folder}/${name}`);
  for (const name of names) linkSync(twill, `${folder}/${name}`);
  return names;
}

/**
 * It runs on the Node beside it, as a package has it, else on that of PATH. A node may still have a link to it among its plugins, where runtimes and cnitool ask every file what it is. Without --enable-source-maps, which would keep the decoded map in
 * memory (25 MB) from the first stack on that a library looks at; the bundle has its names, and the map lies beside it.
 *
 * The flags are for memory (with 5,000 peers 80 MB instead of 109): an engine that compiles and collects on the main thread alone, lets the heap grow by little, and collects when the daemon
 * asks for it, after its start.
 *
 * Node 22 and later keep the compiled code in NODE_COMPILE_CACHE, and start in 20 ms less; where that folder cannot be made, they go on without. Not in /tmp, Node's own choice, where
 * another user could have made it first.
 */
const LAUNCHER = `#!/bin/sh
[ -z "$CNI_COMMAND" ] || { echo '{"code": 4, "msg": "flanneld is a daemon, not a CNI plugin", "details": "To fix: delete the file flanneld from the directory of the plugins"}'; exit 1; }
daemon="$(dirname "$(readlink -f "$0")")/../flanneld.mjs"
[ -e "$daemon" ] || { echo "flanneld: $0 was copied without the rest of dist. To fix: copy dist as a whole, as to /opt/twill/dist, and ln -sf /opt/twill/dist/bin/flanneld /usr/local/bin/" >&2; exit 1; }
node="$(dirname "$(readlink -f "$0")")/../node"
[ -x "$node" ] || node=node
command -v "$node" > /dev/null || { echo "flanneld: there is no node in PATH. To fix: install Node 20 or later, or add its directory to PATH" >&2; exit 1; }
export NODE_COMPILE_CACHE="\${NODE_COMPILE_CACHE-/var/cache/flanneld}"
MALLOC_ARENA_MAX=1 exec "$node" --max-semi-space-size=1 --optimize-for-size --single-threaded --expose-gc --no-deprecation "$daemon" "$@"
`;

/** Bundles the daemon into one script for Node, and the data path of its udp backend into another; only koffi's native module stays a separate file. */
async function daemon() {
  const flanneld = await bundleForNode("cmd/flanneld/main.ts", "dist/flanneld.mjs");
  const dataPath = await bundleForNode("pkg/flannel/udp-data-path/main.ts", "dist/flanneld-udp.mjs");
  const koffi = `node_modules/@koromix/koffi-linux-${process.arch}/linux_${process.arch}/koffi.node`;
  replace("dist/koffi.node", readFileSync(koffi));
  replace(`${toolFolder}/flanneld`, LAUNCHER, 0o755);
  replace("dist/flanneld.licenses", licensesOf([...flanneld.inputs, ...dataPath.inputs, koffi]));
  return `${kB(flanneld.size)}, ${kB(dataPath.size)} of data path`;
}

/** @returns the script's size, and the files that are in it */
async function bundleForNode(entry, script) {
  const { outputFiles, metafile } = await build({
    entryPoints: [entry],
    outfile: script,
    bundle: true,
    write: false,
    platform: "node",
    format: "esm",
    target: "node20",
    minifyWhitespace: true,
    minifySyntax: true,
    sourcemap: "linked",
    sourcesContent: false,
    metafile: true,
    define: versionConstant(),
    banner: {
      // what packages written as CommonJS expect to be there
      js: `import { createRequire as requireFor } from "node:module"; const require = requireFor(import.meta.url);`,
    },
    plugins: [nativeModuleBeside, withoutProtoFiles],
    logLevel: "warning",
  });
  for (const { path, contents } of outputFiles) replace(path, contents);
  const { contents } = outputFiles.find(({ path }) => path.endsWith(".mjs"));
  return { size: contents.length, inputs: Object.keys(metafile.inputs) };
}

/** Returns name, version and licence of each package whose code is in the executable or in the daemon, for a bill of materials. */
export async function bundledPackages() {
  const inputs = async (entry, options) => {
    const { metafile } = await build({ entryPoints: [entry], bundle: true, write: false, metafile: true, ...options });
    return Object.keys(metafile.inputs);
  };
  const forNode = { platform: "node", format: "esm", plugins: [nativeModuleBeside, withoutProtoFiles] };
  const files = await Promise.all([
    inputs("cmd/twill/main.ts", { conditions: ["quickjs"], loader: unitsAsText, define: versionConstant() }),
    inputs("cmd/flanneld/main.ts", { ...forNode, define: versionConstant() }),
    inputs("pkg/flannel/udp-data-path/main.ts", { ...forNode, define: versionConstant() }),
  ]);
  const folders = packagesOf([...files.flat(), `${ENGINE}/engine`]);
  return folders.map((folder) => JSON.parse(readFileSync(`${folder}/package.json`, "utf8")));
}

/** Returns the folders of the packages that these files are in. */
function packagesOf(files) {
  const inPackage = /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/;
  return [...new Set(files.flatMap((file) => inPackage.exec(file)?.[0] ?? []))].sort();
}

/** Collects the licence notices of every package that is part of the bundle. */
function licensesOf(files) {
  return packagesOf(files)
    .map((folder) => {
      const { name, version, license } = JSON.parse(readFileSync(`${folder}/package.json`, "utf8"));
      const file = readdirSync(folder).find((name) => /^licen[cs]e/i.test(name));
      const text = file === undefined ? "" : `\n${readFileSync(`${folder}/${file}`, "utf8")}`;
      return `${name} ${version}: ${license}\n${text}`;
    })
    .join(`\n${"-".repeat(78)}\n`);
}

/** koffi looks for its native module in node_modules; that module alone is all we need of it. */
const nativeModuleBeside = {
  name: "native-module-beside",
  setup(build) {
    build.onResolve({ filter: /^koffi$/ }, () => ({ path: "koffi", namespace: "native-module-beside" }));
    build.onLoad({ filter: /.*/, namespace: "native-module-beside" }, () => ({
      contents: `export default require("./koffi.node");`,
    }));
    build.onResolve({ filter: /^\.\/koffi\.node$/ }, () => ({ path: "./koffi.node", external: true }));
  },
};

/** etcd3 reads its protocol from .proto files when it starts; here it is read when the daemon is built. */
const withoutProtoFiles = {
  name: "without-proto-files",
  setup(build) {
    build.onLoad({ filter: /etcd3\/lib\/connection-pool\.js$/ }, ({ path }) => {
      const require = createRequire(createRequire(import.meta.url).resolve("@grpc/proto-loader"));
      const { Root } = require("protobufjs");
      const protocol = new Root().loadSync(path.replace("lib/connection-pool.js", "proto/rpc.proto"), {
        keepCase: true,
      });
      const code = readFileSync(path, "utf8");
      const patched = code.replace(
        /loadSync\)\(`\$\{__dirname\}\/\.\.\/proto\/rpc\.proto`/,
        () => `fromJSON)(${JSON.stringify(protocol.toJSON())}`,
      );
      if (patched === code) throw new Error(`${path} does not read rpc.proto where it used to`);
      return { contents: patched };
    });
  },
};

/** Replaces a file, so that running programs keep the old one: a library that is overwritten while mapped loses its relocations, and crashes. */
function replace(file, contents, mode = 0o644) {
  writeFileSync(`${file}.new`, contents, { mode });
  renameSync(`${file}.new`, file);
}

function kB(bytes) {
  return `${Math.round(bytes / 1000)} kB`;
}

function rebuildOnChange() {
  let waiting;
  for (const folder of ["cmd", "pkg", "native"]) {
    watch(folder, { recursive: true }, (_, name) => {
      if (!/\.(ts|c|h)$/.test(name ?? "") || name.endsWith(".test.ts")) return;
      clearTimeout(waiting);
      waiting = setTimeout(() => buildAll().catch((error) => console.error(error.message)), 50);
    });
  }
  console.log("watching cmd, pkg and native; Ctrl-C ends it");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await buildAll();
  if (process.argv.includes("--watch")) rebuildOnChange();
}
