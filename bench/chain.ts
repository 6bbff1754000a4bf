// Plugins in a list, called one after the other as a runtime does, by twill and by Go in turn.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Contenders, hostLocalConf, pluginsOf } from "./contenders.ts";
import { COUNTED_ROUNDS, CountSamples } from "./counts.ts";
import { type Row, Samples, type Who, withGoals } from "./figures.ts";
import type { Counts } from "./launcher.ts";
import {
  type Attachment,
  type Caller,
  type Contender,
  caller,
  type Netconf,
  type Node,
  newAttachment,
  newNode,
  rotated,
} from "./node.ts";

const WARM_UP_ROUNDS = 2;

/** The plugins of a list, as a runtime calls them; ADD forwards, DEL backwards. */
export interface Chain {
  name: string;
  section: string;
  plugins: readonly Netconf[];
  /** How many of them, at the end, are measured; all unless given. */
  measured?: number;
  /** Run once on each host. */
  prepare?: string;
  /** Attached all the time. */
  residents?: readonly (readonly Netconf[])[];
  limits?: Partial<Record<Verb, Partial<Record<Who, number>>>>;
  /** The C program takes part, and what it expects on its host is made by this. */
  prepareFloor?: (node: Node) => void;
  headline?: string;
}

export type Verb = "ADD" | "CHECK" | "DEL";
export const verbs: readonly Verb[] = ["ADD", "CHECK", "DEL"];

export interface ChainBench {
  launcher: string;
  contenders: Contenders;
  rounds: number;
}

export function netconf(type: string, keys: object = {}): Netconf {
  return { cniVersion: "1.0.0", name: "bench", type, ...keys };
}

/** What all chains begin with. */
export const bridge = netconf("bridge", {
  bridge: "cni0",
  isDefaultGateway: true,
  ipMasq: true,
  ipam: hostLocalConf("bench")["ipam"],
});

/** One that publishes so many ports. */
export const portmap = (count: number, firstPort = 8000, keys: object = {}): Netconf =>
  netconf("portmap", {
    runtimeConfig: {
      portMappings: Array.from({ length: count }, (_, i) => ({
        hostPort: firstPort + i,
        containerPort: 80 + i,
        protocol: "tcp",
      })),
    },
    ...keys,
  });

export async function chainRows({ launcher, contenders, rounds }: ChainBench, chain: Chain): Promise<Row[]> {
  const contests = pluginsOf(contenders)
    .filter(([, { bin }]) => isThere(bin, chain))
    .map(([who, contender]) => contestOf(launcher, who, contender, chain));
  if (chain.prepareFloor) {
    const floor = contestOf(launcher, "C", contenders.C, chain);
    chain.prepareFloor(floor.node);
    contests.push(floor);
  }
  const samples = await measure(contests, rounds);
  const counts = await countCalls(contests);
  for (const { node } of contests) node.remove();
  return [
    ...timeRows(chain, samples),
    ...counts.rows(
      chain.section,
      verbs.map((verb) => `${chain.name}: ${verb}`),
    ),
  ];
}

function timeRows(chain: Chain, samples: Samples): Row[] {
  return verbs.map((verb) =>
    withGoals(
      {
        section: chain.section,
        name: `${chain.name}: ${verb}`,
        unit: "ms",
        figures: samples.figures(verb),
        ...(chain.headline && { headline: `${verb}, ${chain.headline}` }),
      },
      chain.limits?.[verb] ?? {},
    ),
  );
}

/** Debian's release has not all plugins, nor has an earlier one of ours. */
const isThere = (bin: string, { plugins }: Chain): boolean =>
  plugins.every(({ type }) => existsSync(join(bin, String(type))));

/** The C program has no CHECK, and that of Go's portmap before 1.2 asks for IPv6 rules where there is no IPv6 address. */
const verbsOf = ({ name, chain }: Contest): Verb[] => {
  const lacksCheck = name === "C" || (name.startsWith("Go") && chain.plugins.some(({ type }) => type === "portmap"));
  return verbs.filter((verb) => verb !== "CHECK" || !lacksCheck);
};

