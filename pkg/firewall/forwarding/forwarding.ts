/** Allows forwarding to and from the addresses of containers, and keeps bridges with an ingress policy apart. */

import type { AttachmentId } from "../../cni/attachment-id.ts";
import type { NamedStep } from "../../cni/best-effort-del.ts";
import { ErrorCode, invalidConf } from "../../cni/error.ts";
import { type Address, formatAddress } from "../../ip/address.ts";
import { type Connection, connect, NETLINK_NETFILTER } from "../../netlink/connection.ts";
import { lazy } from "../../sys/lazy.ts";
import { needTables } from "../availability.ts";
import { type Backend, chooseBackend, type Feature } from "../backend.ts";
import { FAMILIES, type Family, nfproto } from "../family.ts";
import {
  addSources,
  findFirewalld,
  lookForFirewalld,
  missingSource,
  needFirewalld,
  removeSources,
} from "../firewalld.ts";
import { editTables, legacySteps } from "../iptables/host.ts";
import { editRules } from "../iptables/nft-variant.ts";
import type { Change, Table, View } from "../iptables/ruleset.ts";
import { networkRules, runRemovals, withKernelErrors } from "../kernel-error.ts";
import { existing } from "../nftables/ruleset.ts";
import { allowChanges, missingRule, planRemoval, type Removal, type RemovalPlan, type Scope } from "./iptables.ts";
import { CNI_FORWARD } from "./iptables-rules.ts";
import { allowByNftables, findNftablesDeviation, revokeByNftables } from "./nftables.ts";
import { type ForwardingRequest, ownerId, ownerIdPrefix } from "./ownership.ts";

/** The part of the configuration that is about backends. */
export interface ForwardingOptions {
  /** The configured backend; undefined: the one that the host uses. */
  backend: Backend | undefined;
  /** The firewalld zone. */
  zone: string;
}

/** The forwarding rules with one backend. */
interface ForwardingBackend {
  /** Adds what is missing. */
  allow(netfilter: () => Connection, request: ForwardingRequest, zone: string): void;
  /** Returns the first difference from what `allow` makes; undefined when there is none. */
  findDeviation(netfilter: () => Connection, request: ForwardingRequest, zone: string): string | undefined;
}

const backends: Readonly<Record<Backend, ForwardingBackend>> = {
  firewalld: {
    allow(netfilter, request, zone) {
      allowByIptables(netfilter, request, { addressRules: false });
      addSources(needFirewalld(ErrorCode.tryAgainLater), zone, request.addresses);
    },
    findDeviation: (netfilter, request, zone) =>
      findIptablesDeviation(netfilter, request, { addressRules: false }) ??
      missingSource(needFirewalld(ErrorCode.tryAgainLater), zone, request.addresses),
  },
  iptables: {
    allow: (netfilter, request) => allowByIptables(netfilter, request, { addressRules: true }),
    findDeviation: (netfilter, request) => findIptablesDeviation(netfilter, request, { addressRules: true }),
  },
  nftables: {
    allow: (netfilter, request) => allowByNftables(netfilter(), request),
    findDeviation: (netfilter, request) => findNftablesDeviation(netfilter(), request),
  },
};

const feature: Feature<Backend> = {
  backends,
  hasIptablesRules: (netfilter) =>
    existing(netfilter, [{ family: nfproto.ip, table: "filter", chain: CNI_FORWARD }])[0] === true,
};

/**
 * Allows forwarding for the addresses and applies the policy. Only missing rules are added, so that it also repairs.
 *
 * @throws CniError 7: a bridge that iptables cannot match. 999: the kernel, legacy iptables or firewalld refuses
 */
export function allowForwarding(
  request: ForwardingRequest,
  { backend: configured, zone }: ForwardingOptions,
  netfilter: () => Connection = lazy(() => connect(NETLINK_NETFILTER)),
): void {
  const { owner, addresses } = request;
  const backend = chooseBackend(feature, configured, netfilter);
  withKernelErrors(refusal(owner, `allowing ${addresses.map(formatAddress).join(", ")}`), () =>
    backends[backend].allow(netfilter, request, zone),
  );
}

/** Adds what is missing, as `allowForwarding` does. @param options.dryRun Does not call the running firewalld at all. */
export function restoreForwarding(
  request: ForwardingRequest,
  options: ForwardingOptions,
  netfilter: () => Connection,
  { dryRun }: { dryRun: boolean },
): void {
  if (dryRun && chooseBackend(feature, options.backend, netfilter) === "firewalld") return;
  allowForwarding(request, options, netfilter);
}

function allowByIptables(netfilter: () => Connection, request: ForwardingRequest, scope: Scope): void {
  refuseNameOfMany(request);
  editTables(netfilter, FILTERS, (view, { family }) => allowChanges(view, family, request, scope));
}

/**
 * Refuses a bridge name that iptables cannot match: the kernel allows a bridge called "br+", by which iptables means all interfaces whose
 * names begin with "br". In nftables, names are elements of a set, where every character stands for itself.
 *
 * @throws CniError 7
 */
