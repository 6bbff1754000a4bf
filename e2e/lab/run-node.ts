// A host on which commands of `twill run` are started, and `twill network` is.
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { type Host, newHost, type Ran } from "./host.ts";
import { ourBin, ourTools } from "./project.ts";
import { searchPath } from "./search-path.ts";

export interface Running {
  /** Its end. */
  ended: Promise<Ran>;
  /** Process ID of `twill run`. */
  process: number;
}

export interface RunNode extends Host {
  /** Runs `twill run` to its end. */
  runs(args: string, script?: string): Ran;
  /** Starts `twill run` with a script that goes on until it is told to end, and waits until that runs. */
  starts(name: string, args: string, script?: string, last?: string): Promise<Running>;
  /** Runs `twill network`. */
  network(args: string): Ran;
  networkSays(args: string): string;
  /** Runs another tool of twill, as `reload`. */
  twill(args: string): Ran;
  /** Runs another tool of twill behind a command of the shell, as one that sets a limit. */
  limited(args: string, limit: string): Ran;
  /** Runs a command of twill under strace. @returns the lines of the trace */
  traced(args: string, options: readonly string[]): string[];
  /** Paths below /run/twill/run. */
  runFiles(): string[];
}

const path = { CNI_PATH: ourBin, NETCONFPATH: "/var/lib/net.d", PATH: searchPath };
/** The resolver that is started has its socket in a folder of the host, and ends when the containers are gone. */
const ownRun = 'mkdir -p /run/twill /var/lib/run && mount --bind /var/lib/run /run/twill && exec "$0" "$@"';

export function newRunNode(t: Parameters<typeof newHost>[0], containers = 1): RunNode {
  const host = newHost(t, { containers });
  const command = (args: string, script?: string) => [
    "sh",
    "-c",
    ownRun,
    join(ourTools, "twill"),
    ...args.split(" ").filter(Boolean),
    ...(script === undefined ? [] : ["sh", "-c", script]),
  ];
  const directory = join(host.varLib, "run/run");
  return {
    ...host,
    runs: (args, script) => host.runInside(command(`run ${args}`, script), path),
    async starts(name, args, script = "true", last = "exec sleep 60") {
      const ready = join(host.varLib, `ready-${name}`);
      rmSync(ready, { force: true });
      const ended = host.runInsideAtOnce(
        command(`run --name ${name} ${args}`, `${script}; echo > /var/lib/ready-${name}; ${last}`),
        path,
      );
      let failure: Ran | undefined;
      ended.then((ran) => {
        failure = ran;
      });
      while (!existsSync(ready)) {
        if (failure !== undefined) throw new Error(`twill run ${args}: ${failure.stderr}`);
        await setTimeout(5);
      }
      const { process } = JSON.parse(readFileSync(join(directory, name, "container.json"), "utf8"));
      return { ended, process: Number(process) };
    },
    traced(args, options) {
      const [shell = "", flag = "", script = "", ...rest] = command(args);
      const traced = `${script.slice(0, script.lastIndexOf("exec"))} exec strace -f -qq -o /var/lib/trace ${options.join(" ")} "$0" "$@"`;
      host.runInside([shell, flag, traced, ...rest], path);
      return readFileSync(join(host.varLib, "trace"), "utf8").split("\n");
    },
    twill: (args) => host.runInside(command(args), path),
    limited(args, limit) {
      const [shell = "", flag = "", script = "", ...rest] = command(args);
      return host.runInside([shell, flag, script.replace(/(?=exec )/, limit), ...rest], path);
    },
    network: (args) => host.runInside(command(`network ${args}`), path),
    networkSays(args) {
      const { status, stdout, stderr } = host.runInside(command(`network ${args}`), path);
      if (status !== 0) throw new Error(`twill network ${args}: ${stderr}`);
      return stdout;
    },
    runFiles: () => (existsSync(directory) ? readdirSync(directory, { recursive: true, encoding: "utf8" }).sort() : []),
  };
}

/** Ends a command as its user would. */
export async function stopped({ process: id, ended }: Running): Promise<Ran> {
  process.kill(id, "SIGTERM");
  return ended;
}
