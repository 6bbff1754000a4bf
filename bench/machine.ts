// What the figures were measured on.
import { spawnSync } from "node:child_process";
import { cpus, loadavg, release } from "node:os";
import { join } from "node:path";
import { goBin } from "../e2e/lab/project.ts";

/** Processes that run or wait to run, over the last minute; from here on the figures are other people's too. */
const BUSY_LOAD = 0.5;

/** @param earlier Folder of the plugins of the earlier build that is measured as well. */
export function describeMachine(earlier?: string): Record<string, string> {
  const [load = 0] = loadavg();
  const processors = cpus();
  return {
    kernel: release(),
    machine: `${processors.length} x ${processors[0]?.model ?? process.arch}`,
    ...(earlier !== undefined && { earlier: aboutText(join(earlier, "bridge")) }),
    Go: `${goBin}: ${aboutText(join(goBin, "bridge"))}`,
    load: `${load.toFixed(1)}${load > BUSY_LOAD ? ": other programs are running, which blurs the figures" : ""}`,
  };
}

export function machineText(machine: Readonly<Record<string, string>>): string {
  return Object.entries(machine)
    .map(([name, value]) => `- ${name}: ${value}`)
    .join("\n");
}

/** What it says when called by hand, as "CNI bridge plugin v1.9.1", and the version of Debian's package, which says nothing. */
function aboutText(plugin: string): string {
  const about = spawnSync(plugin, { encoding: "utf8", env: {}, input: "" }).stderr.split("\n")[0] ?? "";
  const owner = spawnSync("dpkg-query", ["-S", plugin], { encoding: "utf8" }).stdout?.split(":")[0];
  if (!owner) return about;
  const status = spawnSync("dpkg-query", ["-s", owner], { encoding: "utf8" }).stdout;
  return `${about} (${owner} ${/^Version: (.*)/m.exec(status)?.[1]})`;
}
