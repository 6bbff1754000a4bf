/** What passes through the host to containers and from them: their addresses are let through, bridges are kept apart. */
import { formatAddress } from "../ip/address.ts";
import { type Connection, connect, NETLINK_NETFILTER } from "../netlink/connection.ts";
import type { Backend } from "./forwarding/backend.ts";
import { admitting, type Departure, dismissing, missingRule, type Scope } from "./forwarding/iptables.ts";
import { type Admission, tenantId, tenantsOf } from "./forwarding/tenancy.ts";
import type { Family } from "./iptables/extension.ts";
import { editRules } from "./iptables/netlink.ts";
import type { Table } from "./iptables/ruleset.ts";
import { editLegacy, editTables, FAMILIES } from "./iptables.ts";
import type { Owner } from "./names.ts";
import { inWords, type Refusal } from "./refusal.ts";

/**
 * Lets the addresses through and applies the policy. What is there already stays; also for who makes it true again.
 *
 * @throws CniError 999: the kernel, legacy iptables or firewalld refuses
 */
export function admit(admission: Admission, backend: Backend): void {
  inWords(refusal(admission.owner, `letting ${admission.addresses.map(formatAddress).join(", ")} through`), () => {
    editTables(opener(), filterTables, (view, { family }) => admitting(view, family, admission, scopeOf(backend)));
  });
}

const scopeOf = (backend: Backend): Scope => ({ addressRules: backend === "iptables" });

/** What a result tells of an attachment. */
export type Told = Pick<Departure, "addresses" | "bridge">;

/**
 * Takes back what `admit`, or the reference plugin, did for the owner, whatever the backend was. Addresses that are another's by now, and policies
 * that others rely on, stay.
 *
 * @param told What to go by where the owner is not known.
 */
export function dismiss(owner: Owner, told: Told): void {
  const id = tenantId(owner);
  inWords(refusal(owner, "removing the rules"), () => {
    depart({ ...told, held: id, isGone: (one) => one === id });
  });
}

/** The same for the network's attachments that are not among the valid ones. */
export function dismissOthers(network: string, valid: readonly Omit<Owner, "network">[]): void {
  const alive = new Set(valid.map((attachment) => tenantId({ network, ...attachment })));
  const held = tenantsOf(network);
  inWords(refusal({ network }, "collecting rules"), () => {
    depart({ held, isGone: (id) => id.startsWith(held) && !alive.has(id), addresses: [], bridge: undefined });
  });
}

/** From both worlds of iptables: the administrator may have gone over to the other one meanwhile. */
function depart(departure: Departure): void {
  editRules(connect(NETLINK_NETFILTER), (view) =>
    FAMILIES.flatMap((family) => dismissing(view, family, departure).changes),
  );
  editLegacy("filter", (view, family) => dismissing(view, family, departure).changes);
}

/** What is not as `admit` makes it; undefined: all is. */
export function findDeviation(admission: Admission, backend: Backend): string | undefined {
  let found: string | undefined;
  editTables(opener(), filterTables, (view, { family }) => {
    found ??= missingRule(view, family, admission, scopeOf(backend));
    return [];
  });
  return found;
}

const filterTables: readonly Table[] = FAMILIES.map((family: Family) => ({ family, table: "filter" }));

/** Opens the socket when it is asked for first. */
function opener(): () => Connection {
  let netfilter: Connection | undefined;
  return () => {
    netfilter ??= connect(NETLINK_NETFILTER);
    return netfilter;
  };
}

const refusal = ({ network, containerId }: { network: string; containerId?: string }, doing: string): Refusal => ({
  msg: `network ${JSON.stringify(network)}: the kernel refuses the rules of the firewall`,
  doing: containerId === undefined ? doing : `${doing} for container ${containerId}`,
  remedy:
    "look whether the kernel has nf_tables and the matches of iptables (modprobe nf_tables nft_compat xt_comment xt_conntrack); compare with: nft list ruleset",
});
