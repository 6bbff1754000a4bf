/** Runs commands of the configuration in the container's network namespace. */
import { findNamespace, within } from "../../pkg/sys/namespace.ts";
import { environment, findCommand, run, writeStderr } from "../../pkg/sys/process.ts";
import { decode } from "../../pkg/sys/text.ts";

type Hook = readonly string[];

/** Runs the commands. Their output and their failures go to stderr and have no other effect: they are for inspection. */
export function runHooks(hooks: readonly Hook[], netns: string | undefined): void {
  const namespace = hooks.length === 0 ? undefined : findNamespace(netns);
  if (namespace === undefined) return;
  within(namespace, () => {
    for (const hook of hooks) writeStderr(`debug: ${hook.join(" ")}: ${told(hook)}\n`);
  });
}

function told([command = "", ...args]: Hook): string {
  try {
    const path = command.includes("/") ? command : findCommand(command);
    if (path === undefined) return "there is no such command in PATH";
    const { status, signal, stdout } = run({
      path,
      args,
      environment: environment(),
      stdin: new Uint8Array(0),
      takesStderr: true,
    });
    const ending = signal === undefined ? `exit status ${status}` : `terminated by signal ${signal}`;
    return [ending, decode(stdout).trimEnd()].filter(Boolean).join("\n");
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
