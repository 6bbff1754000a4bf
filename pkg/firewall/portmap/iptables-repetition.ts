// Compares the rules of a container's chain with the wanted ones. A container may have ten thousand, which differ in their ports only:
// decoding one takes 100 us and making the wanted one 40. So one mapping of each kind is decoded, and becomes the model of all others,
// whose bytes have to be the same except for the ports and the counters.

import { encode } from "../../netlink/message.ts";
import { attributeEnd, attributeType, hostIsLittle, Input, NLA_TYPE_MASK } from "../../netlink/wire.ts";
import { decode as decodeText } from "../../sys/text.ts";
import { canonicalRule, sameRule } from "../iptables/canonical.ts";
import type { Rule } from "../iptables/rule.ts";
import type { FoundRule } from "../iptables/ruleset.ts";
import { dnatTo, matches, sctpDestination, targets } from "../iptables/xtables.ts";
import { expressionsOf } from "../nftables/ruleset.ts";
import { rulesOf } from "./iptables-rules.ts";
import { type MappingSet, mappingsFor, type PortMapping, type Protocol } from "./port-mapping.ts";

/** What `matchInOrder` finds. */
export interface Comparison {
  /** The number of rules, from the first on, that are as wanted. */
  matched: number;
  /** The wanted rules that do not follow these in order; they may be elsewhere. */
  others: readonly Rule[];
}

/** Compares rules, from the first on and in order, with those of the mappings. */
export function matchInOrder(found: readonly FoundRule[], mappingSet: MappingSet): Comparison {
  const models = new Map<string, readonly Model[]>();
  const others: Rule[] = [];
  let matched = 0;
  for (const mapping of mappingsFor(mappingSet)) {
    const kind = `${mapping.protocol} ${mapping.hostIp ?? ""}`;
    const model = models.get(kind);
    if (model !== undefined && areLike(model, found, matched, mapping)) {
      matched += model.length;
      continue;
    }
    const rules = rulesOf(mappingSet, mapping);
    const here = found.slice(matched, matched + rules.length);
    if (rules.every((rule, i) => sameRule(here[i]?.canonicalForm, canonicalRule(mappingSet.family, rule)))) {
      const made = here.flatMap((rule) => modelOf(rule, mapping) ?? []);
      if (made.length === rules.length) models.set(kind, made);
      matched += rules.length;
    } else others.push(...rules);
  }
  return { matched, others };
}

/** A rule of a mapping, in whose encoding the places of the ports are known. */
interface Model {
  words: Int32Array;
  /** By word: 1 where rules of the same kind may differ. */
  differs: Uint8Array;
  /** The word with the host's port as a range. */
  hostPortAt: number;
  /** The word with the container's port as a range; undefined in a rule that only marks. */
  containerPortAt: number | undefined;
}

function areLike(models: readonly Model[], found: readonly FoundRule[], from: number, mapping: PortMapping): boolean {
  for (let i = 0; i < models.length; i++) {
    const words = wordsOf(found[from + i]?.body);
    if (words === undefined || !isLike(words, models[i] as Model, mapping)) return false;
  }
  return true;
}

function isLike(found: Int32Array, model: Model, { hostPort, containerPort }: PortMapping): boolean {
  const { words, differs, hostPortAt, containerPortAt } = model;
  if (found.length !== words.length || found[hostPortAt] !== hostOrder(hostPort)) return false;
  if (containerPortAt !== undefined && found[containerPortAt] !== networkOrder(containerPort)) return false;
  for (let i = 0; i < words.length; i++) if (found[i] !== words[i] && differs[i] === 0) return false;
  return true;
}

/** Returns a port as first and last of a range, in one word of this host. */
const hostOrder = (port: number): number => (port << 16) | port;
const networkOrder = (port: number): number => hostOrder(hostIsLittle ? ((port & 0xff) << 8) | (port >> 8) : port);

/** Returns the rule's encoded expressions by words; undefined where there is no encoding, as in the legacy variant. */
function wordsOf(body: Uint8Array | undefined): Int32Array | undefined {
  const bytes = body && expressionsOf(body);
  return bytes && new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
}

