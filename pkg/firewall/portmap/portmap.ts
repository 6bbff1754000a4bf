/**
 * Port mappings: ports of containers that are reached through ports of the host. Source: containernetworking/plugins, plugins/meta/portmap.
 */
import type { AttachmentId } from "../../cni/attachment-id.ts";
import type { NamedStep } from "../../cni/best-effort-del.ts";
import type { Prefix } from "../../ip/address.ts";
import { type Connection, connect, NETLINK_NETFILTER } from "../../netlink/connection.ts";
import { chooseBackend, type Feature, hasNatRules, type RuleBackend } from "../backend.ts";
import { networkRules, runRemovals, withKernelErrors } from "../kernel-error.ts";
import { addByIptables, collectionByIptables, deletionByIptables, deviationInIptables } from "./iptables.ts";
import { addByProgram } from "./nftables-conditions.ts";
import {
  addByNftables,
  deleteByNftables,
  deviationInNftables,
  gcByNftables,
  restoreByNftables,
} from "./nftables-map.ts";
import { deleteFromUpstream } from "./nftables-upstream.ts";
import { type Deletion, type Removed, resolvingConflicts } from "./port-conflict.ts";
import type { MappingSet } from "./port-mapping.ts";

/** The forms of mappings that are looked for. */
interface DeletedForms {
  /** Also in legacy iptables. */
  legacy: boolean;
  /** `false`: not those of the reference plugin in nftables, which may be another network's, since they name the container alone. */
  upstream?: boolean;
}

/** Port mappings with one backend. */
interface PortmapBackend {
  /** Publishes the mappings. @throws CniError 11: a port is taken */
  add(netfilter: () => Connection, mappingSets: readonly MappingSet[]): void;
  /** Publishes the missing mappings, except for ports that another attachment has by now. */
  restore(netfilter: () => Connection, mappingSets: readonly MappingSet[]): void;
  /** Returns the deletions of the owner's mappings. */
  delete(
    netfilter: Connection,
    owner: AttachmentId,
    addresses: readonly Prefix[],
    options: DeletedForms,
  ): readonly Deletion[];
  gc(netfilter: Connection, network: string, valid: readonly Omit<AttachmentId, "network">[]): readonly NamedStep[];
  findDeviation(netfilter: () => Connection, mappingSets: readonly MappingSet[]): string | undefined;
}

const backends: Readonly<Record<RuleBackend, PortmapBackend>> = {
  nftables: {
    add(netfilter, mappingSets) {
      resolvingConflicts((policy) => addByNftables(netfilter(), mappingSets, policy));
      addByProgram(mappingSets);
    },
    restore: (netfilter, mappingSets) => restoreByNftables(netfilter(), mappingSets),
    delete: (netfilter, owner, _addresses, { upstream = true }) => [
      deletionBy("delete host ports of nftables", () => deleteByNftables(netfilter, owner)),
      ...(upstream
        ? [
            deletionBy("delete host ports of the reference plugin", () =>
              deleteFromUpstream(netfilter, owner.containerId),
            ),
          ]
        : []),
    ],
    gc: (netfilter, network, valid) => [
      ["collect host ports of nftables", () => gcByNftables(netfilter, network, valid)],
    ],
    findDeviation: (netfilter, mappingSets) => deviationInNftables(netfilter(), mappingSets),
  },
  iptables: {
    add: (netfilter, mappingSets) => resolvingConflicts((policy) => addByIptables(netfilter, mappingSets, policy)),
    restore: (netfilter, mappingSets) => addByIptables(netfilter, mappingSets, () => "keep"),
    delete: (...options) => [deletionByIptables(...options)],
    gc: collectionByIptables,
    findDeviation: deviationInIptables,
  },
};

/** Returns a deletion that is one step. */
function deletionBy(what: string, work: () => Removed[]): Deletion {
  let removed: Removed[] = [];
  const action = () => {
    removed = work();
  };
  return { steps: [[what, action]], removed: () => removed };
}

const feature: Feature<RuleBackend> = { backends, hasIptablesRules: hasNatRules };

/** Returns the configured backend, else the one that the host uses. */
export const portmapBackend = (configured: RuleBackend | undefined, netfilter: () => Connection): RuleBackend =>
  chooseBackend(feature, configured, netfilter);

/**
 * Publishes an attachment's mappings in both families, in one transaction unless programs are needed. Earlier ones are replaced.
 *
 * @throws CniError 11: a port is taken. CniError 7: conditions that are not valid. CniError 999: the kernel refuses
 */
export function addPortMappings(
  netfilter: () => Connection,
  backend: RuleBackend,
  mappingSets: readonly MappingSet[],
): void {
  const [first] = mappingSets;
  if (first === undefined) return;
  const { owner, mappings } = first;
  withKernelErrors(refusal(owner, `mapping ${mappings.length} ports by ${backend}`), () =>
    backends[backend].add(netfilter, mappingSets),
  );
}

/** Publishes the missing mappings again, except for ports that another attachment has by now. */
export function restorePortMappings(
  netfilter: () => Connection,
  backend: RuleBackend,
  mappingSets: readonly MappingSet[],
): void {
  backends[backend].restore(netfilter, mappingSets);
}

/**
 * Deletes the owner's mappings, if there are any, of all backends and of the reference plugin. The socket stays open, see
 * `removeMasquerade`.
 *
 * @param addresses The attachment's addresses, for iptables rules without an owner rule (`departureOf`). Empty when there is no result.
 * @param options.forget Called with the mappings at the end, also when some could not be deleted.
 */
export function deletePortMappings(
  owner: AttachmentId,
  addresses: readonly Prefix[],
  { forget = () => {}, ...forms }: DeletedForms & { forget?: (removed: readonly Removed[]) => void },
  netfilter = connect(NETLINK_NETFILTER),
): void {
  const deletions = Object.values(backends).flatMap((backend) => backend.delete(netfilter, owner, addresses, forms));
  runRemovals(refusal(owner, "deleting its host ports"), [
    ...deletions.flatMap(({ steps }) => steps),
    ["forget its connections", () => forget(deletions.flatMap(({ removed }) => removed()))],
  ]);
}

/** Deletes the mappings of the network's attachments that are not among the valid ones, of all backends. */
export function gcPortMappings(
  network: string,
  valid: readonly Omit<AttachmentId, "network">[],
  netfilter = connect(NETLINK_NETFILTER),
): void {
  const steps = Object.values(backends).flatMap(({ gc }) => gc(netfilter, network, valid));
  runRemovals(refusal({ network }, "removing stale host ports"), steps);
}

/** Returns the first difference from what `addPortMappings` makes; undefined when there is none. */
export function deviationOf(
  netfilter: () => Connection,
  backend: RuleBackend,
  mappingSets: readonly MappingSet[],
): string | undefined {
  return backends[backend].findDeviation(netfilter, mappingSets);
}

const refusal = networkRules("rules for host ports", { needs: "NAT", modules: "nft_chain_nat nft_nat" });
