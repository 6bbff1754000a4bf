// Drops frames that a container sends with a source MAC other than its own, where they enter the bridge. mac-spoof-check.nft is an example,
// and e2e/firewall/nft-tables.test.ts compares what nft loads from it with what is made here.
//
// Source: containernetworking/plugins, pkg/link/spoofcheck.go, which makes the same chains and rules. Every rule has the comment.

import { concat } from "../bytes/concat.ts";
import type { AttachmentId } from "../cni/attachment-id.ts";
import {
  type Connection,
  connect,
  NETLINK_NETFILTER,
  NETLINK_ROUTE,
  query,
  type Request,
} from "../netlink/connection.ts";
import { decode } from "../netlink/message.ts";
import { NF_INET_PRE_ROUTING } from "../netlink/nftables/chain.ts";
import { NFT_REG_1 } from "../netlink/nftables/data.ts";
import { NFT_CMP_EQ } from "../netlink/nftables/expression/cmp.ts";
import { NFT_META_IIFNAME } from "../netlink/nftables/expression/meta.ts";
import { NFT_PAYLOAD_LL_HEADER } from "../netlink/nftables/expression/payload.ts";
import { NFPROTO_BRIDGE } from "../netlink/nftables/header.ts";
import { ruleMessage } from "../netlink/nftables/rule.ts";
import { linkMessage, RTM_GETLINK } from "../netlink/rtnetlink/link.ts";
import { decode as decodeText, encode } from "../sys/text.ts";
import { type KernelErrorContext, withKernelErrors } from "./kernel-error.ts";
import { compare } from "./nftables/match.ts";
import {
  type ChainRef,
  commentOf,
  deleteChain,
  deleteRule,
  existing,
  findRules,
  flushChain,
  type Hook,
  handleOf,
  holds,
  listChains,
  newChain,
  newRule,
  newTable,
} from "./nftables/ruleset.ts";
import { fill, hole, template } from "./nftables/template.ts";
import { edit } from "./nftables/transaction.ts";
import { DROP, jumpTo, RETURN } from "./nftables/verdict.ts";

type Attachment = Omit<AttachmentId, "network">;

const TABLE = { family: NFPROTO_BRIDGE, table: "nat" };
const PREROUTING: ChainRef = { ...TABLE, chain: "PREROUTING" };
const HOOK: Hook = { number: NF_INET_PRE_ROUTING, priority: -300, type: "filter" };
const IFACE_CHAIN = "cni-br-iface-";
const COMMENT = "macspoofchk-";

interface ChainRefs {
  iface: ChainRef;
  mac: ChainRef;
  comment: string;
}

const idOf = ({ containerId, ifName }: Attachment): string => `${containerId}-${ifName}`;

const chainsOf = (id: string): ChainRefs => ({
  iface: { ...TABLE, chain: IFACE_CHAIN + id },
  mac: { ...TABLE, chain: `${IFACE_CHAIN}${id}-mac` },
  comment: COMMENT + id,
});

/**
 * Lets only frames with this source MAC pass. Rules that the attachment has already are replaced.
 *
 * @param hostIfName The host's end of the veth pair, a port of the bridge.
 * @param mac The MAC of the container's end, in lower case with colons.
 * @throws CniError 999: the kernel refuses
 */
export function addMacSpoofCheck(
  owner: AttachmentId,
  { hostIfName, mac }: { hostIfName: string; mac: string },
  netfilter = connect(NETLINK_NETFILTER),
): void {
  const { iface, mac: macChain, comment } = chainsOf(idOf(owner));
  const name = encode(hostIfName);
  const address = Uint8Array.from(mac.split(":"), (byte) => Number.parseInt(byte, 16));
  const checks = [
    newRule(iface, { expressions: jumpTo(macChain.chain), comment }),
    newRule(macChain, { expressions: concat([fill(FROM_MAC, address), RETURN]), comment }),
    newRule(macChain, { expressions: DROP, comment }),
    newRule(PREROUTING, { expressions: concat([fill(FROM_INTERFACE, name), jumpTo(iface.chain)]), comment }),
  ];
  const plan = () => {
    const [base, ifaceThere, macThere] = existing(netfilter, [PREROUTING, iface, macChain]);
    const tableParts = base ? [] : [newTable(TABLE), newChain(PREROUTING, { hook: HOOK })];
    const chains = [newChain(iface, { exclusive: !ifaceThere }), newChain(macChain, { exclusive: !macThere })];
    const old = ifaceThere || macThere ? [flushChain(iface), flushChain(macChain), ...jumps(netfilter, comment)] : [];
    return { requests: [...tableParts, ...chains, ...old, ...checks] };
  };
  withKernelErrors(refusal(owner, "adding"), () => edit(netfilter, plan, { bound: false }));
}

/** Makes the rules of `addMacSpoofCheck` again unless all of them are there. */
export function restoreMacSpoofCheck(
  netfilter: Connection,
  owner: AttachmentId,
  link: { hostIfName: string; mac: string },
): void {
  const { iface, mac, comment } = chainsOf(idOf(owner));
  const rulesIn = (place: ChainRef) => findRules(netfilter, place, (text) => holds(text, comment)).length;
  const isThere = rulesIn(PREROUTING) === 1 && rulesIn(iface) === 1 && rulesIn(mac) === 2;
  if (!isThere) addMacSpoofCheck(owner, link, netfilter);
}

