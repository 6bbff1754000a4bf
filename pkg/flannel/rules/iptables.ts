// Makes flannel's rules with iptables:
//
//   -A POSTROUTING -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG
//   -A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD
//
// and the rules of these two chains. Other programs find them by these names and comments; the jumps are appended after other programs'
// rules.
import { FAMILIES } from "../../firewall/family.ts";
import type { TableName } from "../../firewall/iptables/base-chain.ts";
import { canonicalRule, sameRule } from "../../firewall/iptables/canonical.ts";
import { editLegacy, editTables, usesLegacy } from "../../firewall/iptables/host.ts";
import { deleteRules } from "../../firewall/iptables/nft-variant.ts";
import type { Chain, Rule } from "../../firewall/iptables/rule.ts";
import type { Change, FoundRule, Table, View } from "../../firewall/iptables/ruleset.ts";
import type { Connection } from "../../netlink/connection.ts";
import { type Block, isCorrect, rulesOf, sorted } from "./chain-block.ts";
import { forwardBlock, markRule, masqueradeBlock, networksOf } from "./desired.ts";
import type { TrafficConf } from "./settings.ts";

/** A chain of ours, and the base chain that jumps to it. */
interface Place extends Chain {
  from: string;
  comment: string;
}

export type OwnChain = Place & Block;

const MASQUERADE = { table: "nat", chain: "FLANNEL-POSTRTG", from: "POSTROUTING", comment: "flanneld masq" } as const;
const FORWARD = { table: "filter", chain: "FLANNEL-FWD", from: "FORWARD", comment: "flanneld forward" } as const;

export function iptablesChains(conf: TrafficConf): OwnChain[] {
  if (conf.kind !== "iptables") return [];
  return conf.families.flatMap((traffic) => [
    ...(conf.masquerade ? [ownChain(MASQUERADE, masqueradeBlock(conf, traffic))] : []),
    ...(conf.forward ? [ownChain(FORWARD, forwardBlock(conf, traffic))] : []),
  ]);
}

function ownChain(where: Omit<Place, "family">, block: Block): OwnChain {
  const place: Place = { ...where, family: block.family };
  const withComments = (rules: readonly Rule[]) => rules.map((rule) => commented(rule, place));
  return { ...place, ...block, shared: withComments(block.shared), own: withComments(block.own) };
}

const commented = (rule: Rule, { comment }: Place): Rule => ({
  ...rule,
  matches: [...(rule.matches ?? []), { name: "comment", text: comment }],
});

export const jumpRule = (own: Place): Rule => commented({ target: { jump: own.chain } }, own);

// --- Making them right -------------------------------------------------------------------------------------------------------------------

/** @returns how many chains had to be changed, those of iptables itself included */
export function ensureIptables(netfilter: () => Connection, conf: TrafficConf): number {
  const chains = iptablesChains(conf);
  const changed = new Map<string, number>(); // of each table, by the last attempt
  editTables(netfilter, tablesOf(chains), (view, table) => {
    const changes = chains.filter((own) => isIn(table, own)).flatMap((own) => applyRepair(view, own));
    changed.set(nameOf(table), new Set(changes.map(chainOf)).size);
    return changes;
  });
  return [...changed.values()].reduce((sum, count) => sum + count, 0);
}

const nameOf = ({ family, table }: Table) => `${family} ${table}`;
const isIn = (table: Table, own: Table) => nameOf(table) === nameOf(own);

function tablesOf(chains: readonly Chain[]): Table[] {
  return [...new Map(chains.map(({ family, table }) => [nameOf({ family, table }), { family, table }])).values()];
}

function chainOf(change: Change): string {
  if ("make" in change) return change.make.chain;
  if ("drop" in change) return change.drop.chain;
  return "add" in change ? change.to.chain : change.delete.chain.chain;
}

function applyRepair(view: View, own: OwnChain): Change[] {
  return [...refill(view, own), ...jumpOnce(view, own)];
}

/** Puts our rules before those of other networks, of which one may match everything. */
function refill(view: View, own: OwnChain): Change[] {
  const additions = rulesOf(own).map((add): Change => ({ add, to: own, at: "first" }));
  if (!isPresent(view, own)) return [{ make: own }, ...additions.reverse()];
  const found = view.rules(own);
  if (isCorrect(found, own)) return [];
  const wrong = sorted(found, own);
  return [...deletions([...wrong.shared, ...wrong.own]), ...additions.reverse()];
}

const deletions = (rules: readonly FoundRule[]): Change[] => rules.map((rule) => ({ delete: rule }));

const isPresent = (view: View, chain: Chain): boolean => view.present([chain])[0] === true;

/** Keeps the first jump where it is and deletes duplicates; jumps with other matches belong to other programs. */
function jumpOnce(view: View, own: OwnChain): Change[] {
  const base: Chain = { ...own, chain: own.from };
  const add = jumpRule(own);
  const canonicalForm = canonicalRule(own.family, add);
  const [first, ...others] = view.jumps(base, own.chain).filter((jump) => sameRule(jump.canonicalForm, canonicalForm));
  if (first !== undefined) return deletions(others);
  return [...(isPresent(view, base) ? [] : [{ make: base }]), { add, to: base, at: "last" }];
}

// --- Deleting what is not wanted any more ------------------------------------------------------------------------------------------------

/**
 * Deletes our rules from both variants (legacy and nft), except those that `conf` wants. A chain without other rules is deleted with the
 * jumps to it; if another program's rule jumps to it, it is only emptied.
 */
export function cleanIptables(netfilter: () => Connection, conf: TrafficConf): void {
  const wanted = iptablesChains(conf);
  const isWanted = (place: Place) => wanted.some((own) => isIn(place, own));
  deleteRules(netfilter(), (view) =>
    placesIn("nat", "filter")
      .filter((place) => usesLegacy(place.family) || !isWanted(place))
      .flatMap((place) => removal(view, place, conf)),
  );
  for (const table of ["nat", "filter"] as const)
    editLegacy(table, (view, family) =>
      placesIn(table)
        .filter((place) => place.family === family && !(usesLegacy(family) && isWanted(place)))
        .flatMap((place) => removal(view, place, conf)),
    );
}

const placesIn = (...tables: readonly TableName[]): Place[] =>
  FAMILIES.flatMap((family) =>
    [MASQUERADE, FORWARD].filter(({ table }) => tables.includes(table)).map((place) => ({ family, ...place })),
  );

function removal(view: View, place: Place, conf: TrafficConf): Change[] {
  const shared = [commented(markRule({ ...conf, kind: "iptables" }), place)];
  const { own, others } = sorted(view.rules(place), {
    family: place.family,
    shared,
    networks: networksOf(conf, place.family),
  });
  if (others.length > 0) return deletions(own);
  return [
    ...deletions(view.jumps({ ...place, chain: place.from }, place.chain)),
    ...(isPresent(view, place) ? [{ drop: place }] : []),
  ];
}
