// Drops frames that a container sends with a source MAC other than its own, where they enter the bridge. mac-spoof-check.nft is an example,
// and e2e/firewall/nft-tables.test.ts compares what nft loads from it with what is made here.
//
// Source: containernetworking/plugins, pkg/link/spoofcheck.go, which makes the same chains and rules. Every rule has the comment.

import { concat } from "../bytes/concat.ts";
import type { AttachmentId } from "../cni/attachment-id.ts";
import { CniError, ErrorCode } from "../cni/error.ts";
import type { HostConnections } from "../cni/plugin.ts";
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
import { IFNAMSIZ } from "../netlink/rtnetlink/link/name.ts";
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

/** Reports whether an interface of the host is marked as another attachment's. */
export type IsAnothers = (hostIfName: string) => boolean;

const idOf = ({ containerId, ifName }: Attachment): string => `${containerId}-${ifName}`;

const chainsOf = (id: string): ChainRefs => ({
  iface: { ...TABLE, chain: IFACE_CHAIN + id },
  mac: { ...TABLE, chain: `${IFACE_CHAIN}${id}-mac` },
  comment: COMMENT + id,
});

/** What is checked: the host's end of the veth pair, a port of the bridge, and the MAC of the container's end, in lower case with colons. */
interface CheckedLink {
  hostIfName: string;
  mac: string;
}

/**
 * Lets only frames with this source MAC pass. Rules that the attachment has already are replaced.
 *
 * @throws CniError 999: the kernel refuses, or another attachment has chains of these names
 */
export function addMacSpoofCheck(
  owner: AttachmentId,
  { hostIfName, mac }: CheckedLink,
  isAnothers: IsAnothers,
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
    if ((ifaceThere || macThere) && isShared(netfilter, { iface, mac: macChain, comment }, isAnothers))
      throw sameName(owner, iface.chain);
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
  link: CheckedLink,
  isAnothers: IsAnothers,
): void {
  const { iface, mac, comment } = chainsOf(idOf(owner));
  const rulesIn = (place: ChainRef) => rulesWith(netfilter, place, comment).length;
  const isThere = rulesIn(PREROUTING) === 1 && rulesIn(iface) === 1 && rulesIn(mac) === 2;
  if (!isThere) addMacSpoofCheck(owner, link, isAnothers, netfilter);
}

/**
 * Reports whether chains of these names are another attachment's. The reference plugin's names join container, interface and "-mac", and
 * each of them may contain hyphens.
 */
function isShared(netfilter: Connection, refs: ChainRefs, isAnothers: IsAnothers): boolean {
  const comesFromAnothers = jumpsWith(netfilter, refs.comment).some((body) => {
    const name = interfaceOf(body);
    return name !== undefined && isAnothers(name);
  });
  return comesFromAnothers || [refs.iface, refs.mac].some((chain) => !isOwn(netfilter, chain, refs.comment));
}

const isOwn = (netfilter: Connection, chain: ChainRef, comment: string): boolean =>
  findRules(netfilter, chain, COMMENT).every((body) => commentOf(body) === comment);

const sameName = ({ containerId, ifName }: AttachmentId, chain: string): CniError =>
  new CniError({
    code: ErrorCode.internal,
    msg: `the MAC spoof check of container ${containerId}, interface "${ifName}" has the name of another attachment's: ${chain}`,
    remedy: `choose an interface name without "-" for both (CNI_IFNAME), or remove "macspoofchk"`,
  });

/** Deletes the jumps from PREROUTING, the only references to the attachment's own chains from outside. */
const jumps = (netfilter: Connection, comment: string): Request[] =>
  jumpsWith(netfilter, comment).map((body) => deleteRule(PREROUTING, handleOf(body)));

const jumpsWith = (netfilter: Connection, comment: string): Uint8Array[] => rulesWith(netfilter, PREROUTING, comment);

/** Returns the rules with this comment, not those whose comment begins with it, as that of eth10 with that of eth1. */
const rulesWith = (netfilter: Connection, place: ChainRef, comment: string): Uint8Array[] =>
  findRules(netfilter, place, comment).filter((body) => commentOf(body) === comment);

