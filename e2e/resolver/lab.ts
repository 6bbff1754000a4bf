// Containers with names, the resolver, and another DNS server as the host's: all of it gone when the test is over.
//
// The attachments are written as `twill network connect` writes them; the namespaces have nothing but `lo`, which is all that asking needs.
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type AttachmentRecord,
  removeAttachmentRecord,
  writeAttachmentRecord,
} from "../../pkg/network/attachment-record.ts";
import { identifyNamespace } from "../../pkg/sys/namespace-identity.ts";
import { type Container, type Host, type Namespace, newHost, type Ran } from "../lab/host.ts";
import { ourTools } from "../lab/project.ts";
import "../lab/search-path.ts";

interface Test {
  teardown(work: () => unknown): unknown;
}

/** What a test says of an attachment. */
export interface Named {
  network: string;
  name: string;
  addresses: readonly string[];
  aliases?: readonly string[];
  links?: AttachmentRecord["links"];
}

export interface ResolverLab {
  node: Host;
  dir: string;
  /** Arguments of `twill resolver` that lead to the lab's files. */
  paths: readonly string[];
  /** Writes the record of an attachment of the container with this index. @param id the container's ID, unless it is the lab's */
  attach(container: number, named: Named, id?: string): void;
  detach(container: number, network: string): void;
  /** Has the resolver read the records; starts it. */
  sync(): Ran;
  /** IDs of the resolver's processes. */
  processes(): number[];
  /** The one that works, a child of the one that holds. */
  worker(): number;
  supervisor(): number;
  twill: string;
  /** Runs a command in a container without waiting. @returns what it printed */
  ask(container: number, command: string, ...args: readonly string[]): Promise<string>;
  removeNamespace(container: number): void;
  /** Writes the host's resolv.conf. */
  setHostResolvers(...servers: readonly string[]): void;
  /** Starts a program in the host's namespace, or a container's, that ends with the test. */
  start(command: string, ...args: readonly string[]): ChildProcess;
  startIn(container: number, command: string, ...args: readonly string[]): ChildProcess;
}

export function newResolverLab(t: Test, { containers = 2 } = {}): ResolverLab {
  const node = newHost(t, { containers });
  const dir = mkdtempSync(join(tmpdir(), `${node.name}-dns-`));
  const records = join(dir, "networks");
  mkdirSync(records);
  const resolvConf = join(dir, "resolv.conf");
  const socket = join(dir, "resolver.sock");
  const own = { socket, records, cache: join(dir, "cache"), dnsname: join(dir, "dnsname"), "resolv-conf": resolvConf };
  const paths = Object.entries(own).flatMap(([name, path]) => [`--${name}`, path]);
  writeFileSync(resolvConf, "");
  for (const container of node.containers) container.sh("ip link set lo up");
  const processes = () => processesOf(node);
  t.teardown(() => {
    for (const pid of processes()) endIfAlive(pid);
    rmSync(dir, { recursive: true, force: true });
  });
  return {
    node,
    dir,
    paths,
    attach(index, named, id) {
      const container = containerAt(node, index);
      writeAttachmentRecord(recordOf({ ...container, id: id ?? container.id }, named), records);
    },
    detach: (index, network) =>
      void removeAttachmentRecord({ networkId: network, containerId: containerAt(node, index).id }, records),
    sync: () => node.run(twill, "resolver", "--sync", ...paths),
    processes,
    worker: () => workerAmong(processes()),
    supervisor: () => parentOf(workerAmong(processes())),
    twill,
    setHostResolvers: (...servers) =>
      writeFileSync(resolvConf, servers.map((server) => `nameserver ${server}\n`).join("")),
    start: (...command) => startIn(t, node, command),
    startIn: (index, ...command) => startIn(t, containerAt(node, index), command),
    async ask(index, ...command) {
      const child = spawn("ip", ["netns", "exec", containerAt(node, index).name, ...command]);
      let printed = "";
      child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
        printed += chunk;
      });
      await once(child, "close");
      return printed;
    },
    removeNamespace(index) {
      execFileSync("ip", ["netns", "del", containerAt(node, index).name]);
    },
  };
}

function startIn(t: Test, { name }: Namespace, command: readonly string[]): ChildProcess {
  const child = spawn("ip", ["netns", "exec", name, ...command], { stdio: "ignore" });
  t.teardown(async () => {
    if (child.exitCode !== null || !child.kill("SIGKILL")) return;
    await once(child, "exit");
  });
  return child;
}

function containerAt(node: Host, index: number): Container {
  const container = node.containers[index];
  if (container === undefined) throw new Error(`the lab has no container ${index}`);
  return container;
}

const twill = join(ourTools, "twill");

const recordOf = (
  { id, path }: Container,
  { network, name, addresses, aliases = [], links = [] }: Named,
): AttachmentRecord => ({
  networkId: network,
  networkName: network,
  containerId: id,
  internal: false,
  containerName: name,
  namespace: identifyNamespace(path),
  ifName: "eth0",
  mac: "02:42:0a:00:00:02",
  addresses,
  aliases,
  links,
  connected: "2026-01-31T12:00:00Z",
});

/** Those in the host's namespace that have the name of the resolver; the one that was started first holds. */
function processesOf({ name }: Host): number[] {
  const { stdout } = spawnSync("ip", ["netns", "pids", name], { encoding: "utf8" });
  return stdout
    .split("\n")
    .filter(Boolean)
    .map(Number)
    .filter((pid) => nameOf(pid) === "twill-resolver");
}

/** Returns the one whose parent is another of them. */
const workerAmong = (pids: readonly number[]): number => pids.find((pid) => pids.includes(parentOf(pid))) ?? -1;

const parentOf = (pid: number): number =>
  Number(/^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);

function nameOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8").trim();
  } catch {
    return ""; // it has just ended
  }
}

function endIfAlive(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

/** Returns the file that PATH has for a command. */
export const pathOf = (command: string): string =>
  execFileSync("sh", ["-c", `command -v ${command}`], { encoding: "utf8" }).trim();
