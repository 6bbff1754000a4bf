/**
 * Prints a fake ruleset in the words of `nft list ruleset`, for the expectations of unit tests. Extensions of xtables are printed as
 * `xt match NAME 0xINFO`, and what has no word of nft as its expression's name and data.
 */
import { hex } from "../../bytes/hex.ts";
import {
  NF_INET_FORWARD,
  NF_INET_LOCAL_IN,
  NF_INET_LOCAL_OUT,
  NF_INET_POST_ROUTING,
  NF_INET_PRE_ROUTING,
} from "../nftables/chain.ts";
import {
  NF_ACCEPT,
  NF_DROP,
  NFT_BREAK,
  NFT_CONTINUE,
  NFT_GOTO,
  NFT_JUMP,
  NFT_REG32_00,
  NFT_RETURN,
  type NftData,
} from "../nftables/data.ts";
import type { SetElement } from "../nftables/element.ts";
import type { Expression } from "../nftables/expression.ts";
import { NFPROTO_IPV4, NFPROTO_IPV6, nftFamilies } from "../nftables/header.ts";
import type { RuleMessage } from "../nftables/rule.ts";
import {
  NFT_SET_MAP,
  type SetMessage,
  TYPE_ETHERADDR,
  TYPE_IFNAME,
  TYPE_INET_PROTOCOL,
  TYPE_INET_SERVICE,
  TYPE_IP6ADDR,
  TYPE_IPADDR,
} from "../nftables/set.ts";
import { hostIsLittle } from "../wire.ts";

interface ListedTable {
  readonly family: number;
  readonly name: string;
  readonly userdata: { comment?: string } | undefined;
  readonly chains: ReadonlyMap<string, ListedChain>;
  readonly sets: ReadonlyMap<
    string,
    { readonly message: SetMessage; readonly elements: ReadonlyMap<string, SetElement> }
  >;
}

interface ListedChain {
  readonly name: string;
  readonly base: { number: number; priority: number; type: string; policy: number } | undefined;
  readonly userdata: { comment?: string } | undefined;
  readonly rules: readonly {
    readonly expressions: readonly Expression[];
    readonly userdata: RuleMessage["userdata"];
  }[];
}

const HOOKS: Readonly<Record<number, string>> = {
  [NF_INET_PRE_ROUTING]: "prerouting",
  [NF_INET_LOCAL_IN]: "input",
  [NF_INET_FORWARD]: "forward",
  [NF_INET_LOCAL_OUT]: "output",
  [NF_INET_POST_ROUTING]: "postrouting",
};

/** Returns the ruleset; tables and elements in the order of their names, chains and sets as they were made. */
export function rulesetText(tables: ReadonlyMap<string, ListedTable>): string {
  const sorted = [...tables.values()].sort((one, other) => (nameOf(one) < nameOf(other) ? -1 : 1));
  return sorted.map(tableText).join("");
}

const nameOf = ({ family, name }: ListedTable): string => `${nftFamilies[family] ?? family} ${name}`;

const commentText = (userdata: { comment?: string } | undefined): string =>
  userdata?.comment === undefined ? "" : ` comment "${userdata.comment}"`;

function tableText(table: ListedTable): string {
  const sets = [...table.sets.values()].flatMap(setLines);
  const chains = [...table.chains.values()].flatMap(chainLines);
  return [`table ${nameOf(table)} {`, ...[...sets, ...chains].map((line) => `  ${line}`), "}", ""].join("\n");
}

function setLines({ message, elements }: { message: SetMessage; elements: ReadonlyMap<string, SetElement> }): string[] {
  const { name, flags = 0, keyType = 0, dataType = 0 } = message;
  const isMap = (flags & NFT_SET_MAP) !== 0;
  const types = isMap ? `${typeText(keyType)} : ${typeText(dataType)}` : typeText(keyType);
  const lines = [...elements]
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([, element]) => {
      const value =
        element.data?.verdict === undefined ? bytesText(dataType, element.data?.value) : verdictText(element.data);
      return `  ${bytesText(keyType, element.key?.value)}${isMap ? ` : ${value}` : ""}${commentText(element.userdata)}`;
    });
  return [`${isMap ? "map" : "set"} ${name} { type ${types}`, ...lines, "}"];
}

/** The types of keys and values that are printed as more than hexadecimal digits: name, length, text. */
const TYPES: Readonly<Record<number, readonly [name: string, length: number, text: (bytes: Uint8Array) => string]>> = {
  [TYPE_IPADDR]: ["ipv4_addr", 4, (bytes) => bytes.join(".")],
  [TYPE_IP6ADDR]: ["ipv6_addr", 16, ipv6Text],
  [TYPE_ETHERADDR]: ["ether_addr", 6, macText],
  [TYPE_INET_PROTOCOL]: ["inet_proto", 1, ([number = 0]) => protocolText(number)],
  [TYPE_INET_SERVICE]: ["inet_service", 2, ([high = 0, low = 0]) => `${(high << 8) | low}`],
  [TYPE_IFNAME]: ["ifname", 16, (bytes) => JSON.stringify(nulEnded(bytes))],
};

