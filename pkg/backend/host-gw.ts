/**
 * The host-gw backend: a route per peer, over the interface to the other hosts, which are all on one link.
 *
 * What has a peer's subnet as its destination is replaced, whoever made it, as flannel deletes the first such route; with the same
 * metric there can be one only, and a subnet of the overlay is nobody else's. Routes with another metric are left alone.
 */
import { compareAddresses, formatAddress } from "../ip/address.ts";
import type { Lease } from "../subnet/lease.ts";
import type { Backend, BackendContext, ExternalInterface } from "./backend.ts";
import { type Entry, routeEntry } from "./entries.ts";
import { isOfLink } from "./kept-entries.ts";
import { keepPeers } from "./kept-peers.ts";

/** @throws Error behind NAT */
export function hostGw({ route, network, log, ...context }: BackendContext): Backend {
  let external = checked(context.external);
  const families = (["ipv4", "ipv6"] as const).filter((family) => network[family] !== undefined);
  const peers = keepPeers({
    route,
    log,
    domain: () => ({
      devices: [],
      external,
      networks: families.flatMap((family) => network[family]?.network ?? []),
    }),
    entriesOf: (lease, skip) => families.flatMap((family) => routeTo(lease, family, { external, skip }) ?? []),
  });

  return {
    get mtu() {
      return external.mtu;
    },
    attributes: () => ({ backendType: "host-gw" }),
    takeLease() {},
    setPeers: peers.set,
    changePeers: peers.change,
    concerns: (message) => isOfLink(message, external.index) || peers.concerns(message), // it takes its routes along silently
    repair: peers.repair,
    follow(next) {
      external = checked(next);
      peers.repair();
    },
    missing: peers.missing,
  };
}

function checked(external: ExternalInterface): ExternalInterface {
  const { ipv4, publicIP = ipv4, name } = external;
  if (ipv4 === undefined || publicIP === undefined || compareAddresses(publicIP, ipv4) === 0) return external;
  throw new Error(
    `host-gw: the public address ${formatAddress(publicIP)} is not ${formatAddress(ipv4)} of "${name}": host-gw cannot work behind NAT; leave --public-ip out, or use the backend vxlan`,
  );
}

interface Over {
  external: ExternalInterface;
  skip(why: string): void;
}

function routeTo(lease: Lease, family: "ipv4" | "ipv6", { external, skip }: Over): Entry | undefined {
  const { backendType, publicIP, publicIPv6 } = lease.attributes;
  const destination = lease[family];
  if (destination === undefined) return undefined;
  const gateway = family === "ipv4" ? publicIP : publicIPv6;
  const link = { index: external.index, name: external.name };
  if (backendType !== "host-gw") skip(`its backend is ${JSON.stringify(backendType)}, ours is "host-gw"`);
  else if (gateway === undefined) skip(`it has no ${family === "ipv4" ? "PublicIP" : "PublicIPv6"}`);
  else return routeEntry({ destination, gateway, link, isOnLink: false });
  return undefined;
}
