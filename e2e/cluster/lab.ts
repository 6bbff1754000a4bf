// A cluster in namespaces, for the tests of the daemon.
//
//     host 0                host 1                host 2            each a throw-away node (../host.ts), its containers are pods
//     192.0.2.10            192.0.2.11            192.0.2.12
//     2001:db8::10          2001:db8::11          2001:db8::12
//        eth0                  eth0                  eth0
//          +---- bridge "switch" ---+------------------+            the underlay: also the router, where etcd runs,
//                192.0.2.1, 2001:db8::1                              and all that is outside
//                198.51.100.1, 2001:db8:ffff::1 on lo
import { existsSync, mkdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { type Container, type Host, newHost } from "../host.ts";
import { ourBin } from "../project.ts";
import { type Program, startProgram, type Test } from "./program.ts";
import { type Peer, startPeer } from "./traffic.ts";
import { until } from "./until.ts";

/** The daemon under test; FLANNELD names another one, installed elsewhere. */
const executable = process.env["FLANNELD"] ?? join(ourBin, "flanneld");

/** Where every host is sent for what it does not know. */
export const outside = { ipv4: "198.51.100.1", ipv6: "2001:db8:ffff::1" };
const router = { ipv4: "192.0.2.1", ipv6: "2001:db8::1" };
export const prefix = "/coreos.com/network";

export interface ClusterOptions {
  /** How many containers each host has that can become pods; 1 unless given. */
  pods?: number;
  /** The network configuration; none is written if it is left out. */
  network?: object;
}

export interface Cluster {
  /** Switch, router and outside. */
  underlay: Host;
  etcd: Etcd;
  /** One more host on the switch. */
  addHost(): ClusterHost;
}

export interface Etcd {
  endpoint: string;
  /** @returns what etcdctl printed @throws Error with its words */
  ctl(...args: string[]): string;
  /** As people do: `etcdctl put <prefix>/config`. */
  writeConfig(network: object | string): void;
  /** Values by key, below the prefix's `subnets/`: "10.5.3.0-24" -> what is known of that host. */
  leases(): Record<string, LeaseValue>;
  stop(): Promise<void>;
  start(): Promise<void>;
}

export interface LeaseValue {
  PublicIP: string;
  PublicIPv6: string | null;
  BackendType?: string;
  BackendData?: { VNI: number; VtepMAC: string };
  BackendV6Data?: { VNI: number; VtepMAC: string };
}

export interface ClusterHost extends Host {
  /** On the underlay. */
  ipv4: string;
  ipv6: string;
  subnetFile: string;
  /** What the daemon wrote there: FLANNEL_SUBNET … */
  subnetEnv(): Record<string, string>;
  /** Starts the daemon. @param flags Laid over those that every host has: etcd, subnet file, `--ip-masq`. */
  startDaemon(...flags: string[]): Daemon;
  /** Attaches the container to the pod network. */
  addPod(container?: number): Promise<Pod>;
}

export interface Daemon extends Program {
  /** It has taken a lease and written the subnet file. */
  ready(): Promise<void>;
}

export interface Pod extends Container, Peer {
  /** Empty when the network has no such family. */
  ipv4: string;
  ipv6: string;
  /** One ping, answered within a second. */
  reaches(address: string): boolean;
}

export async function newCluster(t: Test, { pods = 1, network }: ClusterOptions = {}): Promise<Cluster> {
  const underlay = newHost(t, { containers: 0 });
  underlay.sh(`
    ip link add switch type bridge
    ip link set switch up
    ip address add ${router.ipv4}/24 dev switch
    ip address add ${router.ipv6}/64 dev switch
    ip address add ${outside.ipv4}/32 dev lo
    ip address add ${outside.ipv6}/128 dev lo`);
  const etcd = await startEtcd(t, underlay);
  if (network) etcd.writeConfig(network);
  let made = 0;
  return {
    underlay,
    etcd,
    addHost: () => newClusterHost(t, { underlay, number: made++, pods, endpoint: etcd.endpoint }),
  };
}

/** Starts the daemons of these hosts and waits for each to be ready. */
export async function startDaemons(hosts: readonly ClusterHost[], ...flags: string[]): Promise<Daemon[]> {
  const daemons = hosts.map((host) => host.startDaemon(...flags));
  await Promise.all(daemons.map((daemon) => daemon.ready()));
  return daemons;
}

interface HostPlace {
  underlay: Host;
  /** From 0; the last part of its addresses is 10 more. */
  number: number;
  pods: number;
  /** Of etcd. */
  endpoint: string;
}

function newClusterHost(t: Test, { underlay, number, pods, endpoint }: HostPlace): ClusterHost {
  const host = newHost(t, { containers: pods });
  const [ipv4, ipv6] = [`192.0.2.${10 + number}`, `2001:db8::${10 + number}`];
  underlay.sh(`
    ip link add port${number} type veth peer name eth0 netns ${host.name}
    ip link set port${number} master switch up`);
  host.sh(`
    ip address add ${ipv4}/24 dev eth0
    ip address add ${ipv6}/64 dev eth0
    ip link set eth0 up
    ip route add default via ${router.ipv4}
    ip route add default via ${router.ipv6}`);
  const run = join(dirname(host.varLib), "run");
  mkdirSync(run);
  const subnetFile = join(run, "subnet.env");

  return {
    ...host,
    ipv4,
    ipv6,
    subnetFile,
    subnetEnv: () => readEnv(subnetFile),
    startDaemon(...flags) {
      const before = versionOf(subnetFile);
      const command = [
        executable,
        `--etcd-endpoints=${endpoint}`,
        `--subnet-file=${subnetFile}`,
        "--ip-masq",
        ...flags,
      ];
      const program = startProgram(t, host.name, command);
      return { ...program, ready: () => isWritten(subnetFile, before, program) };
    },
    addPod: (container = 0) => addPod(t, host, { container, subnetFile }),
  };
}

/** @param before What `versionOf` said before the daemon was started. */
async function isWritten(subnetFile: string, before: string, daemon: Program): Promise<void> {
  const over = daemon.ended.then(() => true);
  const outcome = await until("the subnet file", async () => {
    if (versionOf(subnetFile) !== before) return "written";
    return (await Promise.race([over, false])) && "ended";
  }).catch((error) => {
    throw new Error(`${error.message}; the daemon printed:\n${daemon.printed()}`);
  });
  if (outcome === "ended") throw new Error(`the daemon ended before it was ready; it printed:\n${daemon.printed()}`);
}

/** Another one for each time the file is written: it is replaced. */
function versionOf(file: string): string {
  if (!existsSync(file)) return "";
  const { ino, mtimeNs } = statSync(file, { bigint: true });
  return `${ino} ${mtimeNs}`;
}

function readEnv(file: string): Record<string, string> {
  const lines = readFileSync(file, "utf8").split("\n").filter(Boolean);
  return Object.fromEntries(lines.map((line) => line.split("=") as [string, string]));
}

async function addPod(t: Test, host: Host, place: { container: number; subnetFile: string }): Promise<Pod> {
  const container = host.containers[place.container];
  if (!container)
    throw new Error(`${host.name} has ${host.containers.length} containers, none with number ${place.container}`);
  const answer = host.cni("bridge", "ADD", podNetwork(place.subnetFile), { container: place.container });
  const { ips = [] } = answer.stdout as { ips?: { address: string }[] };
  if (answer.status !== 0) throw new Error(`ADD on ${host.name}: ${JSON.stringify(answer)}`);
  const [ipv4 = "", ipv6 = ""] = [".", ":"].map((mark) =>
    ips.map(({ address }) => address.replace(/\/.*/, "")).find((address) => address.includes(mark)),
  );
  const peer = await startPeer(t, container.name);
  return {
    ...container,
    ...peer,
    ipv4,
    ipv6,
    reaches: (address) => container.run("ping", "-n", "-c", "1", "-W", "1", address).status === 0,
  };
}

function podNetwork(subnetFile: string): object {
  const env = readEnv(subnetFile);
  const present = (...keys: string[]) => keys.flatMap((key) => env[key] ?? []);
  return {
    cniVersion: "1.0.0",
    name: "pods",
    type: "bridge",
    bridge: "cni0",
    mtu: Number(env["FLANNEL_MTU"]),
    isDefaultGateway: true,
    ipam: {
      type: "host-local",
      ranges: present("FLANNEL_SUBNET", "FLANNEL_IPV6_SUBNET").map((subnet) => [
        { subnet: subnet.replace(/1\//, "0/").replace("::0/", "::/") },
      ]),
      routes: present("FLANNEL_NETWORK", "FLANNEL_IPV6_NETWORK").map((dst) => ({ dst })),
    },
  };
}

async function startEtcd(t: Test, underlay: Host): Promise<Etcd> {
  const endpoint = `http://${router.ipv4}:2379`;
  const peers = "http://127.0.0.1:2380";
  const command = [
    "etcd",
    `--data-dir=${join(dirname(underlay.varLib), "etcd")}`,
    ...[`--listen-client-urls=${endpoint}`, `--advertise-client-urls=${endpoint}`],
    ...[`--listen-peer-urls=${peers}`, `--initial-advertise-peer-urls=${peers}`, `--initial-cluster=default=${peers}`],
  ];
  const ctl = (...args: string[]) => {
    const { status, stdout, stderr } = underlay.run(
      "env",
      "ETCDCTL_API=3",
      "etcdctl",
      `--endpoints=${endpoint}`,
      ...args,
    );
    if (status !== 0) throw new Error(`etcdctl ${args.join(" ")}: ${stderr}`);
    return stdout;
  };
  let program: Program;
  const etcd: Etcd = {
    endpoint,
    ctl,
    writeConfig(network) {
      ctl("put", `${prefix}/config`, typeof network === "string" ? network : JSON.stringify(network));
    },
    leases() {
      const lines = ctl("get", "--prefix", `${prefix}/subnets/`).trimEnd().split("\n").filter(Boolean);
      const pairs = lines.flatMap((key, i) =>
        i % 2 ? [] : [[key.replace(/.*\//, ""), JSON.parse(lines[i + 1] ?? "")]],
      );
      return Object.fromEntries(pairs);
    },
    async start() {
      program = startProgram(t, underlay.name, command);
      await program.says(/ready to serve client requests|serving insecure client requests/);
    },
    async stop() {
      await program.end("SIGTERM");
    },
  };
  await etcd.start();
  return etcd;
}
