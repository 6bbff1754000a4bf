/**
 * Finds the firewalls of this host that drop what others send to one of its UDP ports: base chains of nf_tables at the input hook, those of
 * iptables-nft and firewalld among them, and legacy iptables' INPUT.
 *
 * Only what is certain is reported. A rule with a condition that is not known here may match or not, and then the packet may be accepted;
 * chains and sets of more entries than a report should read are treated in the same way.
 */

import { type Address, isIPv4 } from "../../ip/address.ts";
import { type Connection, query } from "../../netlink/connection.ts";
import { decode } from "../../netlink/message.ts";
import { NF_INET_LOCAL_IN } from "../../netlink/nftables/chain.ts";
import { NF_DROP } from "../../netlink/nftables/data.ts";
import { elementMessage, NFT_MSG_GETSETELEM, type SetElement } from "../../netlink/nftables/element.ts";
import { NF_CT_STATE_NEW, NF_CT_STATE_UNTRACKED } from "../../netlink/nftables/expression/ct.ts";
import { NFPROTO_INET } from "../../netlink/nftables/header.ts";
import { ruleMessage } from "../../netlink/nftables/rule.ts";
import { NFT_MSG_GETSET, setMessage } from "../../netlink/nftables/set.ts";
import { NFT_TABLE_F_DORMANT } from "../../netlink/nftables/table.ts";
import { isErrno } from "../../sys/errno.ts";
import { type Family, familyOf, nfproto } from "../family.ts";
import { findLegacySave, usesLegacy } from "../iptables/host.ts";
import { findRules, findTable, listChains } from "../nftables/ruleset.ts";
import { evaluateSave } from "./iptables-words.ts";
import { evaluateRule, type SetContent } from "./nftables-rule.ts";
import type { InputPacket } from "./packet.ts";
import { type Chains, type EvaluatedRule, outcomesOf } from "./traversal.ts";

/** What other hosts send to this one. */
export interface ExpectedInput {
  inInterface: { name: string; index: number };
  /** The hosts that send; empty: any may. */
  sources: readonly Address[];
  /** This host's address. */
  destination: Address;
  port: number;
}

export interface DroppedInput {
  /** The firewall, such as "firewalld (zone public)". */
  by: string;
  /** The commands that let the packets in, now and after the next start. */
  command: string;
}

/** The most rules of a chain, or elements of a set, that are evaluated. */
const MOST_ENTRIES = 2000;
/** The most hosts for which the rules are evaluated one by one. */
const MOST_SOURCES = 100;
const UNREAD: EvaluatedRule[] = [{ matches: "unknown", action: "unknown" }];

/** @throws NetlinkError the kernel refuses to tell its rules */
export function droppedInput(netfilter: Connection, expected: ExpectedInput): DroppedInput[] {
  const family = familyOf(expected.destination);
  const bases = [...nftablesBases(netfilter, family), ...legacyBases(family)];
  return bases.flatMap((base) => {
    const entered = sourcesOf(expected)
      .map((source) => droppedIn(base, { ...expected, source, family }))
      .find((chains) => chains !== undefined);
    return entered ? [{ by: base.titleOf(entered), command: base.commandFor({ family, ...expected }, entered) }] : [];
  });
}

function sourcesOf({ sources, destination }: ExpectedInput): (Address | undefined)[] {
  const known = sources.filter((source) => isIPv4(source) === isIPv4(destination)).slice(0, MOST_SOURCES);
  return known.length > 0 ? known : [undefined];
}

interface Base {
  name: string;
  policy: "accept" | "drop";
  chainsFor(packet: InputPacket): Chains;
  /** @param entered The chains of the table to which the packet came. */
  titleOf(entered: ReadonlySet<string>): string;
  commandFor(to: Opening, entered: ReadonlySet<string>): string;
}

interface Opening extends ExpectedInput {
  family: Family;
}

/** Returns the chains that the packet has entered if it is certainly dropped, whether connections are tracked or not. */
function droppedIn(base: Base, { port, ...packet }: ExpectedInput & { source: Address | undefined; family: Family }) {
  const entered = new Set<string>();
  const isDropped = [NF_CT_STATE_NEW, NF_CT_STATE_UNTRACKED].every((state) => {
    const chains = base.chainsFor({ ...packet, destinationPort: port, state });
    const { canBeAccepted, canBeDropped } = outcomesOf(chains, base, entered);
    return canBeDropped && !canBeAccepted;
  });
  return isDropped ? entered : undefined;
}

// --- nf_tables ---------------------------------------------------------------------------------------------------------------------------

const FAMILY_NAMES: Readonly<Record<number, string>> = {
  [NFPROTO_INET]: "inet",
  [nfproto.ip]: "ip",
  [nfproto.ip6]: "ip6",
};

function nftablesBases(netfilter: Connection, family: Family): Base[] {
  return [nfproto[family], NFPROTO_INET].flatMap((number) =>
    chainsOf(netfilter, number).flatMap(({ hook, type, table = "", name = "", policy }): Base[] => {
      if (hook?.number !== NF_INET_LOCAL_IN || type !== "filter" || isDormant(netfilter, number, table)) return [];
      const content = tableContent(netfilter, number, table);
      const place = [FAMILY_NAMES[number], table, name].join(" ");
      return [
        {
          name,
          policy: policy === NF_DROP ? "drop" : "accept",
          chainsFor: (packet) => ({ rulesOf: (chain) => content.rulesOf(chain, packet) }),
          ...(table === "firewalld" ? firewalld : isOfIptables(table, name) ? iptables(family) : nftables(place)),
        },
      ];
    }),
  );
}

