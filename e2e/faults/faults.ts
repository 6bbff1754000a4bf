// Every system call of a plugin made to fail, or to be the last: what is left behind then is enumerated, not hoped for.
//
// strace runs the call once to learn its system calls, and then once more for each, injecting an error into it, or the
// signal that ends the program before the kernel carries it out. strace's `when=n` counts the calls of that name, in each process on its own;
// so a point is a name and a number, and where a plugin starts others, one run may hit several of them.
import { readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Call, Host, Outcome, Verb } from "../lab/host.ts";
import { inLab } from "../lab/needs.ts";
import type { Snapshot } from "../lab/snapshot.ts";
import { chosenBy } from "./sample.ts";

export interface Subject {
  node: Host;
  plugin: string;
  conf: Record<string, unknown>;
  call?: Call;
  /** How the state is seen; `node.snapshot()` unless given. */
  look?: () => unknown;
  /** What of that GC, and DEL without a namespace, have to restore: the host's part unless given. */
  lookAtHost?: () => unknown;
  /** What the rest of the chain does after its DEL. */
  afterDel?: () => void;
  /** What DEL says on stderr where it succeeds though it could not do all. */
  says?: RegExp;
}

/** The n-th call of this name in a process. */
export interface SystemCall {
  name: string;
  nth: number;
  /** As strace printed it, for people. */
  text: string;
}

export type Fault = { error: string } | { signal: string };

/** What went wrong with one fault; none of them is the aim. */
export interface Finding {
  fault: string;
  what: string;
  /** The environment in which it is found again. */
  again: string;
}

/** strace's own start of the program, what cannot fail, and the C library's first step, before any code of ours. */
const neverInjected = new Set(["execve 1", "exit_group 1", "arch_prctl 1"]);

/** The system calls of one run, in order; the run has to succeed. */
export function systemCalls(subject: Subject, verb: Verb): SystemCall[] {
  const file = join(dirname(subject.node.varLib), "strace");
  const { status, stdout } = run(subject, verb, ["strace", "-f", "-qq", "-o", file]);
  if (status !== 0) throw new Error(`${verb} fails without a fault: ${JSON.stringify(stdout)}`);
  const trace = readFileSync(file, "utf8");
  rmSync(file);
  return numbered(trace).filter(({ name, nth }) => !neverInjected.has(`${name} ${nth}`));
}

