/** Holds the leases of a backend's peers, converts them to entries, and has these kept in the kernel. Describes what prevents a peer. */

import type { Lease, LeaseId, Subnets } from "../../cluster/lease/lease.ts";
import type { LeaseChanges, LeaseRemedies } from "../../cluster/lease/manager.ts";
import type { Log } from "../../cluster/log/log.ts";
import { formatAddress, formatPrefix, isIPv4, overlaps, type Prefix } from "../../ip/address.ts";
import type { Connection } from "../../netlink/connection.ts";
import { decode } from "../../netlink/message.ts";
import type { Nlmsg } from "../../netlink/nlmsg.ts";
import { addressMessage, RTM_DELADDR, RTM_NEWADDR } from "../../netlink/rtnetlink/address.ts";
import type { ApplyResult, Obstacle } from "./backend.ts";
import type { Entry, RouteEntry } from "./entry.ts";
import type { Domain } from "./entry-requests.ts";
import {
  type ClusterSide,
  conflictOf,
  isInOwnLease,
  type LocalAddress,
  listLocalAddresses,
  localAddress,
  sameLocal,
  showLocal,
} from "./local-networks.ts";
import { InvalidPeerLease, type Peer, peerOf, type Viewpoint } from "./peer.ts";
import { createPeerRouteReconciler, type Want } from "./peer-route-reconciler.ts";

interface Parts {
  rtnl: Connection;
  log: Log;
  remedies: LeaseRemedies;
  /** Returns the current domain. */
  domain(): Domain;
  /** Returns the current viewpoint of each family. */
  viewpoints(): readonly Omit<Viewpoint, "local" | "remedies">[];
  /** Returns the entries for a peer. @throws InvalidPeerLease */
  entriesOf(peer: Peer): Entry[];
  /** Returns the entries that belong to no peer, such as a route for the whole network. */
  commonEntries?(): Entry[];
}

export interface PeerLeases {
  /** Sets our own lease; must be called before the first peers. */
  setOwnLease(own: Subnets): void;
  set(peers: readonly Lease[]): ApplyResult;
  change(changes: LeaseChanges): ApplyResult;
  /** Computes the entries of all peers again, and compares with what the kernel has. */
  repair(): ApplyResult;
  missing(): readonly string[];
  obstacles(): readonly Obstacle[];
  concerns(message: Nlmsg): boolean;
  leases(): Iterable<Lease>;
  /** Returns the peers that can be reached by this lease, one for each family; none of a lease that is gone or skipped. */
  peersOf(id: LeaseId): readonly Peer[];
  /** Forgets the entries on a device that is gone. */
  forget(index: number): void;
}

/** The owner of the entries that belong to no peer: no lease has this ID. */
const COMMON = "";

export function createPeerLeases(parts: Parts): PeerLeases {
  const { rtnl, log, remedies, domain, viewpoints, entriesOf, commonEntries = () => [] } = parts;
  let own: Subnets | undefined;
  /** The host's addresses as read when all peers were last checked; netlink messages report changes. */
  let local: readonly LocalAddress[] = [];
  const kept = createPeerRouteReconciler({ rtnl, domain, local: () => local, log });
  const peers = new Map<LeaseId, Accepted & { lease: Lease }>();
  /** Why a peer, or one family of it, is skipped; logged when it is new. */
  const refusals = new Map<LeaseId, Refusal>();

  const clusterSide = (): ClusterSide => {
    const { devices, external, networks } = domain();
    return { networks, devices: devices.map(({ link }) => link.index), own, external: external.index };
  };

  function setLease(lease: Lease): Want {
    const { id } = lease;
    const { refused, ...accepted } = entriesFor(lease);
    peers.set(id, { lease, ...accepted });
    note(lease, refused);
    return { owner: id, entries: accepted.entries };
  }

  function note(lease: Lease, refused: readonly InvalidPeerLease[]): void {
    const { id } = lease;
    if (refused.length === 0) return void refusals.delete(id);
    const refusal = refusalOf(lease, refused);
    if (refusals.get(id)?.reason !== refusal.reason) log.warn("a host cannot be reached", { lease: id, ...refusal });
    refusals.set(id, refusal);
  }

  /** Returns the entries for a lease, and the errors of families that cannot be reached. */
  function entriesFor(lease: Lease): Accepted & { refused: InvalidPeerLease[] } {
    const accepted: Peer[] = [];
    const entries: Entry[] = [];
    const refused: InvalidPeerLease[] = [];
    for (const viewpoint of viewpoints()) {
      try {
        const peer = peerOf(lease, { ...viewpoint, local, remedies });
        if (peer === undefined) continue;
        entries.push(...entriesOf(peer));
        accepted.push(peer);
      } catch (error) {
        if (!(error instanceof InvalidPeerLease)) throw error;
        refused.push(error);
      }
    }
    return { peers: accepted, entries, refused };
  }

  function remove(id: LeaseId): Want {
    peers.delete(id);
    refusals.delete(id);
    return { owner: id, entries: undefined };
  }

  function* leases(): Iterable<Lease> {
    for (const { lease } of peers.values()) yield lease;
  }

  function* wants(): Iterable<Want> {
    yield { owner: COMMON, entries: commonEntries() };
    for (const [owner, { entries }] of peers) yield { owner, entries };
  }

  function lookAtLocal(): void {
    const before = local;
    local = listLocalAddresses(rtnl, clusterSide());
    for (const one of local.filter((one) => !before.some((other) => sameLocal(one, other)))) {
      const { text, remedy } = overlapOf(one);
      log.warn(text, { remedy });
    }
    for (const one of before.filter((one) => !local.some((other) => sameLocal(one, other))))
      log.info("the cluster network no longer overlaps the network of this address", { address: showLocal(one) });
  }

  /** Describes the effect of an overlap, with the remedy. */
  function overlapOf(one: LocalAddress): Overlap {
    const { networks } = domain();
    const network = networks.find((network) => overlaps(network, one.network)) ?? one.network;
    const ours = [own?.ipv4, own?.ipv6].find((subnet) => subnet !== undefined && conflictOf(subnet, network, [one]));
    if (ours !== undefined) return overlapsOwnLease(one, ours, remedies);
    return one.network.length <= network.length ? liesAround(one, network) : overlapsNetwork(one, network);
  }

  function compare(all: readonly Lease[]): ApplyResult {
    lookAtLocal();
    all.forEach(setLease);
    return kept.repair(wants());
  }

  /** Reports whether a message adds or removes a network of this host that overlaps the cluster network. */
  function addressConcerns({ type, body }: Nlmsg): boolean {
    if (type !== RTM_NEWADDR && type !== RTM_DELADDR) return false;
    const side = clusterSide();
    const address = localAddress(decode(addressMessage, body), side);
    if (address === undefined || isInOwnLease(address, side)) return false;
    return local.some((one) => sameLocal(one, address)) === (type === RTM_DELADDR);
  }

  return {
    setOwnLease(lease) {
      own = lease;
    },
    set(all) {
      const present = new Set(all.map(({ id }) => id));
      for (const id of [...peers.keys()]) if (!present.has(id)) remove(id);
      return compare(all);
    },
    change: ({ changed, gone }) => kept.want([...gone.map(remove), ...changed.map(setLease)]),
    repair: () => compare([...leases()]),
    missing: kept.missing,
    obstacles: () => [
      ...local.map(overlapOf).filter(({ isPlanned }) => !isPlanned),
      ...[...refusals].map(([id, { publicIP, reason, remedy = remedies.incomplete }]) => ({
        text: `the host of lease ${id}${publicIP === undefined ? "" : ` (${publicIP})`} cannot be reached: ${reason}`,
        remedy,
      })),
      ...kept.obstructed().map(routeObstacle),
      ...kept.refused().map(refusalObstacle),
    ],
    concerns: (message) => addressConcerns(message) || kept.concerns(message),
    leases,
    peersOf: (id) => peers.get(id)?.peers ?? [],
    forget: kept.forget,
  };
}

