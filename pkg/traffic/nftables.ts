// flannel's rules in the form of nftables:
//
//   table ip flannel-ipv4 {
//     comment "rules for flannel-ipv4"
//     chain postrtg { comment "chain to manage traffic masquerading by flannel"; type nat hook postrouting priority srcnat; policy accept; … }
//     chain forward { comment "chain to accept flannel traffic"; type filter hook forward priority filter; policy accept; … }
//   }
//
// and the same as `ip6 flannel-ipv6`. Both tables are there always, as flannel makes them; chains are there for the families in use.
import type { Family } from "../firewall/iptables/extension.ts";
import { meaningOf, meaningOfMessage, sameMeaning } from "../firewall/iptables/meaning.ts";
import type { Rule } from "../firewall/iptables/rule.ts";
import { FAMILIES } from "../firewall/iptables.ts";
import {
  ATTEMPTS,
  chainOf,
  committed,
  DELETE_ATTEMPTS,
  deleteChain,
  deleteTable,
  existing,
  findRules,
  findTable,
  flushChain,
  generation,
  type Hook,
  listChains,
  newChain,
  newRule,
  newTable,
  type Place,
} from "../firewall/nftables.ts";
import type { Connection, Request } from "../netlink/connection.ts";
import { decode } from "../netlink/message.ts";
import {
  type ChainMessage,
  NF_INET_FORWARD,
  NF_INET_POST_ROUTING,
  NF_IP_PRI_FILTER,
  NF_IP_PRI_NAT_SRC,
} from "../netlink/nftables/chain.ts";
import { NF_ACCEPT } from "../netlink/nftables/data.ts";
import { NFPROTO_IPV4, NFPROTO_IPV6 } from "../netlink/nftables/header.ts";
import { ruleMessage } from "../netlink/nftables/rule.ts";
import { encodeRule } from "./native-rule.ts";
import { familyOf, forwardRules, masqueradeRules } from "./rules.ts";
import type { FamilyTraffic, TrafficConf } from "./traffic.ts";

const TABLES: Readonly<Record<Family, Omit<Place, "chain">>> = {
  ip: { family: NFPROTO_IPV4, table: "flannel-ipv4" },
  ip6: { family: NFPROTO_IPV6, table: "flannel-ipv6" },
};

export interface OwnChain {
  chain: string;
  comment: string;
  hook: Hook;
  rules: readonly Rule[];
}

const MASQUERADE = {
  chain: "postrtg",
  comment: "chain to manage traffic masquerading by flannel",
  hook: { number: NF_INET_POST_ROUTING, priority: NF_IP_PRI_NAT_SRC, type: "nat" },
} as const;
const FORWARD = {
  chain: "forward",
  comment: "chain to accept flannel traffic",
  hook: { number: NF_INET_FORWARD, priority: NF_IP_PRI_FILTER, type: "filter" },
} as const;

/** The chains of a family's table; none when the family is not in use. */
export function nftablesChains(conf: TrafficConf, family: Family): OwnChain[] {
  const ofFamily = ({ network }: FamilyTraffic) => familyOf(network) === family;
  return conf.families
    .filter(ofFamily)
    .flatMap((traffic) => [
      ...(conf.masquerade ? [{ ...MASQUERADE, rules: masqueradeRules(conf, traffic) }] : []),
      ...(conf.forward ? [{ ...FORWARD, rules: forwardRules(traffic) }] : []),
    ]);
}

// --- Making them right -------------------------------------------------------------------------------------------------------------------

/** What is to be done, and of how many chains, or tables without any, it is a change. */
interface Mending {
  requests: Request[];
  changed: number;
}

/** @returns how many chains had to be changed */
export function ensureNftables(netfilter: () => Connection, conf: TrafficConf): number {
  const connection = netfilter();
  for (let attempt = 1; ; attempt++) {
    const id = attempt < ATTEMPTS ? generation(connection) : undefined; // at last without: at worst a rule is there twice, until the next time
    const mendings = FAMILIES.map((family) => mend(connection, family, nftablesChains(conf, family)));
    const requests = mendings.flatMap((mending) => mending.requests);
    if (committed(connection, requests, { generation: id, ifNot: ["ERESTART"] }))
      return mendings.reduce((sum, { changed }) => sum + changed, 0);
  }
}