/** Returns the types of a concatenation, which are 6 bits each. */
function typesOf(type: number): number[] {
  return type < 64 ? [type] : [...typesOf(type >>> 6), type & 63];
}

const typeText = (type: number): string =>
  typesOf(type)
    .map((one) => TYPES[one]?.[0] ?? `type ${one}`)
    .join(" . ");

function bytesText(type: number, bytes: Uint8Array | undefined): string {
  if (bytes === undefined) return "";
  let at = 0;
  const fields = typesOf(type).map((one) => {
    const [, length, text] = TYPES[one] ?? ["", bytes.length, hex];
    const field = bytes.subarray(at, at + length);
    at += (length + 3) & ~3;
    return text(field);
  });
  return fields.join(" . ");
}

/** Returns an address of either family as text. */
export const addressText = (bytes: Uint8Array): string => (bytes.length === 4 ? bytes.join(".") : ipv6Text(bytes));

function ipv6Text(bytes: Uint8Array): string {
  const groups = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0));
  const text = groups.map((group) => group.toString(16)).join(":");
  const zeros = [...text.matchAll(/(?<![^:])0(?::0)+(?![^:])/g)];
  const longest = zeros.reduce((one, other) => (other[0].length > (one?.[0].length ?? 0) ? other : one), zeros[0]);
  if (longest === undefined) return text;
  const end = longest.index + longest[0].length;
  return `${text.slice(0, Math.max(0, longest.index - 1))}::${text.slice(end + 1)}`;
}

export function macText(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(":");
}

const PROTOCOLS: Readonly<Record<number, string>> = { 6: "tcp", 17: "udp", 132: "sctp" };
const protocolText = (number: number): string => PROTOCOLS[number] ?? `${number}`;

const nulEnded = (bytes: Uint8Array): string => String.fromCharCode(...bytes).replace(/\0.*$/s, "");

function chainLines({ name, base, userdata, rules }: ListedChain): string[] {
  const hook =
    base === undefined
      ? ""
      : ` type ${base.type} hook ${HOOKS[base.number] ?? base.number} priority ${base.priority}; policy ${base.policy === NF_DROP ? "drop" : "accept"};`;
  const lines = rules.map(
    (rule) => `  ${[ruleText(rule.expressions)].filter(Boolean).join(" ")}${commentText(rule.userdata)}`,
  );
  return [`chain ${name} {${hook}${commentText(userdata)}`, ...lines, "}"];
}

/** What a register holds. */
interface Loaded {
  text: string;
  /** How a value is printed that it is compared with. */
  print: (bytes: Uint8Array) => string;
  /** The length of the prefix to which it was masked, such as `/16`. */
  prefix?: string;
}

const METAS: Readonly<Record<number, readonly [string, (bytes: Uint8Array) => string]>> = {
  3: ["meta mark", hostText],
  6: ["iifname", (bytes) => JSON.stringify(nulEnded(bytes) + (bytes.includes(0) ? "" : "*"))],
  7: ["oifname", (bytes) => JSON.stringify(nulEnded(bytes) + (bytes.includes(0) ? "" : "*"))],
  15: [
    "meta nfproto",
    ([family = 0]) => (family === NFPROTO_IPV4 ? "ipv4" : family === NFPROTO_IPV6 ? "ipv6" : `${family}`),
  ],
  16: ["meta l4proto", ([number = 0]) => protocolText(number)],
};

function hostText(bytes: Uint8Array): string {
  return bytes.length === 4
    ? `0x${new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, hostIsLittle).toString(16)}`
    : `0x${hex(bytes)}`;
}

/** The fields of packets: base, offset and length, or the start of an address of which only some bytes are loaded. */
const FIELDS: Readonly<Record<string, readonly [string, (bytes: Uint8Array) => string]>> = {
  "0 6 6": ["ether saddr", macText],
  "0 0 6": ["ether daddr", macText],
  "1 12 4": ["ip saddr", (bytes) => bytes.join(".")],
  "1 16 4": ["ip daddr", (bytes) => bytes.join(".")],
  "1 8 16": ["ip6 saddr", ipv6Text],
  "1 24 16": ["ip6 daddr", ipv6Text],
  "2 0 2": ["th sport", ([high = 0, low = 0]) => `${(high << 8) | low}`],
  "2 2 2": ["th dport", ([high = 0, low = 0]) => `${(high << 8) | low}`],
};

const OPERATORS = ["", "!= ", "< ", "<= ", "> ", ">= "];

/** Returns a rule as nft prints it, by following what its expressions load into registers. */
function ruleText(expressions: readonly Expression[]): string {
  const registers = new Map<number, Loaded>();
  return expressions
    .map((one) => expressionText(one, registers))
    .filter(Boolean)
    .join(" ");
}

/** Returns the number of a register's first 4 bytes: NFT_REG_1 and NFT_REG32_00 are the same. */
const slotOf = (register = 0): number => (register >= NFT_REG32_00 ? register - NFT_REG32_00 : 4 * (register - 1));

