/** Masquerades traffic that leaves the container's network. Source: containernetworking/plugins, pkg/ip/ipmasq_linux.go. */

import { formatPrefix, type Prefix } from "../../ip/address.ts";
import { type Connection, connect, NETLINK_NETFILTER } from "../../netlink/connection.ts";
import { lazy } from "../../sys/lazy.ts";
import { needTables } from "../availability.ts";
import { type Backend, chooseBackend } from "../backend.ts";
import { FAMILIES } from "../family.ts";
import { editTables, ensureRules } from "../iptables/host.ts";
import { missing } from "../iptables/ruleset.ts";
import { type KernelErrorContext, withKernelErrors } from "../kernel-error.ts";
import type { Owner } from "../upstream-names.ts";
import { collectRules, masqueradeRules, removeRules } from "./iptables.ts";
import { collectNftables, isMasqueraded, masqueradeByNftables, unmasqueradeByNftables } from "./nftables.ts";

/**
 * Masquerades traffic from the addresses to networks other than their own, except multicast. Rules that are there already stay.
 *
 * @param addresses The container's addresses, each with the prefix length of its network.
 * @throws CniError 999: the kernel, or legacy iptables, refuses
 */
export function addMasquerade(owner: Owner, addresses: readonly Prefix[], backend: Backend | undefined): void {
  const netfilter = lazy(() => connect(NETLINK_NETFILTER));
  const choice = chooseBackend(backend, netfilter).backend;
  withKernelErrors(refusal(owner, `masquerading ${addresses.map(formatPrefix).join(", ")} by ${choice}`), () => {
    if (choice === "iptables") ensureRules(netfilter, masqueradeRules(owner, addresses));
    else masqueradeByNftables(netfilter(), owner, addresses);
  });
}

/** Makes sure that `addMasquerade` can work. @throws CniError 50: it cannot */
export function needMasquerade(configured: Backend | undefined): void {
  const backend = (netfilter: () => Connection) => chooseBackend(configured, netfilter).backend;
  needTables({ backend, purpose: "masquerading" });
}

/** Makes the missing part of the rules of `addMasquerade` again. */
export function restoreMasquerade(
  netfilter: () => Connection,
  owner: Owner,
  addresses: readonly Prefix[],
  backend: Backend | undefined,
): void {
  const wanted = masqueradeRules(owner, addresses);
  if (chooseBackend(backend, netfilter).backend === "iptables") {
    const tables = FAMILIES.map((family) => ({ family, table: "nat" as const }));
    editTables(netfilter, tables, (view, { family }) =>
      missing(
        view,
        wanted.filter((want) => want.family === family),
      ),
    );
  } else if (!isMasqueraded(netfilter(), owner, addresses)) masqueradeByNftables(netfilter(), owner, addresses);
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
export function removeMasquerade(owner: Owner, addresses: readonly Prefix[]): void {
  const netfilter = connect(NETLINK_NETFILTER);
  withKernelErrors(refusal(owner, "removing the masquerade"), () => {
    removeRules(netfilter, owner, addresses);
    unmasqueradeByNftables(netfilter, owner);
  });
}

/** Deletes the rules of the network's attachments that are not among the valid ones, of all backends. */
export function gcMasquerade(network: string, valid: readonly Omit<Owner, "network">[]): void {
  const netfilter = connect(NETLINK_NETFILTER);
  withKernelErrors(refusal({ network }, "collecting masquerade rules"), () => {
    collectRules(netfilter, network, valid);
    collectNftables(netfilter, network, valid);
  });
}

const refusal = (
  { network, containerId }: { network: string; containerId?: string },
  doing: string,
): KernelErrorContext => ({
  msg: `network ${JSON.stringify(network)}: the kernel refuses masquerade rules`,
  doing: containerId === undefined ? doing : `${doing} for container ${containerId}`,
  remedy:
    "look whether the kernel has nf_tables and NAT (modprobe nf_tables nft_chain_nat nft_masq); compare with: nft list ruleset",
});
