// The base chains, which iptables creates when the first rule is added to one.
// Source: iptables, iptables/nft.c: xtables_ipv4.
import {
  NF_INET_FORWARD,
  NF_INET_LOCAL_IN,
  NF_INET_LOCAL_OUT,
  NF_INET_POST_ROUTING,
  NF_INET_PRE_ROUTING,
  NF_IP_PRI_FILTER,
  NF_IP_PRI_MANGLE,
  NF_IP_PRI_NAT_DST,
  NF_IP_PRI_NAT_SRC,
  NF_IP_PRI_RAW,
} from "../../netlink/nftables/chain.ts";
import type { Hook } from "../nftables/ruleset.ts";

export type TableName = "filter" | "nat" | "mangle" | "raw";

/** The hooks of the base chains; the type is "filter" unless given. */
const HOOKS: Readonly<Record<TableName, Readonly<Record<string, [number: number, priority: number, type?: string]>>>> =
  {
    filter: {
      INPUT: [NF_INET_LOCAL_IN, NF_IP_PRI_FILTER],
      FORWARD: [NF_INET_FORWARD, NF_IP_PRI_FILTER],
      OUTPUT: [NF_INET_LOCAL_OUT, NF_IP_PRI_FILTER],
    },
    nat: {
      PREROUTING: [NF_INET_PRE_ROUTING, NF_IP_PRI_NAT_DST, "nat"],
      INPUT: [NF_INET_LOCAL_IN, NF_IP_PRI_NAT_SRC, "nat"],
      OUTPUT: [NF_INET_LOCAL_OUT, NF_IP_PRI_NAT_DST, "nat"],
      POSTROUTING: [NF_INET_POST_ROUTING, NF_IP_PRI_NAT_SRC, "nat"],
    },
    mangle: {
      PREROUTING: [NF_INET_PRE_ROUTING, NF_IP_PRI_MANGLE],
      INPUT: [NF_INET_LOCAL_IN, NF_IP_PRI_MANGLE],
      FORWARD: [NF_INET_FORWARD, NF_IP_PRI_MANGLE],
      OUTPUT: [NF_INET_LOCAL_OUT, NF_IP_PRI_MANGLE, "route"],
      POSTROUTING: [NF_INET_POST_ROUTING, NF_IP_PRI_MANGLE],
    },
    raw: {
      PREROUTING: [NF_INET_PRE_ROUTING, NF_IP_PRI_RAW],
      OUTPUT: [NF_INET_LOCAL_OUT, NF_IP_PRI_RAW],
    },
  };

/** Returns the hook of a base chain; undefined for a user-defined chain. */
export function hookOf(table: TableName, chain: string): Hook | undefined {
  const found = HOOKS[table][chain];
  return found && { number: found[0], priority: found[1], type: found[2] ?? "filter" };
}
