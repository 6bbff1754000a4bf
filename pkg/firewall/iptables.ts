// The host's iptables: rules go to the world that its `iptables` writes to, in one go for both families where they are in one world.
import type { Connection } from "../netlink/connection.ts";
import type { TableName } from "./iptables/base-chain.ts";
import { editThrough } from "./iptables/executable.ts";
import type { Family } from "./iptables/extension.ts";
import { ensureRules as ensureByNetlink } from "./iptables/netlink.ts";
import { type Change, missing, type View, type Wanted } from "./iptables/ruleset.ts";
import { findIptables, hasLegacyTable, type Iptables } from "./iptables/variant.ts";

export const FAMILIES: readonly Family[] = ["ip", "ip6"];

/**
 * Makes true that the rules are there. On a host without `iptables` they go to nf_tables.
 *
 * @param netfilter Called when it is needed: legacy iptables does without.
 * @throws CniError 999: legacy iptables failed
 * @throws NetlinkError the kernel refuses
 */
export function ensureRules(netfilter: () => Connection, wanted: readonly Wanted[]): void {
  const direct: Wanted[] = [];
  for (const family of FAMILIES) {
    const here = wanted.filter((want) => want.family === family);
    const legacy = here.length === 0 ? undefined : findLegacy(family);
    if (legacy === undefined) direct.push(...here);
    else ensureThrough(legacy, family, here);
  }
  if (direct.length > 0) ensureByNetlink(netfilter(), direct);
}

function findLegacy(family: Family): Iptables | undefined {
  const iptables = findIptables(family);
  return iptables?.variant === "legacy" ? iptables : undefined;
}

function ensureThrough(iptables: Iptables, family: Family, wanted: readonly Wanted[]): void {
  for (const table of new Set<TableName>(wanted.map(({ table }) => table))) {
    const here = wanted.filter((want) => want.table === table);
    editThrough(iptables, { family, table }, (view) => missing(view, here));
  }
}

/** Changes a table of legacy iptables, of each family that uses it and has it. */
export function editLegacy(table: TableName, work: (view: View, family: Family) => readonly Change[]): void {
  for (const family of FAMILIES) {
    const iptables = hasLegacyTable(family, table) ? findLegacy(family) : undefined;
    if (iptables !== undefined) editThrough(iptables, { family, table }, (view) => work(view, family));
  }
}
