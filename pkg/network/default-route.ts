/**
 * The default route of a container with several networks: Docker's order decides which network has it.
 *
 * Docker keeps one default route and replaces it at each connect and disconnect. Here each network keeps its own, with a metric in this order:
 * the first one is used, CHECK finds those of all, and when a runtime removes a network, the next one is in use without our help.
 */

import { inNamespace } from "../link/in-namespace.ts";
import { listLinks } from "../link/link.ts";
import { appendListed, deleteListed, listRoutes } from "../link/route.ts";
import { AF_INET, AF_INET6 } from "../netlink/rtnetlink/family.ts";
import type { RouteMessage } from "../netlink/rtnetlink/route.ts";
import { isErrno } from "../sys/errno.ts";
import { openNamespace } from "../sys/namespace.ts";

/** An attachment of the container. */
export interface RouteOwner {
  networkName: string;
  ifName: string;
}

/** The metric of the first default route. The kernel makes 1024 of 0 for IPv6 (net/ipv6.h: IP6_RT_PRIO_USER). */
const firstMetric: Readonly<Record<number, number>> = { [AF_INET]: 0, [AF_INET6]: 1024 };

/**
 * Orders the default routes of a container by Docker's rule. Routes through other interfaces than these networks' come first and stay.
 *
 * @returns the networks in that order
 */
export function orderDefaultRoutes(netns: string, owners: readonly RouteOwner[]): RouteOwner[] {
  return inNamespace(openNamespace(netns), (rtnl) => {
    const names = new Map(listLinks(rtnl).map(({ index, name }) => [index, name]));
    const routes = [AF_INET, AF_INET6].flatMap((family) => listRoutes(rtnl, family)).filter(isDefault);
    const { added, removed, order } = planDefaultRoutes(routes, owners, (index) => names.get(index));
    for (const route of added) rtnl.request(appendListed(route));
    for (const route of removed) ignoringGone(() => rtnl.request(deleteListed(route)));
    return order;
  });
}

const isDefault = ({ destinationLength }: RouteMessage): boolean => destinationLength === 0;

/** Another process, or the end of the interface, was faster. */
function ignoringGone(work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!isErrno(error, "ESRCH", "ENODEV", "ENOENT")) throw error;
  }
}

export interface RoutePlan {
  /** To be added before the others are removed, so that there is always one. */
  added: RouteMessage[];
  removed: RouteMessage[];
  /** The networks, the one whose default route is used first; those without one, as internal ones, last. */
  order: RouteOwner[];
}

/** Plans which default routes get another metric. Pure. */
export function planDefaultRoutes(
  routes: readonly RouteMessage[],
  owners: readonly RouteOwner[],
  nameOf: (index: number) => string | undefined,
): RoutePlan {
  const ownerOf = ({ outputIndex }: RouteMessage): RouteOwner | undefined =>
    owners.find(({ ifName }) => outputIndex !== undefined && nameOf(outputIndex) === ifName);
  const families = (owner: RouteOwner): number =>
    new Set(routes.filter((route) => ownerOf(route) === owner).map(({ family }) => family)).size;
  const order = [...owners].sort(
    (one, other) => families(other) - families(one) || compareNames(one.networkName, other.networkName),
  );
  const plan: RoutePlan = { added: [], removed: [], order };
  for (const family of [AF_INET, AF_INET6]) {
    const ofFamily = routes.filter((route) => route.family === family);
    const own = order.flatMap((owner) => ofFamily.filter((route) => ownerOf(route) === owner));
    const others = ofFamily.some((route) => ownerOf(route) === undefined);
    own.forEach((route, rank) => {
      const metric = (firstMetric[family] ?? 0) + rank + (others ? 1 : 0);
      if ((route.priority ?? 0) === metric) return;
      plan.added.push({ ...route, priority: metric });
      plan.removed.push(route);
    });
  }
  return plan;
}

const compareNames = (one: string, other: string): number => (one < other ? -1 : one > other ? 1 : 0);
