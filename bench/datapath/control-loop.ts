// How soon a peer can be reached after its lease has come, while the udp data path is idle and while it carries as much as it can: whether the
// control loop waits for the data path.
//
// The peer is made up: a lease file whose host is a second address of host 1. Host 2 sends a datagram to the peer's subnet each millisecond; the
// time is from before the file is written until the first of them arrives there. The stream comes from host 1: on host 2 it takes the processors
// and the data path, but no datagram stands behind its packets in the device's queue. The two programs that measure go before all others at
// the processors: what is measured is the daemon and its data path.
import { readdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startProgram, type Test } from "../../e2e/cluster/program.ts";
import { until } from "../../e2e/cluster/until.ts";
import { monotonicMs } from "../../pkg/sys/clock.ts";
import { type Row, Samples } from "../figures.ts";
import { startServer } from "./traffic.ts";
import { type FlannelPair, wireByFlanneld } from "./wires.ts";

const MADE_UP_HOST = "192.0.2.77";
const UDP_PORT = "8285";
/** `nice` of the programs that measure. */
const FIRST = ["nice", "--adjustment=-20"];
const KNOCK_MS = "1";
/** Longer than a round takes, at the worst. */
const SATURATION_MS = "20000";
/** What a stream has sent when it has found its pace. */
const SATURATED_BYTES = 5e6;
const MOST_OF_IDLE = 1.5;

export async function controlLoopRow(t: Test, traffic: string, rounds: number): Promise<Row> {
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
  for (let round = 0; round < rounds; round++) {
    samples.add("idle", await measureLease(t, traffic, pair, nextSubnet()));
    const load = startProgram(t, pair.wire.from.name, [traffic, "tcp", pair.wire.address, "5201", "1", SATURATION_MS]);
    await carries(pair, SATURATED_BYTES);
    samples.add("saturated", await measureLease(t, traffic, pair, nextSubnet()));
    await load.end("SIGKILL");
  }
  const [idle, saturated] = [samples.find("idle"), samples.find("saturated")];
  if (idle === undefined || saturated === undefined) throw new Error("nothing was measured");
  return {
    section: `lease of a peer to the first packet that reaches it, udp (idle: ${idle.median.toFixed(1)} ms)`,
    name: "while one TCP stream takes all it can",
    unit: "ms",
    figures: { twill: saturated },
    goals: [{ of: "of idle", value: saturated.median / idle.median, limit: MOST_OF_IDLE }],
  };
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

async function measureLease(t: Test, traffic: string, pair: FlannelPair, n: number): Promise<number> {
  const inner = `10.5.${n}.1`;
  const arrival = startProgram(t, pair.one.name, [...FIRST, traffic, "await", MADE_UP_HOST, UDP_PORT, inner]);
  await arrival.prints("ready");
  const knocking = startProgram(t, pair.other.name, [...FIRST, traffic, "knock", inner, "9", KNOCK_MS]);
  const began = monotonicMs();
  writeLease(pair.store, n);
  const [, atMs] = await arrival.says(/"atMs":([\d.]+)/);
  await knocking.end("SIGKILL");
  return Number(atMs) - began;
}

/** As a host with the udp backend writes it, which names no type. */
function writeLease(store: string, n: number): void {
  const [part, file] = [join(store, "made-up"), join(store, "subnets", `10.5.${n}.0-24`)];
  writeFileSync(part, JSON.stringify({ PublicIP: MADE_UP_HOST, PublicIPv6: null }));
  renameSync(part, file); // whole at once
}