/** Returns the model that a rule makes; undefined when it has no struct with the port, as where other programs compare ports natively. */
function modelOf({ body }: FoundRule, { protocol, hostPort, containerPort }: PortMapping): Model | undefined {
  const bytes = body && expressionsOf(body);
  const words = wordsOf(body);
  if (bytes === undefined || words === undefined) return undefined;
  const differs = new Uint8Array(words.length);
  let hostPortAt: number | undefined;
  let containerPortAt: number | undefined;
  for (const { kind, name, from, to } of expressionsIn(bytes)) {
    if (kind === "counter") differs.fill(1, from / 4, to / 4);
    if (kind === "match" && name === protocol) hostPortAt = from / 4 + PORT_IN_MATCH[protocol];
    if (kind === "target" && name === "DNAT") containerPortAt = from / 4 + PORT_IN_DNAT;
  }
  if (hostPortAt === undefined || words[hostPortAt] !== hostOrder(hostPort)) return undefined;
  if (containerPortAt !== undefined && words[containerPortAt] !== networkOrder(containerPort)) return undefined;
  for (const at of [hostPortAt, containerPortAt]) if (at !== undefined) differs[at] = 1;
  return { words, differs, hostPortAt, containerPortAt };
}

/** A port that no other field has by chance. */
const MARKER = 0x8182;
const wordIn = (struct: Uint8Array, word: number): number =>
  new Int32Array(struct.slice().buffer, 0, struct.length >> 2).indexOf(word);
/** The words of the structs that hold the ports. */
const PORT_IN_MATCH: Readonly<Record<Protocol, number>> = {
  tcp: wordIn(encode(matches.tcp.info, { destinations: [MARKER, MARKER] }), hostOrder(MARKER)),
  udp: wordIn(encode(matches.udp.info, { destinations: [MARKER, MARKER] }), hostOrder(MARKER)),
  sctp: wordIn(encode(matches.sctp.info, sctpDestination(MARKER) as never), hostOrder(MARKER)),
};
const PORT_IN_DNAT = wordIn(
  encode(targets.ip.DNAT.info, dnatTo(new Uint8Array(4), MARKER) as never),
  networkOrder(MARKER),
);

/** An expression; for a match or a target with its name, and where its struct is; else where its fields are. */
interface Expression {
  kind: string;
  name: string;
  from: number;
  to: number;
}

/** linux/netfilter/nf_tables.h: NFTA_EXPR_NAME, NFTA_EXPR_DATA; NFTA_MATCH_NAME and NFTA_MATCH_INFO, which are also those of targets */
const EXPR_NAME = 1;
const EXPR_DATA = 2;
const EXTENSION_NAME = 1;
const EXTENSION_INFO = 3;

function expressionsIn(bytes: Uint8Array): Expression[] {
  const input = new Input(bytes);
  const text = (at: Range | undefined) => (at === undefined ? "" : decodeText(bytes, at.from, at.to - 1)); // without NUL
  return attributesIn(input, { from: 0, to: bytes.length }).map(([, expression]) => {
    const parts = new Map(attributesIn(input, expression));
    const [kind, data = { from: 0, to: 0 }] = [text(parts.get(EXPR_NAME)), parts.get(EXPR_DATA)];
    if (kind !== "match" && kind !== "target") return { kind, name: "", ...data };
    const fields = new Map(attributesIn(input, data));
    return { kind, name: text(fields.get(EXTENSION_NAME)), ...(fields.get(EXTENSION_INFO) ?? data) };
  });
}

interface Range {
  from: number;
  to: number;
}

/** Returns the attributes in a part of the bytes: type and content. */
function attributesIn(input: Input, { from, to }: Range): [type: number, content: Range][] {
  const found: [number, Range][] = [];
  for (let at = from; to - at >= 4; ) {
    const end = attributeEnd(input, at, to);
    found.push([attributeType(input, at) & NLA_TYPE_MASK, { from: at + 4, to: end }]);
    at = (end + 3) & ~3;
  }
  return found;
}
