import t from "tap";
import { AF_INET, AF_INET6 } from "../netlink/rtnetlink/family.ts";
import type { RouteMessage } from "../netlink/rtnetlink/route.ts";
import { planDefaultRoutes } from "./default-route.ts";

const owners = ["zeta", "alpha", "mid"].map((networkName, i) => ({ networkName, ifName: `eth${i}` }));
const nameOf = (index: number) => `eth${index}`;
const route = (index: number, priority?: number, family = AF_INET): RouteMessage =>
  ({ family, outputIndex: index, ...(priority !== undefined && { priority }) }) as unknown as RouteMessage;
const planned = (...routes: RouteMessage[]): string[] => {
  const { added, removed } = planDefaultRoutes(routes, owners, nameOf);
  const text = (sign: string) => (one: RouteMessage) => `${sign}eth${one.outputIndex} ${one.priority ?? 0}`;
  return [...added.map(text("+")), ...removed.map(text("-"))];
};

t.test("names decide, whichever was added last", async (t) => {
  t.strictSame(planned(route(1), route(0)), ["+eth0 1", "-eth0 0"]);
  t.strictSame(planned(route(0), route(1), route(2)), ["+eth2 1", "+eth0 2", "-eth2 0", "-eth0 0"]);
  t.strictSame(planned(route(1), route(2, 1), route(0, 2)), [], "nothing to do");
});

t.test("when the first one is gone, the others move up", async (t) => {
  t.strictSame(planned(route(2, 1), route(0, 2)), ["+eth2 0", "+eth0 1", "-eth2 1", "-eth0 2"]);
});

t.test("a network with default routes of both families comes first", async (t) => {
  t.strictSame(planned(route(0), route(0, 1024, AF_INET6), route(1)), ["+eth1 1", "-eth1 0"]);
});

t.test("the kernel's own metric of IPv6 counts as none", async (t) => {
  t.strictSame(planned(route(1, 1024, AF_INET6), route(0, 1024, AF_INET6)), ["+eth0 1025", "-eth0 1024"]);
});

t.test("a route that is no network's stays, and is preferred", async (t) => {
  t.strictSame(planned(route(7), route(1)), ["+eth1 1", "-eth1 0"]);
});
