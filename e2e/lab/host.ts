// The throw-away node of the tests: the "host" is a network namespace, its containers are others, /var/lib is a folder
// of its own, and an executable is called as a container runtime calls it.
//
// All names carry the process ID of the test: they are unique, and what a killed run left behind is found and removed
// by the next one.
import {
  type ChildProcess,
  type SpawnOptionsWithoutStdio,
  type SpawnSyncOptionsWithStringEncoding,
  spawn,
  spawnSync,
} from "node:child_process";
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { ourBin } from "./project.ts";
import { filesBelow, lookAt, type Snapshot } from "./snapshot.ts";

export type Verb = "ADD" | "CHECK" | "DEL" | "GC" | "STATUS" | "VERSION";

export interface HostOptions {
  /** How many container namespaces; 1 unless given. */
  containers?: number;
  /** Folder of the executables that `cni` runs, ours unless given. */
  bin?: string;
}

export interface Call {
  /** Index of the container; 0 unless given. */
  container?: number;
  ifName?: string;
  containerId?: string;
  /** CNI_ARGS. */
  args?: string;
  bin?: string;
  /** CNI_PATH; `bin` unless given. */
  path?: string;
  /** Laid over the CNI_* variables that a runtime sets; undefined takes one away. */
  environment?: Record<string, string | undefined>;
  /** Program and arguments to run the plugin under, as strace. It has a mount namespace of its own: what it mounts, no other call sees. */
  under?: readonly string[];
  timeoutMs?: number;
}

export interface Ran {
  status: number | null;
  signal: string | null;
  stdout: string;
  stderr: string;
}

export interface Outcome {
  status: number | null;
  signal: string | null;
  /** Parsed where it is JSON, "" where nothing was printed. */
  stdout: unknown;
  stderr: string;
}

/** A network namespace. */
export interface Namespace {
  name: string;
  /** As CNI_NETNS has it. */
  path: string;
  run(command: string, ...args: string[]): Ran;
  /** Runs a shell script for its effect. @returns What it printed. @throws Error with its stderr when it fails. */
  sh(script: string): string;
  /** What a command that answers in JSON says, as in `json("ip", "-j", "link")`. */
  json(command: string, ...args: string[]): unknown;
}

/** Its commands, like its plugins, see the private /var/lib. */
export interface Host extends Namespace {
  containers: Container[];
  /** What the plugins see as /var/lib. */
  varLib: string;
  /** Calls a plugin in the host namespace. @param conf An object to print as JSON, or the bytes of stdin. */
  cni(plugin: string, verb: Verb, conf: unknown, call?: Call): Outcome;
  /** The same without waiting, for calls side by side. */
  cniAtOnce(plugin: string, verb: Verb, conf: unknown, call?: Call): Promise<Outcome>;
  /** Runs any executable as plugins run, but in a mount namespace of its own, with this environment alone. */
  runInside(command: readonly string[], environment?: Record<string, string>, stdin?: string): Ran;
  /** The same without waiting. */
  runInsideAtOnce(command: readonly string[], environment?: Record<string, string>): Promise<Ran>;
  /** Writes a file that plugins see under `path`, which begins with /var/lib/. */
  write(path: string, content: string): void;
  snapshot(): Snapshot;
}

export interface Container extends Namespace {
  id: string;
}

/** The part of tap's `t` that is needed here. */
interface Test {
  teardown(work: () => void): unknown;
}

