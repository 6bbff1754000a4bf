// Routes: what is sent is what `ip route` sends; what a fake kernel makes of it, and what is read of it.
import t from "tap";
import type { Request } from "../netlink/connection.ts";
import { ip, requestsOfCommands } from "../netlink/golden.testing.ts";
import { AF_INET } from "../netlink/rtnetlink/family.ts";
import { RTNH_F_LINKDOWN, RTNH_F_ONLINK } from "../netlink/rtnetlink/nexthop.ts";
import {
  type RouteMessage,
  RT_SCOPE_LINK,
  RT_SCOPE_NOWHERE,
  RT_TABLE_MAIN,
  RTM_DELROUTE,
  RTM_NEWROUTE,
  RTN_LOCAL,
} from "../netlink/rtnetlink/route.ts";
import { addAddress } from "./address.ts";
import { failureBy, GONE, namespaceWith, outcomeOf, prefix, refuse, UNEXPECTED } from "./cases.testing.ts";
import { setUp } from "./link.ts";
import {
  addRoute,
  appendListed,
  deleteListed,
  deleteRoute,
  gatewaysOf,
  hasGateway,
  inOrder,
  isRouteOfResult,
  type LinkRoute,
  leadsThrough,
  listRoutes,
  lookupRoute,
  replaceListed,
  tableOf,
} from "./route.ts";

const to = (destination: string, gateway?: string): LinkRoute => ({
  destination: prefix(destination),
  ...(gateway !== undefined && { gateway: ip(gateway) }),
});

requestsOfCommands([
  {
    command: "ip route prepend 10.9.0.0/16 via 10.0.0.9 dev v0",
    ours: addRoute(3, to("10.9.0.0/16", "10.0.0.9")),
    type: RTM_NEWROUTE,
    flags: 0x405,
    wire: "02100000 fe030001 00000000 08000100 0a090000 08000500 0a000009 08000400 03000000",
  },
  {
    command: "ip route add 10.9.0.0/16 via 10.0.0.9 dev v0",
    ours: addRoute(3, to("10.9.77.1/16", "10.0.0.9"), { exclusive: true }),
    type: RTM_NEWROUTE,
    flags: 0x605,
    wire: "02100000 fe030001 00000000 08000100 0a090000 08000500 0a000009 08000400 03000000",
  },
  {
    command: "ip route prepend default via 10.0.0.9 dev v0 metric 5",
    ours: addRoute(3, { ...to("0.0.0.0/0", "10.0.0.9"), priority: 5 }),
    type: RTM_NEWROUTE,
    flags: 0x405,
    wire: "02000000 fe030001 00000000 08000500 0a000009 08000600 05000000 08000400 03000000",
  },
  {
    command: "ip route prepend 10.9.0.0/16 dev v0 scope link src 10.0.0.1",
    ours: addRoute(3, { ...to("10.9.0.0/16"), scope: RT_SCOPE_LINK, source: ip("10.0.0.1") }),
    type: RTM_NEWROUTE,
    flags: 0x405,
    wire: "02100000 fe03fd01 00000000 08000100 0a090000 08000700 0a000001 08000400 03000000",
  },
  {
    command: "ip route prepend 10.9.0.0/16 dev v0 scope global mtu 1400 advmss 1360",
    ours: addRoute(3, { ...to("10.9.0.0/16"), mtu: 1400, advertisedMss: 1360 }),
    type: RTM_NEWROUTE,
    flags: 0x405,
    wire: "02100000 fe030001 00000000 08000100 0a090000 08000400 03000000 14000800 08000200 78050000 08000800 50050000",
  },
  {
    command: "ip route prepend 10.9.0.0/16 via 10.0.0.9 dev v0 table 255",
    ours: addRoute(3, { ...to("10.9.0.0/16", "10.0.0.9"), table: 255 }),
    type: RTM_NEWROUTE,
    flags: 0x405,
    wire: "02100000 ff030001 00000000 08000100 0a090000 08000500 0a000009 08000400 03000000",
  },
  {
    command: "ip route prepend 10.9.0.0/16 via 10.0.0.9 dev v0 table 1000",
    ours: addRoute(3, { ...to("10.9.0.0/16", "10.0.0.9"), table: 1000 }),
    type: RTM_NEWROUTE,
    flags: 0x405,
    wire: "02100000 00030001 00000000 08000100 0a090000 08000500 0a000009 08000f00 e8030000 08000400 03000000",
  },
  {
    command: "ip -6 route prepend fd09::/64 via fd01::9 dev v0",
    ours: addRoute(3, to("fd09::/64", "fd01::9")),
    type: RTM_NEWROUTE,
    flags: 0x405,
    wire: "0a400000 fe030001 00000000 14000100 fd090000 00000000 00000000 00000000 14000500 fd010000 00000000 00000000 00000009 08000400 03000000",
  },
  {
    command: "ip -6 route prepend default via fd01::9 dev v0",
    ours: addRoute(3, to("::/0", "fd01::9")),
    type: RTM_NEWROUTE,
    flags: 0x405,
    wire: "0a000000 fe030001 00000000 14000100 00000000 00000000 00000000 00000000 14000500 fd010000 00000000 00000000 00000009 08000400 03000000",
    differs: { value: { destination: undefined }, because: "no destination is the default one too" },
  },
  {
    command: "ip route del 10.9.0.0/16 dev v0",
    ours: deleteRoute(3, to("10.9.0.0/16")),
    type: RTM_DELROUTE,
    flags: 0x5,
    wire: "02100000 fe00ff00 00000000 08000100 0a090000 08000400 03000000",
  },
  {
    command: "ip route del 10.9.0.0/16 dev v0 metric 5 table 1000",
    ours: deleteRoute(3, { ...to("10.9.77.1/16"), priority: 5, table: 1000 }),
    type: RTM_DELROUTE,
    flags: 0x5,
    wire: "02100000 0000ff00 00000000 08000100 0a090000 08000600 05000000 08000f00 e8030000 08000400 03000000",
  },
  {
    command: "ip route del default dev v0",
    ours: deleteRoute(3, to("0.0.0.0/0")),
    type: RTM_DELROUTE,
    flags: 0x5,
    wire: "02000000 fe00ff00 00000000 08000400 03000000",
  },
  {
    command: "ip -6 route del fd09::/64 dev v0",
    ours: deleteRoute(3, to("fd09::/64")),
    type: RTM_DELROUTE,
    flags: 0x5,
    wire: "0a400000 fe000000 00000000 14000100 fd090000 00000000 00000000 00000000 08000400 03000000",
    differs: { value: { scope: RT_SCOPE_NOWHERE }, because: "IPv6 has no scopes of routes" },
  },
]);

