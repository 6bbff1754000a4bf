// A program that stays, in a namespace: what it prints can be waited for.
//
// It is told to die with this process, however that ends (PR_SET_PDEATHSIG): a namespace without a name would live as long as it does.
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { until } from "./until.ts";

export interface Ended {
  status: number | null;
  signal: NodeJS.Signals | null;
}

export interface Program {
  readonly pid: number;
  /** What it has printed so far, both streams. */
  printed(): string;
  /** Waits for a value other than null or false. @throws Error when it ends before, or is late, with what it printed */
  until<T>(what: string, look: () => T | null | false): Promise<T>;
  /** Waits for a line, among those already printed too. @throws Error likewise */
  says(line: RegExp): Promise<RegExpExecArray>;
  /** The same for a text that stands somewhere in it. */
  prints(part: string): Promise<void>;
  /** Writes a line to its standard input. */
  tell(line: string): void;
  readonly ended: Promise<Ended>;
  /** Sends the signal and waits for the end; content when it has ended already. */
  end(signal: NodeJS.Signals): Promise<Ended>;
}

/** The part of tap's `t` that is needed here. */
export interface Test {
  teardown(work: () => unknown): unknown;
  passing(): boolean;
  comment(text: string): unknown;
}

/**
 * Starts it; it is ended with the test, which shows what it printed if it fails.
 *
 * @param namespace Name of the network namespace.
 * @param environment Laid over a small one, without what tap gives to Node's children.
 */
export function startProgram(
  t: Test,
  namespace: string,
  command: readonly string[],
  environment: Record<string, string> = {},
): Program {
  const child = spawn("ip", ["netns", "exec", namespace, "setpriv", "--pdeathsig", "KILL", ...command], {
    env: { PATH: process.env["PATH"], ...environment },
    stdio: "pipe",
  });
  const text = textOf(child);
  const { ended, result } = endOf(child);
  const end = (signal: NodeJS.Signals) => {
    if (!result()) child.kill(signal);
    return ended;
  };
  t.teardown(async () => {
    if (!t.passing()) t.comment(`${namespace}: ${command.join(" ")}\n${text()}`);
    await end("SIGKILL");
  });
  const untilSeen = async <T>(what: string, look: () => T | null | false): Promise<T> => {
    const complaint = (how: string) => new Error(`${command.join(" ")} ${how}; it printed:\n${text()}`);
    const seen = await until(what, () => look() || (result() && "ended")).catch((error) => {
      throw complaint(error.message);
    });
    if (seen === "ended") throw complaint(`ended before ${what}`);
    return seen as T;
  };

  return {
    pid: child.pid ?? 0,
    printed: text,
    until: untilSeen,
    says: (line) => untilSeen(`a line ${line}`, () => line.exec(text())),
    prints: async (part) => void (await untilSeen(`"${part}"`, () => text().includes(part))),
    tell: (line) => void child.stdin.write(`${line}\n`),
    ended,
    end,
  };
}

function textOf(child: ChildProcessWithoutNullStreams): () => string {
  let text = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (part: string) => {
      text += part;
    });
  child.stdin.on("error", () => {}); // EPIPE: it has ended
  return () => text;
}

function endOf(child: ChildProcessWithoutNullStreams): { ended: Promise<Ended>; result(): Ended | undefined } {
  let result: Ended | undefined;
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (status, signal) => {
      result = { status, signal };
      resolve(result);
    });
  });
  return { ended, result: () => result };
}
