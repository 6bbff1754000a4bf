// The one executable: what file it is, how its name decides, what it says of a crash, and that it runs on the other architecture.
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  closeSync,
  constants,
  copyFileSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout } from "node:timers/promises";
import t, { type Test } from "tap";
import { bundleScript, compileScript, freezeProgram } from "../build.mjs";
import { unpackedProgram } from "../dev/unpacked.mjs";
import { ourBin, ourTools, projectRoot } from "./lab/project.ts";

const VERSION = { CNI_COMMAND: "VERSION" };

function folder(t: Test): string {
  const made = mkdtempSync(join(tmpdir(), "twill-executable-"));
  t.teardown(() => rmSync(made, { recursive: true }));
  return made;
}

function run(file: string, args: string[] = [], env: Record<string, string> = {}) {
  const { status, stdout, stderr } = spawnSync(file, args, { env, encoding: "utf8", input: "" });
  return { status, stdout, stderr };
}

t.test("plugins and tools lie in folders of their own, all names one static, stripped file", async (t) => {
  t.strictSame(readdirSync(ourTools).sort(), ["cnitool", "flanneld", "mk-docker-opts", "mk-docker-opts.sh", "twill"]);
  const names = readdirSync(ourBin);
  t.equal(names.length, 21, names.join(" "));
  for (const name of names) t.match(run(join(ourBin, name), [], VERSION), { status: 0, stdout: /supportedVersions/ });
  const tools = readdirSync(ourTools).filter((name) => name !== "flanneld"); // a launcher of Node
  const files = [...names.map((name) => join(ourBin, name)), ...tools.map((name) => join(ourTools, name))];
  t.equal(new Set(files.map((file) => statSync(file).ino)).size, 1);
  const headers = execFileSync("readelf", ["-lSW", join(ourTools, "twill")], { encoding: "utf8" });
  t.notMatch(headers, /INTERP|DYNAMIC/, "asks for no loader and no library");
  t.notMatch(headers, /\.symtab/);
});

t.test("the name decides, for a copy and a symbolic link too", async (t) => {
  const dir = folder(t);
  copyFileSync(join(ourTools, "twill"), join(dir, "loopback"));
  symlinkSync(join(ourTools, "twill"), join(dir, "bridge"));
  for (const name of ["loopback", "bridge"]) {
    t.match(run(join(dir, name)).stderr, new RegExp(`^CNI ${name} plugin v`), `${name} says who it is`);
    t.match(run(join(dir, name), [], VERSION), { status: 0, stdout: /"supportedVersions":\["0.1.0",.*"1.1.0"\]/ });
  }
  t.match(run(join(ourTools, "twill"), ["cnitool", "--help"]), { status: 0, stdout: /cnitool/ });
  t.match(run(join(ourTools, "twill")), { status: 0, stdout: /host-local/ }, "called twill it says what it holds");
});

t.test("started without standard descriptors it opens no file in their place", async (t) => {
  const script = `exec "${join(ourBin, "loopback")}" <&- 2>&-`;
  const { status, stdout } = spawnSync("sh", ["-c", script], { env: VERSION, encoding: "utf8" });
  t.equal(status, 0);
  t.match(stdout, "supportedVersions");
});

