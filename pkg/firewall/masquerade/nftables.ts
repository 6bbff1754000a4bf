// Masquerade through nftables: one table for all networks, one rule for each address. nftables.nft is an example, and
// e2e/firewall/nft-tables.test.ts compares what nft loads from it with what is made here.
//
// Source: containernetworking/plugins, pkg/ip/ipmasq_nftables_linux.go, which makes the same table. It flushes and refills `postrouting`
// with each ADD; here that is done only when its rules are not these three, since after each deletion someone waits for an RCU grace
// period.

import { concat } from "../../bytes/concat.ts";
import type { AttachmentId } from "../../cni/attachment-id.ts";
import type { Prefix } from "../../ip/address.ts";
import type { Connection, Request } from "../../netlink/connection.ts";
import { NF_INET_POST_ROUTING, NF_IP_PRI_NAT_SRC } from "../../netlink/nftables/chain.ts";
import { NFT_REG_1 } from "../../netlink/nftables/data.ts";
import { NFT_CMP_EQ } from "../../netlink/nftables/expression/cmp.ts";
import { NFT_META_NFPROTO } from "../../netlink/nftables/expression/meta.ts";
import { NFPROTO_INET } from "../../netlink/nftables/header.ts";
import { decode } from "../../sys/text.ts";
import { FAMILIES, type Family, familyOf, MULTICAST, nfproto } from "../family.ts";
import { compare, encodeAddress } from "../nftables/match.ts";
import {
  type ChainRef,
  chainOf,
  commentOf,
  deleteRule,
  findRules,
  flushChain,
  type Hook,
  handleOf,
  newChain,
  newRule,
  newTable,
} from "../nftables/ruleset.ts";
import { template } from "../nftables/template.ts";
import { edit } from "../nftables/transaction.ts";
import { goTo, RETURN } from "../nftables/verdict.ts";
import { masqueradeComment, masqueradeId, networkId } from "../upstream-names.ts";

const TABLE = { family: NFPROTO_INET, table: "cni_plugins_masquerade" };
const CHECKS: ChainRef = { ...TABLE, chain: "masq_checks" };
const POSTROUTING: ChainRef = { ...TABLE, chain: "postrouting" };
const HOOK: Hook = { number: NF_INET_POST_ROUTING, priority: NF_IP_PRI_NAT_SRC, type: "nat" };
const TABLE_COMMENT = "Masquerading for plugins from github.com/containernetworking/plugins";
const CHECKS_COMMENT = "Masquerade traffic from certain IPs to any (non-multicast) IP outside their subnet";

export function masqueradeByNftables(netfilter: Connection, owner: AttachmentId, addresses: readonly Prefix[]): void {
  const id = masqueradeId(owner);
  const comment = masqueradeComment(owner, id);
  const rules = addresses.map((address) => newRule(CHECKS, { expressions: encodeCheck(address), comment }));
  const plan = () => {
    const found = findRules(netfilter, TABLE, [id, POSTROUTING.chain]);
    const changes = [...(isComplete(found) ? [] : frameRequests()), ...deletions(found, (text) => text.startsWith(id))];
    return { requests: [...changes, ...rules], changes };
  };
  // A transaction that only adds to a shared chain is right whatever others change, unless they delete the chain.
  edit(netfilter, plan, { bound: ({ changes }) => changes.length > 0 });
}

/** Reports whether all rules of `masqueradeByNftables` are there. */
export function isMasqueraded(netfilter: Connection, owner: AttachmentId, addresses: readonly Prefix[]): boolean {
  const id = masqueradeId(owner);
  const found = findRules(netfilter, TABLE, [id, POSTROUTING.chain]);
  const own = found.filter((body) => chainOf(body) === CHECKS.chain && commentOf(body).startsWith(id));
  return isComplete(found) && own.length === addresses.length;
}

/** Reports whether `postrouting` has three rules, one of which goes to the checks. */
function isComplete(found: readonly Uint8Array[]): boolean {
  const fixed = found.filter((body) => chainOf(body) === POSTROUTING.chain);
  return fixed.length === FIXED_RULES.length && fixed.some((body) => decode(body).includes(CHECKS.chain));
}

function frameRequests(): Request[] {
  return [
    newTable(TABLE, { comment: TABLE_COMMENT }),
    newChain(CHECKS, { comment: CHECKS_COMMENT }),
    newChain(POSTROUTING, { hook: HOOK }),
    flushChain(POSTROUTING),
    ...FIXED_RULES.map((expressions) => newRule(POSTROUTING, { expressions })),
  ];
}

/** Returns the deletions of the checks with such a comment. */
function deletions(found: readonly Uint8Array[], isOwn: (comment: string) => boolean): Request[] {
  return found
    .filter((body) => chainOf(body) === CHECKS.chain && isOwn(commentOf(body)))
    .map((body) => deleteRule(CHECKS, handleOf(body)));
}

/** Deletes the attachment's rules, whatever their addresses are. */
export function unmasqueradeByNftables(netfilter: Connection, owner: AttachmentId): void {
  let known: string | undefined;
  const id = () => {
    known ??= masqueradeId(owner); // two hashes, computed only when there are rules
    return known;
  };
  deleteChecks(netfilter, id, (comment) => comment.startsWith(id()));
}

/** Deletes the rules of the network's attachments that are not among the valid ones. */
export function collectNftables(
  netfilter: Connection,
  network: string,
  valid: readonly Omit<AttachmentId, "network">[],
): void {
  const id = networkId(network);
  const comments = new Set(valid.map((attachment) => masqueradeComment({ network, ...attachment })));
  deleteChecks(
    netfilter,
    () => id,
    (comment) => comment.startsWith(`${id}-`) && !comments.has(comment),
  );
}

function deleteChecks(netfilter: Connection, id: () => string, isStale: (comment: string) => boolean): void {
  const plan = () => {
    const found = findRules(netfilter, CHECKS, id);
    return { requests: deletions(found, isStale) };
  };
  edit(netfilter, plan, { bound: false });
}

// --- Rules -------------------------------------------------------------------------------------------------------------------------------

/** Compares the IP version, which the inet family requires before addresses can be compared. */
const isVersion = (family: Family): Uint8Array =>
  template([
    { name: "meta", data: { key: NFT_META_NFPROTO, destination: NFT_REG_1 } },
    compare(NFT_CMP_EQ, Uint8Array.of(nfproto[family])),
  ]).bytes;
const IS_VERSION: Readonly<Record<Family, Uint8Array>> = { ip: isVersion("ip"), ip6: isVersion("ip6") };
const MASQUERADE = template([{ name: "masq", data: {} }]).bytes;

const FIXED_RULES: readonly Uint8Array[] = [
  ...FAMILIES.map((family) => concat([IS_VERSION[family], encodeAddress("destination", MULTICAST[family]), RETURN])),
  goTo(CHECKS.chain),
];

/** Returns `ip saddr 10.22.0.5 ip daddr != 10.22.0.0/16 masquerade`. */
function encodeCheck(address: Prefix): Uint8Array {
  return concat([
    IS_VERSION[familyOf(address.address)],
    encodeAddress("source", { address: address.address, length: 8 * address.address.length }),
    encodeAddress("destination", { not: address }),
    MASQUERADE,
  ]);
}
