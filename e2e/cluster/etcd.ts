// The throw-away etcd of the tests: Debian's, with data, ports and certificates of its own; etcdctl is the independent eye.
//
// Each member runs under a shell that reads from the test process and ends it when nothing more can come: it cannot outlive
// the test, not even one that was killed. Its folder carries the process ID, as those of e2e/lab/host.ts, and is removed like them.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import "../lab/search-path.ts";
import { freePort } from "../lab/free-port.ts";
import { type Certificates, makeCertificates } from "./certificates.ts";

export interface EtcdOptions {
  /** Network namespace to run in, where it takes the usual ports; the test's own, with free ports, unless given. */
  namespace?: string;
  /** Addresses to listen on: 127.0.0.1 unless given. */
  listen?: readonly string[];
  /** 1 unless given. In one namespace, with ports 10 apart. */
  members?: number;
  /** "server": clients only check the server; "clients": they need certificates too. */
  tls?: "server" | "clients";
  /** Makes it ask for user and password: "root" has this one. */
  password?: string;
  /** Whether it serves v2 keys too, which `etcdctlV2` reads and writes. */
  v2?: boolean;
}

export interface Etcd {
  /** URLs of all members, `http://127.0.0.1:45123`. */
  endpoints: readonly string[];
  members: readonly Member[];
  /** With `tls`. */
  certificates?: Certificates;
  /** Runs etcdctl (as root, with certificates, if needed). @returns what it prints @throws Error with its stderr */
  etcdctl(...args: string[]): string;
  /** The same with its v2 commands, for an etcd with `v2`. */
  etcdctlV2(...args: string[]): string;
  /** @param ttlSeconds With a lease of its own; without one it stays for ever. */
  put(key: string, value: string, ttlSeconds?: number): void;
  /** All keys that begin so, with their values. */
  get(prefix: string): Record<string, string>;
  del(key: string): void;
  /** Forgets what was before now. */
  compact(): void;
  /** Makes another member the leader. @returns its endpoint */
  moveLeader(): string;
  stop(): Promise<void>;
  /** Again, with the same data and ports. */
  start(): Promise<void>;
}

/** A process of the cluster. */
export interface Member {
  endpoint: string;
  start(): Promise<void>;
  stop(): Promise<void>;
  /** As a power cut. */
  kill(): Promise<void>;
  /** Keeps its connections, and says nothing until `thaw`. */
  freeze(): void;
  thaw(): void;
}

/** The part of tap's `t` that is needed here. */
interface Test {
  teardown(work: () => unknown): unknown;
}

/** @returns when it answers */
export async function startEtcd(t: Test, options: EtcdOptions = {}): Promise<Etcd> {
  const dir = mkdtempSync(join(tmpdir(), `twill-${process.pid}-etcd-`));
  const { listen = [loopback], tls } = options;
  const certificates = tls && makeCertificates(dir, [...new Set([...listen, loopback, "localhost"])]);
  const members = await planMembers(dir, { ...options, listen }, certificates);
  t.teardown(async () => {
    await Promise.all(members.map((member) => member.kill()));
    rmSync(dir, { recursive: true, force: true });
  });
  const start = async () => void (await Promise.all(members.map((member) => member.start())));
  await start();

  const cluster = { ...options, endpoints: members.map(({ endpoint }) => endpoint), certificates };
  if (options.password) enablePasswords(cluster, options.password);
  return {
    endpoints: cluster.endpoints,
    members,
    ...(certificates && { certificates }),
    ...eyesOn((...args) => etcdctl(cluster, args)),
    etcdctlV2: (...args) => etcdctlV2(cluster, args),
    start,
    stop: async () => void (await Promise.all(members.map((member) => member.stop()))),
  };
}

/** An endpoint that takes connections and never says a word. @returns its URL */
export async function startSilentEndpoint(t: Test): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => sockets.add(socket.on("error", () => {}))).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A way to an endpoint that can be cut as a firewall does: what is connected hears nothing more, not even an end. */
export interface Link {
  /** URL of its near end. */
  endpoint: string;
  /** Concerns the connections that there are; new ones get through. */
  cut(): void;
}

export async function startLink(t: Test, to: string): Promise<Link> {
  const { hostname, port, protocol } = new URL(to);
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(Number(port), hostname);
    near.pipe(far).pipe(near);
    for (const socket of [near, far]) sockets.add(socket.on("error", () => {}));
  }).listen(0, loopback);
  await once(server, "listening");
  t.teardown(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return {
    endpoint: `${protocol}//${loopback}:${(server.address() as AddressInfo).port}`,
    cut() {
      for (const socket of sockets) socket.unpipe().resume();
    },
  };
}