t.test("non-blocking stdin and stdout are waited for", async (t) => {
  const dir = folder(t);
  const fifo = (name: string) => {
    const path = join(dir, name);
    execFileSync("mkfifo", [path]);
    return path;
  };
  const [input, output] = [fifo("input"), fifo("output")];
  const full = openSync(output, constants.O_RDWR | constants.O_NONBLOCK);
  const empty = openSync(input, constants.O_RDONLY | constants.O_NONBLOCK);
  const writer = openSync(input, constants.O_WRONLY);
  const block = Buffer.alloc(4096, " ");
  t.throws(() => {
    for (;;) writeSync(full, block);
  }, /EAGAIN/);
  const child = spawn(join(ourBin, "loopback"), {
    env: { CNI_COMMAND: "STATUS", CNI_PATH: ourBin, TWILL_CALLS: "off" },
    stdio: [empty, full, "inherit"],
  });
  const ended = once(child, "exit");
  const isAsleep = () => / [SZ] /.test(readFileSync(`/proc/${child.pid}/stat`, "utf8").replace(/.*\)/, ""));
  while (!isAsleep()) await setTimeout(1);
  writeSync(writer, "no configuration");
  closeSync(writer);
  let printed = "";
  for (const buffer = Buffer.alloc(65536); !printed.includes("}"); await setTimeout(1))
    printed += buffer.toString(
      "utf8",
      0,
      ignoringEagain(() => readSync(full, buffer)),
    );
  t.match(JSON.parse(printed), { code: 6, msg: /is not JSON: line 1, column 1: "no" where/ });
  t.strictSame(await ended, [1, null]);
  for (const fd of [empty, full]) closeSync(fd);
});

function ignoringEagain(read: () => number): number {
  try {
    return read();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
    return 0;
  }
}

t.test("a tool whose reader has gone ends without a word", async (t) => {
  const afterwards = `exec > >(exec true); while test -d /proc/$!; do :; done; exec "$0" --help`;
  for (const tool of ["cnitool", "twill"])
    t.match(spawnSync("bash", ["-c", afterwards, join(ourTools, tool)], { encoding: "utf8" }), {
      status: 141,
      stderr: "",
    });
});

t.test("the stack of a crash names TypeScript files and lines", async (t) => {
  const dir = mkdtempSync(join(projectRoot, "dist/crash-"));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const path = (name: string) => JSON.stringify(resolve(projectRoot, name));
  writeFileSync(
    join(dir, "crash.ts"),
    `import { validate } from "#validate/loopback";
import { runPlugin } from ${path("pkg/cni/skeleton.ts")};
interface Deep { er: { still: string } }
const nothing = (): void => {};
const plugin = { name: "crash", about: "crashes", validate, add, del: nothing, check: nothing, gc: nothing, status: nothing };
declare const host: { start: () => number };
host.start = () => runPlugin(plugin, { delegates: {}, version: "0" });

function add(): never {
  return fallOver({} as Deep);
}
function fallOver(deep: Deep): never {
  throw deep.er.still;
}
`,
  );
  await bundleScript(join(dir, "crash.ts"), join(dir, "crash.js"));
  compileScript(join(dir, "crash.js"), join(dir, "crash.bytecode"));
  freezeProgram(join(dir, "crash.bytecode"), join(dir, "crash"));
  const { status, stdout } = spawnSync(join(dir, "crash"), {
    env: {
      ...{ CNI_COMMAND: "ADD", CNI_CONTAINERID: "c", CNI_NETNS: "/run/netns/none", CNI_IFNAME: "eth0", CNI_PATH: "/" },
      TWILL_CALLS: "off",
    },
    input: '{"cniVersion":"1.1.0","name":"n","type":"crash"}',
    encoding: "utf8",
  });
  t.equal(status, 1);
  const { code, details } = JSON.parse(stdout) as { code: number; details: string };
  t.equal(code, 999);
  t.match(details, /at fallOver \(.*crash\.ts:13\)\n\s*at add \(.*crash\.ts:10\)/);
  t.match(details, /pkg\/cni\/skeleton\.ts:\d+/);
});

t.test("a build for arm64 runs", async (t) => {
  execFileSync(process.execPath, ["build.mjs", "--arm64"], { cwd: projectRoot });
  const twill = join(projectRoot, "dist/arm64/plugins/loopback");
  t.match(execFileSync("readelf", ["-h", twill], { encoding: "utf8" }), /Machine: +AArch64/);
  const { status, stdout } = spawnSync(unpackedProgram(projectRoot, "qemu-user-static"), ["-0", "loopback", twill], {
    env: VERSION,
    encoding: "utf8",
  });
  t.equal(status, 0);
  t.match(JSON.parse(stdout), { supportedVersions: ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] });
});