/** A link that is up, index 2, with 10.22.0.5/16 and a route to 10.9.0.0/16 over 10.22.0.9. */
function withRoute() {
  const host = namespaceWith({ ifName: "v0", linkInfo: { kind: "dummy" } });
  host
    .connect()
    .requestAll([setUp(2), addAddress(2, prefix("10.22.0.5/16")), addRoute(2, to("10.9.0.0/16", "10.22.0.9"))]);
  return host;
}

t.test("what a route changes, beside one to 10.9.0.0/16 via 10.22.0.9", async (t) => {
  const cases: [string, Request, string[] | string][] = [
    [
      "to another destination",
      addRoute(2, to("10.8.0.0/16", "10.22.0.9")),
      ["+ route 10.8.0.0/16 via 10.22.0.9 dev v0"],
    ],
    ["the same", addRoute(2, to("10.9.0.0/16", "10.22.0.9")), `999: RTM_NEWROUTE: EEXIST; ${UNEXPECTED}`],
    ["by another gateway", addRoute(2, to("10.9.0.0/16", "10.22.0.8")), ["+ route 10.9.0.0/16 via 10.22.0.8 dev v0"]],
    [
      "by another gateway, exclusive",
      addRoute(2, to("10.9.0.0/16", "10.22.0.8"), { exclusive: true }),
      `999: RTM_NEWROUTE: EEXIST; ${UNEXPECTED}`,
    ],
    [
      "with another metric",
      addRoute(2, { ...to("10.9.0.0/16", "10.22.0.9"), priority: 5 }),
      ["+ route 10.9.0.0/16 via 10.22.0.9 dev v0 metric 5"],
    ],
    [
      "in another table",
      addRoute(2, { ...to("10.9.0.0/16", "10.22.0.9"), table: 1000 }),
      ["+ route 10.9.0.0/16 via 10.22.0.9 dev v0 table 1000"],
    ],
    [
      "to the link itself",
      addRoute(2, { ...to("192.0.2.0/24"), scope: RT_SCOPE_LINK, source: ip("10.22.0.5") }),
      ["+ route 192.0.2.0/24 dev v0 scope link src 10.22.0.5"],
    ],
    ["of IPv6", addRoute(2, to("fd09::/64")), ["+ route fd09::/64 dev v0 metric 1024"]],
    ["with host bits", addRoute(2, to("10.8.7.6/16")), ["+ route 10.8.0.0/16 dev v0"]],
    [
      "by a gateway that is not reached",
      addRoute(2, to("10.8.0.0/16", "10.7.0.1")),
      `999: RTM_NEWROUTE: ENETUNREACH; ${UNEXPECTED}`,
    ],
    ["over no link", addRoute(9, to("10.8.0.0/16")), `11: RTM_NEWROUTE: ENODEV; ${GONE}`],
    ["deleted", deleteRoute(2, to("10.9.0.0/16")), ["- route 10.9.0.0/16 via 10.22.0.9 dev v0"]],
    ["deleted, by any address of it", deleteRoute(2, to("10.9.7.6/16")), ["- route 10.9.0.0/16 via 10.22.0.9 dev v0"]],
    [
      "deleted, but with another metric",
      deleteRoute(2, { ...to("10.9.0.0/16"), priority: 5 }),
      `11: RTM_DELROUTE: ESRCH; ${GONE}`,
    ],
    [
      "deleted, but from another table",
      deleteRoute(2, { ...to("10.9.0.0/16"), table: 100 }),
      `11: RTM_DELROUTE: ESRCH; ${GONE}`,
    ],
    ["deleted, but over another link", deleteRoute(1, to("10.9.0.0/16")), `11: RTM_DELROUTE: ESRCH; ${GONE}`],
    [
      "the kernel's, deleted",
      deleteRoute(2, to("10.22.0.0/16")),
      ["- route 10.22.0.0/16 dev v0 scope link src 10.22.0.5"],
    ],
  ];
  for (const [what, request, outcome] of cases) {
    const host = withRoute();
    t.strictSame(
      outcomeOf(host, () => host.connect().request(request)),
      outcome,
      what,
    );
  }
});

