// The same for the daemon: what one build's flanneld left when it ended, and what another one's makes of it.
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Test as TapTest } from "tap";
import { type Etcd, startEtcd } from "../cluster/etcd.ts";
import { type Program, startProgram } from "../cluster/program.ts";
import { until } from "../cluster/until.ts";
import type { Feature } from "../lab/needs.ts";
import { restore, type State, stateOf } from "./fixture.ts";
import { defaultSysctls } from "./kernel-state.ts";
import { differences, glance, listAll } from "./listing.ts";
import { batchesIn, traced } from "./netfilter.ts";
import { type Node, newNode } from "./node.ts";
import type { Build } from "./tools.ts";

export interface DaemonFixture extends State {
  /** What etcd had: values, and for how many seconds more; undefined for ever. */
  etcd?: Record<string, { value: string; seconds?: number }>;
}

export interface DaemonCase {
  store: "etcd" | "folder";
  backend: { Type: string };
  /** Builds that did not have the backend yet. */
  lacking?: readonly string[];
}

export const daemonCases: Record<string, DaemonCase> = {
  "flanneld-vxlan-etcd": { store: "etcd", backend: { Type: "vxlan" } },
  "flanneld-vxlan-folder": { store: "folder", backend: { Type: "vxlan" } },
  "flanneld-host-gw-etcd": { store: "etcd", backend: { Type: "host-gw" } },
  "flanneld-host-gw-folder": { store: "folder", backend: { Type: "host-gw" } },
  "flanneld-udp-etcd": { store: "etcd", backend: { Type: "udp" }, lacking: ["0.1.0-7ef44b8", "0.1.0-f2c7bd8"] },
};

export const daemonNeeds = (name: string): readonly Feature[] =>
  daemonCases[name]?.backend.Type === "vxlan" ? ["vxlan"] : [];

const PREFIX = "/coreos.com/network";
const FOLDER = "/var/lib/flannel-store";
const SUBNET_FILE = "/run/flannel/subnet.env";
const LEASE_S = 86_400;
const peers = [7, 8];
const subnetsOfPeers = peers.map((number) => `10.5.${number}.0`);

type Test = Parameters<typeof startEtcd>[0] & Parameters<typeof startProgram>[0];

export const newDaemonNode = (t: Test): Node => newNode(t, 1);

/** The host has an interface, behind which the other hosts are said to be. */
const interfaces = (node: Node) => `
  ip link add eth0 type veth peer name eth0 netns ${node.containers[0]?.name}
  ip address add 192.0.2.10/24 dev eth0; ip link set eth0 up
  ip -n ${node.containers[0]?.name} link set eth0 up`;

function peerLease(number: number, { Type: type }: { Type?: string }): string {
  const data = type === "vxlan" ? { BackendData: { VNI: 1, VtepMAC: `0e:00:00:00:00:0${number}` } } : {};
  const named = type === "udp" ? {} : { BackendType: type }; // leases of udp have no type
  return JSON.stringify({ PublicIP: `192.0.2.${number}`, PublicIPv6: null, ...named, ...data });
}

/** Starts the store with configuration and peers. */
async function newStore(t: Test, node: Node, { store, backend }: DaemonCase): Promise<Etcd | undefined> {
  const config = JSON.stringify({ Network: "10.5.0.0/16", Backend: backend });
  const values = Object.fromEntries(peers.map((number) => [`subnets/10.5.${number}.0-24`, peerLease(number, backend)]));
  if (store === "folder") {
    for (const [key, value] of Object.entries({ config, ...values })) node.write(`${FOLDER}/${key}`, value);
    return undefined;
  }
  const etcd = await startEtcd(t, { namespace: node.name });
  etcd.put(`${PREFIX}/config`, config);
  for (const [key, value] of Object.entries(values)) etcd.put(`${PREFIX}/${key}`, value, LEASE_S);
  return etcd;
}

function startDaemon(t: Test, node: Node, build: Build, { store }: DaemonCase, under: readonly string[] = []): Program {
  const flags = store === "etcd" ? [] : [`--subnet-dir=${FOLDER}`];
  const command = [...under, join(build.tools, "flanneld"), "--iface=eth0", "--ip-masq", ...flags];
  return startProgram(t, node.name, node.inside(command));
}

/** It has its subnet, and the routes to all peers. */
async function ready(node: Node, daemon: Program, { backend }: DaemonCase): Promise<void> {
  const destinations = backend.Type === "udp" ? ["10.5.0.0/16"] : subnetsOfPeers.map((subnet) => `${subnet}/24`);
  await daemon.until("a subnet", () => "FLANNEL_SUBNET" in subnetEnv(node));
  await daemon.until("routes to all peers", () => {
    const routes = node.sh("ip route");
    return destinations.every((destination) => routes.includes(destination));
  });
  await daemon.until("rules", () => node.sh("nft list ruleset").includes("10.5.0.0/16"));
  await daemon.until("that it says so", () => stateIn(node).state === "ready");
}

const readStatus = (node: Node): string => node.exec(["cat", SUBNET_FILE.replace(/env$/, "state")]).stdout;

const stateIn = (node: Node) => JSON.parse(readStatus(node) || "{}") as { pid?: number; state?: string };

