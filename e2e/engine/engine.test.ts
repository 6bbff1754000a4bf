// The unit tests of pkg/ once more, on the engine the plugins run on: bundled with e2e/engine/tap.ts in tap's place.
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import type { Plugin } from "esbuild";
import t, { type Test } from "tap";
import { bundleScript, compileScript, freezeProgram, makeEngineArchive } from "../../build.mjs";
import { nodeOnly } from "../../dev/node-only.ts";
import { inFullRunOnly } from "../lab/needs.ts";

/** Reports whether a test needs Node: the code does, or the test uses Node itself, waits for something, or reads files beside it. */
const usesNode = (file: string) =>
  nodeOnly.some((path) => file.startsWith(path)) ||
  /from "(node:|ajv|fast-check|esbuild|(\.|\.\.\/cni)\/fake)|import\.meta|\bBuffer\b|\bprocess\.|\bawait\b/.test(
    readFileSync(file, "utf8"),
  );

/** Reports whether a test has a fake kernel, directly or by its test support: its thousands of transactions would take minutes here. */
function usesFakeKernel(file: string): boolean {
  if (file.includes("/fake/")) return true;
  const text = readFileSync(file, "utf8");
  const support = [...text.matchAll(/from "(\.[^"]*\.testing\.ts)"/g)].map(([, name = ""]) =>
    join(dirname(file), name),
  );
  return /from "[^"]*\/fake\//.test(text) || support.some(usesFakeKernel);
}

const files = readdirSync("pkg", { recursive: true, encoding: "utf8" })
  .map((file) => join("pkg", file))
  .filter((file) => file.endsWith(".test.ts") && !usesNode(file) && !usesFakeKernel(file))
  .sort();

/** There is no job queue to wait for, and none of these tests waits. */
const synchronous: Plugin = {
  name: "tests without async",
  setup(build) {
    build.onLoad({ filter: /\.test\.ts$/ }, ({ path }) => ({
      contents: readFileSync(path, "utf8").replaceAll("async (t) =>", "(t) =>"),
      loader: "ts",
    }));
  },
};

/** Every tuple of bytes at which a UTF-8 decoder decides otherwise than at its neighbours, each followed by "|", which is none of them. */
function illFormedTexts(): Buffer {
  const decisive = "00 7f 80 8f 90 9f a0 bf c1 c2 df e0 e1 ec ed ee ef f0 f1 f3 f4 f5 ff".split(" ");
  const tuples = decisive.flatMap((a) => decisive.flatMap((b) => decisive.map((c) => `${a}${b}${c}`)));
  const fourth = ["41", "80", "8f", "90", "bf", "f0"];
  const longer = tuples.filter((tuple) => tuple.startsWith("f")).flatMap((tuple) => fourth.map((d) => tuple + d));
  return Buffer.from([...tuples, ...longer].map((tuple) => `${tuple}7c`).join(""), "hex");
}

/** A test for the plugins' engine that holds its decoder against Node's TextDecoder. */
function decoderTest(): string {
  const texts = illFormedTexts();
  const wanted = new TextDecoder("utf-8", { ignoreBOM: true }).decode(texts);
  return `
    import t from "tap";
    import { fromHex } from ${JSON.stringify(resolve("pkg/netlink/golden.testing.ts"))};
    import { decode } from ${JSON.stringify(resolve("pkg/sys/text.ts"))};
    const bytes = fromHex(${JSON.stringify(texts.toString("hex"))});
    const wanted = ${JSON.stringify(wanted)}.split("|");
    t.test("decode reads what is not UTF-8 as TextDecoder does", (t) => {
      let at = 0;
      const different = wanted.slice(0, -1).filter((text) => {
        const end = bytes.indexOf(0x7c, at);
        const found = decode(bytes, at, end);
        at = end + 1;
        return found !== text;
      });
      t.equal(different.length, 0, different.slice(0, 5).map((text) => JSON.stringify(text)).join(" "));
      t.equal(decode(bytes, 0, bytes.length), wanted.join("|"), "all in one text");
    });`;
}

/** Sanitizers need a dynamic executable, which loads the bytecode at its start instead of being frozen. */
function buildSanitized(executable: string): void {
  const engine = `${process.arch === "arm64" ? "aarch64" : "x86_64"}-unknown-linux-gnu`;
  const archive = `${executable}.engine.a`;
  makeEngineArchive({ objcopy: "objcopy", engine }, archive);
  const sources = readdirSync("native")
    .filter((name) => name.endsWith(".c"))
    .map((name) => join("native", name));
  const flags = "-g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -DRUN_UNFROZEN".split(" ");
  const include = ["-isystem", `node_modules/@suchipi/quickjs/build/${engine}/include`];
  execFileSync("gcc", [...flags, ...include, ...sources, archive, "-lm", "-lpthread", "-o", executable]);
}

interface Run {
  stdout: string;
  stderr: string;
  status: number | null;
  signal: string | null;
}

function allPassed(t: Test, { stdout, stderr, status, signal }: Run): void {
  const lines = stdout.split("\n");
  const failures = lines.filter((line) => !/^(ok|1\.\.)/.test(line));
  t.equal(failures.join("\n").trim(), "");
  t.equal(stderr, "");
  t.equal(status, 0, `ends by itself (${signal ?? "no signal"})`);
  const count = lines.filter((line) => line.startsWith("ok ")).length;
  t.ok(count >= 50, `${count} tests of ${files.length} files passed`);
}

t.test("unit tests on the plugins' engine", async (t) => {
  t.ok(files.length >= 5, `sees the tests: ${files.length} files`);
  const folder = mkdtempSync("dist/engine-");
  t.teardown(() => rmSync(folder, { recursive: true }));
  const [entry, script, bytecode, program] = ["ts", "js", "bytecode", "program"].map((end) =>
    join(folder, `tests.${end}`),
  );
  if (!entry || !script || !bytecode || !program) throw new Error("unreachable");
  const decoder = join(folder, "decoder.ts");
  writeFileSync(decoder, decoderTest());
  writeFileSync(entry, [...files, decoder].map((file) => `import ${JSON.stringify(resolve(file))};\n`).join(""));
  await bundleScript(entry, script, {
    alias: { tap: resolve("e2e/engine/tap.ts") },
    plugins: [synchronous],
    define: { TWILL_VERSION: '"0"' },
  });
  compileScript(script, bytecode);

  t.test("frozen, as it is shipped", async (t) => {
    freezeProgram(bytecode, program);
    allPassed(t, spawnSync(resolve(program), { encoding: "utf8", maxBuffer: 64 << 20 }));
  });

  t.test(
    "with the host under the address and undefined behaviour sanitizers",
    inFullRunOnly({ skip: false }),
    async (t) => {
      buildSanitized(program);
      const options = { input: readFileSync(bytecode), env: { ...process.env, ASAN_OPTIONS: "detect_leaks=0" } };
      const { stdout, stderr, ...end } = spawnSync(resolve(program), { ...options, maxBuffer: 64 << 20 });
      allPassed(t, { stdout: stdout.toString(), stderr: stderr.toString(), ...end });
    },
  );
});
