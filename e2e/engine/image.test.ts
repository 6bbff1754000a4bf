// The image that a program is frozen into: what is in it, and what stops the build. The programs are scripts of a few lines.
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { compileScript, freezeProgram, linkHost, profilingHost } from "../../build.mjs";

function folder(t: Test): string {
  const made = mkdtempSync("dist/image-");
  t.teardown(() => rmSync(made, { recursive: true }));
  return made;
}

function bytecodeOf(script: string, dir: string): string {
  const [source, bytecode] = [join(dir, "program.js"), join(dir, "program.bytecode")];
  writeFileSync(source, script);
  compileScript(source, bytecode);
  return bytecode;
}

function frozen(script: string, dir: string): string {
  const program = join(dir, "program");
  freezeProgram(bytecodeOf(script, dir), program);
  return program;
}

/** Lets a host load a program and hand back the image, as the build does. */
function load(host: string, script: string, dir: string) {
  const input = readFileSync(bytecodeOf(script, dir));
  const { status, stdout, stderr } = spawnSync(host, { input, env: {}, maxBuffer: 64 << 20 });
  return { status, stderr: stderr.toString(), bytes: stdout.length };
}

t.test("what the program has dropped again before its start takes no room in the executable", async (t) => {
  const dir = folder(t);
  const size = (script: string) => statSync(frozen(script, dir)).size;
  const bare = size("host.start = () => 0;");
  const kept = `const all = []; for (let i = 0; i < 20000; i++) all.push([i, "text " + i]); host.start = () => all.length % 7;`;
  const dropped = `{ ${kept} } host.start = () => 0;`;
  t.ok(size(kept) > bare + 1_000_000, "20,000 lists that stay are more than a megabyte");
  t.ok(size(dropped) < bare + 100_000, "20,000 lists that do not are less than 100 kB");
});

t.test("the same program gives the same executable, byte by byte", async (t) => {
  const dir = folder(t);
  const script = `const table = new Map([["a", Math.PI]]), all = [() => table, /x/, new Uint8Array(9)]; host.start = () => Math.floor(Math.random() * 2) + all.length;`;
  const one = readFileSync(frozen(script, dir));
  t.ok(one.equals(readFileSync(frozen(script, dir))));
});

/** Ends with 42 when what the load left is there, can be changed and grows. */
const changesAll = `
  const texts = [], table = new Map(), bytes = new Uint8Array(70000).fill(7);
  for (let i = 0; i < 5000; i++) { texts.push("text " + i); table.set("key " + i, { i }); }
  for (let i = 0; i < 5000; i += 2) { texts[i] = undefined; table.delete("key " + i); }
  host.start = () => {
    for (let round = 0; round < 20; round++) {
    for (let i = 0; i < 5000; i++) { texts[i] = "later " + round + " " + i; table.set("key " + i, { i: round + i }); }
    texts.length += 1000;
    for (let i = 1; i < 5000; i += 3) table.delete("key " + i);
    }
    const isRight = texts.length === 25000 && texts[4999] === "later 19 4999" && table.get("key 0").i === 19
    && table.get("key 4998").i === 5017 && !table.has("key 4999") && bytes.every((byte) => byte === 7);
    return isRight ? 42 : 1;
  };`;

t.test("a run sees what the load has left, changes it, and lets it grow", async (t) => {
  t.equal(spawnSync(frozen(changesAll, folder(t))).status, 42);
});

t.test("a program does the same in whatever order its blocks lie, and only an order of its own counts", async (t) => {
  const dir = folder(t);
  const bytecode = bytecodeOf(changesAll, dir);
  const [order, program] = [join(dir, "order"), join(dir, "program")];
  const input = readFileSync(bytecode);
  const report = spawnSync(profilingHost(), ["replay"], { input, env: {}, encoding: "utf8" }).stdout;
  const allocations = Number(/^allocations (\d+)$/m.exec(report)?.[1]);
  // every third allocation, the later ones first, among them some that do not stay, one twice and one that there is not
  const numbers = Array.from({ length: Math.floor(allocations / 3) }, (_, i) => allocations - 1 - 3 * i);
  const part = (numbers: number[]) => [numbers.length, ...numbers];
  const parts = [0, 1, 2, 3].flatMap((k) =>
    part([...numbers.filter((_, i) => i % 4 === k), numbers[k] ?? 0, allocations]),
  );
  writeFileSync(order, Uint32Array.from([allocations, ...parts]));
  freezeProgram(bytecode, program, [order]);
  t.equal(spawnSync(program).status, 42);

  const load = (...files: string[]) => spawnSync("dist/host", files, { input, env: {}, maxBuffer: 64 << 20 });
  t.notOk(load(order).stdout.equals(load().stdout), "the order counts");
  writeFileSync(order, Uint32Array.from([allocations + 1, ...parts]));
  const { status, stdout, stderr } = load(order);
  t.equal(status, 0);
  t.equal(stdout.length, load().stdout.length);
  t.match(stderr.toString(), /^the order of blocks is not used: it is that of a program with \d+ allocations/);
});

t.test("a program whose load depends on the process is refused", async (t) => {
  const getpid = process.arch === "arm64" ? 172 : 39;
  const script = `const list = []; for (let i = host.syscall(${getpid}) % 1000; i >= 0; i--) list.push({ i }); host.start = () => 0;`;
  const { status, stderr, bytes } = load("dist/host", script, folder(t));
  t.match({ status, bytes }, { status: 1, bytes: 0 });
  t.match(stderr, /^the program cannot be frozen: allocation \d+ is not the same in two loads\. To fix: /);
});

t.test("a program that ends while it is loaded is refused", async (t) => {
  const exit = process.arch === "arm64" ? 94 : 231;
  const { status, stderr } = load("dist/host", `host.syscall(${exit}, 0);`, folder(t));
  t.equal(status, 1);
  t.match(stderr, /ended early, with wait status 0\. To fix: /);
});

t.test("an engine that allocates past the host's functions is noticed when the program is frozen", async (t) => {
  const dir = folder(t);
  const [archive, host] = [join(dir, "engine.a"), join(dir, "host")];
  // what a compiler does that inlines them: the engine's code no longer asks for the symbol
  execFileSync("objcopy", ["--redefine-sym", "js_malloc_rt=inlined", "dist/host.engine.a", archive]);
  linkHost(archive, host);
  const { status, stderr, bytes } = load(host, "host.start = () => 0;", dir);
  t.match({ status, bytes }, { status: 1, bytes: 0 });
  t.match(stderr, /^the engine allocates memory by other functions than js_malloc_rt, .* To fix: /);
});