function pidOf(node: Node): number {
  const { pid } = stateIn(node);
  if (pid === undefined) throw new Error("no daemon has written its state");
  return pid;
}

function subnetEnv(node: Node): Record<string, string> {
  const text = node.exec(["cat", SUBNET_FILE]).stdout;
  return Object.fromEntries(
    text
      .split("\n")
      .filter((line) => line.includes("="))
      .map((line) => line.split("=") as [string, string]),
  );
}

/** Runs the build's daemon until it has all it wants, and ends it. */
export async function leaveBehind(t: Test, node: Node, build: Build, one: DaemonCase, under: readonly string[] = []) {
  node.sh(interfaces(node));
  const etcd = await newStore(t, node, one);
  const daemon = startDaemon(t, node, build, one, under);
  await ready(node, daemon, one);
  const pid = pidOf(node);
  process.kill(pid, "SIGTERM"); // not strace
  if (one.backend.Type === "udp") await endDataPath(node, pid);
  await daemon.ended;
  return etcd;
}

/** Leaves what is left a minute later: the data path process ends with its device. */
async function endDataPath(node: Node, daemon: number): Promise<void> {
  await until("the daemon has ended", () => !existsSync(`/proc/${daemon}`));
  node.sh("ip link delete flannel0");
  await until("the data path has ended", () => node.sh("ss -Huln sport = 8285") === "");
}

export async function recordDaemon(t: Test, build: Build, one: DaemonCase): Promise<DaemonFixture> {
  const node = newDaemonNode(t);
  const defaults = defaultSysctls(node);
  const trace = join(dirname(node.varLib), "trace");
  const etcd = await leaveBehind(t, node, build, one, traced(trace));
  const made = listAll(node);
  const state = stateOf(node, defaults, batchesIn(readFileSync(trace, "latin1")));
  const isLease = (key: string) => key.includes("/subnets/");
  const values = Object.entries(etcd?.get(PREFIX) ?? {}).map(([key, value]) => [
    key,
    { value, ...(isLease(key) && { seconds: LEASE_S }) },
  ]);
  const fixture = { ...state, ...(etcd && { etcd: Object.fromEntries(values) }) };
  const again = newDaemonNode(t);
  await restoreDaemon(t, again, fixture);
  const lost = differences(made, listAll(again)).filter(
    (line) => !/file \/var\/lib\/flannel-store\/subnets\/\S+ /.test(line),
  );
  if (lost.length > 0) throw new Error(`what the fixture restores is not what was recorded:\n${lost.join("\n")}`);
  return fixture;
}

export async function restoreDaemon(t: Test, node: Node, fixture: DaemonFixture): Promise<Etcd | undefined> {
  restore(node, fixture);
  if (fixture.etcd === undefined) return undefined;
  const etcd = await startEtcd(t, { namespace: node.name });
  for (const [key, { value, seconds }] of Object.entries(fixture.etcd)) etcd.put(key, value, seconds);
  return etcd;
}

/** The daemon of another build goes on where the one before ended: nothing is removed or made anew, not for a moment. */
export async function verifyDaemon(
  t: TapTest,
  node: Node,
  build: Build,
  one: DaemonCase,
  etcd: Etcd | undefined,
): Promise<void> {
  const { stderr } = node.exec([join(build.tools, "flanneld"), "--status"]);
  t.match(
    stderr,
    /the last one \(pid \d+\) (said|reported) at \S+: ready, (has|subnet) 10\.5\./,
    "--status shows what the one before said last",
  );
  const isOfDaemon = (line: string) =>
    /^file \/(run\/flannel\/subnet\.state|var\/lib\/flannel-store\/subnets\/)/.test(line);
  const isOfDataPath = (line: string) => one.backend.Type === "udp" && /flannel0|subnet\.udp\.sock/.test(line);
  const state = () => glance(node).filter((line) => !isOfDaemon(line) && !isOfDataPath(line));
  const keys = () => Object.keys(etcd?.get(PREFIX) ?? {});
  const [before, env, keysBefore] = [state(), subnetEnv(node), keys()];
  const stateFile = readStatus(node);
  const monitor = startProgram(t, node.name, ["ip", "monitor", "link", "route", "neigh"]);

  const daemon = startDaemon(t, node, build, one);
  await daemon.until("it has written its state", () => readStatus(node) !== stateFile);
  await ready(node, daemon, one);
  const told = await until("its status", () => {
    const { stdout } = node.exec([join(build.tools, "flanneld"), "--status", "--json"]);
    const report = stdout === "" ? undefined : (JSON.parse(stdout) as { peers: unknown[]; own: { subnets: string[] } });
    return report?.peers?.length === peers.length && report;
  });
  t.strictSame(told.own.subnets, [env["FLANNEL_SUBNET"]?.replace(/\.1\//, ".0/")], "--status shows the same subnet");
  t.strictSame(subnetEnv(node), env, "subnet.env says the same");
  t.strictSame(differences(before, state()), [], "links, routes, neighbours, rules and files are as they were");
  t.strictSame(keys(), keysBefore, "and the leases");
  t.notMatch(monitor.printed(), /Deleted (10\.5\.|\d+: flannel)/, "no route or device was removed in between");
  await daemon.end("SIGTERM");
}