function chainsOf(netfilter: Connection, family: number): ReturnType<typeof listChains> {
  try {
    return listChains(netfilter, family);
  } catch (error) {
    if (isErrno(error, "EOPNOTSUPP", "EINVAL", "ENOENT")) return []; // a kernel without nf_tables
    throw error;
  }
}

const isDormant = (netfilter: Connection, family: number, table: string): boolean =>
  ((findTable(netfilter, { family, table })?.flags ?? 0) & NFT_TABLE_F_DORMANT) !== 0;

const isOfIptables = (table: string, chain: string): boolean => table === "filter" && chain === "INPUT";

/** Reads chains and sets when they are first asked for. */
function tableContent(netfilter: Connection, family: number, table: string) {
  const rules = new Map<string, ReturnType<typeof rulesIn>>();
  const sets = new Map<string, SetContent | undefined>();
  function rulesIn(chain: string) {
    const bodies = findRules(netfilter, { family, table, chain });
    if (bodies.length > MOST_ENTRIES) return undefined;
    return bodies.map((body) => decode(ruleMessage, body).expressions ?? []);
  }
  function findSet(name: string): SetContent | undefined {
    if (!sets.has(name)) sets.set(name, setContent(netfilter, { family, table, set: name }));
    return sets.get(name);
  }
  return {
    rulesOf(chain: string, packet: InputPacket): readonly EvaluatedRule[] {
      if (!rules.has(chain)) rules.set(chain, rulesIn(chain));
      return rules.get(chain)?.flatMap((expressions) => evaluateRule(expressions, packet, findSet)) ?? UNREAD;
    },
  };
}

function setContent(
  netfilter: Connection,
  { family, table, set: name }: { family: number; table: string; set: string },
): SetContent | undefined {
  try {
    const set = netfilter.get(
      query({ name: "NFT_MSG_GETSET", type: NFT_MSG_GETSET, table: setMessage, value: { family, table, name } }),
    );
    if ((set.count ?? 0) > MOST_ENTRIES) return undefined;
    const value = { family, table, set: name };
    const elements = netfilter
      .dump(query({ name: "NFT_MSG_GETSETELEM", type: NFT_MSG_GETSETELEM, table: elementMessage, value }))
      .flatMap(({ elements = [] }): SetElement[] => elements);
    return { set, elements };
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined; // deleted in between
    throw error;
  }
}

const nftables = (place: string): Pick<Base, "titleOf" | "commandFor"> => ({
  titleOf: () => `nftables (chain ${place})`,
  commandFor: ({ inInterface, port }) =>
    `nft insert rule ${place} iifname "${inInterface.name}" udp dport ${port} accept, and the same rule in the file that is loaded at boot (/etc/nftables.conf)`,
});

// --- firewalld, ufw ----------------------------------------------------------------------------------------------------------------------

const firewalld: Pick<Base, "titleOf" | "commandFor"> = {
  titleOf(entered) {
    const zone = zoneOf(entered);
    return zone === undefined ? "firewalld" : `firewalld (zone ${zone})`;
  },
  commandFor({ port }, entered) {
    const zone = zoneOf(entered);
    const add = `${zone === undefined ? "" : `--zone=${zone} `}--add-port=${port}/udp`;
    return `firewall-cmd ${add} && firewall-cmd --permanent ${add}`;
  },
};

/** Returns the zone whose chain the packet has entered, as `filter_IN_public`, `IN_public` with firewalld's iptables backend. */
function zoneOf(entered: ReadonlySet<string>): string | undefined {
  const zones = [...entered].flatMap((chain) => /^(?:filter_)?IN_(.+)$/.exec(chain)?.[1] ?? []);
  const whole = zones.filter((name) => !/^policy_|_(pre|log|deny|allow|post)$/.test(name));
  return whole.length === 1 ? whole[0] : undefined;
}

/** A chain of ufw that INPUT jumps to. */
const UFW_CHAIN = /^ufw6?-before-input$/;

// --- iptables ----------------------------------------------------------------------------------------------------------------------------

/** @param program The iptables to use, if it is not the one in PATH. */
function iptables(family: Family, program = `${family}tables`): Pick<Base, "titleOf" | "commandFor"> {
  const isFirewalld = (entered: ReadonlySet<string>) => entered.has("INPUT_ZONES") || zoneOf(entered) !== undefined;
  return {
    titleOf(entered) {
      if (isFirewalld(entered)) return firewalld.titleOf(entered);
      return [...entered].some((chain) => UFW_CHAIN.test(chain)) ? "ufw" : `${program} (chain INPUT)`;
    },
    commandFor(to, entered) {
      const { inInterface, port } = to;
      if (isFirewalld(entered)) return firewalld.commandFor(to, entered);
      if ([...entered].some((chain) => UFW_CHAIN.test(chain)))
        return `ufw allow in on ${inInterface.name} to any port ${port} proto udp`;
      return `${program} -I INPUT -i ${inInterface.name} -p udp --dport ${port} -j ACCEPT, and save the rules so that they are loaded at boot (netfilter-persistent save, or service ${family}tables save)`;
    },
  };
}

function legacyBases(family: Family): Base[] {
  const printed = findLegacySave(family, "filter");
  if (printed === undefined) return [];
  return [
    {
      name: "INPUT",
      policy: /^:INPUT DROP\b/m.test(printed) ? "drop" : "accept",
      chainsFor: (packet) => evaluateSave(printed, packet),
      ...iptables(family, usesLegacy(family) ? undefined : `${family}tables-legacy`),
    },
  ];
}
