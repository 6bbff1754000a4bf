/**
 * A chain is shared by all networks of a host. Each daemon, ours or flannel's, has a block of rules there, and leaves what is not its own where it is:
 * two that each wanted the whole chain would take each other's rules away for ever.
 */

import { type CanonicalRule, canonicalRule, sameRule } from "../../firewall/iptables/canonical.ts";
import type { Rule } from "../../firewall/iptables/rule.ts";
import type { Family } from "../../firewall/iptables/xtables.ts";
import { contains, formatPrefix, networkOf, type Prefix, parsePrefix } from "../../ip/address.ts";

export interface Block {
  family: Family;
  /** What all networks have in common: once in the chain, before ours. */
  shared: readonly Rule[];
  /** One behind the other, in this order. */
  own: readonly Rule[];
  /** What speaks of these is ours: the network, and those that this daemon had before. */
  networks: readonly Prefix[];
}

/** A rule that is in a chain. */
interface Found {
  /** undefined: it holds something that is not known here. */
  readonly canonicalForm: CanonicalRule | undefined;
}

export const rulesOf = ({ shared, own }: Block): Rule[] => [...shared, ...own];

/** Complete, in order, nothing in between and nothing twice. */
export function isCorrect(found: readonly Found[], block: Block): boolean {
  const { shared, own } = sorted(found, block);
  const start = found.indexOf(own[0] as Found);
  return (
    say(own, block.own, block.family) &&
    own.every((rule, i) => found[start + i] === rule) &&
    say(shared, block.shared, block.family) &&
    shared.every((rule) => found.indexOf(rule) < start)
  );
}

const say = (found: readonly Found[], rules: readonly Rule[], family: Family): boolean =>
  found.length === rules.length &&
  rules.every((rule, i) => sameRule(found[i]?.canonicalForm, canonicalRule(family, rule)));

/** Whose the rules of a chain are. Others' are those of other networks, and strangers'. */
export function sorted<T extends Found>(
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
 * All rules of a network but the shared ones name it, and begin with an address in it: that of the source or, where none is given or it is negated, that
 * of the destination. So `-s 10.5.0.0/16 -d 10.6.0.0/16` is of 10.5.0.0/16, whose NoMasqueradeCIDRs may well be another network.
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
