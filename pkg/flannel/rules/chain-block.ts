/**
 * A chain is shared by all networks of a host. Each daemon, ours or flannel's, has a block of rules in it, and does not touch other rules:
 * two daemons that each wanted the whole chain would delete each other's rules for ever.
 */

import type { Family } from "../../firewall/family.ts";
import { type CanonicalRule, canonicalRule, sameRule } from "../../firewall/iptables/canonical.ts";
import type { Rule } from "../../firewall/iptables/rule.ts";
import { contains, formatPrefix, networkOf, type Prefix, parsePrefix } from "../../ip/address.ts";

export interface Block {
  family: Family;
  /** Rules common to all networks: once in the chain, before our own. */
  shared: readonly Rule[];
  /** Our own rules, consecutive and in this order. */
  own: readonly Rule[];
  /** Networks whose rules are ours: the current one, and earlier ones of this daemon. */
  networks: readonly Prefix[];
}

/** A rule that is in a chain. */
interface FoundRule {
  /** undefined: it contains something unknown. */
  readonly canonicalForm: CanonicalRule | undefined;
}

export const rulesOf = ({ shared, own }: Block): Rule[] => [...shared, ...own];

/** Reports whether the block is complete and in order, without other rules in between and without duplicates. */
export function isCorrect(found: readonly FoundRule[], block: Block): boolean {
  const { shared, own } = sorted(found, block);
  const start = found.indexOf(own[0] as FoundRule);
  return (
    say(own, block.own, block.family) &&
    own.every((rule, i) => found[start + i] === rule) &&
    say(shared, block.shared, block.family) &&
    shared.every((rule) => found.indexOf(rule) < start)
  );
}

const say = (found: readonly FoundRule[], rules: readonly Rule[], family: Family): boolean =>
  found.length === rules.length &&
  rules.every((rule, i) => sameRule(found[i]?.canonicalForm, canonicalRule(family, rule)));

/** Sorts the rules of a chain by owner. "others" are those of other networks and of other programs. */
export function sorted<T extends FoundRule>(
  found: readonly T[],
  { family, shared, networks }: Omit<Block, "own">,
): Readonly<Record<"shared" | "own" | "others", T[]>> {
  const canonicalForms = shared.map((rule) => canonicalRule(family, rule));
  const owner = ({ canonicalForm }: T) => {
    if (canonicalForms.some((one) => sameRule(one, canonicalForm))) return "shared";
    return networks.some((network) => belongsToNetwork(network, canonicalForm)) ? "own" : "others";
  };
  const sorts = { shared: [] as T[], own: [] as T[], others: [] as T[] };
  for (const rule of found) sorts[owner(rule)].push(rule);
  return sorts;
}

/**
 * Reports whether a rule belongs to a network. Each of its rules but the shared ones names the network, and its source, or if that is
 * absent or negated its destination, is in the network. So `-s 10.5.0.0/16 -d 10.6.0.0/16` belongs to 10.5.0.0/16, whose NoMasqueradeCIDRs
 * may be another network.
 */
export function belongsToNetwork(network: Prefix, canonicalForm: CanonicalRule = []): boolean {
  const text = formatPrefix(networkOf(network));
  const isNamed = canonicalForm.some((part) => /^(! )?-[sd] /.test(part) && part.endsWith(` ${text}`));
  const about = addressBehind("-s ", canonicalForm) ?? addressBehind("-d ", canonicalForm);
  return isNamed && about !== undefined && contains(network, about.address);
}

function addressBehind(option: string, canonicalForm: CanonicalRule): Prefix | undefined {
  const part = canonicalForm.find((part) => part.startsWith(option));
  return part === undefined ? undefined : parsePrefix(part.slice(option.length));
}
