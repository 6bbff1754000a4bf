// A cluster in namespaces, for the tests of the daemon.
//
//     host 0                host 1                host 2            each a throw-away node (../host.ts), its containers are pods
//     192.0.2.10            192.0.2.11            192.0.2.12
//     2001:db8::10          2001:db8::11          2001:db8::12
//        eth0                  eth0                  eth0
//          +---- bridge "switch" ---+------------------+
//                192.0.2.1, 2001:db8::1                           the underlay: switch and router, where etcd runs
//                           |
//                198.51.100.2, 2001:db8:ffff::2                   outside
import { existsSync, mkdirSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { type Container, type Host, type Namespace, newHost } from "../lab/host.ts";
import { ourTools } from "../lab/project.ts";
import { type Etcd, type EtcdOptions, startEtcd } from "./etcd.ts";
import { type Program, startProgram, type Test } from "./program.ts";
import { type Peer, startPeer } from "./traffic.ts";

/** The daemon under test; FLANNELD names another one, installed elsewhere. */
export const executable = process.env["FLANNELD"] ?? join(ourTools, "flanneld");

const router = { ipv4: "192.0.2.1", ipv6: "2001:db8::1" };
const outside = { ipv4: "198.51.100.2", ipv6: "2001:db8:ffff::2" };
export const prefix = "/coreos.com/network";

export interface ClusterOptions {
  /** How many containers each host has that can become pods; 1 unless given. */
  pods?: number;
  /** The network configuration; none is written if it is left out. */
  network?: object;
  etcd?: Pick<EtcdOptions, "members" | "tls" | "password" | "v2">;
}

export interface Cluster {
  /** Switch and router. */
  underlay: Host;
  /** Somebody behind the router, who knows nothing of pods. */
  outside: Namespace & typeof outside;
  etcd: Etcd;
  /** As people do, with `etcdctl put`. @param network An object to print as JSON, or the text. */
  writeConfig(network: object | string): void;
  /** What etcd has below `subnets/`: "10.5.3.0-24" -> what is known of that host. */
  leases(): Record<string, LeaseValue>;
  /** One more host on the switch. @param store Flags that name another store than etcd. */
  addHost(...store: string[]): ClusterHost;
}

export interface LeaseValue {
  PublicIP: string;
  PublicIPv6: string | null;
  BackendType?: string;
  BackendData?: { VNI: number; VtepMAC: string };
  BackendV6Data?: { VNI: number; VtepMAC: string };
}

/** The value of a key that a vxlan host at that address would write. */
export function fakeLease(publicIP: string): string {
  const value: LeaseValue = {
    PublicIP: publicIP,
    PublicIPv6: null,
    BackendType: "vxlan",
    BackendData: { VNI: 1, VtepMAC: fakeMac(publicIP) },
  };
  return JSON.stringify(value);
}

/** The MAC of the VXLAN device that it names. */
export function fakeMac(publicIP: string): string {
  const bytes = publicIP.split(".").map((part) => Number(part).toString(16).padStart(2, "0"));
  return ["0e", "00", ...bytes].join(":");
}

/**
 * What a vxlan host has in its kernel of a peer, as `ip` and `bridge` print it; "" for what it has not.
 *
 * @param subnet Base address of the peer's subnet, a /24.
 */
export function entriesOf(
  host: Namespace,
  subnet: string,
  mac: string,
): { route: string; neighbour: string; fdb: string } {
  const line = (script: string, wanted: string) =>
    host
      .sh(script)
      .split("\n")
      .find((line) => line.startsWith(wanted)) ?? "";
  return {
    route: line("ip route", `${subnet}/24`).trim(),
    neighbour: line("ip neigh show dev flannel.1", subnet).trim(),
    fdb: line("bridge fdb show dev flannel.1", mac).trim(),
  };
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
  /** The same with a command in front, as setpriv to take rights away. */
  startDaemonUnder(command: readonly string[], ...flags: string[]): Daemon;
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

export async function newCluster(
  t: Test,
  { pods = 1, network, etcd: options = {} }: ClusterOptions = {},
): Promise<Cluster> {
  const { underlay, outsider } = newUnderlay(t);
  const etcd = await startEtcd(t, { ...options, namespace: underlay.name, listen: [router.ipv4] });
  const writeConfig = (network: object | string) =>
    etcd.put(`${prefix}/config`, typeof network === "string" ? network : JSON.stringify(network));
  if (network) writeConfig(network);
  let made = 0;
  return {
    underlay,
    outside: { ...outsider, ...outside },
    etcd,
    writeConfig,
    leases: () => leasesOf(etcd.get(`${prefix}/subnets/`)),
    addHost(...store) {
      const flags = store.length > 0 ? store : [`--etcd-endpoints=${etcd.endpoints}`];
      return newClusterHost(t, { underlay, number: made++, pods, store: flags });
    },
  };
}

function newUnderlay(t: Test): { underlay: Host; outsider: Container } {
  const underlay = newHost(t);
  const outsider = underlay.containers[0] as Container;
  underlay.sh(`
    ip link add switch type bridge
    ip address add ${router.ipv4}/24 dev switch
    ip address add ${router.ipv6}/64 dev switch
    ip link set switch up
    ip link add outside type veth peer name eth0 netns ${outsider.name}
    ip address add 198.51.100.1/24 dev outside
    ip address add 2001:db8:ffff::1/64 dev outside
    ip link set outside up
    sysctl -q -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1`);
  outsider.sh(`
    ip address add ${outside.ipv4}/24 dev eth0
    ip address add ${outside.ipv6}/64 dev eth0 nodad
    ip link set eth0 up
    ip route add default via 198.51.100.1
    ip route add default via 2001:db8:ffff::1`);
  return { underlay, outsider };
}

function leasesOf(values: Record<string, string>): Record<string, LeaseValue> {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [basename(key), JSON.parse(value)]));
}

