/** What is in the chains of iptables and what is to be changed there, whichever way they are reached. */
import type { Address, Prefix } from "../../ip/address.ts";
import { type Negatable, unwrapNegation } from "../nftables/match.ts";
import type { CanonicalRule } from "./canonical.ts";
import { canonicalRule, sameRule } from "./canonical.ts";
import type { Chain, Rule } from "./rule.ts";

/** Where chains are. */
export type Table = Omit<Chain, "chain">;

/** A rule that is in a chain. */
export interface FoundRule {
  readonly chain: Chain;
  /** undefined: it holds something that is not known here, so that it equals nothing. */
  readonly canonicalForm: CanonicalRule | undefined;
  /** As the kernel sent it, for a look that costs less than its meaning; absent where rules are lines. */
  readonly body?: Uint8Array;
  /** Its handle in the kernel; its line of iptables-save. */
  readonly id: bigint | string;
  /** Where rules are lines: its number in the chain, from 1, when an equal one is before it. */
  readonly number?: number;
}

/** What is there now. */
export interface View {
  /** Which of the chains there are. */
  present(chains: readonly Chain[]): boolean[];
  /**
   * The rules that hold a text in their comment or target, or name an address without a mask (all, for neither), in order. There may be
   * some among them that only look so. None when there is no such chain.
   */
  rules(chain: Chain, held?: string | Address): FoundRule[];
  /** The rules of a chain that jump to another one. */
  jumps(from: Chain, to: string): FoundRule[];
  /** Names of all chains of the table. */
  chains(table: Table): string[];
}

export type Change =
  | { make: Chain }
  /** The last of its chain, or the first. */
  | { add: Rule; to: Chain; at: "first" | "last" }
  | { delete: FoundRule }
  /** With its rules. */
  | { drop: Chain };

/** Rules that have to be in a chain: behind or before what is there, unless they are there anywhere. */
export interface Wanted extends Chain {
  rules: readonly Rule[];
  at?: "first" | "last";
}

/** What is missing. Chains are made when the first rule for them is wanted. */
export function missing(view: View, wanted: readonly Wanted[]): Change[] {
  const made = new Set<string>();
  return wanted.flatMap((want): Change[] => {
    const chain: Chain = { family: want.family, table: want.table, chain: want.chain };
    const name = [chain.family, chain.table, chain.chain].join(" ");
    if (made.has(name)) return additions(chain, want.rules, want.at);
    if (view.present([chain])[0] === true) return additions(chain, notIn(view, chain, want.rules), want.at);
    made.add(name);
    return [{ make: chain }, ...additions(chain, want.rules, want.at)];
  });
}

function notIn(view: View, chain: Chain, rules: readonly Rule[]): Rule[] {
  return rules.filter((rule) => {
    const canonicalForm = canonicalRule(chain.family, rule);
    return !view.rules(chain, heldBy(rule)).some((found) => sameRule(found.canonicalForm, canonicalForm));
  });
}

/** What only few rules hold, so that few need to be decoded. */
function heldBy({ source, destination, target, matches = [] }: Rule): string | Address | undefined {
  if (typeof target === "object" && "jump" in target) return target.jump;
  return matches.find((match) => match.name === "comment")?.text ?? wholeAddress(source) ?? wholeAddress(destination);
}

function wholeAddress(is: Negatable<Prefix> | undefined): Address | undefined {
  const { address, length } = is === undefined ? NO_PREFIX : unwrapNegation(is).value;
  return length > 0 && length === 8 * address.length ? address : undefined;
}
const NO_PREFIX: Prefix = { address: new Uint8Array(), length: 0 };

/** First rules are given last one first, each in front of the one before. */
function additions(to: Chain, rules: readonly Rule[], at: "first" | "last" = "last"): Change[] {
  const changes = rules.map((add): Change => ({ add, to, at }));
  return at === "first" ? changes.reverse() : changes;
}

/** Everything, as if nothing were there. */
export function allOf(wanted: readonly Wanted[]): Change[] {
  return missing({ present: () => [], rules: () => [], jumps: () => [], chains: () => [] }, wanted);
}
