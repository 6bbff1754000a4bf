// flannel's rules in the form of iptables:
//
//   -A POSTROUTING -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG
//   -A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD
//
// and what those two chains hold. Others find them by these names and texts; the jumps stand behind those of others, where they were appended.
import type { TableName } from "../firewall/iptables/base-chain.ts";
import { meaningOf, sameMeaning } from "../firewall/iptables/meaning.ts";
import { deleteRules } from "../firewall/iptables/netlink.ts";
import type { Chain, Rule } from "../firewall/iptables/rule.ts";
import type { Change, Table, View } from "../firewall/iptables/ruleset.ts";
import { editLegacy, editTables, FAMILIES, usesLegacy } from "../firewall/iptables.ts";
import type { Connection } from "../netlink/connection.ts";
import { familyOf, forwardRules, masqueradeRules } from "./rules.ts";
import type { TrafficConf } from "./traffic.ts";

/** A chain of ours and where it is jumped to from. */
interface Place extends Chain {
  from: string;
  comment: string;
}

export interface OwnChain extends Place {
  rules: readonly Rule[];
}

const MASQUERADE = { table: "nat", chain: "FLANNEL-POSTRTG", from: "POSTROUTING", comment: "flanneld masq" } as const;
const FORWARD = { table: "filter", chain: "FLANNEL-FWD", from: "FORWARD", comment: "flanneld forward" } as const;

export function iptablesChains(conf: TrafficConf): OwnChain[] {
  if (conf.kind !== "iptables") return [];
  return conf.families.flatMap((traffic) => {
    const family = familyOf(traffic.network);
    return [
      ...(conf.masquerade ? [ownChain({ family, ...MASQUERADE }, masqueradeRules(conf, traffic))] : []),
      ...(conf.forward ? [ownChain({ family, ...FORWARD }, forwardRules(traffic))] : []),
    ];
  });
}

function ownChain(place: Place, rules: readonly Rule[]): OwnChain {
  return { ...place, rules: rules.map((rule) => commented(rule, place)) };
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
    const changes = chains.filter((own) => isIn(table, own)).flatMap((own) => mend(view, own));
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
  if ("empty" in change) return change.empty.chain;
  if ("drop" in change) return change.drop.chain;
  return "add" in change ? change.to.chain : change.delete.chain.chain;
}

function mend(view: View, own: OwnChain): Change[] {
  return [...refill(view, own), ...jumpOnce(view, own)];
}

function refill(view: View, own: OwnChain): Change[] {
  const additions = own.rules.map((add): Change => ({ add, to: own, at: "last" }));
  if (!isPresent(view, own)) return [{ make: own }, ...additions];
  return isFilledWith(view, own) ? [] : [{ empty: own }, ...additions];
}

const isPresent = (view: View, chain: Chain): boolean => view.present([chain])[0] === true;

function isFilledWith(view: View, own: OwnChain): boolean {
  const found = view.rules(own);
  return (
    found.length === own.rules.length &&
    own.rules.every((rule, i) => sameMeaning(found[i]?.meaning, meaningOf(own.family, rule)))
  );
}

/** The first one stays where it is; jumps that say something else are a stranger's. */
function jumpOnce(view: View, own: OwnChain): Change[] {
  const base: Chain = { ...own, chain: own.from };
  const add = jumpRule(own);
  const meaning = meaningOf(own.family, add);
  const [first, ...others] = view.jumps(base, own.chain).filter((jump) => sameMeaning(jump.meaning, meaning));
  if (first !== undefined) return others.map((jump): Change => ({ delete: jump }));
  return [...(isPresent(view, base) ? [] : [{ make: base }]), { add, to: base, at: "last" }];
}

// --- Deleting what is not wanted any more ------------------------------------------------------------------------------------------------

/** Deletes our chains and the jumps to them from both worlds, but for those that `conf` wants. A chain that a stranger jumps to is emptied. */
export function cleanIptables(netfilter: () => Connection, conf: TrafficConf): void {
  const wanted = iptablesChains(conf);
  const isWanted = (place: Place) => wanted.some((own) => isIn(place, own));
  deleteRules(netfilter(), (view) =>
    placesIn("nat", "filter")
      .filter((place) => usesLegacy(place.family) || !isWanted(place))
      .flatMap((place) => removal(view, place)),
  );
  for (const table of ["nat", "filter"] as const)
    editLegacy(table, (view, family) =>
      placesIn(table)
        .filter((place) => place.family === family && !(usesLegacy(family) && isWanted(place)))
        .flatMap((place) => removal(view, place)),
    );
}

const placesIn = (...tables: readonly TableName[]): Place[] =>
  FAMILIES.flatMap((family) =>
    [MASQUERADE, FORWARD].filter(({ table }) => tables.includes(table)).map((place) => ({ family, ...place })),
  );

function removal(view: View, place: Place): Change[] {
  return [
    ...view.jumps({ ...place, chain: place.from }, place.chain).map((jump): Change => ({ delete: jump })),
    ...(isPresent(view, place) ? [{ drop: place }] : []),
  ];
}
