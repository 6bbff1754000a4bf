import { findLinkInfo, type Link, openRtnetlink } from "../../../pkg/link/link.ts";
import { ownerOf } from "../../../pkg/link/owner.ts";
import { readableSubnetEnv } from "../../flannel/subnet.ts";
import { isFlannel, isRouted } from "./configured-network.ts";
import type { Check, Observation } from "./finding.ts";
import type { NodeView } from "./node-view.ts";
import { subnetFileOf } from "./subnet-file.ts";
import { uplinkOf } from "./traffic-sample.ts";

/** Bytes that the tunnel puts in front of each packet: with IPv4 outside 20 + 8 + 8 + 14, with IPv6 20 more. */
const VXLAN_OVERHEAD = 50;

/** A veth's end on the host has the MTU of the container's. */
export const mtu: Check = {
  id: "mtu",
  about: "MTUs of uplink, overlay and containers that do not fit together",
  severity: "warning",
  find: (node) => [...largerThanUplink(node), ...overlays(node), ...largerThanSubnetFile(node)],
};

function largerThanUplink(node: NodeView): Observation[] {
  const { name, index } = uplinkOf("ip", node);
  const uplink = node.links.find((link) => link.index === index);
  if (uplink === undefined || uplink.mtu === 0) return [];
  const names = new Set(
    node.networks.filter((network) => isRouted(network) && !isFlannel(network)).map((one) => one.name),
  );
  const large = vethsOf(names, node).filter((link) => link.mtu > uplink.mtu);
  return found(
    large,
    `${large.length} containers have a larger MTU than ${name}, through which they reach other hosts`,
    `${name}: ${uplink.mtu}`,
    `set "mtu" of the network to at most ${uplink.mtu}, and create the containers again; without it large packets rely on ICMP, which firewalls often drop`,
  );
}

/** A tunnel packet that does not fit into the uplink is dropped or fragmented. */
const overlays = ({ links }: NodeView): Observation[] =>
  links.flatMap((link): Observation[] => {
    const parent = link.kind === "vxlan" ? parentOf(link, links) : undefined;
    if (parent === undefined || link.mtu <= parent.mtu - VXLAN_OVERHEAD) return [];
    return [
      {
        text: `${link.name} has MTU ${link.mtu}, which does not fit into its parent ${parent.name}: large packets to other hosts are lost`,
        evidence: [`${link.name}: ${link.mtu}`, `${parent.name}: ${parent.mtu}, less ${VXLAN_OVERHEAD} for the tunnel`],
        remedy: `restart flanneld, which sets it; or ip link set ${link.name} mtu ${parent.mtu - VXLAN_OVERHEAD}`,
      },
    ];
  });

/** vxlan's parent is among the attributes of its kind. */
function parentOf({ index }: Link, links: readonly Link[]): Link | undefined {
  const info = findLinkInfo(openRtnetlink(), index);
  return info?.kind === "vxlan" ? links.find((link) => link.index === info.data?.link) : undefined;
}

function largerThanSubnetFile(node: NodeView): Observation[] {
  return node.networks.flatMap((network) => {
    const path = subnetFileOf(network);
    const env = path === undefined ? undefined : readableSubnetEnv(path);
    if (path === undefined || env === undefined) return [];
    const large = vethsOf(new Set([network.name]), node).filter((link) => link.mtu > env.mtu);
    return found(
      large,
      `${large.length} containers of network "${network.name}" have a larger MTU than the overlay`,
      `FLANNEL_MTU in ${path}: ${env.mtu}`,
      "create these containers again: they were attached before the MTU changed",
    );
  });
}

const vethsOf = (networks: ReadonlySet<string>, { links }: NodeView): Link[] =>
  links.filter((link) => link.kind === "veth" && networks.has(ownerOf(link)?.network ?? ""));

function found(links: readonly Link[], text: string, limit: string, remedy: string): Observation[] {
  if (links.length === 0) return [];
  const lines = links.map((link) => {
    const { network, containerId, ifName } = ownerOf(link) ?? { network: "", containerId: "", ifName: "" };
    return `${link.name}: ${link.mtu} (${network} ${containerId} ${ifName})`;
  });
  return [{ text, evidence: [limit, ...lines], remedy }];
}
