import t from "tap";
import { type Prefix, parseAddress, parsePrefix } from "../../pkg/ip/address.ts";
import { AF_INET, AF_INET6 } from "../../pkg/netlink/rtnetlink/family.ts";
import { type RouteMessage, RT_SCOPE_LINK, RT_SCOPE_UNIVERSE } from "../../pkg/netlink/rtnetlink/route.ts";
import { resultIn, tableForEach } from "./plan.ts";

const ip = (text: string): Uint8Array => parseAddress(text) ?? new Uint8Array();
const prefix = (text: string): Prefix => parsePrefix(text) ?? { address: new Uint8Array(4), length: 0 };
const address = (text: string, gateway?: string) => ({
  prefix: prefix(text),
  gateway: gateway === undefined ? undefined : ip(gateway),
});

/** As the kernel tells it: "10.0.0.0/8 via 10.1.0.1 src 10.1.0.5 metric 7", "::/0 via fd00::1 via fd00::2". */
function route(text: string): RouteMessage {
  const [dst = "", ...words] = text.split(" ");
  const named = (name: string) => words.flatMap((word, i) => (word === name ? [words[i + 1] ?? ""] : []));
  const { address, length } = prefix(dst);
  const [gateway, ...more] = named("via").map(ip);
  const [source] = named("src").map(ip);
  return {
    family: address.length === 4 ? AF_INET : AF_INET6,
    destinationLength: length,
    sourceLength: 0,
    tos: 0,
    table: 254,
    protocol: 3,
    scope: gateway === undefined && address.length === 4 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE,
    type: 1,
    flags: 0,
    ...(length > 0 && { destination: address }),
    ...(source && { preferredSource: source }),
    ...(gateway && more.length === 0 && { gateway }),
    ...(more.length > 0 && {
      multipath: [gateway, ...more].map((one) => ({ flags: 0, weight: 0, index: 2, ...(one && { gateway: one }) })),
    }),
    priority: Number(named("metric")[0] ?? (address.length === 4 ? 0 : 1024)),
  } as RouteMessage;
}

const subnets = [address("10.1.0.5/24", "10.1.0.1"), address("10.2.0.5/24"), address("fd00::5/64", "fd00::1")];
const settings = { gateways: [], keepsSubnetRoutes: false };

/** Which routes a table has, as the numbers of `texts`, with the gateway of its own default route. */
function tables(texts: readonly string[], more: Partial<typeof settings> | { gateways: Uint8Array[] } = {}) {
  const routes = texts.map(route);
  const plan = tableForEach(subnets, routes, new Set([101]), { ...settings, ...more });
  return plan.tables.map(({ table, gateway, routes: own }) => [
    table,
    ...(gateway === undefined ? [] : ["gateway"]),
    ...own.map((one) => routes.indexOf(one)),
  ]);
}

t.test("tableForEach: which routes go into the tables of 10.1.0.5/24, 10.2.0.5/24 and fd00::5/64", async (t) => {
  const cases: { routes: string[]; tables: unknown }[] = [
    { routes: [], tables: [[100, "gateway"], [102], [103, "gateway"]] },
    {
      routes: ["10.1.0.0/24 src 10.1.0.5", "10.2.0.0/24 src 10.2.0.5"],
      tables: [
        [100, "gateway", 0],
        [102, 1],
        [103, "gateway"],
      ],
    },
    { routes: ["0.0.0.0/0 via 10.1.0.1"], tables: [[100, 0], [102], [103, "gateway"]] },
    { routes: ["0.0.0.0/0 via 10.1.0.1 metric 5"], tables: [[100, "gateway", 0], [102], [103, "gateway"]] },
    { routes: ["::/0 via fd00::9"], tables: [[100, "gateway"], [102], [103, 0]] },
    { routes: ["::/0 via fd00::8 via fd00::9"], tables: [[100, "gateway"], [102], [103, 0]] },
    {
      routes: ["192.0.2.0/24"],
      tables: [
        [100, "gateway", 0],
        [102, 0],
        [103, "gateway"],
      ],
    },
    {
      routes: ["192.0.2.0/24 via 169.254.1.1"],
      tables: [
        [100, "gateway", 0],
        [102, 0],
        [103, "gateway"],
      ],
    },
    { routes: ["fe80::/64", "fd00::/64"], tables: [[100, "gateway"], [102], [103, "gateway", 1]] },
    {
      routes: ["192.0.2.0/24 via 10.1.0.1", "10.1.0.0/24"],
      tables: [
        [100, "gateway", 1, 0],
        [102, 1],
        [103, "gateway"],
      ],
    },
  ];
  for (const { routes, tables: expected } of cases) t.strictSame(tables(routes), expected, routes.join(", ") || "none");
});

t.test("tableForEach: a gateway of the configuration stands instead of default routes, of its family", async (t) => {
  const routes = ["0.0.0.0/0 via 10.1.0.1", "0.0.0.0/0 via 10.1.0.3 metric 9", "::/0 via fd00::9"];
  t.strictSame(tables(routes, { gateways: [ip("10.1.0.2")] }), [
    [100, "gateway"],
    [102, "gateway"],
    [103, 2],
  ]);
});

t.test("tableForEach: with source hints what is on the link stays, with a source", async (t) => {
  const routes = ["10.1.0.0/24", "10.2.0.0/24 src 10.2.0.5", "fd00::/64", "192.0.2.0/24", "0.0.0.0/0 via 10.1.0.1"].map(
    route,
  );
  const { moved, hinted } = tableForEach(subnets, routes, new Set(), { ...settings, keepsSubnetRoutes: true });
  t.strictSame(
    moved.map((one) => routes.indexOf(one)),
    [4],
  );
  t.strictSame(hinted, [{ route: routes[0], source: ip("10.1.0.5") }]);
});

t.test("resultIn: a route has an entry for each table it is in", async (t) => {
  const kernel = ["0.0.0.0/0 via 10.1.0.1", "192.0.2.0/24", "::/0 via fd00::9"].map(route);
  const plan = tableForEach(subnets, kernel, new Set(), { ...settings, gateways: [ip("fd00::2")] });
  const routes = (...list: object[]) => resultIn(plan, { interfaces: [], ips: [], routes: list as [] }).routes;
  t.strictSame(routes({ dst: "0.0.0.0/0" }), [{ dst: "0.0.0.0/0", table: 100 }], "the gateway may be filled in");
  t.strictSame(routes({ dst: "0.0.0.0/0", gw: "10.1.0.9" }), [{ dst: "0.0.0.0/0", gw: "10.1.0.9" }], "another one");
  t.strictSame(
    routes({ dst: "192.0.2.0/24" }),
    [100, 101].map((table) => ({ dst: "192.0.2.0/24", table })),
  );
  t.strictSame(routes({ dst: "192.0.2.0/24", table: 7 }), [{ dst: "192.0.2.0/24", table: 7 }], "somebody else's");
  t.strictSame(routes({ dst: "::/0" }), [{ dst: "::/0", gw: "fd00::2", table: 102 }], "replaced");
});
