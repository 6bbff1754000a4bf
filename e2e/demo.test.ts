// npm run demo: that it shows what it claims, and that nothing is left of it whenever and however it ends.
import { spawn, spawnSync } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { uptime } from "node:os";
import { join } from "node:path";
import t from "tap";
import { until } from "./cluster/until.ts";
import { inFullRun, inFullRunOnly, needsRoot } from "./lab/needs.ts";
import { projectRoot } from "./lab/project.ts";

const script = join(projectRoot, "dev/demo.ts");
const command = ["--import", "tsx", script];
/** It takes twelve seconds on a machine that does nothing else. */
const longestRunMs = 300_000;
/** Of the moments at which it is interrupted; each fifth gets each of three signals once. */
const EACH = inFullRun ? 1 : 5;

/** As from a shell: the test runner makes Node's children catch signals (through NODE_OPTIONS) and asks for no colours. */
const fromShell = ["-u", "NODE_OPTIONS", "-u", "NO_COLOR", "-u", "FORCE_COLOR", process.execPath, ...command];

t.test("the demo shows in 120 lines what twill does on a host and in a cluster", needsRoot, async (t) => {
  const { status, stdout, stderr } = spawnSync("env", fromShell, { encoding: "utf8", timeout: longestRunMs });
  t.equal(stderr, "");
  t.equal(status, 0, "every check of its own went well");
  t.ok(stdout.split("\n").length <= 121, "in at most 120 lines");
  for (const told of [
    /error: unknown key "ipMask"\n +did you mean "ipMasq"\?/,
    /"address":"10\.66\.0\.2\/16"/,
    / 10\.66\.0\.2\/16 +10\.66\.0\.3\/16\n/,
    /\+-- podnet0 #\d+ {2}10\.66\.0\.1\/16/,
    /ok {2}c1 -> c2 \(10\.66\.0\.3\)/,
    /ok {2}outside saw the ping come from 192\.0\.2\.1: masqueraded/,
    /cnitool: plugin type="tuning" failed \(add\): .*\n.*To fix: .*\n.*ok {2}links, rules and reserved addresses are those of before/,
    /error: firewall rules of 2 running attachments are missing \[lost-rules\]/,
    /2 attachments, \d+ changes made\n(.*\n)*?.*ok {2}masqueraded again/,
    /podnet cnitool-\w+ eth0: deleted/,
    /ok {2}no link, rule or reserved address of the containers is left/,
    /cnitool add +\d+\.\d\n/,
    /host3 has 10\.244\.\d+\.1\/24 after \d+ ms/,
    /VTEP flannel\.1 ([\da-f]{2}:){5}[\da-f]{2}\n +\| +route 10\.244\.\d+\.0\/24 via 10\.244\.\d+\.0 dev flannel\.1/,
    /container host2a {2}10\.244\.\d+\.2\n/,
    /ok {2}host2a -> host3a \(10\.244\.\d+\.2\)/,
    /ok {2}host1a -> host2a: 200 MB over TCP/,
    /ok {2}host2 is back after \d+ ms with the same subnet/,
    /ok {2}the other hosts have no route to 10\.244\.\d+\.0\/24 any more/,
    /ok {2}host1a -> host4a \(10\.244\.\d+\.2\)/,
  ]) {
    t.match(stdout, told);
  }
  t.notMatch(stdout, "\x1b", "no colours in a file");
});

t.test("colours are for terminals", inFullRunOnly(needsRoot), async (t) => {
  const inTerminal = (...variables: string[]) => {
    const line = ["env", ...fromShell.slice(0, 6), ...variables, ...fromShell.slice(6)].join(" ");
    return spawnSync("script", ["-qec", line, "/dev/null"], { encoding: "utf8", timeout: longestRunMs }).stdout;
  };
  t.match(inTerminal(), "\x1b[32mok\x1b[0m");
  t.notMatch(inTerminal("NO_COLOR=1"), "\x1b[");
});

t.test("nothing is left of a demo that is interrupted", needsRoot, async (t) => {
  const moments = [
    "Containers on one host",
    "A mistake",
    "ADD:",
    '"ips"',
    "An ADD that fails",
    "A firewall is reloaded",
    "A container is gone",
    "DEL:",
    "Milliseconds",
    "A cluster",
    "Two containers on each host",
    "A daemon is killed",
  ];
  const signals = ["SIGINT", "SIGTERM", "SIGKILL"] as const;
  for (const [i, moment] of moments.entries()) {
    if (i % EACH !== 0) continue;
    const signal = signals[i % signals.length] ?? "SIGKILL";
    const { namespaces, endedBy, at } = await interrupt(moment, signal);
    t.equal(endedBy, signal, `${signal} at "${moment}" ends it`);
    t.equal(namespaces.length, 2, "it was in namespaces of its own");
    t.strictSame(await usersOf(namespaces, at), [], `no process is left in them after ${signal} at "${moment}"`);
    t.notMatch(readFileSync("/proc/self/mountinfo", "utf8"), "twill-demo", "no mount is left");
  }
});

interface Interrupted {
  /** The namespaces that it was in. */
  namespaces: string[];
  endedBy: string | null;
  /** In seconds since the machine's start. */
  at: number;
}

/** Ends the demo when it has printed `moment`. */
function interrupt(moment: string, signal: NodeJS.Signals): Promise<Interrupted> {
  const child = spawn("env", fromShell, { stdio: ["ignore", "pipe", "inherit"], timeout: longestRunMs });
  let printed = "";
  let namespaces: string[] = [];
  let at = 0;
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    printed += text;
    if (namespaces.length > 0 || !printed.includes(moment)) return;
    namespaces = ["net", "mnt"].map((kind) => readlinkSync(`/proc/${child.pid}/ns/${kind}`));
    at = uptime();
    child.kill(signal);
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (_status, endedBy) => resolve({ namespaces, endedBy, at }));
  });
}

/**
 * Waits for the end of what the demo had started. A process that began later is another program's: the kernel gives the inodes of namespaces that are gone to new ones.
 *
 * @returns the processes that are in the namespaces all the same
 */
async function usersOf(namespaces: readonly string[], at: number): Promise<string[]> {
  let users: string[] = [];
  await until("the end of what the demo had started", () => {
    users = readdirSync("/proc").filter((pid) => /^\d+$/.test(pid) && isIn(pid, namespaces, at));
    return users.length === 0;
  }).catch(() => undefined);
  return users;
}

const TICKS_IN_A_SECOND = 100;

function isIn(pid: string, namespaces: readonly string[], before: number): boolean {
  try {
    const [, fields = ""] = readFileSync(`/proc/${pid}/stat`, "utf8").split(/\) (?=[^)]*$)/);
    const begun = Number(fields.split(" ")[19]) / TICKS_IN_A_SECOND;
    return (
      begun <= before && ["net", "mnt"].some((kind) => namespaces.includes(readlinkSync(`/proc/${pid}/ns/${kind}`)))
    );
  } catch {
    return false; // it has ended meanwhile
  }
}
