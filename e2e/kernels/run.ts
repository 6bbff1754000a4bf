// Runs, on the complete kernel, every end-to-end test that asks for a kernel feature. Usage: run.ts [name part]
//
// QEMU without KVM: the tests and tap become one file (node starts once, and reads one module instead of some three hundred over
// 9p), which the guest runs on the host's own root file system, mounted read-only. A test mostly waits for one program, so a guest
// keeps one processor busy: two guests at once have half of the files each.
import { spawn } from "node:child_process";
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, relative } from "node:path";
import { build } from "esbuild";
import { unpackedProgram } from "../../dev/unpacked.mjs";
import { lackingFeatures } from "../lab/needs.ts";
import { projectRoot } from "../lab/project.ts";
import { completeKernel, type Kernel } from "./kernel.ts";

const GUESTS = 2;
/** It takes about five minutes on a machine that does nothing else. */
const longestRunMs = (process.env["TWILL_LONG"] === "1" ? 120 : 45) * 60_000;
const results = join(projectRoot, "dist/kernel");
/** Defines the needs, and so names them all. @throws Error where it has moved: every test would count as one that needs a kernel */
const definition = realpathSync(join(projectRoot, "e2e/lab/needs.ts"));
const part = process.argv[2] ?? "";

const files = testsThatNeedKernel();
if (files.length === 0) throw new Error("no test asks for a kernel feature");
rmSync(results, { recursive: true, force: true });
mkdirSync(results, { recursive: true });
const guests = Array.from({ length: Math.min(GUESTS, files.length) }, (_, i) => ({
  results: join(results, `guest-${i + 1}`),
  files: files.filter((_, at) => at % GUESTS === i),
}));
const kernel = completeKernel();
const started = performance.now();
await Promise.all(guests.map((guest) => run(guest, kernel)));
for (const guest of guests) report(guest);
complain(guests);
console.log(
  `# ${files.length} files on kernel ${kernel.release}, ${((performance.now() - started) / 1000).toFixed(1)} s`,
);

interface Guest {
  /** Folder for what it prints. */
  results: string;
  files: readonly string[];
}

async function run({ results, files }: Guest, kernel: Kernel): Promise<void> {
  mkdirSync(results);
  const bundle = join(results, "tests.mjs");
  await bundleTests(files, bundle);
  await boot(kernel, bundle, results);
}

/** The test files that call `needsKernel`, by themselves or in what they import. */
function testsThatNeedKernel(): string[] {
  const root = join(projectRoot, "e2e");
  return readdirSync(root, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".test.ts") && name.includes(part))
    .map((name) => join(root, name))
    .filter((file) => withImports(file).some((each) => /\bneedsKernel\(/.test(readFileSync(each, "utf8"))))
    .sort();
}

/** A file and what it imports from this folder, but for the file that defines the needs. */
function withImports(file: string, seen = new Set<string>()): string[] {
  if (seen.has(file) || file === definition) return [];
  seen.add(file);
  const imports = [...readFileSync(file, "utf8").matchAll(/\bfrom "(\..+\.ts)"/g)].map(([, name = ""]) => name);
  const files = imports.map((name) => join(dirname(file), name)).filter((each) => existsSync(each)); // or text in a test
  return [file, ...files.flatMap((each) => withImports(each, seen))];
}

async function bundleTests(files: readonly string[], outfile: string): Promise<void> {
  await build({
    stdin: {
      contents: files.map((file) => `import ${JSON.stringify(file)};`).join("\n"),
      resolveDir: projectRoot,
      loader: "ts",
    },
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    external: ["koffi"],
    // tap's CommonJS parts ask for `require`
    banner: {
      js: 'import { createRequire as newRequire } from "node:module"; const require = newRequire(import.meta.url);',
    },
    logLevel: "error",
  });
}

