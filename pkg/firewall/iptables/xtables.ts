// The matches and targets of iptables that are structs of the kernel's xtables: `-m comment --comment …`, `-j MASQUERADE`.
// Numbers are in host byte order unless a row says otherwise. `words` returns what iptables-save prints behind the name, by
// which rules are also compared (canonical.ts).

import { type Address, formatAddress } from "../../ip/address.ts";
import {
  bool,
  type Fields,
  type FieldsIn,
  type FieldsOut,
  type Fixed,
  reserved,
  type Struct,
  struct,
  u8,
  u16,
  u16be,
  u32,
  WireError,
} from "../../netlink/wire.ts";
import { decode, encodeInto } from "../../sys/text.ts";
import type { Family } from "../family.ts";

interface Extension<F extends Fields> {
  source: string;
  revision: number;
  info: Struct<F>;
  /** The values of fields that a rule does not set; zero unless given. */
  otherwise?: FieldsIn<F>;
  /** Returns the extension as iptables-save prints it; undefined when the struct has values that this row does not know. */
  words(fields: FieldsOut<F>, family: Family): string | undefined;
}

// biome-ignore lint/suspicious/noExplicitAny: rows with different fields in one table
export type AnyExtension = Extension<any>;

/** The struct's size as iptables writes it: 8 bytes are the unit of xtables on 64-bit machines (XT_ALIGN). */
export const infoSize = ({ size }: { size: number }): number => (size + 7) & ~7;

const extension = <const F extends Fields>(row: Extension<F>): Extension<F> => row;

// --- Fields ------------------------------------------------------------------------------------------------------------------------------

function fixedText(size: number): Fixed<string> {
  return {
    size,
    align: 1,
    write(out, value) {
      out.room(3 * value.length);
      const end = encodeInto(out.bytes, out.at, value);
      if (end - out.at >= size) throw new WireError(`${end - out.at} bytes, ${size - 1} fit`);
      out.at += size;
    },
    read(input, from) {
      let end = from;
      while (end < from + size && input.bytes[end] !== 0) end++;
      return decode(input.bytes, from, end);
    },
    text: (value) => JSON.stringify(value),
  };
}

function several<T>(element: Fixed<T>, count: number): Fixed<T[], readonly T[]> {
  return {
    size: element.size * count,
    align: element.align,
    write(out, value) {
      if (value.length > count) throw new WireError(`${value.length} elements, ${count} fit`);
      for (const item of value) element.write(out, item, {});
      out.at += (count - value.length) * element.size;
    },
    read: (input, from) =>
      Array.from({ length: count }, (_, i) => {
        const at = from + i * element.size;
        return element.read(input, at, at + element.size, {});
      }),
    text: (value) => `[${value.map((item) => element.text(item, {})).join(", ")}]`,
  };
}

/** The first and the last port. */
export type PortRange = readonly [number, number];
const portRange = several(u16, 2) as unknown as Fixed<PortRange>;
const ALL_PORTS: PortRange = [0, 65535];

/** union nf_inet_addr: an IPv4 address is in its first 4 bytes. */
const anyAddress: Fixed<Address> = {
  size: 16,
  align: 4,
  write(out, value) {
    out.bytes.set(value, out.at);
    out.at += 16;
  },
  read: (input, from) => input.bytes.slice(from, from + 16),
  text: (value) => formatAddress(value),
};

// --- Matches -----------------------------------------------------------------------------------------------------------------------------

/** XT_TCP_INV_SRCPT, XT_TCP_INV_DSTPT; those of udp and sctp are the same. */
const INVERTED_SOURCE = 1;
const INVERTED_DESTINATION = 2;
/** XT_SCTP_* */
const SCTP_SOURCE = 1;
const SCTP_DESTINATION = 2;

/** Returns `--sport 1:10 ! --dport 80`; nothing for all ports. */
export function portWords({
  sources = ALL_PORTS,
  destinations = ALL_PORTS,
  inverted = 0,
}: {
  sources?: PortRange | undefined;
  destinations?: PortRange | undefined;
  inverted?: number;
}): string {
  const words = (option: string, [first, last]: PortRange, not: number) =>
    first === 0 && last === 65535 && not === 0
      ? []
      : [`${not ? "! " : ""}--${option} ${first === last ? first : `${first}:${last}`}`];
  return [
    ...words("sport", sources, inverted & INVERTED_SOURCE),
    ...words("dport", destinations, inverted & INVERTED_DESTINATION),
  ].join(" ");
}

const comment = extension({
  source: "linux/netfilter/xt_comment.h: struct xt_comment_info",
  revision: 0,
  info: struct({ text: fixedText(256) }),
  words: ({ text }) => `--comment ${quoted(text)}`,
});