function mend(netfilter: Connection, family: Family, chains: readonly OwnChain[]): Mending {
  const place = TABLES[family];
  const found = findTable(netfilter, place);
  if (found !== undefined && !found.flags) return mendChains(netfilter, family, chains);
  const making = [
    newTable(place, { comment: `rules for ${place.table}` }),
    ...chains.flatMap((own) => made(place, own)),
  ];
  const requests = found === undefined ? making : [deleteTable(place), ...making]; // it sleeps (NFT_TABLE_F_DORMANT)
  return { requests, changed: Math.max(chains.length, 1) };
}

function mendChains(netfilter: Connection, family: Family, chains: readonly OwnChain[]): Mending {
  const place = TABLES[family];
  const there = chains.length === 0 ? [] : listChains(netfilter, place.family);
  const rules = chains.length === 0 ? [] : findRules(netfilter, place, () => true);
  const requests = chains.map((own): Request[] => {
    const at: Place = { ...place, chain: own.chain };
    const chain = there.find(({ table, name }) => table === at.table && name === at.chain);
    if (chain === undefined) return made(place, own);
    if (!isHooked(chain, own)) return [deleteChain(at), ...made(place, own)];
    const bodies = rules.filter((body) => chainOf(body) === at.chain);
    return isFilledWith(family, bodies, own) ? [] : [flushChain(at), ...filled(at, own)];
  });
  return { requests: requests.flat(), changed: requests.filter(({ length }) => length > 0).length };
}

function made(place: Omit<Place, "chain">, own: OwnChain): Request[] {
  const at: Place = { ...place, chain: own.chain };
  return [newChain(at, own), ...filled(at, own)];
}

const filled = (at: Place, { rules }: OwnChain): Request[] =>
  rules.map((rule) => newRule(at, { expressions: encodeRule(rule) }));

/** At the place of flannel's, and not dropping what no rule is about. */
function isHooked({ hook, type, policy }: ChainMessage, own: OwnChain): boolean {
  return (
    hook?.number === own.hook.number &&
    hook.priority === own.hook.priority &&
    type === own.hook.type &&
    policy === NF_ACCEPT
  );
}

/** Also when nft wrote it, which shortens comparisons. */
function isFilledWith(family: Family, bodies: readonly Uint8Array[], { rules }: OwnChain): boolean {
  return (
    bodies.length === rules.length &&
    rules.every((rule, i) =>
      sameMeaning(meaningOfMessage(family, decode(ruleMessage, bodies[i] as Uint8Array)), meaningOf(family, rule)),
    )
  );
}

// --- Deleting what is not wanted any more ------------------------------------------------------------------------------------------------

/** Deletes the tables, or as far as `conf` wants those, the chains that it does not. */
export function cleanNftables(netfilter: Connection, conf: TrafficConf): void {
  for (let attempt = 1; ; attempt++) {
    const requests = FAMILIES.flatMap((family) => unwanted(netfilter, family, conf));
    if (committed(netfilter, requests, { ifNot: attempt < DELETE_ATTEMPTS ? ["ENOENT"] : [] })) return;
  }
}

function unwanted(netfilter: Connection, family: Family, conf: TrafficConf): Request[] {
  const place = TABLES[family];
  if (findTable(netfilter, place) === undefined) return [];
  if (conf.kind !== "nftables") return [deleteTable(place)];
  const wanted = nftablesChains(conf, family).map(({ chain }) => chain);
  const places = [MASQUERADE, FORWARD].map(({ chain }): Place => ({ ...place, chain }));
  const there = existing(netfilter, places);
  return places.filter(({ chain }, i) => there[i] && !wanted.includes(chain)).map(deleteChain);
}
