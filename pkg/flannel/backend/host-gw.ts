/**
 * The host-gw backend: a route per peer over the external interface; all hosts are on one link.
 *
 * A route to a peer's subnet is replaced if it may be flannel's; flannel deletes the first such route, whoever made it. There can be only
 * one with the same metric. Routes with another metric are not touched.
 */

import { familiesOf } from "../../cluster/lease/network-config.ts";
import { compareAddresses, formatAddress } from "../../ip/address.ts";
import type { Backend, BackendContext, ExternalInterface } from "./backend.ts";
import { type Entry, routeEntry } from "./entry.ts";
import type { Peer } from "./peer.ts";
import { createPeerLeases } from "./peer-leases.ts";
import { isOfLink } from "./peer-route-reconciler.ts";

/** @throws Error behind NAT */
export function hostGw({ route, network, log, remedies, ...context }: BackendContext): Backend {
  let external = checked(context.external);
  const families = familiesOf(network);
  const peers = createPeerLeases({
    route,
    log,
    remedies,
    domain: () => ({ devices: [], external, networks: families.map((one) => one.network) }),
    viewpoints: () => families.map((one) => ({ ...one, backendType: "host-gw", external })),
    entriesOf: (peer) => [routeTo(peer, external)],
  });

  return {
    get mtu() {
      return external.mtu;
    },
    devices: [],
    attributes: () => ({ backendType: "host-gw" }),
    setOwnLease: peers.setOwnLease,
    setPeers: peers.set,
    changePeers: peers.change,
    concerns: (message) => isOfLink(message, external.index) || peers.concerns(message), // a link removes its routes without a message
    repair: peers.repair,
    follow(next) {
      external = checked(next);
      peers.repair();
    },
    missing: peers.missing,
    obstacles: peers.obstacles,
  };
}

function checked(external: ExternalInterface): ExternalInterface {
  const { ipv4, publicIP = ipv4, name } = external;
  if (ipv4 === undefined || publicIP === undefined || compareAddresses(publicIP, ipv4) === 0) return external;
  throw new Error(
    `host-gw: the public address ${formatAddress(publicIP)} is not ${formatAddress(ipv4)} of "${name}": host-gw cannot work behind NAT; remove --public-ip, or use the backend vxlan`,
  );
}

const routeTo = ({ subnet, publicIP }: Peer, { index, name }: ExternalInterface): Entry =>
  routeEntry({ destination: subnet, gateway: publicIP, link: { index, name }, isOnLink: false });
