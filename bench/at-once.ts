// Many containers at once, as after the restart of a node.
import { bridgeConf, type Contenders, type Masquerade, pluginsOf, prepareForFloor } from "./contenders.ts";
import { type Row, Samples, withGoals } from "./figures.ts";
import { caller, newAttachment, newNode, rotated } from "./node.ts";

const CONTAINERS = 100;

export interface AtOnceBench {
  launcher: string;
  contenders: Contenders;
  masquerade: Masquerade;
  rounds: number;
}

export async function atOnceRows({ launcher, contenders, masquerade, rounds }: AtOnceBench): Promise<Row[]> {
  const contests = [...pluginsOf(contenders), ["C", contenders.C] as const].map(([who, contender]) => {
    const node = newNode(launcher, CONTAINERS);
    if (who === "C") prepareForFloor(node, masquerade);
    return { who, node, caller: caller(node, contender, "bridge", bridgeConf(masquerade)) };
  });
  const samples = new Samples();
  for (let round = 0; round < 1 + rounds; round++) {
    const into = round === 0 ? new Samples() : samples; // the first is the warm-up
    for (const { who, node, caller } of rotated(contests, round)) {
      const attachments = node.host.containers.map(newAttachment);
      for (const verb of ["ADD", "DEL"] as const) {
        into.add(`${who} ${verb}`, (await caller.callAll(verb, attachments)).wallMs);
      }
    }
  }
  for (const { node } of contests) node.remove();
  const section = `${CONTAINERS} containers at once, bridge + host-local + masquerade (ipMasqBackend ${masquerade}), wall time`;
  return ["ADD", "DEL"].map((name) =>
    withGoals(
      {
        section,
        name,
        unit: "ms",
        figures: samples.figures(name),
        headline: `${CONTAINERS} x ${name} at once, ${masquerade}`,
      },
      { Go: name === "ADD" ? 0.18 : 0.35 },
    ),
  );
}
