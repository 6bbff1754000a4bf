// `conditionsV4` and `conditionsV6` in the syntax of nft. An attachment that has conditions gets a rule for each mapping instead of
// elements, since two attachments may then share a port. Addresses and interfaces are understood here; for anything else nft is run.

import { concat } from "../../bytes/concat.ts";
import { CniError, ErrorCode } from "../../cni/error.ts";
import { formatAddress, type Prefix, parseAddress, parsePrefix } from "../../ip/address.ts";
import { encode as encodeParts } from "../../netlink/message.ts";
import { NFT_REG_1, NFT_REG_2 } from "../../netlink/nftables/data.ts";
import { NFT_CMP_EQ, NFT_CMP_NEQ } from "../../netlink/nftables/expression/cmp.ts";
import { NFT_META_IIFNAME, NFT_META_L4PROTO } from "../../netlink/nftables/expression/meta.ts";
import { NFT_PAYLOAD_TRANSPORT_HEADER } from "../../netlink/nftables/expression/payload.ts";
import { type ExpressionRequest, expressions } from "../../netlink/nftables/expression.ts";
import { IFNAMSIZ } from "../../netlink/rtnetlink/link/name.ts";
import { environment, findCommand, run } from "../../sys/process.ts";
import { decode, encode } from "../../sys/text.ts";
import { familyOf } from "../family.ts";
import { compare, encodeAddress } from "../nftables/match.ts";
import { commentFor } from "./attachment-comment.ts";
import { dnatTo, TABLES } from "./nftables-table.ts";
import { type MappingSet, mappingsFor, type PortMapping, PROTOCOL_NUMBERS } from "./port-mapping.ts";

/** Returns the expressions of each rule; none when only nft understands the conditions. */
export function conditionalRules(mappingSet: MappingSet): Uint8Array[] {
  const conditions = conditionsOf(mappingSet);
  if (conditions === undefined) return [];
  return mappingsFor(mappingSet).map((mapping) => concat([conditions, mappingRule(mappingSet, mapping)]));
}

/** Returns `[ip daddr 192.0.2.1] tcp dport 8080 dnat to 10.22.0.5:80`. */
function mappingRule(
  { family, container }: MappingSet,
  { protocol, hostPort, hostIp, containerPort }: PortMapping,
): Uint8Array {
  const parts: ExpressionRequest[] = [
    { name: "meta", data: { key: NFT_META_L4PROTO, destination: NFT_REG_1 } },
    compare(NFT_CMP_EQ, Uint8Array.of(PROTOCOL_NUMBERS[protocol])),
    { name: "payload", data: { destination: NFT_REG_1, base: NFT_PAYLOAD_TRANSPORT_HEADER, offset: 2, length: 2 } },
    compare(NFT_CMP_EQ, portBytes(hostPort)),
    { name: "immediate", data: { destination: NFT_REG_1, data: { value: container.address } } },
    { name: "immediate", data: { destination: NFT_REG_2, data: { value: portBytes(containerPort) } } },
    { name: "nat", data: dnatTo(family, NFT_REG_2) },
  ];
  const destination = hostIp && encodeAddress("destination", { address: hostIp, length: 8 * hostIp.length });
  return concat([destination ?? new Uint8Array(), encodeParts(expressions, parts)]);
}

const portBytes = (port: number): Uint8Array => Uint8Array.of(port >> 8, port & 0xff);

/** Encodes the conditions; returns undefined when they have a word that is not understood. */
function conditionsOf({ family, conditions }: MappingSet): Uint8Array | undefined {
  const words = conditions.join(" ").split(/\s+/).filter(Boolean);
  const parts: Uint8Array[] = [];
  while (words.length > 0) {
    const part = words[0] === family ? addressCondition(family, words) : interfaceCondition(words);
    if (part === undefined) return undefined;
    parts.push(part);
  }
  return concat(parts);
}

