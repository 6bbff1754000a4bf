// Runs tests. Usage: node dev/test.mjs                   unit and end-to-end tests, but for what `inFullRunOnly` and `inLongRunOnly` mark
//                    node dev/test.mjs unit              those beside the code, which need no root
//                    node dev/test.mjs all               also what `inFullRunOnly` marks
//                    node dev/test.mjs kernel            those that need a kernel feature, on the complete kernel
//                    node dev/test.mjs long              all on both kernels, and all faults
//                    node dev/test.mjs [all|long] FILE [TEST]   the files whose path contains FILE; of these the tests whose name contains TEST
//                    node dev/test.mjs [all|long] TEST   where no path contains it: the tests whose name does
//
// One run of tap for all files. esbuild makes them JavaScript at once: tsx, in each process, would take a second for it, most of that for tap's own
// modules. Unit tests are joined into a few files: each file of its own would cost half a second before its first test (50 s instead of 10 s for
// all). Files with many groups (e2e/lab/shares.ts) run as several.
// While it runs, a line per file; of what fails, the reason; last the counts.
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";

/** On two cores: tests wait for a third of their time, for programs and for the kernel. */
const JOBS = 3;
/** Of unit tests: more than jobs, since some tests wait for seconds and others fill the time. */
const BUNDLES = 4;
/** Of a file with groups: so many that none of them is the last to end by far. */
const SHARES = 6;
/** Of a file that takes longer something hangs, also where ten programs want each processor. */
const LONGEST_FILE_S = 1200;
const LONGEST_FILE_OF_LONG_RUN_S = 3600;
/** Tests on the complete kernel of which the time is told. */
const LONGEST_SHOWN = 10;
const RESULTS = "dist/test";
const PROGRAMS = `${RESULTS}/run`;

const SKIPPED = /^ *ok \d+ - .* # SKIP/;
const SKIPPED_FOR_KERNEL = /^ *ok \d+ - (.*?) # SKIP .*npm run test:kernel/;
const LEFT_TO_TIER = /# SKIP runs in npm run (test:all|test:long)/;
/** By dev/only-named.mjs. */
const NOT_ASKED = /^ok \d+ - .* # SKIP no test has the name/;
/** A file's own line, without indentation; what it consists of came before. */
const FILE_POINT = /^(ok|not ok) \d+ - (\S+).* # time=([\d.]+)ms/;

/** Where tap says more about the place of a failure than its file and line. */
const NOT_SHOWN = /^ *(---|at:|columnNumber|typeName|methodName|functionName|is[A-Z]\w+|promise)/;

process.chdir(join(dirname(fileURLToPath(import.meta.url)), ".."));
const unit = testFiles("pkg", "cmd");
const all = [...unit, ...testFiles("e2e", "dev", "bench")];
const args = process.argv.slice(2);
const tier = ["unit", "all", "kernel", "long"].includes(args[0]) ? args.shift() : "";
const [name = "", testName = ""] = args;
const isLong = tier === "long";
if (isLong) process.env.TWILL_LONG = "1";
if (tier === "all" || name !== "") process.env.TWILL_ALL = "1"; // what is named is wanted whole
process.env.TWILL_SEED ||= String(Date.now() % 1_000_000);
console.log(`# TWILL_SEED=${process.env.TWILL_SEED} repeats the random choices of this run`);

const counts = sum(await runs());
console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
process.exitCode = counts.status === 0 && counts.failed === 0 && counts.passed + counts.skipped > 0 ? 0 : 1;

async function runs() {
  if (tier === "kernel") return [await onCompleteKernel(name)];
  if (name !== "") return [await thoseNamed()];
  const here = await onThisKernel(joined(tier === "unit" ? unit : all));
  return isLong ? [here, await onCompleteKernel("")] : [here];
}

/** Files whose path has the name; where there is none, tests that have it in theirs, which are looked for in files whose text has it. */
async function thoseNamed() {
  const byPath = all.filter((file) => file.includes(name));
  if (byPath.length > 0) return onThisKernel(testName === "" ? shared(byPath) : plain(byPath), testName);
  const byText = all.filter((file) => mentions(textWithImports(file), name));
  if (byText.length === 0) stop(`no test file has "${name}" in its path or text; there are:\n  ${all.join("\n  ")}`);
  const counts = await onThisKernel(plain(byText), name);
  if (counts.passed + counts.failed + counts.skipped === 0)
    stop(`no test has "${name}" in its name; files that mention it:\n  ${byText.join("\n  ")}`);
  return counts;
}

