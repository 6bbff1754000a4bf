/** Facts about a configured network that several checks need. Pure. */
import { formatPrefix, type Prefix } from "../../../pkg/ip/address.ts";
import type { Network, PluginEntry } from "../../cnitool/lint/lint-file.ts";

/** Whether the host forwards for a network: its plugin is a gateway. */
export const isRouted = ({ plugins }: Network): boolean =>
  plugins.some(({ type, conf }) => {
    if (type === "ptp" || type === "flannel") return true;
    return type === "bridge" && (conf["isGateway"] === true || conf["isDefaultGateway"] === true);
  });

/** Returns the bridge's name, by default the plugin's default. */
export const bridgeOf = ({ conf }: PluginEntry): string =>
  typeof conf["bridge"] === "string" && conf["bridge"] !== "" ? conf["bridge"] : "cni0";

export const bridgesOf = ({ plugins }: Network): string[] =>
  plugins.filter(({ type }) => type === "bridge").map(bridgeOf);

export const subnetsOf = ({ plugins }: Network): Prefix[] =>
  plugins.flatMap(({ ranges }) => ranges.map(({ subnet }) => subnet));

export const subnetTextOf = (network: Network): string =>
  subnetsOf(network).map(formatPrefix).join(", ") || "no subnet is known";
