/**
 * Port mappings: ports of containers that are reached through ports of the host. Source: containernetworking/plugins, plugins/meta/portmap.
 */
import type { Prefix } from "../../ip/address.ts";
import { type Connection, connect, NETLINK_NETFILTER } from "../../netlink/connection.ts";
import type { Backend } from "../backend.ts";
import { type KernelErrorContext, withKernelErrors } from "../kernel-error.ts";
import type { Owner } from "../upstream-names.ts";
import { addByIptables, deleteByIptables, deviationInIptables, gcByIptables } from "./iptables.ts";
import { addByNftables, deleteByNftables, deviationInNftables, gcByNftables, restoreByNftables } from "./nftables.ts";
import { addByProgram } from "./nftables-conditions.ts";
import { deleteFromUpstream } from "./nftables-upstream.ts";
import { type Removed, resolveConflict } from "./port-conflict.ts";
import type { MappingSet } from "./port-mapping.ts";

/**
 * Publishes an attachment's mappings in both families, in one transaction unless programs are needed. Earlier ones are replaced.
 *
 * @throws CniError 11: a port is taken. CniError 7: conditions that are not valid. CniError 999: the kernel refuses
 */
export function addPortMappings(
  netfilter: () => Connection,
  backend: Backend,
  mappingSets: readonly MappingSet[],
): void {
  const [first] = mappingSets;
  if (first === undefined) return;
  const { owner, mappings } = first;
  withKernelErrors(refusal(owner, `publishing ${mappings.length} ports by ${backend}`), () => {
    if (backend === "iptables") return addByIptables(netfilter, mappingSets, resolveConflict);
    addByNftables(netfilter(), mappingSets, resolveConflict);
    addByProgram(mappingSets);
  });
}

/** Publishes the missing mappings again, except for ports that another attachment has by now. */
export function restorePortMappings(
  netfilter: () => Connection,
  backend: Backend,
  mappingSets: readonly MappingSet[],
): void {
  if (backend === "iptables") addByIptables(netfilter, mappingSets, () => "same");
  else restoreByNftables(netfilter(), mappingSets);
}

/**
 * Deletes the owner's mappings, if there are any, of all backends and of the reference plugin. The socket stays open, see
 * `removeMasquerade`.
 *
 * @param addresses The attachment's addresses, for iptables rules without an owner rule (`departureOf`). Empty when there is no result.
 */
export function deletePortMappings(
  owner: Owner,
  addresses: readonly Prefix[],
  options: { legacy: boolean },
  netfilter = connect(NETLINK_NETFILTER),
): Removed[] {
  return withKernelErrors(refusal(owner, "deleting its host ports"), () => [
    ...deleteByNftables(netfilter, owner),
    ...deleteFromUpstream(netfilter, owner.containerId),
    ...deleteByIptables(netfilter, owner, addresses, options),
  ]);
}

/** Deletes the mappings of the network's attachments that are not among the valid ones, of all backends. */
export function gcPortMappings(network: string, valid: readonly Omit<Owner, "network">[]): void {
  const netfilter = connect(NETLINK_NETFILTER);
  withKernelErrors(refusal({ network }, "collecting host ports"), () => {
    gcByNftables(netfilter, network, valid);
    gcByIptables(netfilter, network, valid);
  });
}

/** Returns the first difference from what `addPortMappings` makes; undefined when there is none. */
export function deviationOf(
  netfilter: () => Connection,
  backend: Backend,
  mappingSets: readonly MappingSet[],
): string | undefined {
  return backend === "iptables"
    ? deviationInIptables(netfilter, mappingSets)
    : deviationInNftables(netfilter(), mappingSets);
}

const refusal = (
  { network, containerId }: { network: string; containerId?: string },
  doing: string,
): KernelErrorContext => ({
  msg: `network ${JSON.stringify(network)}: the kernel refuses rules for host ports`,
  doing: containerId === undefined ? doing : `${doing} for container ${containerId}`,
  remedy:
    "look whether the kernel has nf_tables and NAT (modprobe nf_tables nft_chain_nat nft_nat); compare with: nft list ruleset",
});
