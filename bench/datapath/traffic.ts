// The traffic program (bench/traffic.c) between two namespaces: what one run of it has told.
import { startProgram, type Test } from "../../e2e/cluster/program.ts";
import type { Namespace } from "../../e2e/lab/host.ts";

const PORT = "5201";
/**
 * Starts a program in a session of its own, as service managers and container runtimes do. Where the kernel shares the processors out between sessions
 * (sched_autogroup_enabled), programs of one session would share what is one program's.
 */
export const IN_OWN_SESSION = ["setsid"];

/** What packets go through, both ways. */
export interface Wire {
  from: Namespace;
  to: Namespace;
  /** Of `to`. */
  address: string;
  mtu: number;
}

/** Milliseconds of each kind of traffic in a round. */
export interface Durations {
  tcp: number;
  latency: number;
  udp: number;
}

export const DATAGRAMS = { small: 100, large: 1400 } as const;
const STREAMS = 4;

export interface Figures {
  oneStreamGbits: number;
  fourStreamsGbits: number;
  medianUs: number;
  p99Us: number;
  smallKpps: number;
  largeKpps: number;
  /** Processor seconds of the whole machine for each Gbit of one TCP stream. */
  cpuPerGbit: number;
}

/** Starts the end that answers; it lives as long as the test. */
export async function startServer(t: Test, program: string, { to }: Wire): Promise<void> {
  await startProgram(t, to.name, [...IN_OWN_SESSION, program, "serve", PORT]).prints("ready");
}

/** Runs one TCP stream. @returns Gbit/s */
export function measureStream(program: string, { from, address }: Wire, ms: number): number {
  const { seconds, bytes } = from.json(program, "tcp", address, PORT, "1", String(ms)) as Transfer;
  return (bytes * 8) / 1e9 / seconds;
}

/** Runs each kind of traffic once. @throws Error one of them does not come through */
export function measureWire(program: string, { from, address }: Wire, durations: Durations): Figures {
  const run = <T>(mode: string, ...args: number[]): T =>
    from.json(program, mode, address, PORT, ...args.map((value) => String(value))) as T;
  const tcp = (streams: number) => {
    const { seconds, bytes, cpuSeconds } = run<Transfer>("tcp", streams, durations.tcp);
    const gigabits = (bytes * 8) / 1e9;
    return { gbits: gigabits / seconds, cpuPerGbit: cpuSeconds / gigabits };
  };
  const kpps = (size: number) => {
    const { seconds, received } = run<Datagrams>("udp", size, durations.udp);
    return received / seconds / 1e3;
  };
  const one = tcp(1);
  const { gbits: fourStreamsGbits } = tcp(STREAMS);
  const { medianUs, p99Us } = run<Latency>("latency", durations.latency);
  return {
    ...{ oneStreamGbits: one.gbits, cpuPerGbit: one.cpuPerGbit, fourStreamsGbits, medianUs, p99Us },
    ...{ smallKpps: kpps(DATAGRAMS.small), largeKpps: kpps(DATAGRAMS.large) },
  };
}

interface Transfer {
  seconds: number;
  bytes: number;
  cpuSeconds: number;
}

interface Datagrams {
  seconds: number;
  received: number;
}

interface Latency {
  medianUs: number;
  p99Us: number;
}