function expressionText(expression: Expression, registers: Map<number, Loaded>): string {
  const load = (register: number | undefined, loaded: Loaded) => {
    registers.set(slotOf(register), loaded);
    return "";
  };
  const loaded = (register: number | undefined): Loaded =>
    registers.get(slotOf(register)) ?? { text: `reg ${register}`, print: hex };
  switch (expression.name) {
    case "meta": {
      const { key = 0, destination, source } = expression.data ?? {};
      const [text, print] = METAS[key] ?? [`meta ${key}`, hex];
      return source === undefined ? load(destination, { text, print }) : `${text} set ${loaded(source).text}`;
    }
    case "payload": {
      const { base = 0, offset = 0, length = 0, destination } = expression.data ?? {};
      const [text, print] = FIELDS[`${base} ${offset} ${length}`] ?? [`@${base},${offset},${length}`, hex];
      return load(destination, { text, print });
    }
    case "ct": {
      const { key = 0, destination } = expression.data ?? {};
      return load(destination, { text: key === 0 ? "ct state" : `ct ${key}`, print: hostText });
    }
    case "fib": {
      const { flags = 0, result = 0, destination } = expression.data ?? {};
      const local = (bytes: Uint8Array) => (hostText(bytes) === "0x2" ? "local" : hostText(bytes));
      const text = `fib ${flags === 2 ? "daddr" : flags === 1 ? "saddr" : flags} ${result === 3 ? "type" : result}`;
      return load(destination, { text, print: local });
    }
    case "bitwise": {
      const { source, destination, mask, xor } = expression.data ?? {};
      const { text, print } = loaded(source);
      const isPlain = (xor?.value ?? []).every((byte) => byte === 0);
      const prefix = prefixOf(mask?.value ?? new Uint8Array());
      if (isPlain && prefix !== undefined && text.startsWith("ip")) return load(destination, { text, print, prefix });
      return load(destination, {
        text: `${text} & ${print(mask?.value ?? new Uint8Array())}${isPlain ? "" : ` ^ ${print(xor?.value ?? new Uint8Array())}`}`,
        print,
      });
    }
    case "cmp": {
      const { source, operator = 0, data } = expression.data ?? {};
      const { text, print, prefix = "" } = loaded(source);
      return `${text} ${OPERATORS[operator]}${print(data?.value ?? new Uint8Array())}${prefix}`;
    }
    case "lookup": {
      const { source, destination, set, flags = 0 } = expression.data ?? {};
      const key = [...registers].filter(([slot]) => slot >= slotOf(source)).sort(([one], [other]) => one - other);
      const text = `${key.map(([, { text }]) => text).join(" . ")} ${flags & 1 ? "!= " : ""}`;
      registers.clear();
      if (destination === 0) return `${text}vmap @${set}`;
      return destination === undefined
        ? `${text}@${set}`
        : load(destination, { text: `${text}map @${set}`, print: hex });
    }
    case "immediate": {
      const { destination, data } = expression.data ?? {};
      if (data?.verdict !== undefined) return verdictText(data);
      return load(destination, { text: hex(data?.value ?? new Uint8Array()), print: hex });
    }
    case "nat": {
      const { type, addressMin } = expression.data ?? {};
      return `${type === 1 ? "dnat" : "snat"} to ${loaded(addressMin).text}`;
    }
    case "masq":
      return "masquerade";
    case "counter":
      return "counter";
    case "match":
    case "target": {
      const { name, info = new Uint8Array() } = expression.data ?? {};
      return `xt ${expression.name} ${name} ${printable(info)}`;
    }
    default:
      return `${expression.name} ${JSON.stringify(expression.data ?? {}, (_, value) => (value instanceof Uint8Array ? hex(value) : typeof value === "bigint" ? `${value}` : value))}`;
  }
}

/** Returns `/16` for the mask of such a prefix; undefined for any other mask. */
function prefixOf(mask: Uint8Array): string | undefined {
  const bits = Array.from(mask, (byte) => byte.toString(2).padStart(8, "0")).join("");
  return /^1*0*$/.test(bits) ? `/${bits.replace(/0+$/, "").length}` : undefined;
}

/** Returns the info of an extension: as text when it is one, else as hexadecimal digits with most zeros left out. */
function printable(info: Uint8Array): string {
  const text = nulEnded(info);
  const isText = text !== "" && /^[ -~]*$/.test(text) && info.subarray(text.length).every((byte) => byte === 0);
  return isText
    ? JSON.stringify(text)
    : `0x${hex(info)
        .replace(/0+$/, "")
        .replace(/^(?:..)*.$/, "$&0")
        .replace(/(00){8,}/g, "…")}`;
}

const VERDICTS: Readonly<Record<number, string>> = {
  [NF_DROP]: "drop",
  [NF_ACCEPT]: "accept",
  [NFT_CONTINUE]: "continue",
  [NFT_BREAK]: "break",
  [NFT_RETURN]: "return",
  [NFT_JUMP]: "jump ",
  [NFT_GOTO]: "goto ",
};

const verdictText = ({ verdict: { code = 0, chain = "" } = {} }: NftData): string =>
  `${VERDICTS[code] ?? code}${chain}`;
