// The daemon in a cluster, with a real etcd: how soon a lease is in every host's kernel, how soon a daemon is ready, and what one with
// thousands of peers needs while nothing happens.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type ClusterHost, type Daemon, newCluster, prefix } from "../e2e/cluster/lab.ts";
import { type Program, startProgram } from "../e2e/cluster/program.ts";
import { until } from "../e2e/cluster/until.ts";
import { RTMGRP_IPV4_ROUTE } from "../pkg/cluster/event-loop/netlink-watch.ts";
import { onReadable } from "../pkg/cluster/event-loop/on-readable.ts";
import { formatAddress } from "../pkg/ip/address.ts";
import { type Listener, listen, NETLINK_ROUTE } from "../pkg/netlink/connection.ts";
import { decode } from "../pkg/netlink/message.ts";
import { RTM_NEWROUTE, routeMessage } from "../pkg/netlink/rtnetlink/route.ts";
import { monotonicMs } from "../pkg/sys/clock.ts";
import { openNamespace } from "../pkg/sys/namespace.ts";
import { exactly, type Goal, type Row, Samples } from "./figures.ts";

const HOSTS = 3;
const PEERS = 5000;
const IDLE_SECONDS = 30;
/** Until the engine has tidied up after the start. */
const SETTLING_SECONDS = 15;
const AT_MOST = { leaseMs: 20, startMs: 600, residentMB: 110, idlePercent: 0.5 };
const SETTLING_MS = 120_000;

/** Our hosts' subnets are below 10.1.0.0, those of made-up ones above. */
const network = { Network: "10.0.0.0/8", SubnetLen: 24, SubnetMax: "10.0.255.0", Backend: { Type: "vxlan" } };

export async function clusterRows({ rounds }: { rounds: number }): Promise<Row[]> {
  const removals: (() => unknown)[] = [];
  const t = { teardown: (work: () => unknown) => removals.push(work), passing: () => true, comment() {} };
  try {
    const cluster = await newCluster(t, { pods: 0, network });
    const [endpoint = ""] = cluster.etcd.endpoints;
    const script = [process.execPath, "--import", "tsx", join(import.meta.dirname, "lease-writer.ts")];
    const writer = startProgram(t, cluster.underlay.name, [...script, endpoint, prefix]);
    const hosts = Array.from({ length: HOSTS }, () => cluster.addHost());
    const samples = new Samples();
    for (let round = 0; round < rounds; round++) await measureStart(hosts[0] as ClusterHost, samples);
    const daemons = hosts.map((host) => host.startDaemon());
    await Promise.all(daemons.map((daemon) => daemon.ready()));
    for (let round = 0; round < 5 * rounds; round++) await measureLease(writer, hosts, round, samples);
    const crowd = await measureCrowd(writer, hosts[0] as ClusterHost, daemons[0] as Daemon);
    return [...rowsOf(samples), ...crowd];
  } finally {
    for (const remove of removals.reverse()) await remove();
  }
}

/** From exec to the subnet file. */
async function measureStart(host: ClusterHost, into: Samples): Promise<void> {
  const started = performance.now();
  const daemon = host.startDaemon();
  await daemon.prints("] ready ");
  into.add("start", performance.now() - started);
  await daemon.end("SIGTERM");
}

/** From asking etcd to the last host's route. */
async function measureLease(
  writer: Program,
  hosts: readonly ClusterHost[],
  number: number,
  into: Samples,
): Promise<void> {
  const arrivals = hosts.map((host) => routeTo(host, `10.1.${number}.0`));
  writer.tell(`put ${number}`);
  const arrived = await Promise.all(arrivals);
  const [, began] = await writer.says(new RegExp(`^began ${number} ([\\d.]+)$`, "m"));
  into.add("lease", Math.max(...arrived) - Number(began));
}

/** When the kernel of the host has it; its listener is there when this returns. */
function routeTo({ path }: ClusterHost, base: string): Promise<number> {
  const listener = listen(NETLINK_ROUTE, RTMGRP_IPV4_ROUTE, openNamespace(path));
  return new Promise((resolve) => {
    const stop = onReadable(listener.fd, () => {
      if (!newRoutes(listener).includes(base)) return;
      resolve(monotonicMs());
      stop();
      listener.close();
    });
  });
}

function newRoutes(listener: Listener): string[] {
  const bases: string[] = [];
  for (let nlmsgs = listener.next(0); nlmsgs !== undefined; nlmsgs = listener.next(0)) {
    for (const { type, body } of nlmsgs) {
      const { destination } = type === RTM_NEWROUTE ? decode(routeMessage, body) : {};
      if (destination !== undefined) bases.push(formatAddress(destination));
    }
  }
  return bases;
}

/** A daemon with thousands of peers, when nothing happens any more. */
async function measureCrowd(writer: Program, host: ClusterHost, daemon: Daemon): Promise<Row[]> {
  writer.tell(`fill ${PEERS}`);
  await until("etcd has them all", () => writer.printed().includes("filled"), SETTLING_MS);
  const routes = () => Number(host.sh("ip route show dev flannel.1 | wc -l"));
  await until("all peers", () => routes() >= PEERS, SETTLING_MS);
  await daemon.end("SIGTERM");
  const again = host.startDaemon();
  await again.prints("] ready ");
  const { pid } = again;
  await idle(SETTLING_SECONDS);
  const before = cpuSeconds(pid);
  await idle(IDLE_SECONDS);
  const percent = ((cpuSeconds(pid) - before) / IDLE_SECONDS) * 100;
  const resident = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1e3;
  return [
    row("resident memory, idle, 5,000 peers", "MB", resident, AT_MOST.residentMB),
    row("CPU, idle, 5,000 peers", "%", percent, AT_MOST.idlePercent),
  ];
}

/** What is measured here is that nothing happens. */
const idle = (seconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

/** proc(5): fields 14 and 15 of stat, in hundredths of a second. */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").replace(/.*\) /, "").split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function rowsOf(samples: Samples): Row[] {
  const named = {
    start: "start to ready, with a running etcd",
    lease: `a new lease in etcd to the routes of ${HOSTS} hosts`,
  };
  return (["lease", "start"] as const).flatMap((name) => {
    const twill = samples.find(name);
    if (twill === undefined) return [];
    const limit = name === "lease" ? AT_MOST.leaseMs : AT_MOST.startMs;
    return [
      {
        section: "flanneld",
        name: named[name],
        unit: "ms" as const,
        figures: { twill },
        goals: [goal("ms", twill.median, limit)],
      },
    ];
  });
}

const row = (name: string, unit: Row["unit"], value: number, limit: number): Row => ({
  section: "flanneld",
  name,
  unit,
  figures: { twill: exactly(value) },
  goals: [goal(unit, value, limit)],
});

const goal = (of: string, value: number, limit: number): Goal => ({ of, value, limit });