const tcp = extension({
  source: "linux/netfilter/xt_tcpudp.h: struct xt_tcp",
  revision: 0,
  info: struct({
    sources: portRange,
    destinations: portRange,
    option: u8,
    flagMask: u8,
    flagCompare: u8,
    inverted: u8, // XT_TCP_INV_*
  }),
  otherwise: { sources: ALL_PORTS, destinations: ALL_PORTS },
  words: (fields) =>
    fields.option === 0 && fields.flagMask === 0 && fields.inverted <= 3 ? portWords(fields) : undefined,
});

const udp = extension({
  source: "linux/netfilter/xt_tcpudp.h: struct xt_udp",
  revision: 0,
  info: struct({ sources: portRange, destinations: portRange, inverted: u8 }),
  otherwise: { sources: ALL_PORTS, destinations: ALL_PORTS },
  words: portWords,
});

/** The sctp match without chunks: iptables writes -1 as the type of each of the four chunk flags. */
const sctp = extension({
  source: "linux/netfilter/xt_sctp.h: struct xt_sctp_info",
  revision: 0,
  info: struct({
    destinations: portRange,
    sources: portRange,
    chunks: reserved(256),
    chunkMatch: u32,
    chunkFlags: several(struct({ type: u8, flag: u8, mask: u8 }), 4),
    chunkFlagCount: u32,
    flags: u32, // XT_SCTP_*: which of the above are meant
    inverted: u32, // XT_SCTP_*
  }),
  otherwise: { chunkFlags: Array.from({ length: 4 }, () => ({ type: 0xff, flag: 0, mask: 0 })) },
  words: ({ sources, destinations, flags, inverted }) =>
    flags > 3
      ? undefined
      : portWords({
          sources: flags & SCTP_SOURCE ? sources : undefined,
          destinations: flags & SCTP_DESTINATION ? destinations : undefined,
          inverted,
        }),
});

/** XT_MULTIPORT_SOURCE, XT_MULTIPORT_DESTINATION, XT_MULTIPORT_EITHER */
const MULTIPORT = ["sports", "dports", "ports"];
const MULTIPORT_MAX = 15;

/** The multiport match. A range takes two of the 15 places, the first of them marked. */
const multiport = extension({
  source: "linux/netfilter/xt_multiport.h: struct xt_multiport_v1",
  revision: 1,
  info: struct({
    kind: u8,
    count: u8,
    ports: several(u16, MULTIPORT_MAX),
    beginsRange: several(bool, MULTIPORT_MAX),
    inverted: bool,
  }),
  otherwise: { kind: 1 },
  words({ kind, count, ports, beginsRange, inverted }) {
    const items = ports
      .slice(0, count)
      .flatMap((port, i) =>
        beginsRange[i] ? [`${port}:${ports[i + 1]}`] : i > 0 && beginsRange[i - 1] ? [] : [`${port}`],
      );
    return `${inverted ? "! " : ""}--${MULTIPORT[kind]} ${items.join(",")}`;
  },
});

const mark = extension({
  source: "linux/netfilter/xt_mark.h: struct xt_mark_mtinfo1",
  revision: 1,
  info: struct({ value: u32, mask: u32, inverted: bool }),
  otherwise: { mask: 0xffffffff },
  words: (fields) => markWords(fields),
});

/** Returns `--mark 0x2000/0x2000`. */
export function markWords({ value, mask, inverted }: { value: number; mask: number; inverted: boolean }): string {
  return `${inverted ? "! " : ""}--mark 0x${value.toString(16)}${mask === 0xffffffff ? "" : `/0x${mask.toString(16)}`}`;
}

const XT_CONNTRACK_STATE = 1;
/** The rule was written as `-m state --state`: the same condition. */
const XT_CONNTRACK_STATE_ALIAS = 1 << 13;
/** The bits of connection states, in the order in which iptables prints them. */
const STATES = { INVALID: 1, NEW: 8, RELATED: 4, ESTABLISHED: 2, UNTRACKED: 64, SNAT: 128, DNAT: 256 } as const;
export type ConnectionState = keyof typeof STATES;

/** The conntrack match, `--ctstate` only. */
const conntrack = extension({
  source: "linux/netfilter/xt_conntrack.h: struct xt_conntrack_mtinfo3",
  revision: 3,
  info: struct({
    addresses: reserved(146),
    which: u16,
    inverted: u16,
    states: u16,
    ports: reserved(12),
  }),
  otherwise: { which: XT_CONNTRACK_STATE },
  words({ which, inverted, states }) {
    if ((which & ~XT_CONNTRACK_STATE_ALIAS) !== XT_CONNTRACK_STATE) return undefined;
    const names = Object.entries(STATES).flatMap(([name, bit]) => (states & bit ? [name] : []));
    return `${inverted ? "! " : ""}--ctstate ${names.join(",")}`;
  },
});

/** Returns the value of the field `states`. */
export const statesOf = (...names: readonly ConnectionState[]): number =>
  names.reduce((all, name) => all | STATES[name], 0);