function numbered(trace: string): SystemCall[] {
  const counts = new Map<string, number>();
  const known = new Set<string>();
  return [...trace.matchAll(/^(\d+) +((\w+)\(.*)$/gm)].flatMap(([, pid, text = "", name = ""]) => {
    const nth = (counts.get(`${pid} ${name}`) ?? 0) + 1;
    counts.set(`${pid} ${name}`, nth);
    if (known.has(`${name} ${nth}`)) return []; // the same injection, seen in another process
    known.add(`${name} ${nth}`);
    return [{ name, nth, text: text.slice(0, 120) }];
  });
}

interface Faulty {
  outcome: Outcome;
  /** Whether the fault took place: the number of calls may differ between runs, where the kernel is waited for. */
  isHit: boolean;
}

export function runWithFault(subject: Subject, verb: Verb, { name, nth }: SystemCall, fault: Fault): Faulty {
  const file = join(dirname(subject.node.varLib), "strace");
  const [kind, value] = Object.entries(fault)[0] ?? [];
  const quiet = ["strace", "-f", "-qq", "-o", file, "-e", `trace=${name}`];
  const outcome = run(subject, verb, [...quiet, "-e", `inject=${name}:${kind}=${value}:when=${nth}`]);
  const isHit = "signal" in fault ? outcome.signal === "SIGKILL" : readFileSync(file, "utf8").includes("(INJECTED)");
  rmSync(file);
  return { outcome, isHit };
}

/** Which system calls get the fault. */
export type Choice = (systemCalls: readonly SystemCall[]) => SystemCall[];

/** ADD with each of its system calls failing. It ends in a result, or in a CNI error and nothing left; DEL then restores all. */
export function failedAdds(subject: Subject, choice: Choice): Finding[] {
  return eachFault(subject, "ADD", { error: "EIO" }, choice, ({ text }, added, before) => {
    const isPrinting = /^writev?\(1,/.test(text); // all is done, and nobody can be told: DEL's business
    return [
      ...(isAnswer(added) || isPrinting ? [] : [`ADD ended with ${JSON.stringify(added)}`]),
      ...(added.status === 0 || isPrinting ? [] : differences(before.all, seen(subject), "after the failed ADD")),
      ...deleted(subject, before),
    ];
  });
}

/** ADD killed at each of its system calls: the DEL that the runtime owes restores all. */
export function killedAdds(subject: Subject, choice: Choice): Finding[] {
  return eachFault(subject, "ADD", KILL, choice, (_call, _killed, before) => deleted(subject, before));
}

/** The same without that DEL: a GC in which the attachment is not valid leaves nothing of it on the host. */
export function killedAddsCollected(subject: Subject, choice: Choice): Finding[] {
  return eachFault(subject, "ADD", KILL, choice, (_call, _killed, before) => {
    const { status, stdout } = run(subject, "GC", []);
    subject.afterDel?.();
    const complaints = [
      ...(status === 0 ? [] : [`GC ended with ${JSON.stringify(stdout)}`]),
      ...differences(before.host, seenOnHost(subject), "after GC"),
    ];
    cleanContainer(subject);
    return complaints;
  });
}

/** The same with another ADD, which succeeds or says why it does not, before DEL. */
export function killedAddsRepeated(subject: Subject, choice: Choice): Finding[] {
  return eachFault(subject, "ADD", KILL, choice, (_call, _killed, before) => {
    const added = run(subject, "ADD", []);
    return [
      ...(isAnswer(added) ? [] : [`the second ADD ended with ${JSON.stringify(added)}`]),
      ...deleted(subject, before),
    ];
  });
}

/** The same with a DEL that does not know the namespace, though it lives: nothing stays on the host. */
export function killedAddsWithoutNamespace(subject: Subject, choice: Choice): Finding[] {
  const unnamed = { ...subject, call: { ...subject.call, environment: { CNI_NETNS: "" } } };
  return eachFault(subject, "ADD", KILL, choice, (_call, _killed, before) => {
    const { status, stdout } = run(unnamed, "DEL", []);
    subject.afterDel?.();
    const complaints = [
      ...(status === 0 ? [] : [`DEL without CNI_NETNS ended with ${JSON.stringify(stdout)}`]),
      ...differences(before.host, seenOnHost(subject), "after DEL without CNI_NETNS"),
    ];
    cleanContainer(subject);
    return complaints;
  });
}

/** Behind a call that cannot restore what is in the container, which goes with its namespace. */
function cleanContainer(subject: Subject): void {
  run(subject, "DEL", []);
  subject.afterDel?.();
}

/** DEL with each of its system calls failing: it does all, or says that it did not; the next DEL does what is left. */
export const failedDels = (subject: Subject, choice: Choice): Finding[] =>
  brokenDels(subject, { error: "EIO" }, choice);

/** DEL killed at each of its system calls: the next DEL does what is left. */
export const killedDels = (subject: Subject, choice: Choice): Finding[] => brokenDels(subject, KILL, choice);

function brokenDels(subject: Subject, fault: Fault, choice: Choice): Finding[] {
  return eachFault(subject, "DEL", fault, choice, (_call, { status, stderr }, before) => {
    const isDone = status === 0 && !subject.says?.test(stderr);
    if (isDone) subject.afterDel?.();
    return [
      ...(isDone ? differences(before.all, seen(subject), "after a DEL that said it was done") : []),
      ...deleted(subject, before),
    ];
  });
}

const KILL: Fault = { signal: "KILL" };

interface State {
  all: unknown;
  host: unknown;
}

/**
 * So many of the chosen system calls may not come in their run, as a share: their number differs between runs where the kernel or
 * another process is waited for. More means that the fault is not injected at all.
 */
const MISSED_AT_MOST = 0.1;

/** The shorter one counts. In the guest nothing else runs, and each takes seconds. */
const RUNS_TO_LEARN = inLab ? 1 : 2;

/**
 * For each system call of the verb: the faulty run in the state before the verb, then what has to bring back that state. What a fault leaves
 * behind is found once: the next begins with it.
 *
 * @param examine Ends with a DEL, and finds nothing only where the state is as before as far as it is looked at
 */
function eachFault(
  subject: Subject,
  verb: "ADD" | "DEL",
  fault: Fault,
  choice: Choice,
  examine: (systemCall: SystemCall, outcome: Outcome, before: State) => string[],
): Finding[] {
  settle(subject);
  const learned = Array.from({ length: RUNS_TO_LEARN }, () => learn(subject, verb));
  const calls = choice(learned.reduce((shorter, other) => (other.length < shorter.length ? other : shorter)));
  if (calls.length === 0) throw new Error(`no system call of ${verb} to break`);
  let missed = 0;
  let before = stateOf(subject); // looking takes longer than everything else
  const findings = calls.flatMap((systemCall) => {
    if (verb === "DEL") plainly(subject, "ADD");
    const { outcome, isHit } = runWithFault(subject, verb, systemCall, fault);
    if (!isHit) missed++;
    const { name, nth, text } = systemCall;
    const title = `${Object.values(fault)} in ${name} ${nth} of ${verb}: ${text}`;
    const complaints = examine(systemCall, outcome, before);
    if (complaints.length > 0) before = stateOf(subject);
    return complaints.map((what) => ({ fault: title, what, again: chosenBy }));
  });
  const tooMany = missed > Math.max(1, MISSED_AT_MOST * calls.length);
  const notReached = {
    fault: `${Object.values(fault)} in ${verb}`,
    what: `${missed} of ${calls.length} missed`,
    again: "",
  };
  return tooMany ? [...findings, notReached] : findings;
}

/** The system calls of one run, after which all is as before it. On a loaded machine a run may wait, or try again, and make more than others. */
function learn(subject: Subject, verb: "ADD" | "DEL"): SystemCall[] {
  if (verb === "DEL") plainly(subject, "ADD");
  const calls = systemCalls(subject, verb);
  plainly(subject, "DEL");
  subject.afterDel?.();
  return calls;
}

/** A call that takes longer hangs. */
const patienceMs = 15_000;

/** The lock of iptables' chains is the node's own: who finds it taken, by another test say, makes more system calls. */
const withOwnLock = 'mkdir -p "$0" /run/twill && mount --bind "$0" /run/twill && exec "$@"';

/** Where the node has /run/twill. */
export const runTwillOf = ({ varLib }: Host): string => join(dirname(varLib), "run-twill");
export const withOwnRun = (node: Host): string[] => ["sh", "-c", withOwnLock, runTwillOf(node)];

function run({ node, plugin, conf, call }: Subject, verb: Verb, under: readonly string[]): Outcome {
  const attachments = verb === "GC" ? { "cni.dev/valid-attachments": [] } : {};
  const alone = [...withOwnRun(node), ...under];
  return node.cni(plugin, verb, { ...conf, ...attachments }, { timeoutMs: patienceMs, ...call, under: alone });
}

/** @throws Error when it fails: the faults are over, or have not begun. */
function plainly(subject: Subject, verb: Verb): void {
  const { status, stdout, stderr } = run(subject, verb, []);
  if (status !== 0) throw new Error(`${verb} without a fault fails: ${JSON.stringify(stdout)} ${stderr}`);
}

function stateOf(subject: Subject): State {
  const { look, lookAtHost, node } = subject;
  if (look || lookAtHost) return { all: seen(subject), host: seenOnHost(subject) };
  const all = withoutRoundRobin(node.snapshot());
  return { all, host: hostPart(node, all) };
}

/** One ADD and DEL, which leave what is meant to stay, as the bridge. */
function settle(subject: Subject): void {
  plainly(subject, "ADD");
  plainly(subject, "DEL");
  subject.afterDel?.();
}

/** DEL; then the state must be the one from before. */
function deleted(subject: Subject, before: State): string[] {
  const { status, stdout } = run(subject, "DEL", []);
  subject.afterDel?.();
  return [
    ...(status === 0 ? [] : [`DEL ended with ${JSON.stringify(stdout)}`]),
    ...differences(before.all, seen(subject), "after DEL"),
  ];
}

function isAnswer({ status, stdout }: Outcome): boolean {
  const printed = (typeof stdout === "object" ? stdout : undefined) as { code?: unknown; msg?: unknown } | undefined;
  return status === 0
    ? printed !== undefined
    : status === 1 && typeof printed?.code === "number" && Boolean(printed.msg);
}

function seen({ node, look }: Subject): unknown {
  return look ? look() : withoutRoundRobin(node.snapshot());
}

const seenOnHost = ({ node, look, lookAtHost = look }: Subject): unknown =>
  lookAtHost ? lookAtHost() : hostState(node);

/** The node without its containers. */
export const hostState = (node: Host): Snapshot => hostPart(node, withoutRoundRobin(node.snapshot()));

const hostPart = ({ name }: Host, { namespaces, files }: Snapshot): Snapshot => ({
  namespaces: Object.fromEntries(Object.entries(namespaces).filter(([each]) => each === name)),
  files,
});

/** Which address was given last is meant to move on. */
export function withoutRoundRobin(snapshot: Snapshot): Snapshot {
  const files = Object.entries(snapshot.files).map(([path, text]) => [path, /last_reserved/.test(path) ? "" : text]);
  return { ...snapshot, files: Object.fromEntries(files) };
}

/** None or one: "after DEL: + files.cni/networks/net/10.1.0.3 ..., - ... and 3 more". */
function differences(before: unknown, after: unknown, when: string): string[] {
  const [old, now] = [flat(before), flat(after)];
  const lines = [
    ...[...old].filter((line) => !now.has(line)).map((line) => `- ${line}`),
    ...[...now].filter((line) => !old.has(line)).map((line) => `+ ${line}`),
  ];
  const more = lines.length > shownAtMost ? ` and ${lines.length - shownAtMost} more` : "";
  return lines.length === 0 ? [] : [`${when}: ${lines.slice(0, shownAtMost).join(", ")}${more}`];
}

const shownAtMost = 3;

function flat(value: unknown, path = ""): Set<string> {
  if (value === null || typeof value !== "object") return new Set([`${path} ${value}`]);
  return new Set(
    Object.entries(value).flatMap(([key, inner]) => [...flat(inner, path === "" ? key : `${path}.${key}`)]),
  );
}
