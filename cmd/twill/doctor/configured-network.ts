/** Facts about a configured network that several checks need. Pure. */

import { isObject, type JsonObject } from "../../../pkg/config/json.ts";
import { formatPrefix, type Prefix } from "../../../pkg/ip/address.ts";
import type { Network } from "../../cnitool/lint/lint-file.ts";

/** Whether the host forwards for a network: its plugin is a gateway. */
export const isRouted = ({ plugins }: Network): boolean =>
  plugins.some(({ type, conf }) => {
    if (type === "ptp" || type === "flannel") return true;
    return type === "bridge" && (conf["isGateway"] === true || conf["isDefaultGateway"] === true);
  });

/** Returns the bridge's name, by default the plugin's default. */
export const bridgeOf = (conf: JsonObject): string =>
  typeof conf["bridge"] === "string" && conf["bridge"] !== "" ? conf["bridge"] : "cni0";

/** Returns the configurations of the plugin bridge. flannel's delegate is one by default. */
export const bridgePluginsOf = ({ plugins }: Network): JsonObject[] =>
  plugins.flatMap(({ type, conf }) => {
    const own = type === "flannel" ? delegateOf(conf) : { ...conf, type };
    return own["type"] === "bridge" ? [own] : [];
  });

/** Returns the names of the links on which the host is a network's gateway, and receives from its containers: the bridge, or its interface in the VLAN. */
export const gatewayLinksOf = (network: Network): string[] =>
  bridgePluginsOf(network).map((conf) => {
    const { vlan } = conf;
    return typeof vlan === "number" && vlan !== 0 ? `${bridgeOf(conf)}.${vlan}` : bridgeOf(conf);
  });

const delegateOf = ({ delegate }: JsonObject): JsonObject => ({
  type: "bridge",
  ...(isObject(delegate) ? delegate : {}),
});

/** Whether its plugins accept its containers' traffic themselves; flanneld does for flannel's. */
export const hasFirewall = ({ plugins }: Network): boolean =>
  plugins.some(({ type }) => type === "firewall" || type === "flannel");

export const isFlannel = ({ plugins }: Network): boolean => plugins.some(({ type }) => type === "flannel");

export const subnetsOf = ({ plugins }: Network): Prefix[] =>
  plugins.flatMap(({ ranges }) => ranges.map(({ subnet }) => subnet));

export const subnetTextOf = (network: Network): string =>
  subnetsOf(network).map(formatPrefix).join(", ") || "no subnet is known";