const loopback = "127.0.0.1";
const standardPorts = { client: 2379, peer: 2380 };

interface Cluster {
  endpoints: readonly string[];
  namespace?: string;
  certificates: Certificates | undefined;
  password?: string;
}

function etcdctl({ certificates, password, ...cluster }: Cluster, args: readonly string[]): string {
  return runEtcdctl(cluster, "3", [
    ...(args.includes("--endpoints") ? [] : ["--endpoints", cluster.endpoints.join(",")]),
    ...(certificates ? ["--cacert", certificates.ca] : []),
    ...(certificates ? ["--cert", certificates.client.certificate, "--key", certificates.client.key] : []),
    ...(password ? ["--user", `root:${password}`] : []),
    ...args,
  ]);
}

function etcdctlV2({ certificates, ...cluster }: Cluster, args: readonly string[]): string {
  const { ca = "", client = { certificate: "", key: "" } } = certificates ?? {};
  const files = ["--ca-file", ca, "--cert-file", client.certificate, "--key-file", client.key];
  return runEtcdctl(cluster, "2", [
    ...["--endpoints", cluster.endpoints.join(",")],
    ...(certificates ? files : []),
    ...args,
  ]);
}

function runEtcdctl({ namespace }: Pick<Cluster, "namespace">, api: "2" | "3", args: readonly string[]): string {
  const command = [...insideOf(namespace), "etcdctl", ...args];
  const environment = { PATH: process.env["PATH"], ETCDCTL_API: api };
  return execFileSync("env", command, { encoding: "utf8", env: environment, stdio: ["ignore", "pipe", "pipe"] });
}

function enablePasswords({ password: _, ...cluster }: Cluster, password: string): void {
  etcdctl(cluster, ["user", "add", `root:${password}`]);
  etcdctl(cluster, ["user", "grant-role", "root", "root"]);
  etcdctl(cluster, ["auth", "enable"]);
}

/** What a test sees and does without our code. */
function eyesOn(etcdctl: Etcd["etcdctl"]): Pick<Etcd, "etcdctl" | "put" | "get" | "del" | "compact" | "moveLeader"> {
  return {
    etcdctl,
    put(key, value, ttlSeconds) {
      const lease = ttlSeconds === undefined ? [] : [`--lease=${grantLease(etcdctl, ttlSeconds)}`];
      etcdctl("put", ...lease, "--", key, value);
    },
    get(prefix) {
      const answer = JSON.parse(etcdctl("get", "--prefix", "-w", "json", "--", prefix)) as { kvs?: KeyValue[] };
      return Object.fromEntries((answer.kvs ?? []).map(({ key, value = "" }) => [text(key), text(value)]));
    },
    del: (key) => void etcdctl("del", "--", key),
    compact() {
      const revision = /"revision":(\d+)/.exec(etcdctl("get", "x", "-w", "json"))?.[1] ?? "?";
      try {
        etcdctl("compact", revision);
      } catch (error) {
        if (!String(error).includes("has been compacted")) throw error; // nothing is new since the last time
      }
    },
    moveLeader() {
      const members = statusOf(etcdctl);
      const [leader, next] = [members.find(({ leads }) => leads), members.find(({ leads }) => !leads)];
      if (!leader || !next) throw new Error(`nobody can take over: ${JSON.stringify(members)}`);
      etcdctl("move-leader", next.id, "--endpoints", leader.endpoint);
      return next.endpoint;
    },
  };
}

/** In base64. */
interface KeyValue {
  key: string;
  value?: string;
}

const text = (base64: string) => Buffer.from(base64, "base64").toString();

/** @returns its ID */
function grantLease(etcdctl: Etcd["etcdctl"], ttlSeconds: number): string {
  const answer = etcdctl("lease", "grant", String(ttlSeconds));
  return /^lease ([0-9a-f]+) granted/.exec(answer)?.[1] ?? answer;
}

/** A line of `etcdctl endpoint status` per member: endpoint, ID, version, size, whether it leads ... */
function statusOf(etcdctl: Etcd["etcdctl"]): { endpoint: string; id: string; leads: boolean }[] {
  const lines = etcdctl("endpoint", "status").trim().split("\n");
  return lines.map((line) => {
    const [endpoint = "", id = "", , , leads] = line.split(", ");
    return { endpoint, id, leads: leads === "true" };
  });
}

