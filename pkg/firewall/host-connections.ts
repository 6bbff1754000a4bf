import type { HostConnections } from "../cni/plugin.ts";
import { connect, NETLINK_ROUTE } from "../netlink/connection.ts";
import { lazy } from "../sys/lazy.ts";
import { keepingOpen } from "../sys/left-open.ts";
import { RulesetSeries } from "./nftables/ruleset-series.ts";

/** Returns what the calls of plugins of one process share; each is opened when it is needed. */
export const hostConnections = (): HostConnections => ({
  netfilter: lazy(() => keepingOpen(() => new RulesetSeries())),
  rtnl: lazy(() => keepingOpen(() => connect(NETLINK_ROUTE))),
});