export function newHost(t: Test, { containers = 1, bin = ourBin }: HostOptions = {}): Host {
  removeLeftovers();
  const name = `${prefix}${process.pid}-${++hostsMade}`;
  const dir = mkdtempSync(join(tmpdir(), `${name}-`));
  const children = Array.from({ length: containers }, (_, i) => `${name}-c${i}`);
  const remove = () => {
    if (mounts !== undefined) closeSync(mounts);
    mounts = undefined; // called again at the end of the process if what follows fails
    removeNamespaces([name, ...children]);
    rmSync(dir, { recursive: true, force: true, maxRetries: 10 }); // ENOTEMPTY: a program that was killed is still writing
    removals.delete(remove);
  };
  let mounts: number | undefined;
  removals.add(remove);
  t.teardown(remove);

  const varLib = join(dir, "var-lib");
  mkdirSync(join(varLib, "cni"), { recursive: true });
  makeNamespaces([name, ...children]);
  mounts = setUp(name, children, varLib);
  const throughHost = [
    "nsenter",
    `--net=${netnsPath(name)}`,
    `--mount=/proc/${process.pid}/fd/${mounts}`,
    `--wdns=${process.cwd()}`,
  ];
  const host = namespaceCalled(name, throughHost);

  const inside = (command: readonly string[]) => [
    ...throughNamespace(name),
    "sh",
    "-c",
    bindVarLib,
    varLib,
    ...command,
  ];
  const commandOf = (plugin: string, { under = [], ...call }: Call) => {
    const executable = join(call.bin ?? bin, plugin);
    return under.length > 0 ? inside([...under, executable]) : [...throughHost, executable];
  };
  const environmentOf = (verb: Verb, { container = 0, ifName = "eth0", args = "", ...call }: Call) => ({
    PATH: standardPath,
    CNI_COMMAND: verb,
    CNI_CONTAINERID: call.containerId ?? containerId(container),
    CNI_NETNS: netnsPath(`${name}-c${container}`),
    CNI_IFNAME: ifName,
    CNI_PATH: call.path ?? call.bin ?? bin,
    ...(args && { CNI_ARGS: args }),
    ...call.environment,
  });

  return {
    ...host,
    containers: children.map((child, i) => ({ ...namespaceCalled(child), id: containerId(i) })),
    varLib,
    cni(plugin, verb, conf, call = {}) {
      return outcome(
        spawnCommandSync(commandOf(plugin, call), {
          env: environmentOf(verb, call),
          input: bytesOf(conf),
          encoding: "utf8",
          timeout: call.timeoutMs ?? longestCallMs,
          killSignal: "SIGKILL",
          maxBuffer: 64 << 20,
        }),
      );
    },
    async cniAtOnce(plugin, verb, conf, call = {}) {
      const child = spawnCommand(commandOf(plugin, call), {
        env: environmentOf(verb, call),
        timeout: call.timeoutMs ?? longestCallMs,
        killSignal: "SIGKILL",
      });
      child.stdin.on("error", () => {}); // EPIPE: a plugin that is done need not have read all
      child.stdin.end(bytesOf(conf));
      return outcome(await collected(child));
    },
    runInside(command, environment = {}, stdin = "") {
      return ran(
        spawnCommandSync(inside(command), {
          ...spawnOptions,
          env: { PATH: standardPath, ...environment },
          input: stdin,
        }),
      );
    },
    runInsideAtOnce(command, environment = {}) {
      const child = spawnCommand(inside(command), {
        env: { PATH: standardPath, ...environment },
        timeout: longestCallMs,
        killSignal: "SIGKILL",
      });
      child.stdin.end();
      return collected(child);
    },
    write(path, content) {
      if (!path.startsWith("/var/lib/")) throw new Error(`${path} is not below /var/lib`);
      const file = join(varLib, path.slice("/var/lib/".length));
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, content);
    },
    snapshot() {
      return { namespaces: lookAt([name, ...children]), files: filesBelow(varLib) };
    },
  };
}

const prefix = "twill-";
const longestCallMs = 60_000;
const standardPath = "/usr/sbin:/usr/bin:/sbin:/bin";
const spawnOptions = { encoding: "utf8", timeout: longestCallMs, killSignal: "SIGKILL", maxBuffer: 64 << 20 } as const;
let hostsMade = 0;

/** `ip netns exec` gives the command a mount namespace of its own, so this is seen by nobody else. */
const bindVarLib = 'mount --bind "$0" /var/lib && exec "$@"';

/** What starts each command in a network namespace, with a /sys that shows it. */
const throughNamespace = (name: string): string[] => ["ip", "netns", "exec", name];

/**
 * IPv6 addresses are usable at once: duplicate address detection takes 1 to 2 s, which each ADD and each snapshot would wait for, and 5 s where
 * a link has no carrier. Tests about it switch it on.
 */
const addressesAtOnce = "echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad";

/**
 * Run with the private /var/lib, and the network namespaces of the containers. Prints the ID of a process that has the mount namespace until
 * that is opened.
 */
const hostSetUp = `
ip link set lo up && ${addressesAtOnce} || exit 1
for n; do nsenter --net="$n" sh -c '${addressesAtOnce}' || exit 1; done
sleep 60 > /dev/null 2>&1 &
echo $!
`;

/**
 * Prepares namespaces that have just been made.
 * @returns A file descriptor of the host's mount namespace. Commands enter it: to make one for each would cost 10 ms, and 2 ms when it ends.
 */
function setUp(name: string, children: readonly string[], varLib: string): number {
  const script = ["sh", "-c", bindVarLib, varLib, "sh", "-c", hostSetUp, "sh", ...children.map(netnsPath)];
  const { status, stdout, stderr } = ran(spawnCommandSync([...throughNamespace(name), ...script], spawnOptions));
  if (status !== 0) throw new Error(`cannot set up namespace ${name}: exit status ${status}: ${stderr}`);
  const holder = Number(stdout);
  const mounts = openSync(`/proc/${holder}/ns/mnt`, "r");
  process.kill(holder, "SIGKILL");
  while (namespaceOf(holder) !== ""); // a test that asks who runs in the namespace must not find it
  return mounts;
}

