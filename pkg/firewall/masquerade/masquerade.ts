/** Masquerades traffic that leaves the container's network. Source: containernetworking/plugins, pkg/ip/ipmasq_linux.go. */

import type { AttachmentId } from "../../cni/attachment-id.ts";
import type { NamedStep } from "../../cni/best-effort-del.ts";
import { formatPrefix, type Prefix } from "../../ip/address.ts";
import { type Connection, connect, NETLINK_NETFILTER } from "../../netlink/connection.ts";
import { lazy } from "../../sys/lazy.ts";
import { needTables } from "../availability.ts";
import { chooseBackend, type Feature, hasNatRules, type RuleBackend } from "../backend.ts";
import { ensureRules } from "../iptables/host.ts";
import { networkRules, runRemovals, withKernelErrors } from "../kernel-error.ts";
import { collectionSteps, masqueradeRules, removalSteps, restoreRules } from "./iptables.ts";
import { collectNftables, isMasqueraded, masqueradeByNftables, unmasqueradeByNftables } from "./nftables.ts";

/** The masquerade with one backend. */
interface MasqueradeBackend {
  /** Adds rules that are missing, without looking first where that is faster. */
  add(netfilter: () => Connection, owner: AttachmentId, addresses: readonly Prefix[]): void;
  /** Adds rules that are missing; changes nothing where none is. */
  restore(netfilter: () => Connection, owner: AttachmentId, addresses: readonly Prefix[]): void;
  /** Returns the steps that delete the owner's rules. */
  remove(netfilter: Connection, owner: AttachmentId, addresses: readonly Prefix[]): readonly NamedStep[];
  /** Returns the steps that delete the rules of who is not valid. */
  gc(netfilter: Connection, network: string, valid: readonly Omit<AttachmentId, "network">[]): readonly NamedStep[];
}

const backends: Readonly<Record<RuleBackend, MasqueradeBackend>> = {
  iptables: {
    add: (netfilter, owner, addresses) => ensureRules(netfilter, masqueradeRules(owner, addresses)),
    restore: restoreRules,
    remove: removalSteps,
    gc: collectionSteps,
  },
  nftables: {
    add: (netfilter, owner, addresses) => masqueradeByNftables(netfilter(), owner, addresses),
    restore(netfilter, owner, addresses) {
      if (!isMasqueraded(netfilter(), owner, addresses)) masqueradeByNftables(netfilter(), owner, addresses);
    },
    remove: (netfilter, owner) => [["delete rules of nftables", () => unmasqueradeByNftables(netfilter, owner)]],
    gc: (netfilter, network, valid) => [
      ["collect rules of nftables", () => collectNftables(netfilter, network, valid)],
    ],
  },
};

const feature: Feature<RuleBackend> = { backends, hasIptablesRules: hasNatRules };

/** Returns the configured backend, else the one that the host uses. */
export const masqueradeBackend = (
  configured: RuleBackend | undefined,
  netfilter: () => Connection = () => connect(NETLINK_NETFILTER),
): RuleBackend => chooseBackend(feature, configured, netfilter);

/**
 * Masquerades traffic from the addresses to networks other than their own, except multicast. Rules that are there already stay.
 *
 * @param addresses The container's addresses, each with the prefix length of its network.
 * @throws CniError 999: the kernel, or legacy iptables, refuses
 */
export function addMasquerade(
  owner: AttachmentId,
  addresses: readonly Prefix[],
  configured: RuleBackend | undefined,
): void {
  const netfilter = lazy(() => connect(NETLINK_NETFILTER));
  const backend = masqueradeBackend(configured, netfilter);
  withKernelErrors(refusal(owner, `masquerading ${addresses.map(formatPrefix).join(", ")} by ${backend}`), () =>
    backends[backend].add(netfilter, owner, addresses),
  );
}

/** Makes sure that `addMasquerade` can work. @throws CniError 50: it cannot */
export function needMasquerade(configured: RuleBackend | undefined): void {
  needTables({ backend: (netfilter) => masqueradeBackend(configured, netfilter), purpose: "masquerading" });
}

/** Makes the missing part of the rules of `addMasquerade` again. */
export function restoreMasquerade(
  netfilter: () => Connection,
  owner: AttachmentId,
  addresses: readonly Prefix[],
  configured: RuleBackend | undefined,
): void {
  backends[masqueradeBackend(configured, netfilter)].restore(netfilter, owner, addresses);
}

/**
 * Deletes the rules that `addMasquerade`, or a reference plugin, made for the owner with any backend, if there are any. Rules of another
 * container that has the address by now stay.
 *
 * @param addresses The attachment's addresses, for iptables rules without an owner rule (`departureOf`). Empty when there is no result.
 *
 * The socket stays open on purpose: closing it would wait for the kernel to free what was deleted, which overlaps with the
 * deletion of the link that follows.
 */
export function removeMasquerade(
  owner: AttachmentId,
  addresses: readonly Prefix[],
  netfilter = connect(NETLINK_NETFILTER),
): void {
  const steps = Object.values(backends).flatMap(({ remove }) => remove(netfilter, owner, addresses));
  runRemovals(refusal(owner, "removing the masquerade"), steps);
}

/** Deletes the rules of the network's attachments that are not among the valid ones, of all backends. */
export function gcMasquerade(
  network: string,
  valid: readonly Omit<AttachmentId, "network">[],
  netfilter = connect(NETLINK_NETFILTER),
): void {
  const steps = Object.values(backends).flatMap(({ gc }) => gc(netfilter, network, valid));
  runRemovals(refusal({ network }, "removing stale masquerade rules"), steps);
}

const refusal = networkRules("masquerade rules", { needs: "NAT", modules: "nft_chain_nat nft_masq" });
