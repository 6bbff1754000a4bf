// What it costs to be called at all: VERSION.
import { type Contenders, hostLocalConf, pluginsOf } from "./contenders.ts";
import { COUNTED_ROUNDS, CountSamples } from "./counts.ts";
import { type Row, Samples, withGoals } from "./figures.ts";
import { caller, newAttachment, newNode, rotated } from "./node.ts";

const WARM_UP_ROUNDS = 5;
const SECTION = "start (VERSION)";
const PLUGINS = ["loopback", "bridge", "host-local"] as const;
const MOST_ABOVE_BARE_MS = 0;

export interface StartBench {
  launcher: string;
  contenders: Contenders;
  rounds: number;
}

export async function startRows({ launcher, contenders, rounds }: StartBench): Promise<Row[]> {
  const node = newNode(launcher, 1);
  const calls = PLUGINS.flatMap((plugin) =>
    [...pluginsOf(contenders), ["C", contenders.C] as const].map(([who, contender]) => ({
      who,
      plugin,
      name: `${who} ${plugin}`,
      caller: caller(node, contender, who === "C" ? "bridge" : plugin, hostLocalConf("bench")),
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
  const counts = new CountSamples();
  for (const { who, plugin, caller } of calls.flatMap((call) => Array.from({ length: COUNTED_ROUNDS }, () => call))) {
    for (const container of node.host.containers)
      counts.add(who, plugin, await caller.count("VERSION", newAttachment(container)));
  }
  node.remove();
  return [...PLUGINS.map((plugin) => rowOf(plugin, samples)), ...counts.rows(SECTION, PLUGINS)];
}

function rowOf(plugin: string, samples: Samples): Row {
  const bare = samples.find("bare");
  const figures = samples.figures(plugin);
  const row = withGoals(
    { section: SECTION, name: plugin, unit: "ms", figures, ...(bare && { bare }) },
    plugin === "loopback" ? { Go: 0.4 } : {},
  );
  if (plugin !== "loopback" || figures.twill === undefined || bare === undefined) return row;
  const value = figures.twill.median - bare.median;
  const headline = "start: VERSION, loopback";
  return { ...row, headline, goals: [{ of: "ms above /bin/true", value, limit: MOST_ABOVE_BARE_MS }, ...row.goals] };
}
