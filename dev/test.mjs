// Runs tests. Usage: node dev/test.mjs                   unit and end-to-end tests, but for what `inFullRunOnly` and `inLongRunOnly` mark
//                    node dev/test.mjs unit              those beside the code, which need no root
//                    node dev/test.mjs all               also what `inFullRunOnly` marks
//                    node dev/test.mjs kernel            those that need a kernel feature, on the complete kernel
//                    node dev/test.mjs long              all on both kernels, and all faults
//                    node dev/test.mjs [all|long] FILE [TEST]   the files whose path contains FILE; of these the tests whose name contains TEST
//                    node dev/test.mjs [all|long] TEST   where no path contains it: the tests whose name does
//
// A process of Node for each file, some side by side. esbuild makes them JavaScript at once: tsx, in each process, would take a second for it, most
// of that for tap's own modules. tap's own runner would load another half second into each process of Node, also into each flanneld that a test starts.
// Unit tests are joined into a few files: each file of its own would cost a third of a second before its first test. Files with many groups
// (e2e/lab/shares.ts) run as several.
// While it runs, a line per file; of what fails, the reason; last the counts.
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";

/** On two cores: tests wait for more than half of their time, for timers and for the kernel. */
const JOBS = 5;
/** Of unit tests: more than jobs, since some tests wait for seconds and others fill the time. */
const BUNDLES = 4;
/** Of a file with groups: so many that none of them is the last to end by far. */
const SHARES = 6;
/** Of a file that takes longer something hangs, also where ten programs want each processor. */
const LONGEST_FILE_S = 1200;
const LONGEST_FILE_OF_LONG_RUN_S = 3600;
/** For a file that has failed by its time to remove what it has made. */
const ENDING_S = 30;
/** Begun first, so that none of them is the last to end by far: they take more than ten seconds, many of them waiting. */
const LONGEST = [
  "/dhcp/",
  "/dhcp.",
  "/del.",
  "/resolver/",
  "/etcd-store.",
  "/unit-",
  "/host-local.",
  "/backend-udp.",
  "/engine.",
  "/faults-",
  "/parity-",
  "/backend-vxlan.",
];
/** Tests on the complete kernel of which the time is told. */
const LONGEST_SHOWN = 10;
const RESULTS = "dist/test";
const PROGRAMS = `${RESULTS}/run`;

const SKIPPED = /^ *ok \d+ - .* # SKIP/;
const SKIPPED_FOR_KERNEL = /^ *ok \d+ - (.*?) # SKIP .*npm run test:kernel/;
const LEFT_TO_TIER = /# SKIP runs in npm run (test:all|test:long)/;
/** Printed last, how many tests there were. */
const PLAN = /^1\.\.\d+/;
/** By dev/only-named.mjs. */
const NOT_ASKED = /^(1\.\.0 )?# no test has the name/;

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

const running = new Set();
let isStopped = false;
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => {
    isStopped = true;
    for (const child of running) child.kill(signal);
    // a test in an endless loop, or one that waits for a command that the signal has ended, takes no notice
    setTimeout(() => running.forEach((child) => void child.kill("SIGKILL")), ENDING_S * 1000).unref();
  });
}
const counts = sum(await runs());
console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
if (isStopped) console.log("stopped by a signal: what is not listed was not run");
const isGood = counts.status === 0 && counts.failed === 0 && counts.passed + counts.skipped > 0;
process.exitCode = isGood && !isStopped ? 0 : 1;

async function runs() {
  if (tier === "kernel") return [await onCompleteKernel(name)];
  if (name !== "") return [await thoseNamed()];
  const here = await onThisKernel(joined(tier === "unit" ? unit : all));
  return isLong && !isStopped ? [here, await onCompleteKernel("")] : [here];
}

/** Files whose path has the name; where there is none, tests that have it in theirs, which are looked for in files whose text has it. */
async function thoseNamed() {
  const byPath = all.filter((file) => file.includes(name));
  if (byPath.length > 0) {
    const counts = await onThisKernel(testName === "" ? shared(byPath) : plain(byPath), testName);
    if (!counts.isAnyAsked) stop(`no test has "${testName}" in its name, of the files:\n  ${byPath.join("\n  ")}`);
    return counts;
  }
  const byText = all.filter((file) => mentions(textWithImports(file), name));
  if (byText.length === 0) stop(`no test file has "${name}" in its path or text: git ls-files '*.test.ts' lists them`);
  const counts = await onThisKernel(plain(byText), name);
  if (!counts.isAnyAsked) stop(`no test has "${name}" in its name; files that mention it:\n  ${byText.join("\n  ")}`);
  return counts;
}

