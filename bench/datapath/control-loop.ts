// How soon a peer can be reached after its lease has come, while the udp data path is idle and while it carries as much as it can: whether the
// control loop waits for the data path.
//
// The peer is made up: a lease file whose host is a second address of host 1. Host 2 sends a datagram to the peer's subnet each millisecond; the
// time is from when the file appears until the first of them arrives there. The stream comes from host 1: on host 2 it takes the processors
// and the data path, but no datagram stands behind its packets in the device's queue. The programs that measure go before all others at
// the processors: what is measured is the daemon and its data path. A C program that waits for the same file, with the usual priority, tells what a
// wake-up alone takes.
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { type Program, startProgram, type Test } from "../../e2e/cluster/program.ts";
import { until } from "../../e2e/cluster/until.ts";
import { type Row, Samples } from "../figures.ts";
import { IN_OWN_SESSION, startServer } from "./traffic.ts";
import { type FlannelPair, wireByFlanneld } from "./wires.ts";

const MADE_UP_HOST = "192.0.2.77";
const UDP_PORT = "8285";
/** For the programs that measure. */
const FIRST = [...IN_OWN_SESSION, "nice", "--adjustment=-20"];
const KNOCK_MS = "1";
/** Longer than a round takes, at the worst. */
const SATURATION_MS = "20000";
/** What a stream has sent when it has found its pace. */
const SATURATED_BYTES = 5e6;
/** Until the programs that were started are asleep. */
const SETTLE_MS = 50;
const MOST_OF_IDLE = 1.5;

const loads = { idle: "on an idle machine", saturated: "while one TCP stream takes all it can" } as const;
type Load = keyof typeof loads;

export async function controlLoopRows(t: Test, traffic: string, rounds: number): Promise<Row[]> {
  const pair = await wireByFlanneld(t, "udp");
  pair.one.sh(`ip address add ${MADE_UP_HOST}/24 dev eth0`);
  await startServer(t, traffic, pair.wire);
  const samples = new Samples();
  const subnets = freeSubnets(pair.store);
  const nextSubnet = () => {
    const next = subnets.pop();
    if (next === undefined) throw new Error(`${rounds} rounds need more subnets than the network has`);
    return next;
  };
  const measure = async (load: Load) => {
    const { twill, C, way } = await measureLease(t, traffic, pair, nextSubnet());
    samples.add(`twill ${load}`, twill);
    samples.add(`C ${load}`, C);
    samples.add(`twill ${load} way`, way);
  };
  for (let round = 0; round < rounds; round++) {
    await measure("idle");
    const stream = [traffic, "tcp", pair.wire.address, "5201", "1", SATURATION_MS];
    const load = startProgram(t, pair.wire.from.name, [...IN_OWN_SESSION, ...stream]);
    await carries(pair, SATURATED_BYTES);
    await measure("saturated");
    await load.end("SIGKILL");
  }
  return rowsOf(samples);
}

function rowsOf(samples: Samples): Row[] {
  const of = (figure: string, name: string): Row => ({
    section: "lease of a peer to the first packet that reaches it, udp; C: to a program that only waits for the lease",
    name,
    unit: "ms",
    figures: samples.figures(figure),
    goals: [],
  });
  const [idle, saturated] = [of("idle", loads.idle), of("saturated", loads.saturated)];
  const ways = (["idle", "saturated"] as const).map((load) =>
    of(`${load} way`, `of it, that packet's way: ${loads[load]}`),
  );
  const value = (saturated.figures.twill?.median ?? Number.NaN) / (idle.figures.twill?.median ?? Number.NaN);
  return [idle, { ...saturated, goals: [{ of: "of idle", value, limit: MOST_OF_IDLE }] }, ...ways];
}

/** The third bytes of subnets that no host has. */
function freeSubnets(store: string): number[] {
  const taken = readdirSync(join(store, "subnets"));
  return Array.from({ length: 256 }, (_, n) => n).filter((n) => !taken.includes(`10.5.${n}.0-24`));
}

/** Waits until host 2 has received so many bytes more. */
async function carries({ other }: FlannelPair, bytes: number): Promise<void> {
  const received = () => Number(other.sh("cat /sys/class/net/eth0/statistics/rx_bytes"));
  const before = received();
  await until(`${bytes} bytes have come`, () => received() > before + bytes);
}

async function measureLease(t: Test, traffic: string, { one, other, store }: FlannelPair, n: number) {
  const [inner, key] = [`10.5.${n}.1`, `10.5.${n}.0-24`];
  const [part, folder] = [join(store, "made-up"), join(store, "subnets")];
  const arrival = startProgram(t, one.name, [...FIRST, traffic, "await", MADE_UP_HOST, UDP_PORT, inner]);
  const waiting = startProgram(t, other.name, [...IN_OWN_SESSION, traffic, "wait-for", folder, key]);
  writeFileSync(part, JSON.stringify({ PublicIP: MADE_UP_HOST, PublicIPv6: null })); // as a host with the udp backend writes it, which names no type
  const publishing = startProgram(t, one.name, [...FIRST, traffic, "publish", part, join(folder, key)]);
  for (const program of [arrival, waiting, publishing]) await program.prints("ready");
  const knocking = startProgram(t, other.name, [...FIRST, traffic, "knock", inner, "9", KNOCK_MS]);
  await setTimeout(SETTLE_MS);
  publishing.tell("now");
  const [began, woken, arrived] = [await timeOf(publishing), await timeOf(waiting), await timeOf(arrival)];
  await knocking.end("SIGKILL");
  const [, way] = await arrival.says(/"wayMs":([\d.]+)/);
  return { twill: arrived - began, C: woken - began, way: Number(way) };
}

/** Waits for the time that a program tells. */
async function timeOf(program: Program): Promise<number> {
  const [, atMs] = await program.says(/"atMs":([\d.]+)/);
  return Number(atMs);
}
