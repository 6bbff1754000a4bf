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
  /** Of the largest process: the program or one that it waited for. 10^6 bytes. */
  peakMegabytes: number;
}

export interface Runs {
  /** From the start of the first program to the end of the last. */
  wallMs: number;
  each: Run[];
}

export interface Launcher {
  /** Rests, then starts all programs at once and waits for all. @throws Error one of them failed; with what it printed */
  run(jobs: readonly Job[], pauseMs: number): Promise<Runs>;
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
        const [nanoseconds = NaN, kilobytes = NaN, status] = (await nextLine()).split(" ").map(Number);
        each.push({ ms: nanoseconds / 1e6, peakMegabytes: (kilobytes * 1024) / 1e6 });
        if (status !== 0) failures.push(`${lineOf(job)}: exit status ${status}: ${readFileSync(job.stdout, "utf8")}`);
      }
      if (failures.length > 0)
        throw new Error(`${failures.length} of ${jobs.length} failed. ${failures[0]}${complaints}`);
      return { wallMs, each };
    },
    close() {
      child.stdin.end();
    },
  };
}

function lineOf({ stdin, stdout, program, environment }: Job): string {
  const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
  return [stdin, stdout, program, ...variables].join("\t");
}