/** @param programs By name: modules with tests. */
async function onThisKernel(programs, testName = "") {
  const files = await built(programs);
  process.env.TWILL_ONLY = testName;
  const waiting = longestFirst(files);
  const results = [];
  const work = async () => {
    for (let file = waiting.shift(); file !== undefined && !isStopped; file = waiting.shift())
      results.push(await ran(file));
  };
  await Promise.all(Array.from({ length: JOBS }, work));
  const lines = results.flatMap((result) => [`# file ${result.name}`, ...result.lines]);
  writeFileSync(`${RESULTS}/tap`, lines.join("\n"));
  const leftToOtherKernel = lines.flatMap((line) => SKIPPED_FOR_KERNEL.exec(line)?.[1] ?? []);
  if (name === "" && tier !== "unit")
    writeFileSync(`${RESULTS}/skipped-for-kernel.json`, JSON.stringify(leftToOtherKernel, null, 2));
  const skipped = lines.filter((line) => SKIPPED.test(line));
  for (const line of new Set(skipped.filter((line) => !LEFT_TO_TIER.test(line)))) console.log(line.trim());
  for (const command of ["test:all", "test:long"]) {
    const left = skipped.filter((line) => LEFT_TO_TIER.exec(line)?.[1] === command);
    if (left.length > 0) console.log(`# left to npm run ${command}: ${left.length}`);
  }
  return {
    ...countsOf(lines),
    status: results.every(({ isOk }) => isOk) ? 0 : 1,
    isAnyAsked: results.length === 0 || results.some(({ lines }) => !lines.some((line) => NOT_ASKED.test(line))),
  };
}

function longestFirst(files) {
  const rank = (file) => LONGEST.findIndex((part) => file.includes(part)) >>> 0;
  return files.toSorted((a, b) => rank(a) - rank(b));
}

/** Runs one file, and prints its line. */
async function ran(file) {
  const limit = isLong ? LONGEST_FILE_OF_LONG_RUN_S : LONGEST_FILE_S;
  const only = process.env.TWILL_ONLY === "" ? [] : ["--import=./dev/only-named.mjs"];
  const started = performance.now();
  const { lines, status } = await follow(["--enable-source-maps", ...only, file], limit);
  const seconds = (performance.now() - started) / 1000;
  const name = file.replace(`${PROGRAMS}/`, "").replace(/\.mjs$/, "");
  const failed = failures(lines);
  const isOk = status === 0 && lines.some((line) => PLAN.test(line));
  if (!isOk && failed.length === 0) {
    failed.push(`not ok - ${name} ended with ${status} before its tests were done`);
    lines.push(...failed, "# { total: 1, fail: 1 }");
  }
  for (const line of failed) console.log(line);
  if (!lines.some((line) => NOT_ASKED.test(line)))
    console.log(point({ verdict: isOk ? "ok" : "not ok", seconds, name }));
  return { name, lines, isOk };
}

async function onCompleteKernel(name) {
  const { lines, status } = await follow(["--import", "tsx", "e2e/kernels/run.ts", name]);
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

function point({ verdict, seconds, name }) {
  return `${verdict.padEnd(6)} ${seconds.toFixed(1).padStart(6)} s  ${name}`;
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
  }).catch(() => process.exit(1)); // it has said why
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

/**
 * Runs Node with `args`.
 * @param limit Seconds, after which tap fails what has not ended.
 * @returns The lines printed, and the exit status or the signal.
 */
function follow(args, limit = 0) {
  const env = limit === 0 ? process.env : { ...process.env, TAP_TIMEOUT: String(limit) };
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"], env });
  running.add(child);
  const timers =
    limit === 0
      ? []
      : [
          setTimeout(() => child.kill("SIGTERM"), (limit + ENDING_S) * 1000),
          setTimeout(() => child.kill("SIGKILL"), (limit + 2 * ENDING_S) * 1000),
        ];
  const lines = [];
  createInterface({ input: child.stdout }).on("line", (line) => lines.push(line));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status, signal) => {
      running.delete(child);
      for (const timer of timers) clearTimeout(timer);
      resolve({ lines, status: status ?? signal });
    });
  });
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