/** Returns the network namespace of a process as the kernel names it; "" for one that has ended. */
function namespaceOf(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return "";
  }
}

function containerId(container: number): string {
  return `container-${container}`;
}

function netnsPath(name: string): string {
  return `/run/netns/${name}`;
}

/** @param through What starts each command in there. */
function namespaceCalled(name: string, through: readonly string[] = throughNamespace(name)): Namespace {
  const run = (command: string, ...args: string[]) =>
    ran(spawnCommandSync([...through, command, ...args], { ...spawnOptions, input: "" }));
  const printed = (command: string, ...args: string[]) => {
    const { status, stdout, stderr } = run(command, ...args);
    if (status !== 0) throw new Error(`${[command, ...args].join(" ")}: exit status ${status}: ${stderr || stdout}`);
    return stdout;
  };
  return {
    name,
    path: netnsPath(name),
    run,
    sh: (script) => printed("sh", "-ec", script),
    json: (command, ...args) => JSON.parse(printed(command, ...args)),
  };
}

function spawnCommandSync([program = "", ...args]: readonly string[], options: SpawnSyncOptionsWithStringEncoding) {
  return spawnSync(program, args, options);
}

function spawnCommand([program = "", ...args]: readonly string[], options: SpawnOptionsWithoutStdio) {
  return spawn(program, args, options);
}

function bytesOf(conf: unknown): string | Uint8Array {
  return typeof conf === "string" || conf instanceof Uint8Array ? conf : JSON.stringify(conf);
}

function ran({ status, signal, stdout, stderr, error }: Ran & { error?: Error }): Ran {
  const gone = (error as NodeJS.ErrnoException | undefined)?.code === "EPIPE"; // it was done before it had read all
  if (error && signal === null && !gone) throw error;
  return { status, signal, stdout, stderr };
}

function outcome(done: Ran & { error?: Error }): Outcome {
  const { status, signal, stdout, stderr } = ran(done);
  return { status, signal, stdout: parsedIfJson(stdout), stderr };
}

function parsedIfJson(printed: string): unknown {
  try {
    return JSON.parse(printed);
  } catch {
    return printed;
  }
}

function collected(child: ChildProcess): Promise<Ran> {
  const texts = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"] as const) {
    child[stream]?.setEncoding("utf8").on("data", (chunk: string) => {
      texts[stream] += chunk;
    });
  }
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status, signal) => resolve({ status, signal, ...texts }));
  });
}

function makeNamespaces(names: readonly string[]): void {
  batch(names.map((name) => `netns add ${name}`));
}

/** Also ends what still runs in them, again where one that is killed has just started another, as the resolver's two processes do. */
function removeNamespaces(names: readonly string[]): void {
  const present = names.filter((name) => existsSync(netnsPath(name)));
  for (let found = processesIn(present); found.length > 0; found = processesIn(present)) found.forEach(killIfAlive);
  batch(present.map((name) => `netns del ${name}`));
}

/** One look at /proc for all of them: `ip netns pids` would have one for each. */
function processesIn(names: readonly string[]): number[] {
  const namespaces = new Set(names.map((name) => `net:[${statSync(netnsPath(name)).ino}]`));
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => pid > 0 && namespaces.has(namespaceOf(pid)));
}

/** Kills a process, which may have ended meanwhile. */
export function killIfAlive(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

function batch(lines: readonly string[]): void {
  if (lines.length === 0) return;
  const { status, stderr } = spawnSync("ip", ["-batch", "-"], { input: `${lines.join("\n")}\n`, encoding: "utf8" });
  if (status !== 0) throw new Error(`ip -batch ${lines.join("; ")}: ${stderr}`);
}

/** What is still to be removed when the process ends, however it ends. */
const removals = new Set<() => void>();

function removeAll(): void {
  for (const remove of removals) remove();
}

process.once("exit", removeAll);
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.once(signal, () => {
    removeAll();
    process.kill(process.pid, signal);
  });
}

/** Removes the namespaces and folders of test processes that are no more, once per process. */
function removeLeftovers(): void {
  if (hostsMade > 0) return;
  const ownerIsGone = (entry: string) => {
    const owner = new RegExp(`^${prefix}(\\d+)-`).exec(entry)?.[1];
    return owner !== undefined && !existsSync(`/proc/${owner}`);
  };
  const names = existsSync("/run/netns") ? readdirSync("/run/netns") : [];
  for (const name of names.filter(ownerIsGone)) spawnSync("ip", ["netns", "del", name]); // another test may be quicker
  for (const dir of readdirSync(tmpdir()).filter(ownerIsGone))
    rmSync(join(tmpdir(), dir), { recursive: true, force: true });
}
