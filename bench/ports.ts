// portmap on hosts that have published many ports already, and with many in one call.
import { bridge, type Chain, type ChainBench, contestOf, measure, portmap, verbs } from "./chain.ts";
import { type Row, Samples } from "./figures.ts";
import { caller, newAttachment, newNode } from "./node.ts";

/** Of the time with the fewest ports, for that with the most. */
const GROWTH_LIMIT = 1.3;
const RESIDENTS = 10;
const COUNTS = [10, 1000, 5000];
/** Go's plugin starts iptables for each rule, which reads all that there are: the residents of 5,000 ports alone would take a quarter of an hour. */
const MOST_OF_GO = 1000;
/** Above those of the containers that come and go. */
const FIRST_RESIDENT_PORT = 10_000;

/** portmap on hosts where containers have published so many ports, side by side in each round. */
export async function manyPortsRows({ launcher, contenders, rounds }: ChainBench): Promise<Row[]> {
  const sides = [
    { who: "twill", backend: "nftables", name: "nftables" },
    { who: "twill", backend: "iptables", name: "iptables" },
    { who: "Go", backend: "iptables", name: "Go, iptables" },
  ] as const;
  const chainOf = (backend: string, count: number): Chain => ({
    name: `${count}`,
    section: "",
    plugins: [bridge, portmap(1, 8000, { backend })],
    measured: 1,
    residents: Array.from({ length: RESIDENTS }, (_, i) => {
      const each = count / RESIDENTS;
      return [bridge, portmap(each, FIRST_RESIDENT_PORT + i * each, { backend })];
    }),
  });
  const contests = sides.flatMap(({ who, backend, name }) =>
    COUNTS.filter((count) => who === "twill" || count <= MOST_OF_GO).map((count) =>
      contestOf(launcher, `${name} ${count}`, contenders[who], chainOf(backend, count)),
    ),
  );
  const samples = await measure(contests, rounds);
  for (const { node } of contests) node.remove();
  return verbs.flatMap((verb) => {
    const median = (side: string, count: number) => samples.find(`${side} ${count} ${verb}`)?.median ?? Number.NaN;
    const [few = 0, most = 0] = [COUNTS[0], COUNTS.at(-1)];
    return (["nftables", "iptables"] as const).flatMap((backend) =>
      COUNTS.map((count): Row => {
        const [twill, Go] = [`${backend} ${count} ${verb}`, `Go, iptables ${count} ${verb}`].map((key) =>
          samples.find(key),
        );
        const growth = median(backend, count) / median(backend, few);
        return {
          section: "portmap, one port, with so many published already",
          name: `${verb}, ${count}, ${backend}${backend === "nftables" ? " (Go: iptables)" : ""}`,
          unit: "ms",
          figures: { ...(twill && { twill }), ...(Go && { Go }) },
          goals:
            count === most && backend === "nftables"
              ? [{ of: `of ${few} ports' time`, value: growth, limit: GROWTH_LIMIT }]
              : [],
        };
      }),
    );
  });
}

/** One ADD with a thousand mappings beside one with one. */
export async function wideRows({ launcher, contenders, rounds }: ChainBench): Promise<Row[]> {
  const WIDE = 1000;
  const WIDE_LIMIT = 3;
  const contests = [1, WIDE].map((count) =>
    contestOf(launcher, `${count}`, contenders.twill, {
      name: `${count}`,
      section: "",
      plugins: [bridge, portmap(count, 20_000, { backend: "nftables" })],
      measured: 1,
    }),
  );
  const samples = await measure(contests, rounds);
  for (const { node } of contests) node.remove();
  return verbs.flatMap((verb) =>
    [1, WIDE].flatMap((count): Row[] => {
      const twill = samples.find(`${count} ${verb}`);
      const one = samples.find(`1 ${verb}`);
      if (twill === undefined || one === undefined) return [];
      const goals =
        count === WIDE ? [{ of: "of one port's time", value: twill.median / one.median, limit: WIDE_LIMIT }] : [];
      return [
        {
          section: "portmap, ports in one call, nftables",
          name: `${verb}, ${count}`,
          unit: "ms",
          figures: { twill },
          goals,
        },
      ];
    }),
  );
}

/** An ADD of thousands of mappings, the same ADD again, and CHECK. Alone, without bridge, so that nothing else is in the figures. */
export async function repeatedRows({ launcher, contenders, rounds }: ChainBench): Promise<Row[]> {
  const COUNT = 3000;
  const REPEATED_LIMIT = 1;
  const samples = new Samples();
  const backends = ["nftables", "iptables"] as const;
  for (const backend of backends) {
    const node = newNode(launcher, 1);
    const [container] = node.host.containers;
    if (container === undefined) throw new Error("a node without containers");
    const attached = caller(node, contenders.twill, "bridge", bridge);
    const publishing = caller(node, contenders.twill, "portmap", portmap(COUNT, 20_000, { backend }));
    for (let round = 0; round < rounds; round++) {
      const attachment = newAttachment(container);
      await attached.call("ADD", attachment);
      for (const [name, verb] of [
        ["ADD", "ADD"],
        ["ADD again", "ADD"],
        ["CHECK", "CHECK"],
        ["DEL", "DEL"],
      ] as const)
        samples.add(`${backend} ${name}`, (await publishing.call(verb, attachment)).ms);
      await attached.call("DEL", attachment);
    }
    node.remove();
  }
  return backends.flatMap((backend) => {
    const first = samples.find(`${backend} ADD`);
    return ["ADD", "ADD again", "CHECK"].flatMap((name): Row[] => {
      const twill = samples.find(`${backend} ${name}`);
      if (twill === undefined || first === undefined) return [];
      const goals =
        name === "ADD" ? [] : [{ of: "of the ADD's time", value: twill.median / first.median, limit: REPEATED_LIMIT }];
      return [
        {
          section: `portmap, ${COUNT} ports in one call`,
          name: `${name}, ${backend}`,
          unit: "ms",
          figures: { twill },
          goals,
        },
      ];
    });
  });
}