/** The names of address types by number: RTN_* of linux/rtnetlink.h. The struct has them as bits. */
const ADDRESS_TYPES = ["UNSPEC", "UNICAST", "LOCAL", "BROADCAST", "ANYCAST", "MULTICAST", "BLACKHOLE", "UNREACHABLE"];
export const LOCAL_ADDRESS = 1 << 2;

const addrtype = extension({
  source: "linux/netfilter/xt_addrtype.h: struct xt_addrtype_info_v1",
  revision: 1,
  info: struct({ sources: u16, destinations: u16, flags: u32 }),
  words({ sources, destinations, flags }) {
    if (flags !== 0) return undefined;
    const words = (option: string, types: number) =>
      types === 0 ? [] : [`--${option} ${ADDRESS_TYPES.filter((_, i) => types & (1 << i)).join(",")}`];
    return [...words("src-type", sources), ...words("dst-type", destinations)].join(" ");
  },
});

export const matches = { comment, tcp, udp, sctp, multiport, mark, conntrack, addrtype } as const;

// --- Targets -----------------------------------------------------------------------------------------------------------------------------

/** NF_NAT_RANGE_* of linux/netfilter/nf_nat.h */
const MAP_ADDRESSES = 1;
const MAP_PORTS = 2;
export const RANDOM_FULLY = 0x10;

const masqueradeWords = ({ flags }: { flags: number }) =>
  flags === 0 ? "" : flags === RANDOM_FULLY ? "--random-fully" : undefined;

const MASQUERADE = extension({
  source: "linux/netfilter/nf_nat.h: struct nf_nat_ipv4_multi_range_compat",
  revision: 0,
  info: struct({ ranges: u32, flags: u32, addresses: reserved(8), ports: reserved(4) }),
  otherwise: { ranges: 1 },
  words: masqueradeWords,
});

const MASQUERADE6 = extension({
  source: "linux/netfilter/nf_nat.h: struct nf_nat_range",
  revision: 0,
  info: struct({ flags: u32, addresses: reserved(32), ports: reserved(4) }),
  words: masqueradeWords,
});

const MARK = extension({
  source: "linux/netfilter/xt_mark.h: struct xt_mark_tginfo2",
  revision: 2,
  info: struct({ value: u32, mask: u32 }),
  otherwise: { mask: 0xffffffff },
  words: ({ value, mask }) => `--set-xmark 0x${value.toString(16)}/0x${mask.toString(16)}`,
});

/** The DNAT target, to one address and one port. */
const DNAT = extension({
  source: "linux/netfilter/nf_nat.h: struct nf_nat_range2",
  revision: 2,
  info: struct({
    flags: u32,
    address: anyAddress,
    lastAddress: anyAddress,
    port: u16be,
    lastPort: u16be,
    basePort: u16be,
  }),
  words({ flags, address, port }, family) {
    const to = formatAddress(family === "ip" ? address.subarray(0, 4) : address);
    if (flags === MAP_ADDRESSES) return `--to-destination ${to}`;
    if (flags !== (MAP_ADDRESSES | MAP_PORTS)) return undefined;
    return `--to-destination ${family === "ip" ? to : `[${to}]`}:${port}`;
  },
});

export const targets = {
  ip: { MASQUERADE, MARK, DNAT },
  ip6: { MASQUERADE: MASQUERADE6, MARK, DNAT },
} as const;

type Named<Table> = {
  [N in keyof Table]: Table[N] extends { info: Struct<infer F> } ? { name: N } & FieldsIn<F> : never;
}[keyof Table];

/** A match, such as `{ name: "tcp", destinations: [80, 80] }`. */
export type Match = Named<typeof matches>;
/** A target with fields, such as `{ name: "MARK", value: 0x2000, mask: 0x2000 }`. */
export type TargetExtension = Named<(typeof targets)["ip"]>;

/** Returns the target that sends a connection to one address and port. */
export function dnatTo(address: Address, port: number): TargetExtension {
  const flags = MAP_ADDRESSES | MAP_PORTS;
  return { name: "DNAT", flags, address, lastAddress: address, port, lastPort: port };
}

/** Returns the match for one destination port of SCTP. */
export function sctpDestination(port: number): Match {
  return { name: "sctp", destinations: [port, port], flags: SCTP_DESTINATION };
}

/** Returns the match for up to 15 destination ports. */
export function destinationPorts(ports: readonly number[]): Match {
  return { name: "multiport", kind: 1, count: ports.length, ports };
}

/** Returns a value as iptables-save writes it: in double quotes unless it consists of letters, digits, `_` and `-`. */
export function quoted(value: string): string {
  return /^[A-Za-z0-9_-]+$/.test(value) ? value : `"${value.replace(/["\\']/g, "\\$&")}"`;
}
