import { isObject, type JsonObject } from "../../../pkg/config/json.ts";
import { formatAddress, formatPrefix, type Prefix, parseAddress, parsePrefix } from "../../../pkg/ip/address.ts";
import { addressesOf } from "../../../pkg/link/address.ts";
import { findLink, type Link, openRtnetlink } from "../../../pkg/link/link.ts";
import { parseMac } from "../../../pkg/link/mac.ts";
import { ownerOf } from "../../../pkg/link/owner.ts";
import type { Connection } from "../../../pkg/netlink/connection.ts";
import type { CacheEntry } from "../../../pkg/runtime/result-cache.ts";
import { keyOf, ownerOfEntry } from "../node/cached-attachments.ts";
import { bridgeOf, bridgePluginsOf, isRouted } from "./configured-network.ts";
import type { Check, Observation } from "./finding.ts";
import type { ConfiguredNetwork, NodeView } from "./node-view.ts";

export const bridges: Check = {
  id: "bridge",
  about: "bridges of running containers that are gone or down, lost their address, or a container's port",
  severity: "error",
  find(node) {
    const rtnl = openRtnetlink();
    const found = node.networks.flatMap((network) => observationsOf(network, node, rtnl));
    rtnl.close();
    return found;
  },
};

/** What is wrong. */
interface Fault {
  what: string;
  /** What corrects it; undefined: only the plugin does. */
  command: string | undefined;
}

function observationsOf(network: ConfiguredNetwork, node: NodeView, rtnl: Connection): Observation[] {
  const [conf] = bridgePluginsOf(network);
  if (conf === undefined) return [];
  const bridge = bridgeOf(conf);
  const link = findLink(rtnl, bridge);
  const names = [bridge, link?.name];
  const entries = node.cache.attachments.flatMap(({ entry, state }) =>
    state === "alive" && entry.networkName === network.name && bridgeIn(entry, names).length > 0 ? [entry] : [],
  );
  if (entries.length === 0) return [];
  const present = link === undefined ? [] : addressesOf(rtnl, link.index).map(({ prefix }) => formatPrefix(prefix));
  const faults = [
    ...stateFaults(conf, link, entries, node),
    ...(isRouted(network) && !hasVlan(conf) ? gatewaysIn(entries) : [])
      .map(formatPrefix)
      .filter((gateway) => !present.includes(gateway))
      .map((gateway) => ({ what: `${bridge} lacks ${gateway}`, command: `ip address add ${gateway} dev ${bridge}` })),
    ...portsOf(entries, node).flatMap((port) => portFaults(port, conf, link)),
  ];
  if (faults.length === 0) return [];
  const commands = faults.map(({ command }) => command);
  return [
    {
      text: `bridge "${bridge}" does not connect ${entries.length} running containers of network "${network.name}" as their ADD did`,
      evidence: faults.map(({ what }) => what),
      remedy: commands.includes(undefined)
        ? "create the containers again: VLANs, and what keeps the host out of an internal network, are made by the plugin alone"
        : `${commands.join(" && ")}; or create the containers again`,
    },
  ];
}

/**
 * A new bridge gets the MAC of the old one, which containers have in their neighbour tables; and what ADD gives a bridge, so that the host does not
 * configure itself by what containers advertise.
 */
function stateFaults(
  conf: JsonObject,
  link: Link | undefined,
  entries: readonly CacheEntry[],
  { sysctl }: NodeView,
): Fault[] {
  const bridge = bridgeOf(conf);
  if (link === undefined) {
    const mac = entries.flatMap((entry) => bridgeIn(entry, [bridge])).at(-1)?.["mac"];
    const address = typeof mac === "string" && parseMac(mac) !== undefined ? ` address ${mac}` : "";
    const commands = [
      `ip link add ${bridge}${address} type bridge`,
      ...(sysctl("ipv6/conf/default/accept_ra") === undefined
        ? []
        : [`sysctl -qw net.ipv6.conf.${bridge.replaceAll(".", "/")}.accept_ra=0`]),
      `ip link set ${bridge}${conf["promiscMode"] === true ? " promisc on" : ""} up`,
    ];
    const isByHand = !hasVlan(conf) && conf["internal"] !== true;
    return [{ what: `there is no ${bridge}`, command: isByHand ? commands.join(" && ") : undefined }];
  }
  return link.up ? [] : [{ what: `${bridge} is down`, command: `ip link set ${bridge} up` }];
}

/** What ADD has set for a port, such as that it is kept apart from others, is gone when it is a port no more. */
function portFaults(port: Link, conf: JsonObject, link: Link | undefined): Fault[] {
  const bridge = bridgeOf(conf);
  const isPort = link !== undefined && port.master === link.index;
  const settings = [
    ...(conf["hairpinMode"] === true ? [" hairpin on"] : []),
    ...(conf["portIsolation"] === true ? [" isolated on"] : []),
  ];
  const commands = [
    `ip link set ${port.name} master ${bridge}`,
    ...(settings.length > 0 ? [`ip link set ${port.name} type bridge_slave${settings.join("")}`] : []),
  ];
  return [
    ...(isPort
      ? []
      : [
          {
            what: `${port.name} is not a port of ${bridge}`,
            command: hasVlan(conf) ? undefined : commands.join(" && "),
          },
        ]),
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

/** Whether ports are in VLANs; the gateway's address is on another link then. */
const hasVlan = (conf: JsonObject): boolean =>
  (conf["vlan"] ?? 0) !== 0 || (Array.isArray(conf["vlanTrunk"]) && conf["vlanTrunk"].length > 0);

/** Returns the addresses that the bridge got from ADD. */
function gatewaysIn(entries: readonly CacheEntry[]): Prefix[] {
  const found = entries.flatMap(({ result: { ips } }) =>
    (Array.isArray(ips) ? ips : []).filter(isObject).flatMap(({ address, gateway }): Prefix[] => {
      const prefix = typeof address === "string" ? parsePrefix(address) : undefined;
      const own = typeof gateway === "string" ? parseAddress(gateway) : undefined;
      return prefix === undefined || own === undefined ? [] : [{ address: own, length: prefix.length }];
    }),
  );
  return [...new Map(found.map((one) => [`${formatAddress(one.address)}/${one.length}`, one])).values()];
}