function boot({ image, initramfs, modules }: Kernel, tests: string, results: string): Promise<void> {
  copyFileSync(join(projectRoot, "e2e/kernels/guest.sh"), join(results, "guest.sh"));
  const busybox = unpackedProgram(projectRoot, "busybox-static");
  const job = { modules, node: process.execPath, busybox, tests, lacking: lackingFeatures().join(" ") };
  const switches = Object.entries(process.env).filter(([name]) => name.startsWith("TWILL_"));
  const assignments = [
    ...Object.entries(job).map(([name, value]) => `${name}='${value}'\n`),
    ...switches.map(([name, value]) => `export ${name}='${value}'\n`),
  ];
  writeFileSync(join(results, "job"), assignments.join(""));
  const shares = [
    ["-fsdev", "local,id=root,path=/,security_model=none,multidevs=remap,readonly=on"],
    ["-device", "virtio-9p-pci,fsdev=root,mount_tag=rootfs"],
    ["-fsdev", `local,id=results,path=${results},security_model=none`],
    ["-device", "virtio-9p-pci,fsdev=results,mount_tag=results"],
  ];
  // Two network cards that no test but host-device's has a driver loaded for, joined by a hub.
  const cards = [0, 1].flatMap((i) => [
    ...["-netdev", `hubport,id=card${i},hubid=0`],
    ...["-device", `virtio-net-pci,netdev=card${i},mac=52:54:00:00:00:0${i},addr=0x1${i},romfile=`],
  ]);
  const machine = ["-M", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1024"];
  const console = openSync(join(results, "console"), "w");
  const qemu = spawn(
    "qemu-system-x86_64",
    [
      ...[...machine, "-nographic", "-no-reboot", "-kernel", image, "-initrd", initramfs],
      ...["-append", "console=ttyS0 quiet panic=-1 mitigations=off", ...shares.flat(), ...cards],
    ],
    { stdio: ["ignore", console, console], timeout: longestRunMs, killSignal: "SIGKILL" },
  );
  process.once("exit", () => qemu.kill("SIGKILL"));
  return new Promise((resolve, reject) => {
    qemu.on("error", reject);
    qemu.on("close", () => {
      closeSync(console);
      resolve();
    });
  });
}

function read({ results }: Guest, name: string): string {
  const file = join(results, name);
  return existsSync(file) ? readFileSync(file, "utf8") : "";
}

function report(guest: Guest): void {
  process.stdout.write(read(guest, "tap"));
  process.stderr.write(read(guest, "errors"));
  const complaints = unfinished(read(guest, "status").trim());
  for (const complaint of complaints) {
    console.log(`not ok - ${complaint}`);
    console.log(`# the guest's console: ${relative(process.cwd(), join(guest.results, "console"))}`);
    process.exitCode = 1;
  }
}

function unfinished(status: string): string[] {
  if (status === "") return [`the guest ended without a result, or took longer than ${longestRunMs / 1000} s`];
  return status === "0" ? [] : [`tests failed on the complete kernel (exit status ${status})`];
}

/** A test that ran on neither kernel is as bad as one that failed. */
function complain(guests: readonly Guest[]): void {
  const lines = guests.flatMap((guest) => read(guest, "tap").split("\n"));
  const points = lines.filter((line) => /^ *ok \d+ - /.test(line) && !line.includes(" # SKIP"));
  const passed = new Set(points.map((line) => line.replace(/^ *ok \d+ - /, "").replace(/ # time=.*/, "")));
  const ranNowhere = part === "" ? leftToUs().filter((name) => !passed.has(name)) : [];
  const complaints = [
    ...(passed.size === 0 ? ["no test passed on the complete kernel"] : []),
    ...ranNowhere.map((name) => `skipped on the machine's kernel, did not pass on the complete one: ${name}`),
  ];
  for (const complaint of complaints) {
    console.log(`not ok - ${complaint}`);
    process.exitCode = 1;
  }
}

/** Names of the tests that the last complete `npm test` skipped for the sake of a kernel feature. */
function leftToUs(): string[] {
  const list = join(projectRoot, "dist/test/skipped-for-kernel.json");
  return existsSync(list) ? JSON.parse(readFileSync(list, "utf8")) : [];
}