/** Deletes the jumps from PREROUTING, the only references to the attachment's own chains from outside. */
function jumps(netfilter: Connection, comment: string): Request[] {
  return findRules(netfilter, PREROUTING, (text) => holds(text, comment))
    .filter((body) => commentOf(body) === comment)
    .map((body) => deleteRule(PREROUTING, handleOf(body)));
}

/**
 * Deletes the rules and chains that `addMacSpoofCheck`, or a reference plugin, made for the attachment, if there are any. The socket stays
 * open, see `removeMasquerade`.
 */
export function removeMacSpoofCheck(owner: AttachmentId, netfilter = connect(NETLINK_NETFILTER)): void {
  withKernelErrors(refusal(owner, "removing"), () => {
    deleteChecks(netfilter, () => [chainsOf(idOf(owner))]);
  });
}

function deleteChecks(netfilter: Connection, find: () => readonly ChainRefs[]): void {
  const plan = () => ({ requests: find().flatMap((chainRefs) => deletions(netfilter, chainRefs)) });
  edit(netfilter, plan, { bound: false });
}

function deletions(netfilter: Connection, { iface, mac, comment }: ChainRefs): Request[] {
  const [base, ifaceThere, macThere] = existing(netfilter, [PREROUTING, iface, mac]);
  return [
    ...(base ? jumps(netfilter, comment) : []),
    ...(ifaceThere ? [deleteChain(iface)] : []),
    ...(macThere ? [deleteChain(mac)] : []),
  ];
}

/**
 * Deletes the checks of attachments that are not among the valid ones and whose interface is gone. Both conditions are needed because the
 * rules do not name their network: attachments of other networks are not among the valid ones either.
 */
export function collectMacSpoofChecks(valid: readonly Attachment[]): void {
  const known = new Set(valid.map((attachment) => COMMENT + idOf(attachment)));
  withKernelErrors(refusal(undefined, "collecting"), () => {
    const netfilter = connect(NETLINK_NETFILTER);
    if (existing(netfilter, [PREROUTING])[0] !== true) return;
    const rtnl = connect(NETLINK_ROUTE);
    deleteChecks(netfilter, () => staleChecks(netfilter, rtnl).filter(({ comment }) => !known.has(comment)));
    rtnl.close();
  });
}

/**
 * Returns the checks that no packet can reach any more: their interface is gone, or nothing jumps to them. Chains are listed before jumps:
 * an ADD makes both at once, so a chain that was listed has its jump by then. The reference plugin makes empty chains first, which are left
 * alone.
 */
function staleChecks(netfilter: Connection, rtnl: Connection): ChainRefs[] {
  const found = new Set(
    listChains(netfilter, TABLE.family)
      .filter(({ table, name }) => table === TABLE.table && name?.startsWith(IFACE_CHAIN))
      .flatMap(({ name = "" }) => findRules(netfilter, { ...TABLE, chain: name }, isCheck).map(commentOf)),
  );
  const alive = new Set<string>();
  for (const body of findRules(netfilter, PREROUTING, isCheck)) {
    found.add(commentOf(body));
    if (comesFromLink(rtnl, body)) alive.add(commentOf(body));
  }
  return [...found].filter((comment) => !alive.has(comment)).map((comment) => chainsOf(comment.slice(COMMENT.length)));
}

const isCheck = (text: string): boolean => holds(text, COMMENT);

function comesFromLink(rtnl: Connection, body: Uint8Array): boolean {
  const { expressions = [] } = decode(ruleMessage, body);
  return expressions.some((part) => part.name === "cmp" && hasLink(rtnl, part.data?.data?.value));
}

function hasLink(rtnl: Connection, name: Uint8Array | undefined): boolean {
  if (name === undefined) return false;
  const end = name.indexOf(0);
  const ifName = decodeText(name, 0, end < 0 ? name.length : end);
  return (
    rtnl.find(query({ name: "RTM_GETLINK", type: RTM_GETLINK, table: linkMessage, value: { ifName } })) !== undefined
  );
}

// --- Rules -------------------------------------------------------------------------------------------------------------------------------

const IFNAMSIZ = 16;
const interfaceHole = hole(IFNAMSIZ);
/** `iifname "veth1"` */
const FROM_INTERFACE = template(
  [{ name: "meta", data: { key: NFT_META_IIFNAME, destination: NFT_REG_1 } }, compare(NFT_CMP_EQ, interfaceHole)],
  interfaceHole,
);

const macHole = hole(6);
/** `ether saddr 0a:58:0a:16:00:05` */
const FROM_MAC = template(
  [
    { name: "payload", data: { destination: NFT_REG_1, base: NFT_PAYLOAD_LL_HEADER, offset: 6, length: 6 } },
    compare(NFT_CMP_EQ, macHole),
  ],
  macHole,
);

const refusal = (owner: AttachmentId | undefined, doing: string): KernelErrorContext => ({
  msg: "the kernel refuses the rules of the MAC spoof check",
  doing: owner === undefined ? doing : `${doing} them for container ${owner.containerId}, ${owner.ifName}`,
  remedy: `check that the kernel has nf_tables for bridges (CONFIG_NF_TABLES_BRIDGE), or remove "macspoofchk"`,
});
