// The host's iptables: rules go to the world that its `iptables` writes to, in one go for both families where they are in one world.
import { CniError, ErrorCode } from "../../cni/error.ts";
import type { Connection } from "../../netlink/connection.ts";
import type { TableName } from "./base-chain.ts";
import { findIptables, hasLegacyTable, type Iptables } from "./detect.ts";
import { editThrough } from "./legacy-variant.ts";
import { editRules, ensureRules as ensureByNetlink } from "./nft-variant.ts";
import { type Change, missing, type Table, type View, type Wanted } from "./ruleset.ts";
import type { Family } from "./xtables.ts";

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

/** Whether the administrator's rules of the family are legacy ones. */
export const usesLegacy = (family: Family): boolean => findLegacy(family) !== undefined;

function findLegacy(family: Family): Iptables | undefined {
  const iptables = findIptables(family);
  return iptables?.variant === "legacy" ? iptables : undefined;
}

function needIptables(family: Family): Iptables {
  const iptables = findIptables(family);
  if (iptables !== undefined) return iptables;
  throw new CniError({
    code: ErrorCode.internal,
    msg: `there is no "${family}tables" in PATH, which is needed for conditions that twill does not know`,
    details: "it knows -s, -d, -i and -o, each with or without !",
    remedy: "install iptables, or write the conditions with these",
  });
}

/** Also where the administrator has gone over to nf_tables: what was made before then still works, and is still to be deleted. */
function findLegacyProgram(family: Family): Iptables | undefined {
  return findLegacy(family) ?? findIptables(family, { name: `${family}tables-legacy` });
}

function ensureThrough(iptables: Iptables, family: Family, wanted: readonly Wanted[]): void {
  for (const table of new Set<TableName>(wanted.map(({ table }) => table))) {
    const here = wanted.filter((want) => want.table === table);
    editThrough(iptables, { family, table }, (view) => missing(view, here));
  }
}

/**
 * Reads tables and changes them, each where its family's iptables has it: those of nf_tables in one transaction, a legacy one in one run.
 *
 * @param work Called once per table and attempt. No changes, nothing to do.
 * @param throughProgram Also where rules could be written directly, for rules with `words`.
 */
export function editTables(
  netfilter: () => Connection,
  tables: readonly Table[],
  work: (view: View, table: Table) => readonly Change[],
  { throughProgram = false }: { throughProgram?: boolean } = {},
): void {
  const direct: Table[] = [];
  for (const table of tables) {
    const program = throughProgram ? needIptables(table.family) : findLegacy(table.family);
    if (program === undefined) direct.push(table);
    else editThrough(program, table, (view) => work(view, table));
  }
  if (direct.length > 0) editRules(netfilter(), (view) => direct.flatMap((table) => work(view, table)));
}

/** Changes a table of legacy iptables, of each family that has it and a program to change it with. */
export function editLegacy(table: TableName, work: (view: View, family: Family) => readonly Change[]): void {
  for (const family of FAMILIES) {
    const iptables = hasLegacyTable(family, table) ? findLegacyProgram(family) : undefined;
    if (iptables !== undefined) editThrough(iptables, { family, table }, (view) => work(view, family));
  }
}
