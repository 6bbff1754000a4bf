// A throw-away node on which everything has the path that it has on a real one: /var/lib, /run with /run/netns/c0 and so on. Records that a
// build leaves name these paths, so they must be the same where it was recorded and where it is read.
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Bus } from "../lab/firewalld.ts";
import { type Host, newHost, type Ran } from "../lab/host.ts";

export interface Node extends Host {
  /** What its programs see as /run. */
  runFolder: string;
  /** Where firewalld runs on the node, the bus that it is on. */
  bus?: Bus;
  /** Runs a command on the node. */
  exec(command: readonly string[], environment?: Record<string, string>, stdin?: string): Ran;
  /** The command that runs another one on the node once it is in its network namespace: for programs that stay. */
  inside(command: readonly string[]): string[];
  /** Deletes the namespace of a container, as its end or a reboot does. */
  removeContainer(container: number): void;
}

type Test = Parameters<typeof newHost>[0];

/** In the mount namespace that `ip netns exec` makes: nobody else sees it. */
const mountRun = `
i=0
run=$1; names=$2; shift 2
for name in $names; do
  if [ -e /run/netns/$name ]; then : > $run/netns/c$i; mount --bind /run/netns/$name $run/netns/c$i; fi
  i=$((i + 1))
done
mount --rbind $run /run && exec "$@"`;

export function newNode(t: Test, containers: number): Node {
  const host = newHost(t, { containers });
  const folder = dirname(host.varLib);
  const runFolder = join(folder, "run");
  mkdirSync(join(runFolder, "netns"), { recursive: true });
  const inside = (command: readonly string[]) => [
    "sh",
    "-ec",
    mountRun,
    "mount-run",
    runFolder,
    host.containers.map(({ name }) => name).join(" "),
    ...command,
  ];
  const node: Node = {
    ...host,
    runFolder,
    exec: (command, environment, stdin) =>
      host.runInside(inside(command), { ...node.bus?.environment, ...environment }, stdin),
    inside: (command) => ["sh", "-ec", 'mount --bind "$0" /var/lib && exec "$@"', host.varLib, ...inside(command)],
    removeContainer(container) {
      host.sh(`ip netns delete ${host.containers[container]?.name}`);
      const path = join(runFolder, `netns/c${container}`);
      if (existsSync(path)) rmSync(path);
    },
  };
  return node;
}

/** As records name it. */
export const netnsOf = (container: number): string => `/run/netns/c${container}`;
