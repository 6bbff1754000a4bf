/** Packets of a network's containers to other hosts, for which the rules of the forward hook are evaluated. */

import { isObject } from "../../../pkg/config/json.ts";
import { type Family, familyOf } from "../../../pkg/firewall/family.ts";
import type { Packet, PacketInterface } from "../../../pkg/firewall/input/packet.ts";
import { type Address, isIPv4, isUnspecified, parsePrefix } from "../../../pkg/ip/address.ts";
import { destinationOf } from "../../../pkg/link/route.ts";
import type { CacheEntry } from "../../../pkg/runtime/result-cache.ts";
import type { Network } from "../../cnitool/lint/lint-file.ts";
import { gatewayLinksOf, hasFirewall } from "./configured-network.ts";
import type { NodeView } from "./node-view.ts";

export type Sample = Omit<Packet, "state">;

/** Of a network's running containers so many are looked at, the first and the last ones: rules are the same for all, or were lost for all. */
const MOST_CONTAINERS = 2;

/** Returns a packet from each sampled container to any other host; where none runs, from an address of the network, unless its plugins make rules for containers alone. */
export function samplesOf(network: Network, node: NodeView): Sample[] {
  const [bridge] = gatewayLinksOf(network);
  if (bridge === undefined) return [];
  return sourcesIn(network, node).map((source) => ({
    family: familyOf(source),
    inInterface: interfaceCalled(bridge, node),
    outInterface: uplinkOf(familyOf(source), node),
    source,
    destination: undefined,
    destinationPort: undefined,
  }));
}

function sourcesIn(network: Network, { cache }: NodeView): Address[] {
  const alive = cache.attachments.filter(({ entry, state }) => state === "alive" && entry.networkName === network.name);
  const sampled = alive.length <= MOST_CONTAINERS ? alive : alive.filter((_, i) => i === 0 || i === alive.length - 1);
  if (sampled.length > 0) return sampled.flatMap(({ entry }) => addressesIn(entry));
  if (hasFirewall(network)) return [];
  return network.plugins.flatMap(({ ranges }) => ranges.map(({ end }) => end));
}

/** Returns the addresses in an entry's result. */
export const addressesIn = ({ result }: CacheEntry): Address[] =>
  (Array.isArray(result["ips"]) ? result["ips"] : [])
    .filter(isObject)
    .flatMap(({ address }) => (typeof address === "string" ? (parsePrefix(address)?.address ?? []) : []));

const interfaceCalled = (name: string, { links }: NodeView): PacketInterface => ({
  name,
  index: links.find((link) => link.name === name)?.index ?? 0,
});

/** Returns the link of the default route; one without a name where there is none. */
export function uplinkOf(family: Family, { links, routes }: NodeView): PacketInterface {
  const route = routes.find((one) => {
    const { address, length } = destinationOf(one);
    return length === 0 && isUnspecified(address) && isIPv4(address) === (family === "ip");
  });
  const link = links.find(({ index }) => index === route?.outputIndex);
  return { name: link?.name ?? "", index: link?.index ?? 0 };
}