/**
 * Deletes the rules and chains that `addMacSpoofCheck`, or a reference plugin, made for the attachment, if there are any. Those of another
 * attachment stay. The socket stays open, see `removeMasquerade`.
 */
export function removeMacSpoofCheck(
  owner: AttachmentId,
  isAnothers: IsAnothers,
  netfilter = connect(NETLINK_NETFILTER),
): void {
  const refs = chainsOf(idOf(owner));
  const isFromAnothers = (body: Uint8Array) => isAnothers(interfaceOf(body) ?? "");
  withKernelErrors(refusal(owner, "removing"), () => {
    deleteChecks(netfilter, () => (jumpsIfAny(netfilter, refs.comment).some(isFromAnothers) ? [] : [refs]));
  });
}

const jumpsIfAny = (netfilter: Connection, comment: string): Uint8Array[] =>
  existing(netfilter, [PREROUTING])[0] === true ? jumpsWith(netfilter, comment) : [];

function deleteChecks(netfilter: Connection, find: () => readonly ChainRefs[], { bound = false } = {}): void {
  const plan = () => ({ requests: find().flatMap((chainRefs) => deletions(netfilter, chainRefs)) });
  edit(netfilter, plan, { bound, lastUnbound: false });
}

function deletions(netfilter: Connection, { iface, mac, comment }: ChainRefs): Request[] {
  const [base, ifaceThere, macThere] = existing(netfilter, [PREROUTING, iface, mac]);
  return [
    ...(base ? jumps(netfilter, comment) : []),
    ...(ifaceThere && isOwn(netfilter, iface, comment) ? [deleteChain(iface)] : []),
    ...(macThere && isOwn(netfilter, mac, comment) ? [deleteChain(mac)] : []),
  ];
}

/**
 * Deletes the checks of attachments that are not among the valid ones and whose interface is gone. Both conditions are needed because the
 * rules do not name their network: attachments of other networks are not among the valid ones either.
 */
export function collectMacSpoofChecks(valid: readonly Attachment[], host?: HostConnections): void {
  const known = new Set(valid.map((attachment) => COMMENT + idOf(attachment)));
  withKernelErrors(refusal(undefined, "collecting"), () => {
    const netfilter = host?.netfilter() ?? connect(NETLINK_NETFILTER);
    if (existing(netfilter, [PREROUTING])[0] !== true) return;
    const rtnl = host?.rtnl() ?? connect(NETLINK_ROUTE);
    const find = () => staleChecks(netfilter, rtnl).filter(({ comment }) => !known.has(comment));
    deleteChecks(netfilter, find, { bound: host !== undefined }); // jumps may have been read before chains are listed
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
      .flatMap(({ name = "" }) => findRules(netfilter, { ...TABLE, chain: name }, COMMENT).map(commentOf)),
  );
  const alive = new Set<string>();
  for (const body of findRules(netfilter, PREROUTING, COMMENT)) {
    found.add(commentOf(body));
    if (comesFromLink(rtnl, body)) alive.add(commentOf(body));
  }
  return [...found].filter((comment) => !alive.has(comment)).map((comment) => chainsOf(comment.slice(COMMENT.length)));
}

function comesFromLink(rtnl: Connection, body: Uint8Array): boolean {
  const ifName = interfaceOf(body);
  if (ifName === undefined) return false;
  return (
    rtnl.find(query({ name: "RTM_GETLINK", type: RTM_GETLINK, table: linkMessage, value: { ifName } })) !== undefined
  );
}

/** Returns the interface that a jump compares with; undefined for another rule. */
function interfaceOf(body: Uint8Array): string | undefined {
  const { expressions = [] } = decode(ruleMessage, body);
  const [name] = expressions.flatMap((part) => (part.name === "cmp" && part.data?.data?.value) || []);
  if (name === undefined) return undefined;
  const end = name.indexOf(0);
  return decodeText(name, 0, end < 0 ? name.length : end);
}

// --- Rules -------------------------------------------------------------------------------------------------------------------------------

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