t.test("a listed route is moved between tables, put back and replaced", async (t) => {
  const host = withRoute();
  const rtnl = host.connect();
  const [listed] = listRoutes(rtnl, AF_INET).filter(hasGateway) as [RouteMessage];
  const moved = (...requests: Request[]) => outcomeOf(host, () => rtnl.requestAll(requests));
  t.strictSame(moved(appendListed(listed, 1000), deleteListed(listed)), [
    "- route 10.9.0.0/16 via 10.22.0.9 dev v0",
    "+ route 10.9.0.0/16 via 10.22.0.9 dev v0 table 1000",
  ]);
  t.strictSame(listRoutes(rtnl, AF_INET).filter(hasGateway), []);
  host.filtersDumps = false;
  t.strictSame(listRoutes(rtnl, AF_INET).filter(hasGateway), [], "also on a kernel that does not filter");
  const [there] = listRoutes(rtnl, AF_INET, 1000) as [RouteMessage];
  t.equal(tableOf(there), 1000);
  t.strictSame(moved(appendListed(there, RT_TABLE_MAIN), deleteListed(there)), [
    "- route 10.9.0.0/16 via 10.22.0.9 dev v0 table 1000",
    "+ route 10.9.0.0/16 via 10.22.0.9 dev v0",
  ]);
  t.strictSame(moved(replaceListed({ ...listed, preferredSource: ip("10.22.0.5") })), [
    "- route 10.9.0.0/16 via 10.22.0.9 dev v0",
    "+ route 10.9.0.0/16 via 10.22.0.9 dev v0 src 10.22.0.5",
  ]);
  t.strictSame(moved(appendListed(listed)), `999: RTM_NEWROUTE: EEXIST; ${UNEXPECTED}`);
});

t.test("a listed route is sent without what the kernel tells but does not take", async (t) => {
  const host = withRoute();
  const [listed] = listRoutes(host.connect(), AF_INET).filter(hasGateway) as [RouteMessage];
  const hop = { index: 2, flags: RTNH_F_ONLINK | RTNH_F_LINKDOWN, weight: 0, gateway: ip("10.22.0.9") };
  const told = {
    ...listed,
    flags: RTNH_F_ONLINK | RTNH_F_LINKDOWN,
    nexthopId: 7,
    expiresSeconds: 9,
    longTable: 1000,
    multipath: [hop],
  };
  const { value } = appendListed(told) as { value: Partial<RouteMessage> };
  t.match(value, { flags: RTNH_F_ONLINK, table: 0, longTable: 1000, multipath: [{ ...hop, flags: RTNH_F_ONLINK }] });
  t.strictSame([value.nexthopId, value.expiresSeconds, value.cacheInfo], [undefined, undefined, undefined]);
});

