/**
 * The base chains of this host's firewalls at a hook, with what becomes of a packet in them: those of nf_tables, of iptables-nft and firewalld
 * among them, and of legacy iptables.
 *
 * Only what is certain is reported. A rule with a condition that is not known here may match or not, and then the packet may be accepted;
 * chains and sets of more entries than a report should read are treated in the same way.
 */

import { type Connection, query } from "../../netlink/connection.ts";
import { decode } from "../../netlink/message.ts";
import { NF_DROP } from "../../netlink/nftables/data.ts";
import { elementMessage, NFT_MSG_GETSETELEM, type SetElement } from "../../netlink/nftables/element.ts";
import { NF_CT_STATE_NEW, NF_CT_STATE_UNTRACKED } from "../../netlink/nftables/expression/ct.ts";
import { NFPROTO_INET } from "../../netlink/nftables/header.ts";
import { ruleMessage } from "../../netlink/nftables/rule.ts";
import { NFT_MSG_GETSET, setMessage } from "../../netlink/nftables/set.ts";
import { NFT_TABLE_F_DORMANT } from "../../netlink/nftables/table.ts";
import { isErrno } from "../../sys/errno.ts";
import { type Family, nfproto } from "../family.ts";
import { findLegacySave } from "../iptables/host.ts";
import { findRules, findTable, listChains } from "../nftables/ruleset.ts";
import { evaluateSave } from "./iptables-words.ts";
import { evaluateRule, type SetContent } from "./nftables-rule.ts";
import type { Packet } from "./packet.ts";
import { type Chains, type EvaluatedRule, outcomesOf } from "./traversal.ts";

/** The most rules of a chain, or elements of a set, that are evaluated. */
const MOST_ENTRIES = 2000;
const UNREAD: EvaluatedRule[] = [{ matches: "unknown", action: "unknown" }];

export interface BaseChain {
  /** As "inet firewalld filter_INPUT"; of legacy iptables as "ip filter INPUT". */
  place: string;
  table: string;
  name: string;
  isLegacy: boolean;
  policy: "accept" | "drop";
  chainsFor(packet: Packet): Chains;
}

/** Returns the chains that the packet has entered if it is certainly dropped, whether connections are tracked or not. */
export function enteredIfDropped(base: BaseChain, packet: Omit<Packet, "state">): ReadonlySet<string> | undefined {
  const entered = new Set<string>();
  const isDropped = [NF_CT_STATE_NEW, NF_CT_STATE_UNTRACKED].every((state) => {
    const { canBeAccepted, canBeDropped } = outcomesOf(base.chainsFor({ ...packet, state }), base, entered);
    return canBeDropped && !canBeAccepted;
  });
  return isDropped ? entered : undefined;
}

const FAMILY_NAMES: Readonly<Record<number, string>> = {
  [NFPROTO_INET]: "inet",
  [nfproto.ip]: "ip",
  [nfproto.ip6]: "ip6",
};

/** @param hook NF_INET_* @throws NetlinkError the kernel refuses to tell its rules */
export function nftablesBaseChains(netfilter: Connection, family: Family, hook: number): BaseChain[] {
  return [nfproto[family], NFPROTO_INET].flatMap((number) =>
    chainsOf(netfilter, number).flatMap((chain): BaseChain[] => {
      const { type, table = "", name = "", policy } = chain;
      if (chain.hook?.number !== hook || type !== "filter" || isDormant(netfilter, number, table)) return [];
      const content = tableContent(netfilter, number, table);
      return [
        {
          place: [FAMILY_NAMES[number], table, name].join(" "),
          table,
          name,
          isLegacy: false,
          policy: policy === NF_DROP ? "drop" : "accept",
          chainsFor: (packet) => ({ rulesOf: (chain) => content.rulesOf(chain, packet) }),
        },
      ];
    }),
  );
}

/** @throws CniError 999: legacy iptables failed */
export function legacyBaseChains(family: Family, name: "INPUT" | "FORWARD"): BaseChain[] {
  const printed = findLegacySave(family, "filter");
  if (printed === undefined) return [];
  return [
    {
      place: `${family} filter ${name}`,
      table: "filter",
      name,
      isLegacy: true,
      policy: new RegExp(`^:${name} DROP\\b`, "m").test(printed) ? "drop" : "accept",
      chainsFor: evaluateSave(printed),
    },
  ];
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
    rulesOf(chain: string, packet: Packet): readonly EvaluatedRule[] {
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
