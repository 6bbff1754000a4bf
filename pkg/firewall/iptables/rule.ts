/** A rule of iptables as a value: what `iptables -A` takes as arguments. */
import type { Prefix } from "../../ip/address.ts";
import type { Negatable } from "../nftables/match.ts";
import type { TableName } from "./base-chain.ts";
import type { Family, Match, TargetExtension } from "./xtables.ts";

export interface Rule {
  /** A name that ends in `+` stands for all that begin so. */
  inInterface?: Negatable<string>;
  outInterface?: Negatable<string>;
  /** IPPROTO_*; matches for ports need it. */
  protocol?: Negatable<number>;
  /** Host bits do not count. A length of 0 is any address. */
  source?: Negatable<Prefix>;
  destination?: Negatable<Prefix>;
  /** In the order of the command line. */
  matches?: readonly Match[];
  /** Further matches that only iptables understands, as arguments: such a rule can be made through its programs alone. */
  words?: readonly string[] | undefined;
  target: Target;
}

export type Target = "ACCEPT" | "DROP" | "RETURN" | { jump: string } | { goto: string } | TargetExtension;

/** A chain of iptables. */
export interface Chain {
  family: Family;
  table: TableName;
  chain: string;
}

export const IPPROTO_TCP = 6;
export const IPPROTO_UDP = 17;
export const IPPROTO_SCTP = 132;
