// The host's iptables: writes rules to the variant that the host's `iptables` uses, legacy or nft; one transaction for both families with
// nft.

import type { NamedStep } from "../../cni/best-effort-del.ts";
import { CniError, ErrorCode } from "../../cni/error.ts";
import type { Connection } from "../../netlink/connection.ts";
import { FAMILIES, type Family } from "../family.ts";
import type { TableName } from "./base-chain.ts";
import { findIptables, hasLegacyTable, type Iptables } from "./detect.ts";
import { editThrough, saveTable } from "./legacy-variant.ts";
import { deleteRules, editRules, ensureRules as ensureByNetlink } from "./nft-variant.ts";
import { type Change, missing, type Table, type View, type Wanted } from "./ruleset.ts";

/**
 * Adds the rules that are missing. On a host without `iptables` they go to nf_tables.
 *
 * @param netfilter Called only when the socket is needed: legacy iptables does not need it.
 * @throws CniError 999: legacy iptables failed
 * @throws NetlinkError the kernel refuses
 */
export function ensureRules(netfilter: () => Connection, wanted: readonly Wanted[]): void {
  const direct = FAMILIES.flatMap((family) => {
    const here = wanted.filter((want) => want.family === family);
    const legacy = here.length === 0 ? undefined : findLegacy(family);
    if (legacy === undefined) return here;
    ensureThrough(legacy, family, here);
    return [];
  });
  if (direct.length > 0) ensureByNetlink(netfilter(), direct);
}

/** Reports whether the host's iptables of the family is the legacy variant. */
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
    msg: `there is no "${family}tables" in PATH, which is needed for conditions that twill does not support itself`,
    details: "twill supports -s, -d, -i and -o, each with or without !",
    remedy: "install iptables, or use only these in the conditions",
  });
}

/**
 * Returns a program for legacy rules, also on a host that has changed to nf_tables: older legacy rules are still in force and must be
 * deleted.
 */
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
 * Reads and changes tables, each in the variant of its family's iptables: those of nf_tables in one transaction, a legacy one in one run.
 *
 * @param work Called once per table and attempt; returns no changes when there is nothing to do.
 * @param throughProgram Whether to run iptables even where rules could be written directly, as rules with `words` need.
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

/** Changes a table of legacy iptables, in each family that has the table and a program to change it. */
export function editLegacy(table: TableName, work: (view: View, family: Family) => readonly Change[]): void {
  for (const family of FAMILIES) editLegacyOf(family, table, (view) => work(view, family));
}

function editLegacyOf(family: Family, table: TableName, work: (view: View) => readonly Change[]): void {
  const iptables = hasLegacyTable(family, table) ? findLegacyProgram(family) : undefined;
  if (iptables !== undefined) editThrough(iptables, { family, table }, work);
}

/** Returns a step for each family that changes its table of legacy iptables, as `editLegacy` does. */
export const legacySteps = (
  table: TableName,
  work: (view: View, family: Family) => readonly Change[],
): readonly NamedStep[] =>
  FAMILIES.map((family) => [
    `change rules of ${family}tables-legacy`,
    () => editLegacyOf(family, table, (view) => work(view, family)),
  ]);

/** Returns the steps that delete from a table in both variants of iptables. @param work Returns changes that only delete, see `deleteRules` */
export const deletionSteps = (
  netfilter: Connection,
  table: TableName,
  work: (view: View, families: readonly Family[]) => readonly Change[],
  { legacy = true }: { legacy?: boolean } = {},
): readonly NamedStep[] => [
  ["delete rules of iptables in nf_tables", () => deleteRules(netfilter, (view) => work(view, FAMILIES))],
  ...(legacy ? legacySteps(table, (view, family) => work(view, [family])) : []),
];

/**
 * Returns a legacy table as iptables-save prints it; undefined: there is none, or no program that could read it.
 *
 * @throws CniError 999: the program failed
 */
export function findLegacySave(family: Family, table: TableName): string | undefined {
  const iptables = hasLegacyTable(family, table) ? findLegacyProgram(family) : undefined;
  return iptables && saveTable(iptables, table);
}
