/** A rule of iptables as a value: the arguments of `iptables -A`. */

import type { Prefix } from "../../ip/address.ts";
import type { Family } from "../family.ts";
import type { Negatable } from "../nftables/match.ts";
import type { TableName } from "./base-chain.ts";
import type { Match, TargetExtension } from "./xtables.ts";

export interface Rule {
  /** The name of the interface; one that ends in `+` stands for all names that begin so. */
  inInterface?: Negatable<string>;
  outInterface?: Negatable<string>;
  /** IPPROTO_*; matches for ports require it. */
  protocol?: Negatable<number>;
  /** The source network. Host bits are ignored; a length of 0 is any address. */
  source?: Negatable<Prefix>;
  destination?: Negatable<Prefix>;
  /** The matches in the order of the command line. */
  matches?: readonly Match[];
  /** Further matches as arguments that only iptables understands: such a rule can only be added by running its programs. */
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
