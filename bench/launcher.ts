// The stopwatch (launcher.c), spoken to over its standard input and output.
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { projectRoot } from "../e2e/lab/project.ts";

/** musl's compiler does not look where Debian has the kernel's headers. */
const kernelHeaders = ["/usr/include", `/usr/include/${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu`];
const flags = ["-static", "-O2", "-Wall", "-Wextra", "-Werror", "-s"].concat(
  kernelHeaders.flatMap((path) => ["-idirafter", path]),
);

/** Compiles a C file of this folder. @returns The executable, `dist/bench/<name>`. */
export function compile(source: string, name: string): string {
  const executable = join(projectRoot, "dist/bench", name);
  mkdirSync(dirname(executable), { recursive: true });
  execFileSync("musl-gcc", [...flags, "-o", executable, join(import.meta.dirname, source)], { stdio: "inherit" });
  return executable;
}

export interface Job {
  program: string;
  /** Files. */
  stdin: string;
  stdout: string;
  environment: Readonly<Record<string, string>>;
}

export interface Run {
  ms: number;
  /** Processor time of the program and those that it waited for. */
  cpuMs: number;
  /** Of the largest process: the program or one that it waited for. 10^6 bytes. */
  peakMegabytes: number;
}

export interface Runs {
  /** From the start of the first program to the end of the last. */
  wallMs: number;
  each: Run[];
}

/** What does not depend on what else the machine does, of the program and all that it starts. */
export interface Counts {
  systemCalls: number;
  /** In user mode; undefined where the kernel does not count them. */
  pageFaults: number | undefined;
  /** In user mode; undefined where the processor's counter cannot be read, as in many virtual machines. */
  instructions: number | undefined;
}

export interface Launcher {
  /** Rests, then starts all programs at once and waits for all. @throws Error one of them failed; with what it printed */
  run(jobs: readonly Job[], pauseMs: number): Promise<Runs>;
  /** Rests, then runs one program slowly, under a tracer. @throws Error it failed; with what it printed */
  count(job: Job, pauseMs: number): Promise<Counts>;
  close(): void;
}

/** @param command The launcher, behind what it runs under. */
export function openLauncher([command = "", ...args]: readonly string[]): Launcher {
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"] });
  let complaints = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    complaints += text;
  });
  child.stdin.on("error", () => {}); // EPIPE: that it has ended is noticed where its answer is missing
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const nextLine = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`the launcher has ended: ${complaints}`);
    return value;
  };
  return {
    async run(jobs, pauseMs) {
      child.stdin.write([`pause\t${pauseMs * 1000}`, `run\t${jobs.length}`, ...jobs.map(lineOf), ""].join("\n"));
      const wallMs = Number(await nextLine()) / 1e6;
      const each: Run[] = [];
      const failures: string[] = [];
      for (const job of jobs) {
        const [nanoseconds = NaN, cpuMicroseconds = NaN, kilobytes = NaN, status = NaN] = numbersOf(await nextLine());
        each.push({
          ms: nanoseconds / 1e6,
          cpuMs: cpuMicroseconds / 1e3,
          peakMegabytes: (kilobytes * 1024) / 1e6,
        });
        if (status !== 0) failures.push(failureOf(job, status));
      }
      if (failures.length > 0)
        throw new Error(`${failures.length} of ${jobs.length} failed. ${failures[0]}${complaints}`);
      return { wallMs, each };
    },
    async count(job, pauseMs) {
      child.stdin.write([`pause\t${pauseMs * 1000}`, "count", lineOf(job), ""].join("\n"));
      const [systemCalls = NaN, pageFaults = NaN, instructions = NaN, status = NaN] = numbersOf(await nextLine());
      if (status !== 0) throw new Error(failureOf(job, status));
      const known = (count: number) => (count < 0 ? undefined : count);
      return { systemCalls, pageFaults: known(pageFaults), instructions: known(instructions) };
    },
    close() {
      child.stdin.end();
    },
  };
}

const numbersOf = (line: string): number[] => line.split(" ").map(Number);

const failureOf = (job: Job, status: number): string =>
  `${lineOf(job)}: exit status ${status}: ${readFileSync(job.stdout, "utf8")}`;

function lineOf({ stdin, stdout, program, environment }: Job): string {
  const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
  return [stdin, stdout, program, ...variables].join("\t");
}
