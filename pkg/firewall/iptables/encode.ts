// Encodes rules of iptables for nf_tables, in the one encoding that every release of iptables-nft since 1.8.2 reads: extensions as structs
// of xtables, addresses at full length. Older releases cannot read the native forms of ports and marks that newer ones write.
//
// No expression may be used here that iptables itself would not write: with a native `masq` in it `iptables -t nat -S` refuses the whole table.

import { concat } from "../../bytes/concat.ts";
import { encode } from "../../netlink/message.ts";
import { NFT_REG_1 } from "../../netlink/nftables/data.ts";
import { NFT_CMP_EQ, NFT_CMP_NEQ } from "../../netlink/nftables/expression/cmp.ts";
import { NFT_META_IIFNAME, NFT_META_L4PROTO, NFT_META_OIFNAME } from "../../netlink/nftables/expression/meta.ts";
import { expressions } from "../../netlink/nftables/expression.ts";
import { NFT_RULE_COMPAT_F_INV, ruleMessage } from "../../netlink/nftables/rule.ts";
import { IFNAMSIZ } from "../../netlink/rtnetlink/link/name.ts";
import type { AnyFixed } from "../../netlink/wire.ts";
import { encode as encodeText } from "../../sys/text.ts";
import type { Family } from "../family.ts";
import { compare, encodeAddress, eqAndNe, type Negatable, unwrapNegation } from "../nftables/match.ts";
import { fill, hole, type Template, template } from "../nftables/template.ts";
import { ACCEPT, DROP, goTo, jumpTo, RETURN } from "../nftables/verdict.ts";
import type { Rule, Target } from "./rule.ts";
import { type AnyExtension, infoSize, type Match, matches, targets } from "./xtables.ts";

/** Returns the content of NFTA_RULE_EXPRESSIONS. The parts are in the order that iptables uses, though any order would do. */
export function encodeRule(family: Family, rule: Rule): Uint8Array {
  if (rule.words !== undefined) throw new RangeError(`only iptables knows what "${rule.words.join(" ")}" is`);
  const parts: Uint8Array[] = [];
  if (rule.inInterface !== undefined) parts.push(encodeInterface("in", rule.inInterface));
  if (rule.outInterface !== undefined) parts.push(encodeInterface("out", rule.outInterface));
  if (rule.protocol !== undefined) parts.push(encodeProtocol(rule.protocol));
  if (rule.source !== undefined) parts.push(encodeAddress("source", rule.source));
  if (rule.destination !== undefined) parts.push(encodeAddress("destination", rule.destination));
  for (const match of rule.matches ?? []) parts.push(encodedMatch(match));
  parts.push(COUNTER.bytes, encodeTarget(family, rule.target));
  return concat(parts);
}

/** Returns the content of NFTA_RULE_COMPAT: the protocol that the kernel checks the rule's extensions against. */
export function compatFor({ protocol }: Rule): Uint8Array {
  if (protocol === undefined) return NO_PROTOCOL;
  const { value, not } = unwrapNegation(protocol);
  return encodeCompat(value, not ? NFT_RULE_COMPAT_F_INV : 0);
}

const encodeCompat = (protocol: number, flags: number) =>
  encode(ruleMessage.attributes.compat.wire, { protocol, flags });
const NO_PROTOCOL = encodeCompat(0, 0);

// --- The parts ---------------------------------------------------------------------------------------------------------------------------

const COUNTER = template([{ name: "counter", data: { bytes: 0n, packets: 0n } }]);

const PROTOCOL = eqAndNe((operator) => {
  const value = hole(1);
  return template(
    [{ name: "meta", data: { key: NFT_META_L4PROTO, destination: NFT_REG_1 } }, compare(operator, value)],
    value,
  );
});

function encodeProtocol(is: Negatable<number>): Uint8Array {
  const { value, not } = unwrapNegation(is);
  return fill(PROTOCOL[not ? 1 : 0], Uint8Array.of(value));
}

/** Compares the interface's name: `eth+` without a NUL; `+` alone, which is any interface, not at all. */
function encodeInterface(direction: "in" | "out", is: Negatable<string>): Uint8Array {
  const { value, not } = unwrapNegation(is);
  const name = encodeText(value.endsWith("+") ? value.slice(0, -1) : `${value}\0`);
  if (name.length > IFNAMSIZ) throw new RangeError(`interface name ${JSON.stringify(value)} is too long`);
  if (name.length === 0) return new Uint8Array();
  const key = direction === "in" ? NFT_META_IIFNAME : NFT_META_OIFNAME;
  return encode(expressions, [
    { name: "meta", data: { key, destination: NFT_REG_1 } },
    compare(not ? NFT_CMP_NEQ : NFT_CMP_EQ, name),
  ]);
}

// --- Extensions --------------------------------------------------------------------------------------------------------------------------

interface ExtensionForm {
  /** The encoded expression with a hole for the struct. */
  form: Template;
  info: AnyFixed;
  otherwise: object;
}

/** Makes a template of each extension. The struct's defaults are filled in already, for uses that set no field. */
function formsOf<Name extends string>(kind: "match" | "target", table: Readonly<Record<Name, AnyExtension>>) {
  const rows = Object.entries<AnyExtension>(table).map(
    ([name, { revision, info, otherwise = {} }]): [string, ExtensionForm] => {
      const struct = hole(infoSize(info));
      const form = template([{ name: kind, data: { name, revision, info: struct } }], struct);
      return [name, { form: { ...form, bytes: fill(form, encode(info, otherwise)) }, info, otherwise }];
    },
  );
  return Object.fromEntries(rows) as Record<Name, ExtensionForm>;
}

const MATCHES = formsOf("match", matches);
const TARGETS = { ip: formsOf("target", targets.ip), ip6: formsOf("target", targets.ip6) };

/** The encoded matches, by the objects that describe them: rules of one container share their comment. */
const encodedMatches = new WeakMap<Match, Uint8Array>();

function encodedMatch(match: Match): Uint8Array {
  const known = encodedMatches.get(match);
  if (known !== undefined) return known;
  const bytes = encodeExtension(MATCHES[match.name], match);
  encodedMatches.set(match, bytes);
  return bytes;
}

function encodeExtension(
  { form, info, otherwise }: ExtensionForm,
  { name: _, ...fields }: { name: string },
): Uint8Array {
  for (const _field in fields) return fill(form, encode(info, { ...otherwise, ...fields }));
  return form.bytes;
}

// --- Targets -----------------------------------------------------------------------------------------------------------------------------

const VERDICTS = { ACCEPT, DROP, RETURN };

/** The longest chain name that iptables allows; the kernel allows more. */
const CHAIN_NAME_MAX = 28;

function encodeTarget(family: Family, target: Target): Uint8Array {
  if (typeof target === "string") return VERDICTS[target];
  if ("jump" in target) return jumpTo(chainName(target.jump));
  if ("goto" in target) return goTo(chainName(target.goto));
  return encodeExtension(TARGETS[family][target.name], target);
}

function chainName(name: string): string {
  if (name.length > CHAIN_NAME_MAX) throw new RangeError(`chain name "${name}" is longer than ${CHAIN_NAME_MAX}`);
  return name;
}