/** Encodes `ip saddr != 192.0.2.0/24` and removes its words from the list. */
function addressCondition(family: MappingSet["family"], words: string[]): Uint8Array | undefined {
  const [, field = "", ...rest] = words;
  const not = rest[0] === "!=";
  const prefix = prefixOf(rest[rest[0] === "!=" || rest[0] === "==" ? 1 : 0] ?? "");
  if ((field !== "saddr" && field !== "daddr") || prefix === undefined || familyOf(prefix.address) !== family)
    return undefined;
  words.splice(0, rest[0] === "!=" || rest[0] === "==" ? 4 : 3);
  return encodeAddress(field === "saddr" ? "source" : "destination", not ? { not: prefix } : prefix);
}

function prefixOf(text: string): Prefix | undefined {
  const address = parseAddress(text);
  return address === undefined ? parsePrefix(text) : { address, length: 8 * address.length };
}

/** Encodes `iifname != "eth0"` and removes its words from the list. */
function interfaceCondition(words: string[]): Uint8Array | undefined {
  const [option, operator = "", ...rest] = words;
  const isSpelled = operator === "!=" || operator === "==";
  const [, name] = /^"?([A-Za-z0-9_.-]{1,15})"?$/.exec((isSpelled ? rest[0] : operator) ?? "") ?? [];
  if (option !== "iifname" || name === undefined) return undefined;
  words.splice(0, isSpelled ? 3 : 2);
  const value = new Uint8Array(IFNAMSIZ);
  value.set(encode(name));
  return encodeParts(expressions, [
    { name: "meta", data: { key: NFT_META_IIFNAME, destination: NFT_REG_1 } },
    compare(operator === "!=" ? NFT_CMP_NEQ : NFT_CMP_EQ, value),
  ]);
}

// --- Through nft -------------------------------------------------------------------------------------------------------------------------

/**
 * Adds the rules whose conditions are not understood here.
 *
 * @throws CniError 7: nft does not understand them either; 999: there is no nft
 */
export function addByProgram(mappingSets: readonly MappingSet[]): void {
  const foreign = mappingSets.filter((one) => one.conditions.length > 0 && conditionsOf(one) === undefined);
  if (foreign.length === 0) return;
  const { status, stdout } = run({
    path: needNft(),
    args: ["-f", "-"],
    environment: environment(),
    stdin: encode(foreign.flatMap(linesFor).join("")),
    takesStderr: true,
  });
  if (status === 0) return;
  throw new CniError({
    code: ErrorCode.invalidConfig,
    msg: `nft refuses the conditions "${foreign.map(({ conditions }) => conditions.join(" ")).join('", "')}"`,
    details: decode(stdout).trim().replaceAll("\n", " | "),
    remedy: `write "conditionsV4" and "conditionsV6" as they are written at the beginning of an nft rule`,
  });
}

function linesFor(mappingSet: MappingSet): string[] {
  const { family, owner, container, conditions } = mappingSet;
  const { table, chain } = TABLES[family].conditional;
  const address = formatAddress(container.address);
  return mappingsFor(mappingSet).map(({ protocol, hostPort, hostIp, containerPort }) => {
    const destination = hostIp === undefined ? "" : `${family} daddr ${formatAddress(hostIp)} `;
    const to = family === "ip" ? `${address}:${containerPort}` : `[${address}]:${containerPort}`;
    return `add rule ${family} ${table} ${chain} ${conditions.join(" ")} ${destination}${protocol} dport ${hostPort} dnat to ${to} comment "${commentFor(owner)}"\n`;
  });
}

function needNft(): string {
  const found = findCommand("nft");
  if (found !== undefined) return found;
  throw new CniError({
    code: ErrorCode.internal,
    msg: `there is no "nft" in PATH, which is needed for conditions that twill does not support itself`,
    details: "twill supports ip saddr, ip daddr, ip6 saddr, ip6 daddr and iifname, each with or without !=",
    remedy: "install nftables, or use only these in the conditions",
  });
}
