// What travels between namespaces: TCP transfers, UDP datagrams, running pings. Told by the other end, byte for byte.
import { join } from "node:path";
import { projectRoot } from "../lab/project.ts";
import { type Program, startProgram, type Test } from "./program.ts";
import { until } from "./until.ts";

export interface Answer {
  /** The other end had the same bytes. */
  intact?: boolean;
  /** The address that the other end saw. */
  from?: string;
  /** Instead of both: why there was no answer. */
  error?: string;
}

/** Somebody who answers in a namespace, and asks others like it. */
export interface Peer {
  ask(protocol: "tcp" | "udp", address: string, size: number): Promise<Answer>;
}

export async function startPeer(t: Test, namespace: string): Promise<Peer> {
  const program = startProgram(t, namespace, [process.execPath, join(projectRoot, "e2e/cluster/peer.mjs")]);
  await program.says(/^serving$/m);
  let asked = 0;
  return {
    async ask(protocol, address, size) {
      const id = ++asked;
      program.tell(JSON.stringify({ id, protocol, address, size }));
      const [, answer = ""] = await program.says(new RegExp(`^{"id":${id},(.*)$`, "m"));
      return JSON.parse(`{${answer}`);
    },
  };
}

export interface Pinging {
  /** Waits until so many more were answered. */
  answers(more: number): Promise<void>;
  /** @returns how many were answered, and how many before the last answer were not */
  stop(): Promise<{ answered: number; lost: number }>;
}

/** 20 times a second, until stopped. */
export function startPinging(t: Test, namespace: string, address: string): Pinging {
  const program = startProgram(t, namespace, ["ping", "-n", "-i", "0.05", address]);
  return {
    async answers(more) {
      const before = answered(program).length;
      await until(`${more} more answers of ${address}`, () => answered(program).length >= before + more);
    },
    async stop() {
      await program.end("SIGINT");
      const sequence = answered(program);
      return { answered: sequence.length, lost: (sequence.at(-1) ?? 0) - sequence.length };
    },
  };
}

/** Sequence numbers, which begin at 1. */
function answered(ping: Program): number[] {
  return [...ping.printed().matchAll(/icmp_seq=(\d+) .*time=/g)].map(([, sequence]) => Number(sequence));
}
