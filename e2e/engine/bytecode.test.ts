// What is left out of the engine's bytecode: a program does the same without it, and its stack traces name the same lines.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createContext, Script } from "node:vm";
import t, { type Test } from "tap";
import { compileScript, freezeProgram } from "../../build.mjs";
import { withoutDetails } from "../../dev/bytecode.mjs";

/** Runs the program frozen; gives what it has printed. */
function printed(t: Test, script: string): string {
  const dir = mkdtempSync("dist/bytecode-");
  t.teardown(() => rmSync(dir, { recursive: true }));
  const [source, bytecode, program] = ["program.js", "program.bytecode", "program"].map((name) => join(dir, name)) as [
    string,
    string,
    string,
  ];
  writeFileSync(source, script);
  compileScript(source, bytecode);
  freezeProgram(bytecode, program);
  const { status, stdout } = spawnSync(program, { encoding: "utf8" });
  t.equal(status, 0);
  return stdout;
}

const printing = `function print(text) { const bytes = host.encode(text); host.syscall(host.arch === "x64" ? 1 : 64, 1, bytes, bytes.length); }`;

/** Functions that fail so many lines behind their begin, behind so much code, and in front of that again. */
const gaps = [0, 1, 2, 3, 4, 5, 9, 63, 64, 65, 200, 9000];
const failures = gaps.flatMap((gap, i) => [
  `function behind${i}() {${"\n".repeat(gap)}
     const list = [${"1, ".repeat(gap)}]; fail(list);
   }`,
  `function before${i}() {
     for (let i = 0; ; i += fail()) {${"\n".repeat(gap)}
       i += [${"1, ".repeat(gap)}].length;
     }
   }`,
]);
const failing = `
  function fail() { throw new Error("on purpose"); }
  ${failures.join("\n")}
  function linesOfAll() {
    return [${gaps.map((_, i) => `behind${i}, before${i}`)}].map((failing) => {
      try { failing(); } catch (error) { return error.stack.match(/twill\\.js:\\d+/g).slice(0, 2).join(" "); }
    }).join("; ");
  }`;

t.test("a stack trace names the lines that Node names", async (t) => {
  const lines = printed(t, `${printing}\n${failing}\nhost.start = () => { print(linesOfAll()); return 0; };`);
  const inNode = new Script(`\n${failing}\nlinesOfAll();`, { filename: "twill.js" }).runInContext(createContext());
  t.equal(lines, inNode);
  t.equal(lines.split("; ").length, 2 * gaps.length);
});

t.test("variables keep their values, captured or not, and one that is used too early is an error", async (t) => {
  const script = `${printing}
    const seen = [];
    function plain(a, b = a + 1) { let sum = 0; for (const i of [a, b]) { const twice = 2 * i; sum += twice; } return sum; }
    function captured(a) { const all = []; for (let i = 0; i < 3; i++) { let own = a + i; all.push(() => own++ + i); } return all.map((get) => get() + get()); }
    function* generated(a) { for (let i = 0; i < 2; i++) yield a + i; }
    function early() { const value = later; let later = 1; return value; }
    function earlyCaptured() { const get = () => later; get(); let later = 1; }
    seen.push(plain(1), captured(10), [...generated(5)]);
    for (const fails of [early, earlyCaptured]) try { fails(); } catch (error) { seen.push(error instanceof ReferenceError); }
    host.start = () => { print(JSON.stringify(seen)); return 0; };`;
  t.equal(printed(t, script), "[6,[21,25,29],[5,6],true,true]");
});

t.test("bytecode of another release of the engine is refused with what to do", async (t) => {
  const bytecode = readFileSync("dist/twill.bytecode");
  const remedy = /^the engine's compiler writes a format that is not known: .*To fix: go back to the earlier release/;
  t.throws(
    () => withoutDetails(Buffer.concat([Buffer.from([(bytecode[0] as number) + 1]), bytecode.subarray(1)])),
    remedy,
  );
  t.throws(() => withoutDetails(bytecode.subarray(0, -1)), remedy);
  t.throws(() => withoutDetails(Buffer.concat([bytecode, Buffer.from([0])])), remedy);
  t.strictSame(withoutDetails(bytecode), bytecode, "twice is the same as once");
});