/** @param programs By name: modules that tap runs. */
async function onThisKernel(programs, testName = "") {
  const files = await built(programs);
  const limit = isLong ? LONGEST_FILE_OF_LONG_RUN_S : LONGEST_FILE_S;
  const only = testName === "" ? [] : ["--node-arg=--import=./dev/only-named.mjs"];
  process.env.TWILL_ONLY = testName;
  const tap = ["node_modules/tap/dist/esm/run.mjs", "run", "--reporter=tap", `--jobs=${JOBS}`, `--timeout=${limit}`];
  const printed = await follow([...tap, ...only, ...files], reportFile);
  writeFileSync(`${RESULTS}/tap`, printed.lines.join("\n")); // tap's own --output-file would print each line twice
  const leftToOtherKernel = printed.lines.flatMap((line) => SKIPPED_FOR_KERNEL.exec(line)?.[1] ?? []);
  if (name === "" && tier !== "unit")
    writeFileSync(`${RESULTS}/skipped-for-kernel.json`, JSON.stringify(leftToOtherKernel, null, 2));
  const notAsked = printed.lines.filter((line) => NOT_ASKED.test(line));
  const skipped = printed.lines.filter((line) => SKIPPED.test(line) && !NOT_ASKED.test(line));
  for (const line of new Set(skipped.filter((line) => !LEFT_TO_TIER.test(line)))) console.log(line.trim());
  for (const command of ["test:all", "test:long"]) {
    const left = skipped.filter((line) => LEFT_TO_TIER.exec(line)?.[1] === command);
    if (left.length > 0) console.log(`# left to npm run ${command}: ${left.length}`);
  }
  const counts = countsOf(printed.lines);
  return { ...counts, skipped: counts.skipped - notAsked.length, status: printed.status };
}

async function onCompleteKernel(name) {
  const { lines, status } = await follow(["--import", "tsx", "e2e/kernels/run.ts", name], () => {});
  reportGuests(lines);
  const left = new Set(lines.filter((line) => LEFT_TO_TIER.test(line)).map((line) => line.replace(/^ *ok \d+/, "")));
  if (left.size > 0) console.log(`# left to npm run test:long: ${left.size}`);
  return { ...countsOf(lines), skipped: left.size, status }; // all others run on the machine's own kernel, or in the other guest
}

/** What failed in the guests; then for each file the time of its tests, and the longest tests. */
function reportGuests(lines) {
  for (const line of failures(lines)) console.log(line);
  const points = [];
  let file = "";
  for (const line of lines) {
    file = /^# file (\S+)/.exec(line)?.[1] ?? file;
    const [, verdict, name, milliseconds] = /^(ok|not ok) \d+ - (.*) # time=([\d.]+)ms/.exec(line) ?? [];
    if (name !== undefined) points.push({ file, verdict, name, seconds: milliseconds / 1000 });
  }
  const point = ({ verdict, seconds, name }) => `${verdict.padEnd(6)} ${seconds.toFixed(1).padStart(6)} s  ${name}`;
  for (const name of new Set(points.map(({ file }) => file))) {
    const own = points.filter(({ file }) => file === name);
    const verdict = own.every(({ verdict }) => verdict === "ok") ? "ok" : "not ok";
    console.log(point({ verdict, name, seconds: own.reduce((sum, { seconds }) => sum + seconds, 0) }));
  }
  console.log("# the longest:");
  for (const each of points.toSorted((a, b) => b.seconds - a.seconds).slice(0, LONGEST_SHOWN)) console.log(point(each));
  const isVerdict = (line) => /^(not ok - |# the guest's console|# \d+ files on kernel)/.test(line);
  for (const line of lines.filter(isVerdict)) console.log(line);
}

/** Whether a text has a name; before its first ": ", a test's name may have a value. */
function mentions(text, name) {
  return text.includes(name) || (name.includes(": ") && text.includes(name.replace(/^.*?: /, "")));
}

/** A file with what it imports from beside it: rows of a table have their names there. */
function textWithImports(file) {
  const text = readFileSync(file, "utf8");
  const imported = [...text.matchAll(/from "\.\/([\w.-]+\.ts)"/g)].map(([, name]) => join(dirname(file), name));
  return [file, ...imported.filter((each) => existsSync(each))].map((each) => readFileSync(each, "utf8")).join("\n");
}

/** The files with the unit tests among them joined, those with groups in shares. */
function joined(files) {
  const parts = Array.from({ length: BUNDLES }, (_, i) => unit.filter((_, at) => at % BUNDLES === i));
  const bundles = parts.map((files, i) => [
    `unit-${i + 1}.test`,
    files.map((file) => `import "./${file}";`).join("\n"),
  ]);
  return { ...Object.fromEntries(bundles), ...shared(files.filter((file) => !unit.includes(file))) };
}

/** Each file with groups as many: what starts one share of it. */
function shared(files) {
  const isShared = (file) => readFileSync(file, "utf8").includes("inShares(");
  const shares = files
    .filter(isShared)
    .flatMap((file) =>
      Array.from({ length: SHARES }, (_, i) => [
        `${basename(file, ".test.ts")}-${i + 1}.test`,
        `process.env.TWILL_SHARE = "${i + 1}/${SHARES}";\nawait import("./${file}");`,
      ]),
    );
  return { ...Object.fromEntries(shares), ...plain(files.filter((file) => !isShared(file))) };
}

function plain(files) {
  return Object.fromEntries(files.map((file) => [file.replace(/\.ts$/, ""), `import "./${file}";`]));
}

/** Makes JavaScript of programs, what they share once. @returns Its files. */
async function built(programs) {
  if (name === "") rmSync(PROGRAMS, { recursive: true, force: true }); // while a whole run goes on, others are asked for by name
  const { metafile } = await build({
    entryPoints: Object.keys(programs).map((name) => ({ in: `program:${name}`, out: name })),
    plugins: [virtual(programs), withOwnPlaces()],
    outdir: PROGRAMS,
    outExtension: { ".js": ".mjs" },
    chunkNames: "parts/[hash]",
    bundle: true,
    splitting: true,
    platform: "node",
    target: "node20",
    format: "esm",
    packages: "external",
    sourcemap: "linked", // stacks name the sources
    metafile: true,
    logLevel: "error",
  });
  return Object.entries(metafile.outputs).flatMap(([file, { entryPoint }]) =>
    entryPoint?.startsWith("program:") ? [file] : [],
  );
}

function virtual(programs) {
  return {
    name: "programs",
    setup(build) {
      const namespace = "program";
      build.onResolve({ filter: /^program:/ }, ({ path }) => ({ path: path.slice("program:".length), namespace }));
      build.onLoad({ filter: /./, namespace }, ({ path }) => ({ contents: programs[path], resolveDir: process.cwd() }));
    },
  };
}

/** A module that looks beside itself still finds what lies there. */
function withOwnPlaces() {
  return {
    name: "own places",
    setup(build) {
      build.onLoad({ filter: /\.(ts|mjs)$/ }, ({ path }) => ({
        contents: readFileSync(path, "utf8")
          .replaceAll("import.meta.dirname", JSON.stringify(dirname(path)))
          .replaceAll("import.meta.url", JSON.stringify(pathToFileURL(path).href)),
        loader: path.endsWith(".ts") ? "ts" : "js",
      }));
    },
  };
}

/** Runs Node with `args`. @param report Gets the lines of each part of the output as it is complete. */
function follow(args, report) {
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => child.kill(signal));
  const lines = [];
  let part = [];
  createInterface({ input: child.stdout }).on("line", (line) => {
    lines.push(line);
    part.push(line);
    if (!FILE_POINT.test(line)) return;
    report(part);
    part = [];
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status) => {
      report(part);
      resolve({ lines, status });
    });
  });
}

