// What one change of another host's lease costs a daemon with many peers, with a real etcd: CPU, time until the kernel has the route, memory.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Cluster, newCluster, prefix } from "../e2e/cluster/lab.ts";
import { type Program, startProgram, type Test } from "../e2e/cluster/program.ts";
import { until } from "../e2e/cluster/until.ts";
import { RTMGRP_IPV4_ROUTE } from "../pkg/cluster/event-loop/netlink-watch.ts";
import { onReadable } from "../pkg/cluster/event-loop/on-readable.ts";
import { formatAddress } from "../pkg/ip/address.ts";
import { listen, NETLINK_ROUTE } from "../pkg/netlink/connection.ts";
import { decode } from "../pkg/netlink/message.ts";
import { RTM_DELROUTE, RTM_NEWROUTE, routeMessage } from "../pkg/netlink/rtnetlink/route.ts";
import { monotonicMs } from "../pkg/sys/clock.ts";
import { openNamespace } from "../pkg/sys/namespace.ts";
import { exactly, type Row, Samples } from "./figures.ts";

const MANY = 5000;
const FEW = 50;
/** Each round adds a peer and removes it again: two events. */
const ROUNDS = 250;
const WARM_UP_ROUNDS = 20;
const SETTLING_MS = 120_000;
/** Until the engine has tidied up after the start. */
const QUIET_MS = 15_000;
const AT_MOST = { cpuMs: 1, routeMs: 10, ofFew: 1.2, idleMB: 80, changedMB: 110, writes: 2 };
const SHARED_MS = 60_000;

const network = { Network: "10.0.0.0/8", SubnetLen: 24, SubnetMax: "10.0.255.0", Backend: { Type: "vxlan" } };

interface Measured {
  cpuMs: number;
  routes: Samples;
  idleMB: number;
  changedMB: number;
}

export async function leaseEventRows(): Promise<Row[]> {
  const many = await measure(MANY);
  const few = await measure(FEW);
  const toRoute = many.routes.find("route");
  const row = (name: string, unit: Row["unit"], value: number, limit: number): Row => ({
    section: "flanneld",
    name,
    unit,
    figures: { twill: exactly(value) },
    goals: [{ of: unit, value, limit }],
  });
  return [
    row("writes in 60 s of two daemons that share a lease", "times", await sharedWrites(), AT_MOST.writes),
    row("CPU of one lease event, 5,000 peers", "ms", many.cpuMs, AT_MOST.cpuMs),
    row("CPU of one lease event, 50 peers", "ms", few.cpuMs, AT_MOST.cpuMs),
    row("CPU of one lease event, 5,000 over 50 peers", "times", many.cpuMs / few.cpuMs, AT_MOST.ofFew),
    ...(toRoute === undefined
      ? []
      : [
          {
            ...row("a new lease in etcd to the route, 5,000 peers", "ms", toRoute.median, AT_MOST.routeMs),
            figures: { twill: toRoute },
          },
        ]),
    row("resident memory, idle, 5,000 peers", "MB", many.idleMB, AT_MOST.idleMB),
    row(`resident memory after ${2 * ROUNDS} changes, 5,000 peers`, "MB", many.changedMB, AT_MOST.changedMB),
  ];
}

/** From the start of the second on. */
async function sharedWrites(): Promise<number> {
  return await withCluster(async (cluster) => {
    const host = cluster.addHost();
    await host.startDaemon().ready();
    const [key = ""] = Object.keys(cluster.leases());
    const version = () =>
      Number(/"Version" : (\d+)/.exec(cluster.etcd.etcdctl("get", `${prefix}/subnets/${key}`, "-w", "fields"))?.[1]);
    const before = version();
    await host.startDaemon(`--subnet-file=${host.subnetFile}.second`).ready();
    await pause(SHARED_MS);
    return version() - before;
  });
}

async function withCluster<T>(work: (cluster: Cluster, t: Test) => Promise<T>): Promise<T> {
  const removals: (() => unknown)[] = [];
  const t = { teardown: (work: () => unknown) => removals.push(work), passing: () => true, comment() {} };
  try {
    return await work(await newCluster(t, { pods: 0, network }), t);
  } finally {
    for (const remove of removals.reverse()) await remove();
  }
}

async function measure(peers: number): Promise<Measured> {
  return await withCluster(async (cluster, t) => {
    const script = [process.execPath, "--import", "tsx", join(import.meta.dirname, "lease-writer.ts")];
    const writer = startProgram(t, cluster.underlay.name, [...script, cluster.etcd.endpoints[0] ?? "", prefix]);
    writer.tell(`fill ${peers}`);
    await until("etcd has them all", () => writer.printed().includes("filled"), SETTLING_MS);
    const host = cluster.addHost();
    const daemon = host.startDaemon();
    await daemon.prints("] ready ");
    await pause(QUIET_MS);
    const idleMB = residentMB(daemon.pid);
    const routes = followRoutes(host.path);
    const samples = new Samples();
    await churn(writer, routes, { from: peers, rounds: WARM_UP_ROUNDS, into: new Samples() });
    const before = cpuMs(daemon.pid);
    await churn(writer, routes, { from: peers + WARM_UP_ROUNDS, rounds: ROUNDS, into: samples });
    const spent = cpuMs(daemon.pid) - before;
    routes.stop();
    return { cpuMs: spent / (2 * ROUNDS), routes: samples, idleMB, changedMB: residentMB(daemon.pid) };
  });
}

interface Churn {
  /** Number of the first peer. */
  from: number;
  rounds: number;
  into: Samples;
}

async function churn(writer: Program, routes: Routes, { from, rounds, into }: Churn): Promise<void> {
  for (let number = from; number < from + rounds; number++) {
    const base = `10.${1 + (number >> 8)}.${number & 0xff}.0`;
    const arrival = routes.next(RTM_NEWROUTE, base);
    writer.tell(`put ${number}`);
    const arrived = await arrival;
    const [, began] = await writer.says(new RegExp(`^began ${number} ([\\d.]+)$`, "m"));
    into.add("route", arrived - Number(began));
    const departure = routes.next(RTM_DELROUTE, base);
    writer.tell(`delete ${number}`);
    await departure;
  }
}

interface Routes {
  /** When the kernel tells it. */
  next(type: number, base: string): Promise<number>;
  stop(): void;
}

function followRoutes(namespace: string): Routes {
  const listener = listen(NETLINK_ROUTE, RTMGRP_IPV4_ROUTE, openNamespace(namespace));
  const waiting = new Map<string, (ms: number) => void>();
  const stop = onReadable(listener.fd, () => {
    for (let nlmsgs = listener.next(0); nlmsgs !== undefined; nlmsgs = listener.next(0)) {
      for (const { type, body } of nlmsgs) {
        const { destination } = decode(routeMessage, body);
        if (destination !== undefined) waiting.get(`${type} ${formatAddress(destination)}`)?.(monotonicMs());
      }
    }
  });
  return {
    next: (type, base) => new Promise((resolve) => waiting.set(`${type} ${base}`, resolve)),
    stop() {
      stop();
      listener.close();
    },
  };
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const residentMB = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1e3;

/** Of all threads; schedstat counts nanoseconds, stat only hundredths of a second. */
function cpuMs(pid: number): number {
  return readdirSync(`/proc/${pid}/task`)
    .map((task) => Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, "utf8").split(" ")[0]) / 1e6)
    .reduce((sum, ms) => sum + ms, 0);
}
