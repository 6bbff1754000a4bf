// How long the developer waits: builds in a copy of the sources, tests in place.
import { spawnSync } from "node:child_process";
import { appendFileSync, cpSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { projectRoot } from "../e2e/lab/project.ts";
import { exactly, type Quartiles, quartiles, type Row } from "./figures.ts";

const REPEATS = 3;
/** What is not copied: made by builds and tests, or linked. */
const LEFT_OUT = ["dist", "node_modules", ".git", ".tap"];

export function buildRows(): Row[] {
  const copy = mkdtempSync(join(tmpdir(), "twill-bench-build-"));
  const remove = () => rmSync(copy, { recursive: true, force: true });
  process.once("exit", remove);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.once(signal, () => {
      remove();
      process.kill(process.pid, signal);
    });
  }
  for (const name of readdirSync(projectRoot).filter((name) => !LEFT_OUT.includes(name))) {
    cpSync(join(projectRoot, name), join(copy, name), { recursive: true });
  }
  symlinkSync(join(projectRoot, "node_modules"), join(copy, "node_modules"));
  const build = () => seconds("node", ["build.mjs"], copy);
  const clean = repeated(() => {
    rmSync(join(copy, "dist"), { recursive: true, force: true });
    return build();
  });
  const again = repeated((i) => {
    appendFileSync(join(copy, "cmd/bridge/main.ts"), `\nexport const edit${i} = ${i};\n`);
    return build();
  });
  remove();
  return [row("build", "clean", clean, 15), row("build", "again after one edit", again, 2)];
}

export function testRows(): Row[] {
  const time = (...args: string[]) => exactly(seconds("npm", args, projectRoot));
  return [row("tests", "npm run test:unit", time("run", "test:unit"), 20), row("tests", "npm test", time("test"), 480)];
}

function repeated(work: (i: number) => number): Quartiles {
  return quartiles(Array.from({ length: REPEATS }, (_, i) => work(i)));
}

function seconds(command: string, args: readonly string[], folder: string): number {
  const started = performance.now();
  const { status, stderr } = spawnSync(command, args, {
    cwd: folder,
    encoding: "utf8",
    stdio: ["ignore", "ignore", "pipe"],
  });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")}: exit status ${status}: ${stderr}`);
  return (performance.now() - started) / 1000;
}

function row(section: string, name: string, twill: Quartiles, limit: number): Row {
  return { section, name, unit: "s", figures: { twill }, goals: [{ of: "s", value: twill.median, limit }] };
}
