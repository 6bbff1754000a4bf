import t from "tap";
import type { CniError } from "../cni/error.ts";
import { type NetworkDefinition, networksWithoutPlugins } from "./definition.ts";
import { type NetworkFilter, parseListFilter, parsePruneFilter } from "./filter.ts";
import { unusedDefaultBridge } from "./network-directory.ts";

const custom = (name: string, rest: Partial<NetworkDefinition> = {}): NetworkDefinition => ({
  ...unusedDefaultBridge,
  id: name.padEnd(64, "0"),
  name,
  created: "2026-01-31T12:00:00Z",
  ...rest,
});
const networks = [
  unusedDefaultBridge,
  ...networksWithoutPlugins,
  custom("front", { labels: { tier: "web", old: "" } }),
  custom("back", { labels: { tier: "db" }, created: "2026-01-30T12:00:00Z" }),
  custom("lan", { driver: "macvlan" }),
];
const names = (filter: NetworkFilter) =>
  networks
    .filter((network) =>
      filter(network, { isUsed: () => network.name === "front", nowMs: Date.parse("2026-01-31T13:00:00Z") }),
    )
    .map(({ name }) => name)
    .join();

const lists: [filters: string[], found: string][] = [
  [[], "bridge,host,none,front,back,lan"],
  [["driver=macvlan"], "lan"],
  [["driver=macvlan", "driver=host"], "host,lan"],
  [["name=a"], "back,lan"],
  [["name=^b"], "bridge,back"],
  [["name=^back$"], "back"],
  [["name=(front|lan)"], "front,lan"],
  [["id=fro"], "front"],
  [["id=^ro"], ""],
  [["label=tier"], "front,back"],
  [["label=tier=db"], "back"],
  [["label=tier", "label=old"], "front"],
  [["label=old="], "front"],
  [["type=builtin"], "bridge,host,none"],
  [["type=custom", "driver=bridge"], "front,back"],
  [["scope=local", "name=lan"], "lan"],
  [["scope=swarm"], ""],
  [["dangling=false"], "bridge,host,none,front"],
  [["dangling=true"], "back,lan"],
];
for (const [filters, found] of lists)
  t.test(`ls --filter ${filters.join(" ")}`, async (t) => t.equal(names(parseListFilter(filters)), found));

const prunes: [filters: string[], found: string][] = [
  [["until=30m", "label=tier"], "front,back"],
  [["until=2h", "label=tier"], "back"],
  [["until=1h30m"], "back"],
  [["until=2026-01-31"], "back"],
  [["until=1769860800"], "back"],
  [["label!=old", "label=tier"], "back"],
  [["label!=tier=web", "label=tier"], "back"],
];
for (const [filters, found] of prunes)
  t.test(`prune --filter ${filters.join(" ")}`, async (t) => t.equal(names(parsePruneFilter(filters)), found));

t.test("what is no filter is refused", async (t) => {
  for (const [text, details] of [
    ["drive=bridge", /did you mean driver/],
    ["driver", /driver=VALUE/],
    ["driver=", /driver=VALUE/],
    ["type=odd", /custom, builtin/],
    ["dangling=perhaps", /true, false/],
    ["name=(", /\^NAME\$/],
    ["id=[", /\^NAME\$/],
    ["until=1h", /driver, id, label/],
  ] as const)
    t.throws(() => parseListFilter([text]), { code: 7, details } as unknown as CniError, text);
  for (const text of ["name=x", "until=tomorrow", "until=1x", "label!"])
    t.throws(() => parsePruneFilter([text]), { code: 7 } as CniError, text);
});
