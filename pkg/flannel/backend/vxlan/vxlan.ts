/**
 * The vxlan backend: a tunnel device per family, and per peer a neighbour (the MAC of its VXLAN device), a forwarding entry (the
 * host of that MAC) and a route. With `DirectRouting`, peers on the same link get a plain route instead.
 *
 * Beyond flannel: the device is watched in both families and is created again with its MAC and all entries; MTU and `Learning` follow
 * the configuration; entries of peers that are gone are removed. `local` is the interface's own address even behind NAT, since the
 * kernel sends nothing from an address that it does not have.
 */

import type { Lease } from "../../../cluster/lease/lease.ts";
import type { LeaseRemedies } from "../../../cluster/lease/manager.ts";
import { familiesOf } from "../../../cluster/lease/network-config.ts";
import { type Address, contains, type Prefix } from "../../../ip/address.ts";
import { type FamilyName, familyWords } from "../../../ip/family.ts";
import { familyNumber } from "../../../link/address.ts";
import { lookupRoute } from "../../../link/route.ts";
import type { Connection } from "../../../netlink/connection.ts";
import { decode } from "../../../netlink/message.ts";
import type { Nlmsg } from "../../../netlink/nlmsg.ts";
import { RTM_DELROUTE, RTM_NEWROUTE, RTN_UNICAST } from "../../../netlink/rtnetlink/route.ts";
import type { Backend, BackendContext, BackendType, ExternalInterface } from "../backend.ts";
import { type Entry, forwardingEntry, type LinkName, neighbourEntry, routeEntry } from "../entry.ts";
import { type Domain, routeSummary } from "../entry-requests.ts";
import { mayChangeRoutes } from "../link-message.ts";
import type { Peer } from "../peer.ts";
import { createPeerLeases } from "../peer-leases.ts";
import { containerMtu, OVERHEAD, vxlanConfig, vxlanKeys } from "./settings.ts";
import { openTunnel, type Tunnel } from "./tunnel.ts";
import { ownData, publishedMac, vtepMac } from "./vtep.ts";

export const vxlan: BackendType = { keys: vxlanKeys, create };

function create({ rtnl, network, log, published, remedies, ...context }: BackendContext): Backend {
  const config = vxlanConfig(network.backend.settings);
  const families = familiesOf(network);
  const tunnels = families.map((one) =>
    openTunnel({ ...one, rtnl, log, config, publishedMac: published && publishedMac(published, one.family) }),
  );
  let external = context.external;

  const domain = (): Domain => ({
    devices: tunnels.map((tunnel) => ({ link: tunnel.link(), family: tunnel.family })),
    external,
    networks: families.map((one) => one.network),
  });
  const peers = createPeerLeases({
    rtnl,
    log,
    remedies,
    domain,
    viewpoints: () => families.map((one) => ({ ...one, backendType: "vxlan", external })),
    entriesOf(peer) {
      const mac = vtepMac(peer.attributes, peer.family);
      const isDirect = config.directRouting && isDirectlyConnected(rtnl, peer.publicIP, external);
      return isDirect ? [directRoute(peer, external)] : encapsulation(peer, mac, tunnelOf(peer.family).link());
    },
  });

  function tunnelOf(family: FamilyName): Tunnel {
    const tunnel = tunnels.find((one) => one.family === family);
    if (tunnel !== undefined) return tunnel;
    throw new Error(`the network has no ${familyWords[family]}, so there is no tunnel for it`);
  }

  /** @returns the number of devices that had to be created again */
  function ensureDevices(): number {
    const gone = tunnels.flatMap((tunnel) => tunnel.ensure(external) ?? []);
    gone.forEach(peers.forget);
    return gone.length;
  }

  return {
    get mtu() {
      return containerMtu(config, external);
    },
    overheadBytes: OVERHEAD.ipv4,
    get devices() {
      return tunnels.map(({ family, link, mtu }) => ({ family, name: link().name, mtu: mtu() }));
    },
    canReadBack: true,
    async attributes() {
      ensureDevices();
      const dataOf = (family: FamilyName) => {
        const tunnel = tunnels.find((one) => one.family === family);
        return tunnel && ownData(config.vni, tunnel.device().mac);
      };
      const [data, v6Data] = [dataOf("ipv4"), dataOf("ipv6")];
      return {
        backendType: "vxlan",
        ...(data !== undefined && { backendData: data }),
        ...(v6Data !== undefined && { backendV6Data: v6Data }),
      };
    },
    async setOwnLease(own) {
      for (const tunnel of tunnels) tunnel.take(needSubnet(own[tunnel.family], tunnel.family, remedies));
      peers.setOwnLease(own);
    },
    setPeers: async (all) => peers.set(all),
    changePeers: async (changes) => peers.change(changes),
    concerns: (message) =>
      tunnels.some((tunnel) => tunnel.concerns(message)) ||
      peers.concerns(message) ||
      (config.directRouting &&
        (mayChangeRoutes(message, external.index) || leadsToPeers(message, peers.leases(), domain()))),
    async repair() {
      const made = ensureDevices();
      const done = peers.repair();
      return { ...done, added: done.added + made };
    },
    async follow(next) {
      external = next;
      ensureDevices();
      peers.repair();
    },
    missing: peers.missing,
    obstacles: peers.obstacles,
    get underlayPorts() {
      if (config.directRouting && [...peers.leases()].every((peer) => isDirectPeer(rtnl, peer, external))) return [];
      return tunnels.flatMap(({ family, device }) => {
        const { port } = device().vxlan ?? {};
        return port === undefined ? [] : [{ family, port }];
      });
    },
    probeAddress: (peer, family) => peer[family]?.address, // that of its device
    adviceWhenSilent:
      "check that flanneld runs there, and that firewalls between the hosts let VXLAN's UDP port (8472 by default) pass in both directions",
    async close() {}, // device and entries work without the daemon
  };
}

