import { isObject, type JsonObject } from "../../../pkg/config/json.ts";
import { formatAddress, formatPrefix, type Prefix, parseAddress, parsePrefix } from "../../../pkg/ip/address.ts";
import { addressesOf } from "../../../pkg/link/address.ts";
import { findLink, type Link, openRtnetlink } from "../../../pkg/link/link.ts";
import { parseMac } from "../../../pkg/link/mac.ts";
import { ownerOf } from "../../../pkg/link/owner.ts";
import type { CacheEntry } from "../../../pkg/runtime/result-cache.ts";
import { keyOf, ownerOfEntry } from "../node/cached-attachments.ts";
import { bridgesOf, isRouted } from "./configured-network.ts";
import type { Check, Observation } from "./finding.ts";
import type { ConfiguredNetwork, NodeView } from "./node-view.ts";

export const bridges: Check = {
  id: "bridge",
  about: "bridges of running containers that are gone or down, lost their address, or a container's port",
  severity: "error",
  find: (node) => node.networks.flatMap((network) => observationsOf(network, node)),
};

/** What is wrong, and the command that corrects it. */
interface Fault {
  what: string;
  command: string;
}

function observationsOf(network: ConfiguredNetwork, node: NodeView): Observation[] {
  const [bridge] = bridgesOf(network);
  if (bridge === undefined) return [];
  const rtnl = openRtnetlink();
  const link = findLink(rtnl, bridge);
  const names = [bridge, link?.name];
  const entries = node.cache.attachments.flatMap(({ entry, state }) =>
    state === "alive" && entry.networkName === network.name && bridgeIn(entry, names).length > 0 ? [entry] : [],
  );
  if (entries.length === 0) return [];
  const present = link === undefined ? [] : addressesOf(rtnl, link.index).map(({ prefix }) => formatPrefix(prefix));
  const faults = [
    ...stateFaults(bridge, link, entries),
    ...gatewaysIn(network, entries)
      .map(formatPrefix)
      .filter((gateway) => !present.includes(gateway))
      .map((gateway) => ({ what: `${bridge} lacks ${gateway}`, command: `ip address add ${gateway} dev ${bridge}` })),
    ...portsOf(entries, node).flatMap((port) => portFaults(port, bridge, link)),
  ];
  if (faults.length === 0) return [];
  return [
    {
      text: `bridge "${bridge}" does not connect ${entries.length} running containers of network "${network.name}" as their ADD did`,
      evidence: faults.map(({ what }) => what),
      remedy: `${faults.map(({ command }) => command).join(" && ")}; or create the containers again`,
    },
  ];
}

/** A new bridge gets the MAC of the old one, which containers have in their neighbour tables. */
function stateFaults(bridge: string, link: Link | undefined, entries: readonly CacheEntry[]): Fault[] {
  if (link === undefined) {
    const mac = entries.flatMap((entry) => bridgeIn(entry, [bridge])).at(-1)?.["mac"];
    const address = typeof mac === "string" && parseMac(mac) !== undefined ? ` address ${mac}` : "";
    return [{ what: `there is no ${bridge}`, command: `ip link add ${bridge}${address} up type bridge` }];
  }
  return link.up ? [] : [{ what: `${bridge} is down`, command: `ip link set ${bridge} up` }];
}

function portFaults(port: Link, bridge: string, link: Link | undefined): Fault[] {
  const isPort = link !== undefined && port.master === link.index;
  return [
    ...(isPort
      ? []
      : [{ what: `${port.name} is not a port of ${bridge}`, command: `ip link set ${port.name} master ${bridge}` }]),
    ...(port.up ? [] : [{ what: `${port.name} is down`, command: `ip link set ${port.name} up` }]),
  ];
}

/** Returns the bridge in an entry's result; none where ADD put the container on another one: the configuration may have changed since. */
const bridgeIn = ({ result: { interfaces } }: CacheEntry, names: readonly (string | undefined)[]): JsonObject[] =>
  (Array.isArray(interfaces) ? interfaces : [])
    .filter(isObject)
    .filter(({ name, sandbox }) => names.includes(String(name)) && (sandbox ?? "") === "");

/** Returns the host's ends of the containers' veth pairs; those of the reference plugins have no mark. */
function portsOf(entries: readonly CacheEntry[], { links }: NodeView): Link[] {
  const keys = new Set(entries.map((entry) => keyOf(ownerOfEntry(entry))));
  return links.filter((link) => {
    const owner = link.kind === "veth" ? ownerOf(link) : undefined;
    return owner !== undefined && keys.has(keyOf(owner));
  });
}

/** Returns the addresses that the bridge got from ADD; those of a network in a VLAN are on another link. */
function gatewaysIn(network: ConfiguredNetwork, entries: readonly CacheEntry[]): Prefix[] {
  const isInVlan = network.plugins.some(({ type, conf }) => type === "bridge" && (conf["vlan"] ?? 0) !== 0);
  if (!isRouted(network) || isInVlan) return [];
  const found = entries.flatMap(({ result: { ips } }) =>
    (Array.isArray(ips) ? ips : []).filter(isObject).flatMap(({ address, gateway }): Prefix[] => {
      const prefix = typeof address === "string" ? parsePrefix(address) : undefined;
      const own = typeof gateway === "string" ? parseAddress(gateway) : undefined;
      return prefix === undefined || own === undefined ? [] : [{ address: own, length: prefix.length }];
    }),
  );
  return [...new Map(found.map((one) => [`${formatAddress(one.address)}/${one.length}`, one])).values()];
}
