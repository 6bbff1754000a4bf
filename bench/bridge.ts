// ADD, CHECK and DEL of bridge + host-local, one container after the other, on a node that has some already.
import type { Host, Verb } from "../e2e/lab/host.ts";
import {
  bridgeConf,
  type Contenders,
  deletingFast,
  type Masquerade,
  pluginsOf,
  prepareForFloor,
} from "./contenders.ts";
import { COUNTED_ROUNDS, CountSamples } from "./counts.ts";
import { type Row, Samples, withGoals } from "./figures.ts";
import {
  type Attachment,
  type Caller,
  type Contender,
  caller,
  type Node,
  newAttachment,
  newNode,
  rotated,
} from "./node.ts";

/** So many containers are attached all the time. */
const RESIDENTS = 10;
const WARM_UP_ROUNDS = 3;
/** A switch that saves less makes no difference. */
const FAST_AT_MOST = 0.8;

export interface BridgeBench {
  launcher: string;
  contenders: Contenders;
  masquerade: Masquerade;
  rounds: number;
}

interface Contest {
  name: string;
  node: Node;
  caller: Caller;
}

export async function bridgeRows(bench: BridgeBench): Promise<Row[]> {
  const contests = contestsOf(bench);
  for (const { node, caller } of contests) {
    for (const container of node.host.containers.slice(1)) await caller.call("ADD", newAttachment(container));
  }
  const backends = new Map(contests.map(({ name, node }) => [name, backendOn(node.host)]));
  const samples = new Samples();
  for (let round = 0; round < WARM_UP_ROUNDS + bench.rounds; round++) {
    await runRound(rotated(contests, round), round < WARM_UP_ROUNDS ? new Samples() : samples);
  }
  const counts = await countCalls(contests);
  for (const { node } of contests) node.remove();
  return [
    ...verbRows(bench.masquerade, backends, samples),
    ...counts.rows(titleOf(bench.masquerade, backends), VERBS, bench.masquerade === "none" ? {} : COUNT_GOALS),
    ...(bench.masquerade === "default" ? memoryRows(samples) : []),
  ];
}

const VERBS = ["ADD", "CHECK", "DEL"] as const;
const COUNT_GOALS = { ADD: { systemCalls: 85, pageFaults: 80, instructions: 3.8 } };

async function countCalls(contests: readonly Contest[]): Promise<CountSamples> {
  const counts = new CountSamples();
  for (let round = 0; round < COUNTED_ROUNDS; round++) {
    for (const { name, node, caller } of contests) {
      for (const container of node.host.containers.slice(0, 1)) {
        const attachment = newAttachment(container);
        for (const verb of verbsOf(name)) counts.add(name, verb, await caller.count(verb, attachment));
      }
    }
  }
  return counts;
}

/** The C program has no CHECK. */
const verbsOf = (name: string): Verb[] => VERBS.filter((verb) => verb !== "CHECK" || name !== "C");

/** Where each takes its default there is no C program: its figures stand with the backend that has a name. */
function contestsOf({ launcher, contenders, masquerade }: BridgeBench): Contest[] {
  const { twill, C } = contenders;
  const named: Record<string, Contender> = {
    ...Object.fromEntries(pluginsOf(contenders)),
    fast: deletingFast(twill),
    ...(masquerade !== "default" && { C }),
  };
  return Object.entries(named).map(([name, contender]) => {
    const node = newNode(launcher, 1 + RESIDENTS);
    if (name === "C") prepareForFloor(node, masquerade);
    return { name, node, caller: caller(node, contender, "bridge", bridgeConf(masquerade)) };
  });
}

/** Each verb by every contender before the next verb. */
async function runRound(contests: readonly Contest[], samples: Samples): Promise<void> {
  const attached = contests.flatMap((contest) =>
    contest.node.host.containers.slice(0, 1).map((container) => ({ contest, attachment: newAttachment(container) })),
  );
  for (const verb of VERBS) {
    for (const { contest, attachment } of attached) {
      if (verbsOf(contest.name).includes(verb)) await measure(contest, verb, attachment, samples);
    }
    const bare = await contests[0]?.node.bare();
    if (bare !== undefined) samples.add("bare", bare.ms);
  }
}

