// ADD, CHECK and DEL of bridge + host-local, one container after the other, on a node that has some already.
import type { Host, Verb } from "../e2e/lab/host.ts";
import { bridgeConf, type Contenders, deletingFast, type Masquerade, prepareForFloor } from "./contenders.ts";
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
  for (const { node } of contests) node.remove();
  const rows = verbRows(bench.masquerade, backends, samples);
  return bench.masquerade === "default" ? [...rows, ...memoryRows(samples)] : rows;
}

/** Where each takes its default there is no C program: its figures stand with the backend that has a name. */
function contestsOf({ launcher, contenders, masquerade }: BridgeBench): Contest[] {
  const { twill, Go, C } = contenders;
  const named: Record<string, Contender> = {
    twill,
    Go,
    fast: deletingFast(twill),
    ...(masquerade !== "default" && { C }),
  };
  return Object.entries(named).map(([name, contender]) => {
    const node = newNode(launcher, 1 + RESIDENTS);
    if (name === "C") prepareForFloor(node, masquerade);
    return { name, node, caller: caller(node, contender, "bridge", bridgeConf(masquerade)) };
  });
}

/** Each verb by every contender before the next verb. The C program has no CHECK. */
async function runRound(contests: readonly Contest[], samples: Samples): Promise<void> {
  const attached = contests.flatMap((contest) =>
    contest.node.host.containers.slice(0, 1).map((container) => ({ contest, attachment: newAttachment(container) })),
  );
  for (const verb of ["ADD", "CHECK", "DEL"] as const) {
    for (const { contest, attachment } of attached) {
      if (verb !== "CHECK" || contest.name !== "C") await measure(contest, verb, attachment, samples);
    }
    const bare = await contests[0]?.node.bare();
    if (bare !== undefined) samples.add("bare", bare.ms);
  }
}

async function measure({ name, caller }: Contest, verb: Verb, attachment: Attachment, samples: Samples): Promise<void> {
  const { ms, peakMegabytes } = await caller.call(verb, attachment);
  samples.add(`${name} ${verb}`, ms);
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
    withGoals(row("ADD", samples.figures("ADD")), masqueraded ? { Go: 0.25, C: 1.3 } : {}),
    withGoals(row("CHECK", samples.figures("CHECK")), {}),
    withGoals(row("DEL", samples.figures("DEL")), masqueraded ? { Go: 0.28 } : {}),
  ];
  const [fast, plain, Go] = [samples.find("fast DEL"), samples.find("twill DEL"), samples.find("Go DEL")];
  if (fast && plain && Go && fast.median < FAST_AT_MOST * plain.median) {
    rows.push(withGoals(row("DEL, TWILL_FAST_DEL=1", { twill: fast, Go }), masqueraded ? { Go: 0.08 } : {}));
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

const MOST_MEGABYTES = 4;

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