/** Counts what the measured plugins of each list do together. */
async function countCalls(contests: readonly Contest[]): Promise<CountSamples> {
  const counts = new CountSamples();
  for (let round = 0; round < COUNTED_ROUNDS; round++) {
    for (const contest of contests) {
      const { name, chain, node } = contest;
      for (const container of node.host.containers.slice(0, 1)) {
        const attachment = newAttachment(container);
        for (const verb of verbsOf(contest)) {
          const all: Counts[] = [];
          for (const caller of calledFor(verb, contest)) {
            const each = await caller.count(verb, attachment);
            if (isMeasured(caller, contest)) all.push(each);
          }
          counts.add(name, `${chain.name}: ${verb}`, all.reduce(sum));
        }
      }
    }
  }
  return counts;
}

function sum(one: Counts, other: Counts): Counts {
  const both = (a: number | undefined, b: number | undefined) =>
    a === undefined || b === undefined ? undefined : a + b;
  return {
    systemCalls: one.systemCalls + other.systemCalls,
    pageFaults: both(one.pageFaults, other.pageFaults),
    instructions: both(one.instructions, other.instructions),
  };
}

/** In the runtime's order. CHECK only of those that are measured: what sbr does is an error to Go's bridge. */
function calledFor(verb: Verb, contest: Contest): readonly Caller[] {
  if (verb === "CHECK") return contest.callers.filter((caller) => isMeasured(caller, contest));
  return verb === "DEL" ? contest.callers.toReversed() : contest.callers;
}

/** Whether it is one of the last of the list, of which the figures are. */
const isMeasured = (caller: Caller, { callers, chain }: Contest): boolean =>
  callers.indexOf(caller) >= callers.length - (chain.measured ?? callers.length);

export interface Contest {
  name: string;
  chain: Chain;
  node: Node;
  /** One for each plugin of the chain. */
  callers: Caller[];
  contender: Contender;
}

export function contestOf(launcher: string, name: string, contender: Contender, chain: Chain): Contest {
  const node = newNode(launcher, 1 + (chain.residents?.length ?? 0));
  if (chain.prepare) node.host.sh(chain.prepare);
  return { name, chain, node, contender, callers: callersOf(node, contender, chain.plugins) };
}

const callersOf = (node: Node, contender: Contender, plugins: readonly Netconf[]): Caller[] =>
  plugins.map((plugin) => caller(node, contender, String(plugin["type"]), plugin));

/** Leaves the hosts for its caller to remove. */
export async function measure(contests: readonly Contest[], rounds: number): Promise<Samples> {
  for (const { chain, node, contender } of contests) {
    for (const [i, plugins] of (chain.residents ?? []).entries()) {
      const container = node.host.containers[1 + i];
      if (container === undefined) continue;
      const attachment = newAttachment(container);
      for (const caller of callersOf(node, contender, plugins)) await caller.call("ADD", attachment);
    }
  }
  const samples = new Samples();
  for (let round = 0; round < WARM_UP_ROUNDS + rounds; round++) {
    const into = round < WARM_UP_ROUNDS ? new Samples() : samples;
    const attached = rotated(contests, round).flatMap((contest) =>
      contest.node.host.containers.slice(0, 1).map((container) => ({ contest, attachment: newAttachment(container) })),
    );
    for (const verb of verbs) {
      for (const { contest, attachment } of attached) {
        if (verbsOf(contest).includes(verb)) into.add(`${contest.name} ${verb}`, await play(contest, verb, attachment));
      }
    }
  }
  return samples;
}

/** @returns The time of the measured plugins of the list, in milliseconds. */
async function play(contest: Contest, verb: Verb, attachment: Attachment): Promise<number> {
  let sum = 0;
  for (const caller of calledFor(verb, contest)) {
    const { ms } = await caller.call(verb, attachment);
    if (isMeasured(caller, contest)) sum += ms;
  }
  return sum;
}
