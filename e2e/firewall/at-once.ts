import { spawn } from "node:child_process";
import type { Namespace } from "../lab/host.ts";

/** Starts a command in the namespace, to run beside others. @returns Its exit status, once it has ended. */
export function started(host: Namespace, ...command: string[]): Promise<number | null> {
  const child = spawn("ip", ["netns", "exec", host.name, ...command], {
    stdio: ["ignore", "ignore", "inherit"],
    timeout: 120_000,
  });
  return new Promise((resolve) => child.on("close", resolve));
}

/** The same for a module of ours. @param args What it finds in process.argv.slice(1). */
export function startedScript(host: Namespace, module: string, ...args: string[]): Promise<number | null> {
  return started(host, "node", "--import", "tsx", "--input-type=module", "-e", module, ...args);
}