t.test("a table without routes is empty, also one that does not exist", async (t) => {
  const host = withRoute();
  t.strictSame(listRoutes(host.connect(), AF_INET, 100), []);
  refuse(host, "RTM_GETROUTE", "EPERM");
  t.match(
    failureBy(() => listRoutes(host.connect(), AF_INET)),
    /^999: RTM_GETROUTE: EPERM; To fix: run it as root/,
  );
});

t.test("a lookup: the way to an address, or none", async (t) => {
  const host = withRoute();
  const rtnl = host.connect();
  t.equal(lookupRoute(rtnl, ip("10.9.0.1"))?.gateway?.join("."), "10.22.0.9");
  t.match(lookupRoute(rtnl, ip("10.22.0.1")), { outputIndex: 2, gateway: undefined });
  t.equal(lookupRoute(rtnl, ip("10.22.0.5"))?.type, RTN_LOCAL);
  t.equal(lookupRoute(rtnl, ip("192.0.2.1")), undefined);
  for (const errno of ["EHOSTUNREACH", "EACCES", "EINVAL"] as const) {
    refuse(host, "RTM_GETROUTE", errno);
    t.equal(lookupRoute(rtnl, ip("10.9.0.1")), undefined, errno);
  }
  refuse(host, "RTM_GETROUTE", "ENOBUFS");
  t.equal(
    failureBy(() => lookupRoute(rtnl, ip("10.9.0.1"))),
    `999: RTM_GETROUTE: ENOBUFS; ${UNEXPECTED}`,
    "not known is not none",
  );
});

t.test("routes of a result, by destination and gateway", async (t) => {
  const route = (destination: string, gateway?: string) =>
    ({
      family: AF_INET,
      destinationLength: prefix(destination).length,
      destination: prefix(destination).address,
      ...(gateway !== undefined && { gateway: ip(gateway) }),
    }) as RouteMessage;
  const cases: [RouteMessage, { dst: string; gw?: string }, boolean][] = [
    [route("10.9.0.0/16", "10.22.0.9"), { dst: "10.9.0.0/16", gw: "10.22.0.9" }, true],
    [route("10.9.0.0/16", "10.22.0.9"), { dst: "10.9.7.6/16", gw: "10.22.0.9" }, true],
    [route("10.9.0.0/16", "10.22.0.9"), { dst: "10.9.0.0/16" }, true],
    [route("10.9.0.0/16", "10.22.0.8"), { dst: "10.9.0.0/16", gw: "10.22.0.9" }, false],
    [route("10.9.0.0/16"), { dst: "10.9.0.0/16", gw: "10.22.0.9" }, false],
    [route("10.9.0.0/24", "10.22.0.9"), { dst: "10.9.0.0/16" }, false],
    [route("10.9.0.0/16"), { dst: "nonsense" }, false],
  ];
  for (const [found, wanted, isSame] of cases) t.equal(isRouteOfResult(found, wanted), isSame, JSON.stringify(wanted));
});

t.test("several next hops: whether all are through a link, and which gateways they have", async (t) => {
  const hop = (index: number, gateway: string) => ({ index, flags: 0, weight: 0, gateway: ip(gateway) });
  const several = { multipath: [hop(2, "10.22.0.9"), hop(3, "10.23.0.9")] } as unknown as RouteMessage;
  t.equal(leadsThrough(several, 2), false);
  t.equal(leadsThrough({ ...several, multipath: [hop(2, "10.22.0.9"), hop(2, "10.22.0.8")] }, 2), true);
  t.equal(leadsThrough({ outputIndex: 2 } as RouteMessage, 2), true);
  t.strictSame(
    gatewaysOf(several).map((one) => one.join(".")),
    ["10.22.0.9", "10.23.0.9"],
  );
  const direct = { outputIndex: 2 } as RouteMessage;
  t.strictSame(inOrder([several, direct]), [direct, several]);
});
