import { CniError, partsOfDetails } from "../../../pkg/cni/error.ts";
import { contains, formatPrefix, isIPv4 } from "../../../pkg/ip/address.ts";
import { addressesOf } from "../../../pkg/link/address.ts";
import { openRtnetlink } from "../../../pkg/link/link.ts";
import { RT_SCOPE_UNIVERSE } from "../../../pkg/netlink/rtnetlink/route.ts";
import { readDaemonState, socketOf } from "../../../pkg/subnet-env/daemon-state.ts";
import { isListenedTo } from "../../../pkg/sys/unix-socket.ts";
import type { Network } from "../../cnitool/lint/lint-file.ts";
import { needSubnetEnv, readableSubnetEnv, refuseLostLease } from "../../flannel/subnet.ts";
import { gatewayLinksOf } from "./configured-network.ts";
import type { Check, Observation } from "./finding.ts";
import type { NodeView } from "./node-view.ts";

const usualFile = "/run/flannel/subnet.env";

export const subnetFile: Check = {
  id: "subnet-file",
  about: "the subnet file of flanneld: missing, damaged, of a lease that is lost, or another subnet than the bridge's",
  severity: "error",
  find: (node) =>
    node.networks.flatMap((network) => {
      const path = subnetFileOf(network);
      if (path === undefined) return [];
      const refused = refusal(network.name, () => needSubnetEnv(path));
      if (refused.length > 0) return refused;
      return [
        ...refusal(network.name, () => refuseLostLease(path)),
        ...ended(network, path),
        ...otherSubnet(network, path, node),
      ];
    }),
};

/** Returns the path of the file that the network's plugin flannel reads; undefined when there is no such plugin. */
export function subnetFileOf({ plugins }: Network): string | undefined {
  const conf = plugins.find(({ type }) => type === "flannel")?.conf;
  if (conf === undefined) return undefined;
  return (typeof conf["subnetFile"] === "string" && conf["subnetFile"]) || usualFile;
}

function refusal(network: string, need: () => unknown): Observation[] {
  try {
    need();
    return [];
  } catch (error) {
    if (!(error instanceof CniError)) throw error;
    const { reason, remedy } = partsOfDetails(error.details);
    return [
      {
        text: `network "${network}": ${error.msg}`,
        evidence: reason === "" ? [] : [reason],
        remedy: remedy || "start flanneld",
      },
    ];
  }
}

/** flannel's own daemon writes no state. */
function ended({ name }: Network, path: string): Observation[] {
  if (readDaemonState(path)?.state !== "ready" || isListenedTo(socketOf(path))) return [];
  return [
    {
      severity: "warning",
      text: `network "${name}": flanneld, which has written ${path}, does not run: its lease ends, and routes to new hosts are not made`,
      evidence: [`nobody listens on ${socketOf(path)}`],
      remedy: "start flanneld; its log says why it ended (journalctl -u flanneld)",
    },
  ];
}

function otherSubnet(network: Network, path: string, { links }: NodeView): Observation[] {
  const subnets = readableSubnetEnv(path)?.subnets ?? [];
  return gatewayLinksOf(network).flatMap((bridge): Observation[] => {
    const link = links.find(({ name }) => name === bridge);
    if (link === undefined) return [];
    const outside = addressesOf(openRtnetlink(), link.index)
      .filter(({ scope }) => scope === RT_SCOPE_UNIVERSE)
      .map(({ prefix }) => prefix)
      .filter(({ address }) => {
        const ofFamily = subnets.filter((subnet) => isIPv4(subnet.address) === isIPv4(address));
        return ofFamily.length > 0 && !ofFamily.some((subnet) => contains(subnet, address));
      });
    if (outside.length === 0) return [];
    return [
      {
        text: `network "${network.name}": bridge "${bridge}" has an address outside of the subnet in ${path}`,
        evidence: [
          `${bridge}: ${outside.map(formatPrefix).join(", ")}`,
          `${path}: ${subnets.map(formatPrefix).join(", ")}`,
        ],
        remedy: `this host has got another lease: create the containers again, then ip address del ${outside.map(formatPrefix)[0]} dev ${bridge}`,
      },
    ];
  });
}