function refuseNameOfMany({ policy }: ForwardingRequest): void {
  if (policy === undefined || !/[+"'\\!]/.test(policy.bridge)) return;
  const name = JSON.stringify(policy.bridge);
  throw invalidConf(
    `the bridge in front of the firewall plugin is called ${name}, which iptables cannot match`,
    `${policy.bridge.endsWith("+") ? "for iptables a name that ends with + matches all names that begin so: " : ""}choose another "bridge", set "backend" to "nftables", or remove "ingressPolicy"`,
  );
}

/** Makes sure that `allowForwarding` can work. @throws CniError 50: firewalld is wanted and does not run; the kernel has no nf_tables */
export function needBackend({ backend: configured }: ForwardingOptions): void {
  if (configured === "firewalld") needFirewalld(ErrorCode.notAvailable).close();
  const backend = (netfilter: () => Connection) => chooseBackend(feature, configured, netfilter);
  needTables({ backend, purpose: "allowing containers" });
}

/** The addresses and the bridge of an attachment, as its result has them. */
export type ResultFacts = Pick<Removal, "addresses" | "bridge">;

/**
 * Removes what `allowForwarding`, or the reference plugin, made for the owner. Addresses that another attachment has by now, and policies
 * that others rely on, stay.
 *
 * @param told The facts that are used where no ownership is recorded.
 */
export function revokeForwarding(
  owner: AttachmentId,
  told: ResultFacts,
  choices: ForwardingOptions,
  netfilter = connect(NETLINK_NETFILTER),
): void {
  const id = ownerId(owner);
  const removal = { ...told, containing: id, isGone: (one: string) => one === id };
  runRemovals(refusal(owner, "removing the rules"), removalSteps(netfilter, removal, choices));
}

/** Removes what was made for attachments of the network that are not among the valid ones. */
export function gcForwarding(
  network: string,
  valid: readonly Omit<AttachmentId, "network">[],
  choices: ForwardingOptions,
  netfilter = connect(NETLINK_NETFILTER),
): void {
  const alive = new Set(valid.map((attachment) => ownerId({ network, ...attachment })));
  const containing = ownerIdPrefix(network);
  const isGone = (id: string) => id.startsWith(containing) && !alive.has(id);
  const removal = { containing, isGone, addresses: [], bridge: undefined };
  runRemovals(refusal({ network }, "collecting rules"), removalSteps(netfilter, removal, choices));
}

/**
 * Returns the steps that remove from every backend: the configuration, and the iptables variant of the host, may have changed since the ADD. The socket stays
 * open, see `removeMasquerade`.
 */
function removalSteps(
  netfilter: Connection,
  removal: Removal,
  { backend, zone }: ForwardingOptions,
): readonly NamedStep[] {
  const removalPlans = new Map<string, RemovalPlan>(); // those of the last attempt
  const changes = (view: View, family: Family, world: string): Change[] => {
    const removalPlan = planRemoval(view, family, removal);
    removalPlans.set(`${family} ${world}`, removalPlan);
    return removalPlan.changes;
  };
  const removeFromFirewalld = () => {
    const bus = backend === "firewalld" ? findFirewalld() : backend === undefined ? lookForFirewalld() : undefined;
    if (bus !== undefined) removeSources(bus, zone, freedBy([...removalPlans.values()]));
  };
  return [
    [
      "delete rules of iptables in nf_tables",
      () => editRules(netfilter, (view) => FAMILIES.flatMap((family) => changes(view, family, "nf_tables"))),
    ],
    ...legacySteps("filter", (view, family) => changes(view, family, "legacy")),
    ["delete rules of nftables", () => revokeByNftables(netfilter, removal)],
    ["remove the addresses from firewalld", removeFromFirewalld],
  ];
}

/** Returns the addresses that no attachment has in either variant of iptables. */
function freedBy(removalPlans: readonly RemovalPlan[]): Address[] {
  const kept = new Set(removalPlans.flatMap((one) => one.kept.map(formatAddress)));
  const freed = removalPlans.flatMap((one) => one.freed.map((address) => [formatAddress(address), address] as const));
  return [...new Map(freed)].flatMap(([name, address]) => (kept.has(name) ? [] : [address]));
}

/** Returns the first difference from what `allowForwarding` makes; undefined when there is none. */
export function findDeviation(
  request: ForwardingRequest,
  { backend: configured, zone }: ForwardingOptions,
): string | undefined {
  const netfilter = lazy(() => connect(NETLINK_NETFILTER));
  return backends[chooseBackend(feature, configured, netfilter)].findDeviation(netfilter, request, zone);
}

function findIptablesDeviation(
  netfilter: () => Connection,
  request: ForwardingRequest,
  scope: Scope,
): string | undefined {
  refuseNameOfMany(request);
  let found: string | undefined;
  editTables(netfilter, FILTERS, (view, { family }) => {
    found ??= missingRule(view, family, request, scope);
    return [];
  });
  return found;
}

const FILTERS: readonly Table[] = FAMILIES.map((family: Family) => ({ family, table: "filter" }));

const refusal = networkRules("the rules of the firewall", {
  needs: "the matches of iptables",
  modules: "nft_compat xt_comment xt_conntrack",
});