/** One line for a file that passed; what failed, with its diagnostics, for one that did not. */
function reportFile(lines) {
  const [, verdict, file, milliseconds] = FILE_POINT.exec(lines.at(-1) ?? "") ?? [];
  if (file === undefined) return;
  if (verdict === "not ok") for (const line of failures(lines.slice(0, -1))) console.log(line);
  const name = file.replace(`${PROGRAMS}/`, "").replace(/\.mjs$/, "");
  console.log(`${verdict.padEnd(6)} ${(milliseconds / 1000).toFixed(1).padStart(6)} s  ${name}`);
}

/** The lines of what failed with the YAML below each, but for stacks and excerpts of the source. */
function failures(lines) {
  let isFailure = false;
  let isYaml = false;
  let left = -1; // indentation of the key whose value is left out
  return lines.filter((line) => {
    const indentation = line.search(/\S/);
    if (/^ *(not )?ok \d+/.test(line)) isFailure = /^ *not ok/.test(line);
    else if (line.trim() === "---") isYaml = isFailure;
    else if (line.trim() === "...") isYaml = false;
    else if (isYaml) {
      if (left >= 0 && (indentation < 0 || indentation > left)) return false;
      left = /^ *(source|stack|generated):/.test(line) ? indentation : -1;
      return left < 0 && !NOT_SHOWN.test(line);
    } else isFailure = false;
    return isFailure && !/^ *(\.\.\.|---)$/.test(line);
  });
}

/** tap's own counts, on the last line but one of each run: `# { total: 7, pass: 5, fail: 1, skip: 1 }`. */
function countsOf(lines) {
  const summaries = lines.filter((line) => /^# \{ total: \d+/.test(line));
  const count = (name) =>
    summaries.reduce((total, line) => total + Number(new RegExp(`\\b${name}: (\\d+)`).exec(line)?.[1] ?? 0), 0);
  return { passed: count("pass"), failed: count("fail"), skipped: count("skip") + count("todo") };
}

function sum(counts) {
  const of = (key) => counts.reduce((total, each) => total + each[key], 0);
  const status = counts.every((each) => each.status === 0) ? 0 : 1;
  return { passed: of("passed"), failed: of("failed"), skipped: of("skipped"), status };
}

function testFiles(...folders) {
  return folders.flatMap((folder) =>
    readdirSync(folder, { recursive: true })
      .filter((name) => name.endsWith(".test.ts"))
      .map((name) => join(folder, name))
      .sort(),
  );
}

function stop(text) {
  console.error(text);
  process.exit(1);
}
