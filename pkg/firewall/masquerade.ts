/** What leaves the container's network leaves it with the host's address. Source: containernetworking/plugins, pkg/ip/ipmasq_linux.go. */

import { formatPrefix, type Prefix } from "../ip/address.ts";
import { type Connection, connect, NETLINK_NETFILTER } from "../netlink/connection.ts";
import { lazily } from "../sys/lazily.ts";
import { missing } from "./iptables/ruleset.ts";
import { editTables, ensureRules, FAMILIES } from "./iptables.ts";
import { type Backend, chooseBackend } from "./masquerade/backend.ts";
import { collectRules, masqueradeRules, removeRules } from "./masquerade/iptables.ts";
import { collectNftables, isMasqueraded, masqueradeByNftables, unmasqueradeByNftables } from "./masquerade/nftables.ts";
import type { Owner } from "./names.ts";
import { needTables } from "./obstacle.ts";
import { inWords, type Refusal } from "./refusal.ts";

/**
 * Masquerades what the addresses send to other networks than their own, multicast excepted. What is there already stays.
 *
 * @param addresses Of the container, with the length of their network's prefix.
 * @throws CniError 999: the kernel, or legacy iptables, refuses
 */
export function masquerade(owner: Owner, addresses: readonly Prefix[], backend: Backend | undefined): void {
  const netfilter = lazily(() => connect(NETLINK_NETFILTER));
  const choice = chooseBackend(backend, netfilter).backend;
  inWords(refusal(owner, `masquerading ${addresses.map(formatPrefix).join(", ")} by ${choice}`), () => {
    if (choice === "iptables") ensureRules(netfilter, masqueradeRules(owner, addresses));
    else masqueradeByNftables(netfilter(), owner, addresses);
  });
}

/** Whether `masquerade` could do it. @throws CniError 50 */
export function needMasquerade(configured: Backend | undefined): void {
  const backend = (netfilter: () => Connection) => chooseBackend(configured, netfilter).backend;
  needTables({ backend, purpose: "masquerading" });
}

/** Makes true again what `masquerade` made, as far as it is missing. */
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
 * Deletes what `masquerade`, or a reference plugin, made for the owner, by whichever backend. Rules of another container that
 * has the address by now stay. Nothing is there: nothing is done.
 *
 * @param addresses Of the attachment: those of iptables' rules that do not tell whose they are (`departureOf`). None where there is no result.
 *
 * The socket stays open on purpose: closing it would wait for the kernel to free what was deleted, which overlaps with the
 * deletion of the link that follows.
 */
export function unmasquerade(owner: Owner, addresses: readonly Prefix[]): void {
  const netfilter = connect(NETLINK_NETFILTER);
  inWords(refusal(owner, "removing the masquerade"), () => {
    removeRules(netfilter, owner, addresses);
    unmasqueradeByNftables(netfilter, owner);
  });
}

/** Deletes the rules of the network's attachments that are not among the valid ones, by whichever backend they were made. */
export function collectMasquerade(network: string, valid: readonly Omit<Owner, "network">[]): void {
  const netfilter = connect(NETLINK_NETFILTER);
  inWords(refusal({ network }, "collecting masquerade rules"), () => {
    collectRules(netfilter, network, valid);
    collectNftables(netfilter, network, valid);
  });
}

const refusal = ({ network, containerId }: { network: string; containerId?: string }, doing: string): Refusal => ({
  msg: `network ${JSON.stringify(network)}: the kernel refuses masquerade rules`,
  doing: containerId === undefined ? doing : `${doing} for container ${containerId}`,
  remedy:
    "look whether the kernel has nf_tables and NAT (modprobe nf_tables nft_chain_nat nft_masq); compare with: nft list ruleset",
});
