/**
 * The host-gw backend: a route per peer over the external interface; all hosts are on one link.
 *
 * A route to a peer's subnet is replaced if it may be flannel's; flannel deletes the first such route, whoever made it. There can be only
 * one with the same metric. Routes with another metric are not touched.
 */

import { familiesOf } from "../../cluster/lease/network-config.ts";
import { compareAddresses, formatAddress } from "../../ip/address.ts";
import type { Backend, BackendContext, BackendType, ExternalInterface } from "./backend.ts";
import { type Entry, routeEntry } from "./entry.ts";
import { mayChangeRoutes } from "./link-message.ts";
import type { Peer } from "./peer.ts";
import { createPeerLeases } from "./peer-leases.ts";

export const hostGw: BackendType = { keys: {}, create };

/** @throws Error behind NAT */
function create({ rtnl, network, log, remedies, ...context }: BackendContext): Backend {
  let external = checked(context.external);
  const families = familiesOf(network);
  const peers = createPeerLeases({
    rtnl,
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
    overheadBytes: 0,
    devices: [],
    canReadBack: true,
    attributes: async () => ({ backendType: "host-gw" }),
    setOwnLease: async (own) => peers.setOwnLease(own),
    setPeers: async (all) => peers.set(all),
    changePeers: async (changes) => peers.change(changes),
    concerns: (message) => mayChangeRoutes(message, external.index) || peers.concerns(message),
    repair: async () => peers.repair(),
    async follow(next) {
      external = checked(next);
      peers.repair();
    },
    missing: peers.missing,
    obstacles: peers.obstacles,
    probeAddress: ({ attributes }, family) => (family === "ipv4" ? attributes.publicIP : attributes.publicIPv6),
    adviceWhenSilent: "check that the host runs, and that both hosts are in one network segment",
    async close() {}, // the routes work without the daemon
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
