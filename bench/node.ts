// Where the contenders run: throw-away hosts with a launcher inside, and calls of plugins as a container runtime makes them.
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Container, type Host, newHost, type Verb } from "../e2e/lab/host.ts";
import { type Counts, type Job, type Launcher, openLauncher, type Run, type Runs } from "./launcher.ts";

/** Longer than the kernel puts off what belongs to a deletion (25 ms): it is not for the next program to pay. */
const PAUSE_MS = 30;

/** `ip netns exec` gives a mount namespace of its own, in which /var/lib becomes the host's. */
const bindVarLib = 'mount --bind "$0" /var/lib && exec "$@"';

export interface Node {
  host: Host;
  launcher: Launcher;
  /** For standard input and output of the calls; the same path inside and outside. */
  folder: string;
  /** Starts /bin/true. */
  bare(): Promise<Run>;
  remove(): void;
}

/** A host with containers, a namespace each. It is removed with the process, however that ends. */
export function newNode(launcherFile: string, containers: number): Node {
  const removals: (() => void)[] = [];
  const host = newHost({ teardown: (work) => removals.push(work) }, { containers });
  const folder = join(host.varLib, "bench");
  mkdirSync(folder);
  const inside = ["ip", "netns", "exec", host.name, "sh", "-c", bindVarLib, host.varLib];
  const launcher = openLauncher([...inside, launcherFile]);
  const nothing = { stdin: "/dev/null", stdout: "/dev/null", environment: {} };
  return {
    host,
    launcher,
    folder,
    bare: () => one(launcher.run([{ ...nothing, program: "/bin/true" }], PAUSE_MS)),
    remove() {
      launcher.close();
      for (const remove of removals) remove();
    },
  };
}

export interface Netconf {
  cniVersion: string;
  name: string;
  [key: string]: unknown;
}

/** Whose executables are called, and what they get beyond a runtime's environment. */
export interface Contender {
  bin: string;
  environment?: (conf: Netconf, containerId: string) => Record<string, string>;
}

export interface Attachment {
  containerId: string;
  netns: string;
  /** What ADD answered: prevResult of CHECK and DEL, as runtimes pass it. */
  result?: unknown;
}

/** Under a new container ID, of the length that runtimes use. */
export function newAttachment({ path }: Container): Attachment {
  return { containerId: randomBytes(32).toString("hex"), netns: path };
}

export interface Caller {
  call(verb: Verb, attachment: Attachment): Promise<Run>;
  callAll(verb: Verb, attachments: readonly Attachment[]): Promise<Runs>;
  /** Calls it under a tracer, which takes long: for what is counted, not timed. */
  count(verb: Verb, attachment: Attachment): Promise<Counts>;
}

/** Calls a contender's plugin with one configuration. */
export function caller(node: Node, { bin, environment }: Contender, plugin: string, conf: Netconf): Caller {
  const jobFor = (verb: Verb, attachment: Attachment): Job => {
    const { containerId, netns, result } = attachment;
    const [stdin, stdout] = ["in", "out"].map((end) => join(node.folder, `${containerId}.${end}`)) as [string, string];
    writeFileSync(stdin, JSON.stringify(result === undefined ? conf : { ...conf, prevResult: result }));
    return {
      program: join(bin, plugin),
      stdin,
      stdout,
      environment: {
        PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
        CNI_COMMAND: verb,
        CNI_CONTAINERID: containerId,
        CNI_NETNS: netns,
        CNI_IFNAME: "eth0",
        CNI_PATH: bin,
        ...environment?.(conf, containerId),
      },
    };
  };
  const callAll: Caller["callAll"] = async (verb, attachments) => {
    const jobs = attachments.map((attachment) => jobFor(verb, attachment));
    const runs = await node.launcher.run(jobs, PAUSE_MS);
    attachments.forEach((attachment, i) => {
      keepResult(verb, attachment, jobs[i]);
    });
    return runs;
  };
  const count: Caller["count"] = async (verb, attachment) => {
    const job = jobFor(verb, attachment);
    const counts = await node.launcher.count(job, PAUSE_MS);
    keepResult(verb, attachment, job);
    return counts;
  };
  return { callAll, count, call: (verb, attachment) => one(callAll(verb, [attachment])) };
}

function keepResult(verb: Verb, attachment: Attachment, job: Job | undefined): void {
  if (verb === "ADD" && job !== undefined) attachment.result = JSON.parse(readFileSync(job.stdout, "utf8"));
}

async function one(runs: Promise<Runs>): Promise<Run> {
  const [run] = (await runs).each;
  if (run === undefined) throw new Error("nothing was run");
  return run;
}

/** The order of the contenders changes from round to round, so that none always follows the same other. */
export function rotated<T>(items: readonly T[], round: number): T[] {
  const first = round % items.length;
  return [...items.slice(first), ...items.slice(0, first)];
}

/** As the reference plugins name a container's chain: `CNI-` and 24 digits. */
export function chainName(containerId: string): string {
  return `CNI-${createHash("sha512").update(containerId).digest("hex").slice(0, 24)}`;
}