interface Accepted {
  /** One for each family. */
  peers: readonly Peer[];
  entries: readonly Entry[];
}

interface Refusal {
  /** The host's, one for each family. */
  publicIP?: string;
  reason: string;
  remedy?: string;
}

function refusalOf({ attributes }: Lease, refused: readonly InvalidPeerLease[]): Refusal {
  const addresses = [attributes.publicIP, attributes.publicIPv6].flatMap((one) => (one ? formatAddress(one) : []));
  const remedy = refused.map(({ remedy }) => remedy).find((remedy) => remedy !== undefined);
  return {
    ...(addresses.length > 0 && { publicIP: addresses.join(", ") }),
    reason: refused.map(({ message }) => message).join("; "),
    ...(remedy !== undefined && { remedy }),
  };
}

const refusalObstacle = ({ wanted, refusal }: { wanted: Entry; refusal: string }): Obstacle => ({
  text: `${wanted.text} is missing: the kernel refuses it (${refusal})`,
  remedy: "see what prevents it (ip route, ip -6 route, dmesg); flanneld tries again at least every 30 s",
});

interface Overlap extends Obstacle {
  /** It may be intended: logged, but not an obstacle. */
  isPlanned?: boolean;
}

/** The overlap when a host's network contains the cluster network, as when a part of it is reserved for containers. */
const liesAround = (local: LocalAddress, network: Prefix): Overlap => ({
  isPlanned: true,
  text: `the cluster network ${formatPrefix(network)} is part of the network of this host's address ${showLocal(local)}: hosts with an address in the cluster network cannot be reached from here`,
  remedy: 'nothing, if no host has an address in the cluster network; else choose another "Network"',
});

const overlapsNetwork = (local: LocalAddress, network: Prefix): Obstacle => ({
  text: `the cluster network ${formatPrefix(network)} overlaps the network of this host's address ${showLocal(local)}: leases in that network are not used`,
  remedy:
    'choose another "Network", or "SubnetMin" and "SubnetMax" that leave the hosts\' own networks out; or give the interface another address',
});

const overlapsOwnLease = (local: LocalAddress, own: Prefix, { ownSubnet }: LeaseRemedies): Obstacle => ({
  text: `our own subnet ${formatPrefix(own)} overlaps the network of this host's address ${showLocal(local)}: hosts in that network, or our containers, cannot be reached`,
  remedy: `${ownSubnet}; or give the interface another address`,
});

function routeObstacle({ wanted, found }: { wanted: RouteEntry; found: RouteEntry }): Obstacle {
  const { destination, gateway, protocol } = found;
  const command = isIPv4(destination.address) ? "ip route del" : "ip -6 route del";
  const via = gateway === undefined ? "" : ` via ${formatAddress(gateway)}`;
  return {
    text: `${wanted.text} is missing: the kernel has ${found.text}, a route of another program or of the kernel itself, which is kept`,
    remedy: `if nothing needs that route: ${command} ${formatPrefix(destination)}${via} proto ${protocol}`,
  };
}