async function measure({ name, caller }: Contest, verb: Verb, attachment: Attachment, samples: Samples): Promise<void> {
  const { ms, cpuMs, peakMegabytes } = await caller.call(verb, attachment);
  samples.add(`${name} ${verb}`, ms);
  samples.add(`${name} ${verb} CPU`, cpuMs);
  samples.add(`${name} ${verb} memory`, peakMegabytes);
}

/** Told by the tables that are there. */
function backendOn(host: Host): string {
  const tables = host.sh("nft list tables");
  if (tables === "") return "none";
  return /^table ip nat$/m.test(tables) ? "iptables" : "nftables";
}

type Backends = ReadonlyMap<string, string>;

function titleOf(masquerade: Masquerade, backends: Backends): string {
  if (masquerade === "none") return "bridge + host-local, no masquerade";
  const sides = ["twill", "Go", "C"].flatMap((who) => (backends.has(who) ? `${who}: ${backends.get(who)}` : []));
  const wanted = masquerade === "default" ? "each by its default" : `ipMasqBackend ${masquerade}`;
  return `bridge + host-local + masquerade, ${wanted} (${sides.join(", ")})`;
}

function verbRows(masquerade: Masquerade, backends: Backends, samples: Samples): Row[] {
  const bare = samples.find("bare");
  const section = titleOf(masquerade, backends);
  const row = (name: string, figures: Row["figures"]): Omit<Row, "goals"> => {
    const headline = headlineOf(name, masquerade, backends);
    return { section, name, unit: "ms", figures, ...(bare && { bare }), ...(headline !== undefined && { headline }) };
  };
  const masqueraded = masquerade !== "none";
  const rows = [
    withGoals(row("ADD", samples.figures("ADD")), masqueraded ? { earlier: 0.6, Go: 0.17, C: 1.8 } : {}),
    withGoals(row("CHECK", samples.figures("CHECK")), { Go: 0.22 }),
    withGoals(row("DEL", samples.figures("DEL")), masqueraded ? { C: 1.05 } : {}), // most of it is the kernel's wait
    withGoals(
      { section, name: "DEL, processor time", unit: "ms", figures: samples.figures("DEL CPU") },
      { earlier: 0.6 },
    ),
  ];
  const [fast, plain, Go] = [samples.find("fast DEL"), samples.find("twill DEL"), samples.find("Go DEL")];
  if (fast && plain && Go && fast.median < FAST_AT_MOST * plain.median) {
    rows.push(withGoals(row("DEL, TWILL_FAST_DEL=1", { twill: fast, Go }), masqueraded ? { Go: 0.05 } : {}));
  }
  return rows;
}

/** The plot has the backends by name: what is the default shows in the table. */
function headlineOf(name: string, masquerade: Masquerade, backends: Backends): string | undefined {
  if (masquerade === "default") return undefined;
  if (masquerade === "none") return `${name}, no masquerade`;
  const [ours = "", theirs = ""] = [backends.get("twill"), backends.get("Go")];
  return `${name}, ${ours}${ours === theirs ? "" : ` (Go: ${theirs})`}`;
}

const MOST_MEGABYTES = 3;

function memoryRows(samples: Samples): Row[] {
  return ["ADD", "CHECK", "DEL"].map((verb) => {
    const figures = samples.figures(`${verb} memory`);
    const value = figures.twill?.median ?? Number.NaN;
    return {
      section: "peak resident memory (of the largest process), bridge + host-local + masquerade by default",
      name: verb,
      unit: "MB",
      figures,
      goals: [{ of: "MB", value, limit: MOST_MEGABYTES }],
    };
  });
}
