// Every system call of a plugin made to fail, or to be the last: what is left behind then is enumerated, not hoped for.
//
// strace runs the call once to learn its system calls, and then once more for each, injecting an error into it, or the
// signal that ends the program on entering it. `when=n` counts in each process on its own, so where a plugin starts
// others, one run may hit several of them.
import { readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Call, Host, Outcome, Verb } from "../host.ts";
import type { Snapshot } from "../snapshot.ts";

export interface Subject {
  node: Host;
  plugin: string;
  conf: Record<string, unknown>;
  call?: Call;
  /** How the node's state is seen; `node.snapshot()` unless given. */
  look?: () => unknown;
  /** What the rest of the chain does after its DEL. */
  afterDel?: () => void;
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

export function runWithFault(subject: Subject, verb: Verb, { name, nth }: SystemCall, fault: Fault): Outcome {
  const [kind, value] = Object.entries(fault)[0] ?? [];
  const quiet = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", `trace=${name}`];
  return run(subject, verb, [...quiet, "-e", `inject=${name}:${kind}=${value}:when=${nth}`]);
}

export interface Options {
  /** Which system calls get the fault; all unless given. */
  only?: (systemCall: SystemCall) => boolean;
  /** Whether an ADD that fails must have undone everything by itself, before any DEL; true unless given. */
  leavesNothing?: boolean;
  /** Whether a GC without valid attachments may do what DEL could not; false unless given. */
  mayNeedGc?: boolean;
}

/** ADD with each of its system calls failing. It ends in a result or a CNI error; DEL then restores the node. */
export function failedAdds(subject: Subject, { leavesNothing = true, ...options }: Options = {}): Finding[] {
  return eachFault(subject, "ADD", { error: "EIO" }, options, (systemCall, run, before) => {
    const added = run();
    const isPrinting = /^writev?\(1,/.test(systemCall.text); // all is done, and nobody can be told: DEL's business
    const answers = isAnswer(added) || isPrinting;
    const mustBeUndone = leavesNothing && added.status !== 0 && !isPrinting;
    return [
      ...(answers ? [] : [`ADD ended with ${JSON.stringify(added)}`]),
      ...(mustBeUndone ? differences(before, seen(subject), "after the failed ADD") : []),
    ];
  });
}

/** ADD killed at each of its system calls: the DEL that the runtime owes restores the node. */
export function killedAdds(subject: Subject, options: Options = {}): Finding[] {
  return eachFault(subject, "ADD", { signal: "KILL" }, options, (_, run) => {
    run();
    return [];
  });
}

/** DEL with each of its system calls failing, or killed there: the next DEL does what is left. */
export function brokenDels(subject: Subject, fault: Fault, options: Options = {}): Finding[] {
  return eachFault(subject, "DEL", fault, options, (_, run, before) => {
    const deleted = run();
    if (deleted.status !== 0) return [];
    return differences(before, seen(subject), "after a DEL that said it was done");
  });
}

/**
 * For each system call of the verb: the node as it is when the verb is due, the faulty run, then a DEL without fault,
 * which must leave what was there before. What a fault leaves behind is found once: the next begins with it.
 */
function eachFault(
  subject: Subject,
  verb: "ADD" | "DEL",
  fault: Fault,
  { only = () => true, mayNeedGc = false }: Options,
  examine: (systemCall: SystemCall, run: () => Outcome, before: unknown) => string[],
): Finding[] {
  let before = settled(subject);
  if (verb === "DEL") plainly(subject, "ADD");
  const calls = systemCalls(subject, verb).filter(only);
  plainly(subject, "DEL");
  subject.afterDel?.();
  if (calls.length === 0) throw new Error(`no system call of ${verb} to break`);
  return calls.flatMap((systemCall) => {
    if (verb === "DEL") plainly(subject, "ADD");
    const complaints = examine(systemCall, () => runWithFault(subject, verb, systemCall, fault), before);
    complaints.push(...undone(subject, before, mayNeedGc));
    before = seen(subject);
    const { name, nth, text } = systemCall;
    return complaints.map((what) => ({ fault: `${Object.values(fault)} in ${name} ${nth}: ${text}`, what }));
  });
}

/** A call that takes longer hangs. */
const patienceMs = 15_000;

function run({ node, plugin, conf, call }: Subject, verb: Verb, under: readonly string[]): Outcome {
  const attachments = verb === "GC" ? { "cni.dev/valid-attachments": [] } : {};
  return node.cni(plugin, verb, { ...conf, ...attachments }, { timeoutMs: patienceMs, ...call, under });
}

/** @throws Error when it fails: the faults are over, or have not begun. */
function plainly(subject: Subject, verb: Verb): void {
  const { status, stdout, stderr } = run(subject, verb, []);
  if (status !== 0) throw new Error(`${verb} without a fault fails: ${JSON.stringify(stdout)} ${stderr}`);
}

/** The state after one ADD and DEL, which leave what is meant to stay, as the bridge. */
function settled(subject: Subject): unknown {
  plainly(subject, "ADD");
  plainly(subject, "DEL");
  subject.afterDel?.();
  return seen(subject);
}

/** DEL, and GC where that may be needed; then the state must be the one from before. */
function undone(subject: Subject, before: unknown, mayNeedGc: boolean): string[] {
  const { status, stdout } = run(subject, "DEL", []);
  subject.afterDel?.();
  if (mayNeedGc && differences(before, seen(subject), "").length > 0) plainly(subject, "GC");
  return [
    ...(status === 0 ? [] : [`DEL ended with ${JSON.stringify(stdout)}`]),
    ...differences(before, seen(subject), "after DEL"),
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
