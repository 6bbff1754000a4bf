// The cluster's machines: hosts that a switch joins, etcd on the switch, a daemon and containers on each host.
//
// A program that stays is told to die with this process (PR_SET_PDEATHSIG): with it goes the last that holds the namespaces.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { pluginFolder, root, run, toolFolder } from "./lab.ts";

/** 198.51.100.0/24 is set aside for examples (RFC 5737). */
const SWITCH = { name: "switch", bridge: "sw0", address: "198.51.100.254" };
export const etcdEndpoint = `http://${SWITCH.address}:2379`;
const LONGEST_WAIT_MS = 20_000;

export interface Host {
  name: string;
  address: string;
  containers: string[];
  daemon: ChildProcess | undefined;
}

export async function startEtcd(): Promise<void> {
  run(`ip netns add ${SWITCH.name}`);
  inHost(SWITCH.name, "ip link set lo up");
  inHost(SWITCH.name, `ip link add ${SWITCH.bridge} type bridge`);
  inHost(SWITCH.name, `ip address add ${SWITCH.address}/24 dev ${SWITCH.bridge}`);
  inHost(SWITCH.name, `ip link set ${SWITCH.bridge} up`);
  const urls = `--listen-client-urls=${etcdEndpoint} --advertise-client-urls=${etcdEndpoint}`;
  start(
    SWITCH.name,
    `etcd --data-dir=/var/lib/etcd --log-level=error ${urls} --listen-peer-urls=http://127.0.0.1:2380`,
  );
  await until("etcd answers", () => etcdctl("endpoint health").status === 0);
}

/** @returns what etcdctl printed and how it ended */
export function etcdctl(command: string, ...last: string[]) {
  const args = ["netns", "exec", SWITCH.name, "etcdctl", `--endpoints=${etcdEndpoint}`, ...command.split(" "), ...last];
  return spawnSync("ip", args, {
    encoding: "utf8",
    timeout: LONGEST_WAIT_MS,
    env: { ...process.env, ETCDCTL_API: "3" },
  });
}

export function makeHost(number: number): Host {
  const name = `host${number}`;
  const address = `198.51.100.1${number}`;
  run(`ip netns add ${name}`);
  inHost(SWITCH.name, `ip link add port${number} type veth peer name eth0 netns ${name}`);
  inHost(SWITCH.name, `ip link set port${number} master ${SWITCH.bridge} up`);
  for (const step of ["ip link set lo up", `ip address add ${address}/24 dev eth0`, "ip link set eth0 up"])
    inHost(name, step);
  inHost(name, `ip route add default via ${SWITCH.address}`);
  inHost(name, "sysctl -q -w net.ipv4.ip_forward=1");
  return { name, address, containers: [], daemon: undefined };
}

export function daemonCommand(host: Host): string {
  return `flanneld --etcd-endpoints=${etcdEndpoint} --subnet-file=${subnetFile(host)} --ip-masq`;
}

const subnetFile = ({ name }: Host) => `/run/flannel/${name}/subnet.env`;

/** @returns milliseconds until it had its subnet and the others' */
export async function startDaemon(host: Host): Promise<number> {
  const started = performance.now();
  rmSync(subnetFile(host), { force: true });
  host.daemon = start(host.name, `${toolFolder}/${daemonCommand(host)}`);
  await until(`${host.name} has a subnet`, () => existsSync(subnetFile(host)));
  return performance.now() - started;
}

export function killDaemon({ daemon }: Host): Promise<void> {
  return new Promise((resolve) => {
    daemon?.once("exit", () => resolve());
    daemon?.kill("SIGKILL");
  });
}

/** The machine is gone, its containers with it. */
export async function removeHost(host: Host): Promise<void> {
  await killDaemon(host);
  for (const container of host.containers) run(`ip netns del ${container}`);
  run(`ip netns del ${host.name}`);
}

export function subnetOf(host: Host): string {
  return /FLANNEL_SUBNET=(\S+)/.exec(readFileSync(subnetFile(host), "utf8"))?.[1] ?? "";
}

/** ADD, as a container runtime on that host does it. @returns the container's address */
export function addContainer(host: Host, container: string, conflist: string): string {
  const { plugins, cniVersion, name } = JSON.parse(readFileSync(join(root, conflist), "utf8"));
  const dataDir = `/var/lib/cni/${host.name}`;
  const ipam = { dataDir: `${dataDir}/networks` };
  const netconf = {
    ...plugins[0],
    name,
    cniVersion,
    subnetFile: subnetFile(host),
    dataDir: `${dataDir}/flannel`,
    ipam,
  };
  mkdirSync(dataDir, { recursive: true });
  run(`ip netns add ${container}`);
  const variables = {
    CNI_COMMAND: "ADD",
    CNI_CONTAINERID: container,
    CNI_NETNS: `/run/netns/${container}`,
    CNI_IFNAME: "eth0",
  };
  const { status, stdout, stderr } = spawnSync("ip", ["netns", "exec", host.name, join(pluginFolder, netconf.type)], {
    input: JSON.stringify(netconf),
    env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", CNI_PATH: pluginFolder, ...variables },
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`flannel ADD for ${container}: ${stdout}${stderr}`);
  host.containers.push(container);
  return JSON.parse(stdout).ips[0].address.split("/")[0];
}

/** Sends bytes from one container to another over TCP. @returns gigabits per second */
export async function transfer(from: string, to: string, address: string, bytes: number): Promise<number> {
  const program = `${process.execPath} ${join(root, "dev/demo/transfer.mjs")}`;
  const receiver = start(to, `${program} receive 5001`);
  await new Promise((resolve) => receiver.stdout?.once("data", resolve));
  return Number(run(`ip netns exec ${from} ${program} send ${address} 5001 ${bytes}`));
}

export interface HostView {
  mac: string;
  /** "10.5.3.0/24 via 10.5.3.0 dev flannel.1" */
  routes: string[];
}

/** The host's tunnel and its routes to the others, as `ip` sees them. */
export function viewOf({ name }: Host): HostView {
  const [link] = JSON.parse(inHost(name, "ip -j link show flannel.1")) as { address: string }[];
  const routes = JSON.parse(inHost(name, "ip -j route show dev flannel.1")) as { dst: string; gateway?: string }[];
  return {
    mac: link?.address ?? "",
    routes: routes.flatMap(({ dst, gateway }) => (gateway ? [`${dst} via ${gateway} dev flannel.1`] : [])),
  };
}

export async function until(what: string, isTrue: () => boolean): Promise<void> {
  const deadline = performance.now() + LONGEST_WAIT_MS;
  while (!isTrue()) {
    if (performance.now() > deadline) throw new Error(`waited ${LONGEST_WAIT_MS / 1000} s in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const inHost = (namespace: string, command: string): string => run(`ip netns exec ${namespace} ${command}`);

function start(namespace: string, command: string): ChildProcess {
  const args = ["netns", "exec", namespace, "setpriv", "--pdeathsig", "KILL", ...command.split(" ")];
  const { NODE_OPTIONS: _, ...env } = process.env; // a test runner's own
  return spawn("ip", args, { stdio: ["ignore", "pipe", "ignore"], env });
}