function encapsulation({ subnet, publicIP }: Peer, mac: Uint8Array, link: LinkName): Entry[] {
  const { address } = subnet;
  return [
    neighbourEntry({ address, mac, link }),
    forwardingEntry({ address: publicIP, mac, link }),
    routeEntry({ destination: subnet, gateway: address, link, isOnLink: true }),
  ];
}

const directRoute = ({ subnet, publicIP }: Peer, { index, name }: ExternalInterface): Entry =>
  routeEntry({ destination: subnet, gateway: publicIP, link: { index, name }, isOnLink: false });

/** Reports whether the kernel's route to the address leads over this interface without a gateway. */
function isDirectlyConnected(rtnl: Connection, address: Address, { index }: ExternalInterface): boolean {
  const way = lookupRoute(rtnl, address);
  if (way?.type !== RTN_UNICAST || way.gateway !== undefined || way.via !== undefined) return false;
  return way.outputIndex === index;
}

const isDirectPeer = (rtnl: Connection, { attributes }: Lease, external: ExternalInterface): boolean =>
  [attributes.publicIP, attributes.publicIPv6].every((host) => !host || isDirectlyConnected(rtnl, host, external));

/** Reports whether the message is about a route to peers' hosts: these may be directly connected now, or no longer. */
function leadsToPeers({ type, body }: Nlmsg, leases: Iterable<Lease>, { networks }: Domain): boolean {
  if (type !== RTM_NEWROUTE && type !== RTM_DELROUTE) return false;
  const { family, destination, destinationLength: length } = decode(routeSummary, body);
  for (const { attributes } of leases) {
    for (const host of [attributes.publicIP, attributes.publicIPv6]) {
      if (host === undefined || familyNumber(host) !== family) continue;
      if (destination === undefined) return true;
      if (networks.some((network) => contains(network, destination))) return false;
      if (contains({ address: destination, length }, host)) return true;
    }
  }
  return false;
}

function needSubnet(subnet: Prefix | undefined, family: FamilyName, { ownFamily }: LeaseRemedies): Prefix {
  if (subnet !== undefined) return subnet;
  throw new Error(
    `the lease has no ${familyWords[family]} subnet, but the network configuration now has one; ${ownFamily}`,
  );
}
