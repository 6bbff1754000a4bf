// A network with a real DHCP server, containers that are plugged into it, and the daemon: all of it gone when the test is over.
//
//   host namespace: br0 10.77.0.1/24, where the server listens, with one port for each container's eth0
import { spawn } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, watch, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { type Call, type Host, newHost, type Outcome, type Verb } from "../lab/host.ts";
import { goBin, ourBin } from "../lab/project.ts";
import "../lab/search-path.ts";

interface Test {
  teardown(work: () => unknown): unknown;
}

/** A program that runs beside the test. */
export interface Running {
  pid: number;
  /** Everything it has written so far. */
  output(): string;
  /** Waits until it has written this, behind the character `from`. @throws Error it has not after 20 s, or ended */
  until(text: RegExp, from?: number): Promise<string>;
  /** Ends it, and waits for that. @returns its exit status */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

export interface Lab {
  node: Host;
  /** For the daemon's socket and the servers' files. */
  dir: string;
  socket: string;
  /** A configuration that asks the daemon here. */
  network(ipam?: object, keys?: object): Record<string, unknown>;
  /** The plugin, in the first container unless another one is named. */
  cni(verb: Verb, conf?: unknown, call?: Call): Outcome;
  cniAtOnce(verb: Verb, conf?: unknown, call?: Call): Promise<Outcome>;
  /** Plugs another interface of a container in. */
  plug(container: number, ifName: string): void;
  startDaemon(...flags: string[]): Promise<Running>;
  /** The Go plugins' daemon in its place. */
  /** Starts one whose mount namespace has no namespace at this path. */
  startDaemonWithout(path: string): Promise<Running>;
  startGoDaemon(): Promise<Running>;
  startServer(server: Server): Promise<Running>;
  /** What dnsmasq's file of leases says, once there are so many of them: "10.77.0.10 <MAC>" each. It writes after it has answered. */
  leases(count: number): Promise<string[]>;
}

/** dnsmasq gives no lease for less than two minutes, and keeps T1 at a half of it; udhcpd gives any. */
export type Server = ({ dnsmasq: readonly string[]; range?: string } | { udhcpd: readonly string[] }) & {
  /** Where it listens: the host's br0, or eth0 of a container. */
  container?: number;
};

function isListenedTo(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path, () => socket.destroy());
    socket.on("error", () => resolve(false));
    socket.on("close", (failed) => resolve(!failed));
  });
}

export async function newLab(
  t: Test,
  { containers = 1, flags = [] as readonly string[] } = {},
): Promise<Lab & { daemon: Running }> {
  const lab = labOf(t, newHost(t, { containers }));
  return { ...lab, daemon: await lab.startDaemon(...flags) };
}

function labOf(t: Test, node: Host): Lab {
  const dir = mkdtempSync(join(tmpdir(), `${node.name}-dhcp-`));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const socket = join(dir, "dhcp.sock");
  node.sh("ip link add br0 type bridge; ip address add 10.77.0.1/24 dev br0; ip link set br0 up");
  const plug = (container: number, ifName: string) => {
    const port = `c${container}${ifName}`;
    node.sh(`ip link add ${port} type veth peer name ${ifName} netns ${node.containers[container]?.name}
             ip link set ${port} master br0 up`);
  };
  for (const container of node.containers.keys()) plug(container, "eth0");
  const network = (ipam: object = {}, keys: object = {}) => ({
    cniVersion: "1.1.0",
    name: "net",
    type: "bridge",
    ipam: { type: "dhcp", daemonSocketPath: socket, ...ipam },
    ...keys,
  });
  return {
    node,
    dir,
    socket,
    network,
    plug,
    cni: (verb, conf = network(), call = {}) => node.cni("dhcp", verb, conf, call),
    cniAtOnce: (verb, conf = network(), call = {}) => node.cniAtOnce("dhcp", verb, conf, call),
    async startDaemon(...flags) {
      const daemon = start(t, dir, join(ourBin, "dhcp"), ["daemon", "-socketpath", socket, ...flags]);
      await daemon.until(/listening on/);
      return daemon;
    },
    async startDaemonWithout(path) {
      const script = 'umount "$1"; shift; exec "$@"';
      const command = [join(ourBin, "dhcp"), "daemon", "-socketpath", socket];
      const unshared = ["-m", "--propagation", "private", "sh", "-c", script, "sh", path, ...command];
      const daemon = start(t, dir, "unshare", unshared);
      await daemon.until(/listening on/);
      return daemon;
    },
    async startGoDaemon() {
      const daemon = start(t, dir, join(goBin, "dhcp"), ["daemon", "-socketpath", socket]);
      while (!(await isListenedTo(socket))); // it says nothing
      return daemon;
    },
    async startServer(server) {
      const place = server.container === undefined ? node : node.containers[server.container];
      const device = server.container === undefined ? "br0" : "eth0";
      const { command, args, ready } = "dnsmasq" in server ? dnsmasq(server, dir, device) : udhcpd(server, dir, device);
      const running = start(t, dir, "ip", ["netns", "exec", place?.name ?? "", command, ...args]);
      await running.until(ready);
      return running;
    },
    leases: (count) =>
      until(join(dir, "dnsmasq.leases"), (text) => (leasesIn(text).length === count ? leasesIn(text) : undefined)),
  };
}

