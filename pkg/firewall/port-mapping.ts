/** Ports of containers, reached through ports of the host. Source: containernetworking/plugins, plugins/meta/portmap. */
import type { Prefix } from "../ip/address.ts";
import { type Connection, connect, NETLINK_NETFILTER } from "../netlink/connection.ts";
import type { Backend } from "./masquerade/backend.ts";
import type { Owner } from "./names.ts";
import {
  collectByIptables,
  deviationInIptables,
  publishByIptables,
  unpublishByIptables,
} from "./port-mapping/iptables.ts";
import {
  collectByNftables,
  deviationInNftables,
  publishByNftables,
  restoreByNftables,
  unpublishByNftables,
} from "./port-mapping/nftables.ts";
import { addByProgram } from "./port-mapping/nftables-conditions.ts";
import { unpublishInReference } from "./port-mapping/nftables-reference.ts";
import type { Publication } from "./port-mapping/publication.ts";
import { judge, type Removed } from "./port-mapping/rival.ts";
import { inWords, type Refusal } from "./refusal.ts";

/**
 * Publishes what a container has in both families, in one transaction unless programs are needed. What it had before is replaced.
 *
 * @throws CniError 11: a port is taken. CniError 7: conditions that nobody understands. CniError 999: the kernel refuses
 */
export function publish(netfilter: () => Connection, backend: Backend, publications: readonly Publication[]): void {
  const [first] = publications;
  if (first === undefined) return;
  const { owner, mappings } = first;
  inWords(refusal(owner, `publishing ${mappings.length} ports by ${backend}`), () => {
    if (backend === "iptables") return publishByIptables(netfilter, publications, judge);
    publishByNftables(netfilter(), publications, judge);
    addByProgram(publications);
  });
}

/** Makes true again what `publish` made, as far as it is missing; a port that somebody else has by now stays with him. */
export function restorePublished(
  netfilter: () => Connection,
  backend: Backend,
  publications: readonly Publication[],
): void {
  if (backend === "iptables") publishByIptables(netfilter, publications, () => "same");
  else restoreByNftables(netfilter(), publications);
}

/**
 * Deletes what the owner published, by whichever backend and whichever plugins. Nothing is there: nothing is done. The socket stays open, see `unmasquerade`.
 *
 * @param addresses Of the attachment: those of rules that do not tell whose they are (`departureOf`). None where there is no result.
 */
export function unpublish(owner: Owner, addresses: readonly Prefix[], options: { legacy: boolean }): Removed[] {
  const netfilter = connect(NETLINK_NETFILTER);
  return inWords(refusal(owner, "deleting its host ports"), () => [
    ...unpublishByNftables(netfilter, owner),
    ...unpublishInReference(netfilter, owner.containerId),
    ...unpublishByIptables(netfilter, owner, addresses, options),
  ]);
}

/** Deletes what the network's attachments that are not among the valid ones published, by whichever backend. */
export function collectPublished(network: string, valid: readonly Omit<Owner, "network">[]): void {
  const netfilter = connect(NETLINK_NETFILTER);
  inWords(refusal({ network }, "collecting host ports"), () => {
    collectByNftables(netfilter, network, valid);
    collectByIptables(netfilter, network, valid);
  });
}

/** What is not as `publish` made it, in words. */
export function deviationOf(
  netfilter: () => Connection,
  backend: Backend,
  publications: readonly Publication[],
): string | undefined {
  return backend === "iptables"
    ? deviationInIptables(netfilter, publications)
    : deviationInNftables(netfilter(), publications);
}

const refusal = ({ network, containerId }: { network: string; containerId?: string }, doing: string): Refusal => ({
  msg: `network ${JSON.stringify(network)}: the kernel refuses rules for host ports`,
  doing: containerId === undefined ? doing : `${doing} for container ${containerId}`,
  remedy:
    "look whether the kernel has nf_tables and NAT (modprobe nf_tables nft_chain_nat nft_nat); compare with: nft list ruleset",
});
