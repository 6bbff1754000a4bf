// The transcripts of system calls by which the build lays out the image, and what the recorded calls cost.
import { spawnSync } from "node:child_process";
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { COSTS, costs, profilingHost, replay, TRANSCRIPTS } from "../../build.mjs";

const report = replay();

/** By how much a count may grow. How blocks share pages changes with each change of the program, by a page or two. */
const mostOf = (what: string, committed: number) => Math.floor(1.03 * committed) + (what === "copiedPages" ? 3 : 0);

/** Replays a transcript several times, each time with other lines in it; gives what the profiling host says of each. The program is loaded once for all. */
function replayChanged(t: Test, name: string, ...changes: ((lines: string[]) => string[])[]): string[] {
  const dir = mkdtempSync("dist/transcript-");
  t.teardown(() => rmSync(dir, { recursive: true }));
  const lines = readFileSync(join(TRANSCRIPTS, name), "utf8").split("\n");
  const files = changes.map((change, i) => {
    const file = join(dir, `${i}-${name}`);
    writeFileSync(file, change(lines).join("\n"));
    return file;
  });
  const input = readFileSync("dist/twill.bytecode");
  const { status, stdout } = spawnSync(profilingHost(), ["replay", ...files], { input, env: {}, maxBuffer: 64 << 20 });
  t.equal(status, 0);
  const reports = stdout
    .toString()
    .split(/^transcript /m)
    .slice(1);
  t.equal(reports.length, changes.length);
  return reports;
}

const callsOf = (report: string) => Number(/^calls (\d+)$/m.exec(report)?.[1]);
const firstCall = (lines: string[]) => lines.findIndex((line) => /^\d/.test(line));

t.test("each plugin makes the system calls that its transcript has; if not, run `npm run profile`", async (t) => {
  const { runs } = report;
  t.ok(runs.length >= 10, `${runs.length} transcripts`);
  for (const { name, stale } of runs) t.equal(stale, undefined, name);
});

t.test("no recorded call costs 3 % more than it did; if it has to, run `npm run profile`", async (t) => {
  const committed = JSON.parse(readFileSync(COSTS, "utf8")) as Record<string, Record<string, number>>;
  const found = costs(report);
  t.strictSame(Object.keys(found).sort(), Object.keys(committed).sort());
  for (const [call, counts] of Object.entries(found))
    for (const [what, count] of Object.entries(counts)) {
      const was = committed[call]?.[what] ?? 0;
      t.ok(count <= mostOf(what, was), `${call}: ${count} ${what}, committed ${was}`);
    }
});

t.test("a transcript with another call, one too few or one too many is stale", async (t) => {
  const [other = "", short = "", long = ""] = replayChanged(
    t,
    "loopback-ADD.txt",
    (lines) => [...lines.slice(0, firstCall(lines)), ...Array(21).fill("41 3"), ""],
    (lines) => lines.slice(0, firstCall(lines) + 2),
    (lines) => [...lines.slice(0, -1), "0 0", ""],
  );
  t.match(other, process.arch === "x64" ? /^calls 1\nstale system call 0 where it has 41$/m : /^stale /m);
  t.match(short, /^calls 3\nstale it ends before system call \d+$/m);
  t.match(long, /^stale it goes on where the program ends$/m);
});

t.test("where the program leaves out a call, it is answered from where it goes on", async (t) => {
  const [whole = "", more = ""] = replayChanged(
    t,
    "loopback-ADD.txt",
    (lines) => lines,
    (lines) => lines.toSpliced(firstCall(lines), 0, "41 3"),
  );
  t.notMatch(whole, /^stale /m);
  if (process.arch !== "x64") return; // where calls have other numbers, a transcript cannot tell
  t.match(more, /^stale system call 0 where it has 41$/m);
  t.equal(callsOf(more), callsOf(whole));
});

t.test(
  "what is recorded are the system calls with the bytes that the kernel wrote, and a replay follows them",
  async (t) => {
    const dir = mkdtempSync("dist/transcript-");
    t.teardown(() => rmSync(dir, { recursive: true }));
    const [configuration, file] = [join(dir, "configuration"), join(dir, "loopback-STATUS.txt")];
    const text = JSON.stringify({ cniVersion: "1.1.0", name: "n", type: "loopback" });
    writeFileSync(configuration, text);
    const input = readFileSync("dist/twill.bytecode");
    const recorded = spawnSync(profilingHost(), ["record", file], {
      argv0: "loopback",
      input,
      stdio: ["pipe", "pipe", "pipe", openSync(configuration, "r")],
      env: { CNI_COMMAND: "STATUS", CNI_PATH: "/nowhere" },
    });
    t.equal(recorded.status, 0, recorded.stderr.toString());
    const lines = readFileSync(file, "utf8").split("\n");
    t.strictSame(lines.slice(0, 3), ["arg loopback", "env CNI_COMMAND=STATUS", "env CNI_PATH=/nowhere"]);
    const read = process.arch === "x64" ? 0 : 63;
    t.ok(lines.includes(`${read} ${text.length} 2+0:${Buffer.from(text).toString("hex")}`), lines.join("\n"));
    const replayed = spawnSync(profilingHost(), ["replay", file], {
      input,
      env: {},
      maxBuffer: 64 << 20,
    }).stdout.toString();
    t.notMatch(replayed, /^stale /m);
    t.equal(callsOf(replayed), lines.filter((line) => /^\d/.test(line)).length);
  },
);

t.test(
  "what the program reads and writes is seen: a replay of more work has more blocks, and writes to some of those that it reads",
  async (t) => {
    const blocks = (name: string) => {
      const found = [...(report.runs.find((run) => run.name === name)?.blocks.values() ?? [])];
      return [false, true].map((isWritten) => found.filter((block) => block.isWritten === isWritten).length);
    };
    const [readByVersion = 0, writtenByVersion = 0] = blocks("bridge-VERSION");
    const [readByAdd = 0, writtenByAdd = 0] = blocks("bridge-ADD");
    t.ok(readByVersion > 100 && readByAdd > 3 * readByVersion, `read by VERSION ${readByVersion}, by ADD ${readByAdd}`);
    t.ok(
      writtenByVersion > 20 && writtenByAdd > 3 * writtenByVersion,
      `written to ${writtenByVersion}, ${writtenByAdd}`,
    );
  },
);