/** Without its own look whether an address is in use (3 s), unless the test wants that. */
function dnsmasq(
  { dnsmasq: args, range = "10.77.0.10,10.77.0.99,255.255.255.0,120" }: Extract<Server, { dnsmasq: unknown }>,
  dir: string,
  device: string,
) {
  const standard = [
    "--no-daemon",
    "--conf-file=/dev/null",
    "--port=0",
    `--interface=${device}`,
    "--bind-interfaces",
    "--no-ping",
  ];
  const files = [`--dhcp-leasefile=${join(dir, "dnsmasq.leases")}`, "--log-dhcp", `--dhcp-range=${range}`];
  return { command: "dnsmasq", args: [...standard, ...files, ...args], ready: /sockets bound/ };
}

function udhcpd({ udhcpd: lines }: Extract<Server, { udhcpd: unknown }>, dir: string, device: string) {
  const file = join(dir, `udhcpd-${device}.conf`);
  const standard = [
    `interface ${device}`,
    "start 10.77.0.10",
    "end 10.77.0.99",
    "option subnet 255.255.255.0",
    "min_lease 1",
    "conflict_time 60",
  ];
  writeFileSync(file, `${[...standard, `lease_file ${join(dir, "udhcpd.leases")}`, ...lines].join("\n")}\n`);
  writeFileSync(join(dir, "udhcpd.leases"), "");
  return { command: "busybox", args: ["udhcpd", "-f", "-a", "1", file], ready: /started/ };
}

/** What the plugin that calls dhcp does with the address. */
export function configure({ node }: Lab, result: unknown, container = 0): string {
  const { ips } = result as { ips: { address: string }[] };
  const address = ips[0]?.address ?? "";
  node.containers[container]?.sh(`ip address add ${address} dev eth0`);
  return address.replace("/24", "");
}

export const isUp = ({ node }: Lab): boolean => /<.*\bUP\b/.test(node.containers[0]?.sh("ip -br link show eth0") ?? "");

/** Waits until the daemon has set the interface down: it says before that why the lease is over. @throws Error it has not after 20 s */
export async function untilDown(lab: Lab): Promise<void> {
  for (const deadline = Date.now() + longestWaitMs; isUp(lab); await setTimeout(20))
    if (Date.now() > deadline) throw new Error("the container's interface is still up");
}

/** The daemon has a lease that ends after this. */
export const lasting = (seconds: number): RegExp => new RegExp(`has 10\\.77\\.0\\.\\d+ for ${seconds} s`);

const longestWaitMs = 20_000;

const leasesIn = (text: string): string[] =>
  text
    .split("\n")
    .map((line) => line.split(" "))
    .flatMap(([, mac, address]) => (address === undefined ? [] : [`${address} ${mac}`]));

/** Waits until a file's text is as wanted: until `found` gives something, or throws. */
function until<T>(file: string, found: (text: string) => T | undefined): Promise<T> {
  return new Promise((resolve, reject) => {
    const end = (work: () => void) => {
      clearTimeout(deadline);
      clearInterval(heartbeat);
      watcher.close();
      work();
    };
    const look = () => {
      try {
        const value = found(readFileSync(file, "utf8"));
        if (value !== undefined) end(() => resolve(value));
      } catch (error) {
        end(() => reject(error));
      }
    };
    const watcher = watch(file, look);
    const heartbeat = setInterval(look, 500); // for a program that ends without a word
    const tooLate = () => end(() => reject(new Error(`not what was waited for:\n${readFileSync(file, "utf8")}`)));
    const deadline = globalThis.setTimeout(tooLate, longestWaitMs);
    look();
  });
}

/** It writes to a file: a pipe would fill up while the test waits for a plugin, and with it the program would stop. */
function start(t: Test, dir: string, command: string, args: readonly string[]): Running {
  const file = join(dir, `output-${++started}`);
  const fd = openSync(file, "w");
  const child = spawn(command, args, { stdio: ["ignore", fd, fd] });
  closeSync(fd);
  let status: number | null | undefined;
  const ended = new Promise<number | null>((resolve) =>
    child.on("close", (code) => {
      status = code;
      resolve(code);
    }),
  );
  const output = () => readFileSync(file, "utf8");
  const running: Running = {
    pid: child.pid ?? 0,
    output,
    until: (wanted, from = 0) =>
      until(file, (text) => {
        if (wanted.test(text.slice(from))) return text;
        if (status !== undefined) throw new Error(`${command} ended (${status}) without ${wanted}:\n${text}`);
        return undefined;
      }),
    stop(signal = "SIGTERM") {
      if (status === undefined) child.kill(signal);
      return ended;
    },
  };
  t.teardown(() => running.stop("SIGKILL"));
  return running;
}
let started = 0;