/** Starts the daemons of these hosts and waits for each to be ready. */
export async function startDaemons<Hosts extends readonly ClusterHost[]>(
  hosts: readonly [...Hosts],
  ...flags: string[]
): Promise<{ [each in keyof Hosts]: Daemon }> {
  const daemons = hosts.map((host) => host.startDaemon(...flags));
  await Promise.all(daemons.map((daemon) => daemon.ready()));
  return daemons as { [each in keyof Hosts]: Daemon }; // as long as `hosts`
}

interface HostPlace {
  underlay: Host;
  /** From 0; the last part of its addresses is 10 more. */
  number: number;
  pods: number;
  /** Flags that say where leases are kept. */
  store: readonly string[];
}

function newClusterHost(t: Test, { underlay, number, pods, store }: HostPlace): ClusterHost {
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
  const usual = [...store, `--subnet-file=${subnetFile}`, "--ip-masq"];

  return {
    ...host,
    ipv4,
    ipv6,
    subnetFile,
    subnetEnv: () => readEnv(subnetFile),
    startDaemon: (...flags) => startDaemon(t, host, [executable, ...usual, ...flags]),
    startDaemonUnder: (command, ...flags) => startDaemon(t, host, [...command, executable, ...usual, ...flags]),
    addPod: (container = 0) => addPod(t, host, { container, subnetFile }),
  };
}

/** The last of several flags counts. */
function startDaemon(t: Test, host: Host, command: readonly string[]): Daemon {
  const subnetFile = command.findLast((flag) => flag.startsWith("--subnet-file="))?.replace(/.*?=/, "") ?? "";
  const before = versionOf(subnetFile);
  const program = startProgram(t, host.name, command);
  const ready = async () => void (await program.until("the subnet file", () => versionOf(subnetFile) !== before));
  return { ...program, ready };
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
  const answer = host.cni("flannel", "ADD", podNetwork(place.subnetFile), { container: place.container });
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

/** As conf/50-flannel.conflist has it. */
function podNetwork(subnetFile: string): object {
  const delegate = { hairpinMode: true, isDefaultGateway: true };
  return { cniVersion: "1.0.0", name: "cbr0", type: "flannel", subnetFile, delegate };
}
