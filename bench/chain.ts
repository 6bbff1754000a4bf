// Plugins in a list, called one after the other as a runtime does, by twill and by Go in turn.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { goBin } from "../e2e/lab/project.ts";
import { type Contenders, hostLocalConf } from "./contenders.ts";
import { type Row, Samples, withGoals } from "./figures.ts";
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
  limits?: Partial<Record<Verb, number>>;
  headline?: string;
}

export type Verb = "ADD" | "DEL";
export const verbs: readonly Verb[] = ["ADD", "DEL"];

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
  const known = (["twill", "Go"] as const).filter((who) => who === "twill" || isThere(chain));
  const contests = known.map((who) => contestOf(launcher, who, contenders[who], chain));
  const samples = await measure(contests, rounds);
  return verbs.map((verb) =>
    withGoals(
      {
        section: chain.section,
        name: `${chain.name}: ${verb}`,
        unit: "ms",
        figures: samples.figures(verb),
        ...(chain.headline && { headline: `${verb}, ${chain.headline}` }),
      },
      chain.limits?.[verb] === undefined ? {} : { Go: chain.limits[verb] },
    ),
  );
}

/** Debian's release has not all plugins. */
const isThere = ({ plugins }: Chain): boolean => plugins.every(({ type }) => existsSync(join(goBin, String(type))));

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

export async function measure(contests: readonly Contest[], rounds: number): Promise<Samples> {
  for (const { chain, node, contender } of contests) {
    for (const [i, plugins] of (chain.residents ?? []).entries()) {
      const container = node.host.containers[1 + i];
      if (container === undefined) continue;
      await play(callersOf(node, contender, plugins), "ADD", newAttachment(container), plugins.length);
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
        const { name, callers, chain } = contest;
        into.add(`${name} ${verb}`, await play(callers, verb, attachment, chain.measured ?? callers.length));
      }
    }
  }
  for (const { node } of contests) node.remove();
  return samples;
}

/** @returns the time of the last `measured` plugins of the list, in milliseconds */
async function play(callers: readonly Caller[], verb: Verb, attachment: Attachment, measured: number): Promise<number> {
  const order = verb === "ADD" ? callers : callers.toReversed();
  let sum = 0;
  for (const caller of order) {
    const { ms } = await caller.call(verb, attachment);
    if (callers.indexOf(caller) >= callers.length - measured) sum += ms;
  }
  return sum;
}
