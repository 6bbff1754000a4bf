// A program that stays, in a namespace: what it prints can be waited for.
//
// It is told to die with this process, however that ends (PR_SET_PDEATHSIG): a namespace without a name would live as long as it does.
import { spawn } from "node:child_process";
import { until } from "./until.ts";

export interface Ended {
  status: number | null;
  signal: NodeJS.Signals | null;
}

export interface Program {
  readonly pid: number;
  /** What it has printed so far, both streams. */
  printed(): string;
  /** Waits for a line, among those already printed too. @throws Error when it ends without, or is late, with what it printed */
  says(line: RegExp): Promise<RegExpExecArray>;
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
  let text = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (part: string) => {
      text += part;
    });
  child.stdin.on("error", () => {}); // EPIPE: it has ended
  let result: Ended | undefined;
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (status, signal) => {
      result = { status, signal };
      resolve(result);
    });
  });
  const end = (signal: NodeJS.Signals) => {
    if (!result) child.kill(signal);
    return ended;
  };
  t.teardown(async () => {
    if (!t.passing()) t.comment(`${namespace}: ${command.join(" ")}\n${text}`);
    await end("SIGKILL");
  });

  return {
    pid: child.pid ?? 0,
    printed: () => text,
    async says(line) {
      const outcome = await until(`${line} from ${command.join(" ")}`, () => line.exec(text) ?? result).catch(
        (error) => {
          throw new Error(`${error.message}; it printed:\n${text}`);
        },
      );
      if ("status" in outcome) throw new Error(`${command.join(" ")} ended without ${line}; it printed:\n${text}`);
      return outcome;
    },
    tell: (line) => void child.stdin.write(`${line}\n`),
    ended,
    end,
  };
}
