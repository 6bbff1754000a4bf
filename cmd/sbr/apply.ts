/** Applies a plan: first the new rules and routes are made, then the old routes are deleted. */
import { CniError, ErrorCode } from "../../pkg/cni/error.ts";
import { formatAddress, formatPrefix } from "../../pkg/ip/address.ts";
import {
  addRoute,
  appendListed,
  deleteListed,
  deleteRoute,
  destinationOf,
  replaceListed,
} from "../../pkg/link/route.ts";
import { addSourceRule, deleteSourceRule } from "../../pkg/link/rule.ts";
import type { Connection, NetlinkError, Request } from "../../pkg/netlink/connection.ts";
import type { RouteMessage } from "../../pkg/netlink/rtnetlink/route.ts";
import { isErrno } from "../../pkg/sys/errno.ts";
import type { OwnTable, Plan } from "./plan.ts";

/** A request with its `ip` command as text, and the request that undoes it. */
interface Change {
  what(): string;
  make: Request;
  undo(): Request;
}

/**
 * @param index of the interface.
 * @throws CniError 999: the kernel refuses a rule or a route. The functions given to `undo` undo the earlier changes.
 */
export function applyPlan(
  { tables, moved, hinted }: Plan,
  { rtnl, index }: { rtnl: Connection; index: number },
  undo: (what: string, action: () => void) => void,
): void {
  const news = tables.flatMap((one) => waysOf(one, index));
  const olds = [...hinted.map(hint), ...moved.toReversed().map(removal)]; // routes that make a gateway reachable go last
  for (const [what, changes] of [
    ["rules and tables", news],
    ["routes of the main table", olds],
  ] as const) {
    undo(`undo the changes of ${what}`, () => rtnl.attemptAll(changes.toReversed().map((change) => change.undo())));
    rtnl.attemptAll(changes.map(({ make }) => make)).forEach((refusal, i) => {
      const isGone = isErrno(refusal, "ESRCH"); // a route that the kernel removed meanwhile, as one from a router advertisement
      if (refusal !== undefined && !isGone) throw refused(changes[i]?.what() ?? what, refusal);
    });
  }
}

function waysOf({ table, source, gateway, routes }: OwnTable, index: number): Change[] {
  const rule = { source, table };
  const copies = routes.map((one) => ({
    what: () => `route add ${textOf(one)} table ${table}`,
    make: appendListed(one, table),
    undo: () => deleteListed(one, table),
  }));
  const ruled = {
    what: () => `rule add from ${formatAddress(source)} lookup ${table}`,
    make: addSourceRule(rule),
    undo: () => deleteSourceRule(rule),
  };
  if (gateway === undefined) return [...copies, ruled];
  const route = { destination: { address: new Uint8Array(gateway.length), length: 0 }, gateway, table };
  const what = () => `route add default via ${formatAddress(gateway)} table ${table}`;
  return [
    ...copies,
    { what, make: addRoute(index, route), undo: () => deleteRoute(index, { destination: route.destination, table }) },
    ruled,
  ];
}

function hint({ route, source }: Plan["hinted"][number]): Change {
  return {
    what: () => `route replace ${textOf(route)} src ${formatAddress(source)}`,
    make: replaceListed({ ...route, preferredSource: source }),
    undo: () => replaceListed(route),
  };
}

const removal = (route: RouteMessage): Change => ({
  what: () => `route delete ${textOf(route)}`,
  make: deleteListed(route),
  undo: () => appendListed(route),
});

function textOf(route: RouteMessage): string {
  const destination = route.destinationLength === 0 ? "default" : formatPrefix(destinationOf(route));
  return `${destination}${route.gateway === undefined ? "" : ` via ${formatAddress(route.gateway)}`}`;
}

function refused(what: string, cause: NetlinkError): CniError {
  const known = (["ENETUNREACH", "EOPNOTSUPP"] as const).find((name) => isErrno(cause, name));
  const remedies = {
    ENETUNREACH: "set a gateway that lies in one of the interface's subnets",
    EOPNOTSUPP: "use a kernel with CONFIG_IP_MULTIPLE_TABLES and CONFIG_IPV6_MULTIPLE_TABLES",
  };
  return new CniError({
    code: ErrorCode.internal,
    msg: `the kernel refuses "ip ${what}" in the container`,
    details: cause.message,
    remedy:
      known === undefined ? "see the container's rules and routes: ip rule; ip route show table all" : remedies[known],
    cause,
  });
}
