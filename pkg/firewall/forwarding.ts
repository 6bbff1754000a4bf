/** What passes through the host to containers and from them: their addresses are let through, bridges are kept apart. */
import { ErrorCode, invalidConf } from "../cni/error.ts";
import { type Address, formatAddress } from "../ip/address.ts";
import { type Connection, connect, NETLINK_NETFILTER } from "../netlink/connection.ts";
import { lazily } from "../sys/lazily.ts";
import { type Backend, chooseBackend } from "./forwarding/backend.ts";
import {
  addSources,
  findFirewalld,
  lookForFirewalld,
  missingSource,
  needFirewalld,
  removeSources,
} from "./forwarding/firewalld.ts";
import {
  admitting,
  type Departure,
  type Dismissal,
  dismissing,
  missingRule,
  type Scope,
} from "./forwarding/iptables.ts";
import { admitByNftables, dismissByNftables, findNftablesDeviation } from "./forwarding/nftables.ts";
import { type Admission, tenantId, tenantsOf } from "./forwarding/tenancy.ts";
import type { Family } from "./iptables/extension.ts";
import { editRules } from "./iptables/netlink.ts";
import type { Change, Table, View } from "./iptables/ruleset.ts";
import { editLegacy, editTables, FAMILIES } from "./iptables.ts";
import type { Owner } from "./names.ts";
import { needTables } from "./obstacle.ts";
import { inWords, type Refusal } from "./refusal.ts";

/** What the configuration says of backends. */
export interface Choices {
  /** undefined: what the host uses. */
  backend: Backend | undefined;
  /** Of firewalld. */
  zone: string;
}

/**
 * Lets the addresses through and applies the policy. What is there already stays; also for who makes it true again.
 *
 * @throws CniError 7: a bridge that iptables cannot match. 999: the kernel, legacy iptables or firewalld refuses
 */
export function admit(
  admission: Admission,
  { backend: configured, zone }: Choices,
  netfilter: () => Connection = lazily(() => connect(NETLINK_NETFILTER)),
): void {
  const { owner, addresses } = admission;
  const { backend } = chooseBackend(configured, netfilter);
  refuseNameOfMany(admission, backend);
  inWords(refusal(owner, `letting ${addresses.map(formatAddress).join(", ")} through`), () => {
    if (backend === "nftables") admitByNftables(netfilter(), admission);
    else editTables(netfilter, FILTERS, (view, { family }) => admitting(view, family, admission, scopeOf(backend)));
  });
  if (backend === "firewalld") addSources(needFirewalld(ErrorCode.tryAgainLater), zone, addresses);
}

/**
 * The kernel allows "br+" for one bridge, and iptables means by it all whose names begin with "br". In nftables, names are elements of a
 * set, where every character stands for itself.
 *
 * @throws CniError 7
 */
function refuseNameOfMany({ policy }: Admission, backend: Backend): void {
  if (backend === "nftables" || policy === undefined || !/[+"'\\!]/.test(policy.bridge)) return;
  const name = JSON.stringify(policy.bridge);
  throw invalidConf(
    `the bridge in front of the firewall plugin is called ${name}, which iptables cannot match`,
    `${policy.bridge.endsWith("+") ? "iptables takes it for the beginning of names: " : ""}choose another "bridge", set "backend" to "nftables", or leave out "ingressPolicy"`,
  );
}

const scopeOf = (backend: Backend): Scope => ({ addressRules: backend === "iptables" });

/** Whether `admit` could do it. @throws CniError 50: firewalld is wanted and does not run; the kernel has no nf_tables */
export function needBackend({ backend: configured }: Choices): void {
  if (configured === "firewalld") needFirewalld(ErrorCode.notAvailable).close();
  const backend = (netfilter: () => Connection) => chooseBackend(configured, netfilter).backend;
  needTables({ backend, purpose: "letting containers through" });
}

/** What a result tells of an attachment. */
export type Told = Pick<Departure, "addresses" | "bridge">;

/**
 * Takes back what `admit`, or the reference plugin, did for the owner. Addresses that are another's by now, and policies that others rely on, stay.
 *
 * @param told What to go by where the owner is not known.
 */
export function dismiss(owner: Owner, told: Told, choices: Choices): void {
  const id = tenantId(owner);
  inWords(refusal(owner, "removing the rules"), () => {
    depart({ ...told, held: id, isGone: (one) => one === id }, choices);
  });
}

/** The same for the network's attachments that are not among the valid ones. */
export function dismissOthers(network: string, valid: readonly Omit<Owner, "network">[], choices: Choices): void {
  const alive = new Set(valid.map((attachment) => tenantId({ network, ...attachment })));
  const held = tenantsOf(network);
  inWords(refusal({ network }, "collecting rules"), () => {
    const isGone = (id: string) => id.startsWith(held) && !alive.has(id);
    depart({ held, isGone, addresses: [], bridge: undefined }, choices);
  });
}

/**
 * From wherever they were admitted: the configuration, and what the administrator uses, may have changed meanwhile. The socket stays open, see `unmasquerade`.
 */
function depart(departure: Departure, { backend, zone }: Choices): void {
  const netfilter = connect(NETLINK_NETFILTER);
  const dismissals = new Map<string, Dismissal>(); // of the last attempt
  const changes = (view: View, family: Family, world: string): Change[] => {
    const dismissal = dismissing(view, family, departure);
    dismissals.set(`${family} ${world}`, dismissal);
    return dismissal.changes;
  };
  editRules(netfilter, (view) => FAMILIES.flatMap((family) => changes(view, family, "nf_tables")));
  editLegacy("filter", (view, family) => changes(view, family, "legacy"));
  dismissByNftables(netfilter, departure);
  const bus = backend === "firewalld" ? findFirewalld() : backend === undefined ? lookForFirewalld() : undefined;
  if (bus !== undefined) removeSources(bus, zone, freedBy([...dismissals.values()]));
}

/** What nobody holds, in neither world of iptables. */
function freedBy(dismissals: readonly Dismissal[]): Address[] {
  const held = new Set(dismissals.flatMap((one) => one.held.map(formatAddress)));
  const freed = dismissals.flatMap((one) => one.freed.map((address) => [formatAddress(address), address] as const));
  return [...new Map(freed)].flatMap(([name, address]) => (held.has(name) ? [] : [address]));
}

/** What is not as `admit` makes it; undefined: all is. */
export function findDeviation(admission: Admission, { backend: configured, zone }: Choices): string | undefined {
  const netfilter = lazily(() => connect(NETLINK_NETFILTER));
  const { backend } = chooseBackend(configured, netfilter);
  refuseNameOfMany(admission, backend);
  if (backend === "nftables") return findNftablesDeviation(netfilter(), admission);
  let found: string | undefined;
  editTables(netfilter, FILTERS, (view, { family }) => {
    found ??= missingRule(view, family, admission, scopeOf(backend));
    return [];
  });
  return (
    found ??
    (backend === "firewalld"
      ? missingSource(needFirewalld(ErrorCode.tryAgainLater), zone, admission.addresses)
      : undefined)
  );
}

const FILTERS: readonly Table[] = FAMILIES.map((family: Family) => ({ family, table: "filter" }));

const refusal = ({ network, containerId }: { network: string; containerId?: string }, doing: string): Refusal => ({
  msg: `network ${JSON.stringify(network)}: the kernel refuses the rules of the firewall`,
  doing: containerId === undefined ? doing : `${doing} for container ${containerId}`,
  remedy:
    "look whether the kernel has nf_tables and the matches of iptables (modprobe nf_tables nft_compat xt_comment xt_conntrack); compare with: nft list ruleset",
});