async function planMembers(
  dir: string,
  options: EtcdOptions & { listen: readonly string[] },
  certificates: Certificates | undefined,
): Promise<Member[]> {
  const count = options.members ?? 1;
  const ports = await Promise.all(Array.from({ length: count }, (_, i) => portsOf(i, options.namespace)));
  const peers = ports.map(({ peer }, i) => `m${i}=http://${loopback}:${peer}`).join(",");
  return ports.map(({ client, peer }, i) => {
    const scheme = certificates ? "https" : "http";
    const urls = options.listen.map((address) => `${scheme}://${inUrl(address)}:${client}`);
    const args = [
      ["--name", `m${i}`, "--data-dir", join(dir, `m${i}`)],
      ["--listen-client-urls", urls.join(","), "--advertise-client-urls", urls.join(",")],
      [
        "--listen-peer-urls",
        `http://${loopback}:${peer}`,
        "--initial-advertise-peer-urls",
        `http://${loopback}:${peer}`,
      ],
      ["--initial-cluster", peers, "--initial-cluster-token", dir],
      ["--heartbeat-interval", "50", "--election-timeout", "500", "--bcrypt-cost", "4"], // quick tests
      ...(certificates ? [tlsArguments(certificates, options.tls)] : []),
      ...(options.v2 ? [["--enable-v2"]] : []),
    ];
    return memberOf(urls[0] ?? "", [...insideOf(options.namespace), "etcd", ...args.flat()]);
  });
}

async function portsOf(index: number, namespace: string | undefined): Promise<{ client: number; peer: number }> {
  if (!namespace) return { client: await freePort(), peer: await freePort() };
  return { client: standardPorts.client + 10 * index, peer: standardPorts.peer + 10 * index };
}

function tlsArguments({ ca, server }: Certificates, tls: EtcdOptions["tls"]): string[] {
  const clients = tls === "clients" ? ["--client-cert-auth", "--trusted-ca-file", ca] : [];
  return ["--cert-file", server.certificate, "--key-file", server.key, ...clients];
}

function insideOf(namespace: string | undefined): string[] {
  return namespace ? ["ip", "netns", "exec", namespace] : [];
}

function inUrl(address: string): string {
  return address.includes(":") ? `[${address}]` : address;
}

/** Tells etcd's process ID and ends with it; ends it when the input ends, which is with the test process at the latest. */
const untilInputEnds = `
  exec 3<&0
  env "$@" </dev/null 3<&- &
  etcd=$!
  echo "pid $etcd" >&2
  { cat <&3 >/dev/null; kill -KILL $etcd; } 2>/dev/null &
  wait $etcd`;

interface Running {
  pid: number;
  ended: Promise<unknown>;
  /** Lets the shell's watch over it end. */
  release(): void;
}

function memberOf(endpoint: string, command: readonly string[]): Member {
  let running: Running | undefined;
  const end = async (signal: NodeJS.Signals) => {
    if (!running) return;
    const { pid, ended, release } = running;
    running = undefined;
    process.kill(pid, signal);
    await ended;
    release();
  };
  return {
    endpoint,
    async start() {
      running ??= await started(command);
    },
    stop: () => end("SIGTERM"),
    kill: () => end("SIGKILL"),
    freeze: () => void (running && process.kill(running.pid, "SIGSTOP")),
    thaw: () => void (running && process.kill(running.pid, "SIGCONT")),
  };
}

/** @throws Error with what etcd printed when it ends instead of getting ready */
async function started(command: readonly string[]): Promise<Running> {
  const shell = spawn("sh", ["-c", untilInputEnds, "etcd", ...command], { stdio: ["pipe", "ignore", "pipe"] });
  const ended = once(shell, "exit");
  const printed: string[] = [];
  for await (const line of createInterface({ input: shell.stderr })) {
    printed.push(line);
    if (line.includes("ready to serve client requests")) break;
  }
  if (!printed.at(-1)?.includes("ready to serve")) throw new Error(`etcd has not started:\n${printed.join("\n")}`);
  shell.stderr.resume(); // what nobody reads would fill the pipe
  const pid = Number(printed.find((line) => line.startsWith("pid "))?.slice("pid ".length));
  return { pid, ended, release: () => shell.stdin.end() };
}
