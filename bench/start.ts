// What it costs to be called at all: VERSION.
import { type Contenders, hostLocalConf } from "./contenders.ts";
import { type Row, Samples, withGoals } from "./figures.ts";
import { caller, newAttachment, newNode, rotated } from "./node.ts";

const WARM_UP_ROUNDS = 5;
const PLUGINS = ["loopback", "bridge", "host-local"] as const;
const MOST_ABOVE_BARE_MS = 0.6;

export interface StartBench {
  launcher: string;
  contenders: Contenders;
  rounds: number;
}

export async function startRows({ launcher, contenders, rounds }: StartBench): Promise<Row[]> {
  const node = newNode(launcher, 1);
  const calls = PLUGINS.flatMap((plugin) =>
    (["twill", "Go", "C"] as const).map((who) => ({
      name: `${who} ${plugin}`,
      caller: caller(node, contenders[who], who === "C" ? "bridge" : plugin, hostLocalConf("bench")),
    })),
  );
  const samples = new Samples();
  for (let round = 0; round < WARM_UP_ROUNDS + rounds; round++) {
    const into = round < WARM_UP_ROUNDS ? new Samples() : samples;
    for (const { name, caller } of rotated(calls, round)) {
      for (const container of node.host.containers) {
        into.add(name, (await caller.call("VERSION", newAttachment(container))).ms);
      }
    }
    into.add("bare", (await node.bare()).ms);
  }
  node.remove();
  return PLUGINS.map((plugin) => rowOf(plugin, samples));
}

function rowOf(plugin: string, samples: Samples): Row {
  const bare = samples.find("bare");
  const figures = samples.figures(plugin);
  const section = "start (VERSION)";
  const row = withGoals(
    { section, name: plugin, unit: "ms", figures, ...(bare && { bare }) },
    plugin === "loopback" ? { Go: 0.4 } : {},
  );
  if (plugin !== "loopback" || figures.twill === undefined || bare === undefined) return row;
  const value = figures.twill.median - bare.median;
  const headline = "start: VERSION, loopback";
  return { ...row, headline, goals: [{ of: "ms above /bin/true", value, limit: MOST_ABOVE_BARE_MS }, ...row.goals] };
}
