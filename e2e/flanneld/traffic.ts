// The rules of a host's part of a pod network, as the daemon there would make and keep them.

import type { Fields, Level, Log } from "../../pkg/cluster/log/log.ts";
import { createTraffic, type Traffic } from "../../pkg/flannel/rules/rules.ts";
import type { TrafficConf } from "../../pkg/flannel/rules/settings.ts";
import { type Prefix, parsePrefix } from "../../pkg/ip/address.ts";
import { connect, NETLINK_NETFILTER } from "../../pkg/netlink/connection.ts";
import { openNamespace, within } from "../../pkg/sys/namespace.ts";
import type { Namespace } from "../lab/host.ts";

export const prefix = (text: string) => parsePrefix(text) as Prefix;
export const ipv4 = { network: prefix("10.5.0.0/16"), subnet: prefix("10.5.34.0/24") };
export const ipv6 = { network: prefix("fd00:5::/48"), subnet: prefix("fd00:5:0:34::/64") };

export const iptables: TrafficConf = {
  kind: "iptables",
  families: [ipv4, ipv6],
  earlierNetworks: [],
  masquerade: true,
  forward: true,
  randomFully: true,
  noMasquerade: [],
};
export const nftables: TrafficConf = { ...iptables, kind: "nftables" };

export function trafficOf(host: Namespace, conf: TrafficConf): Traffic {
  const namespace = openNamespace(host.path);
  const netfilter = connect(NETLINK_NETFILTER, namespace);
  const traffic = createTraffic(() => netfilter, conf);
  return { ensure: () => within(namespace, traffic.ensure), clean: () => within(namespace, traffic.clean) };
}

/** Keeps what it is told. */
export interface MemoryLog extends Log {
  told: { level: Level; message: string; fields?: Fields | undefined }[];
}

export function memoryLog(): MemoryLog {
  const told: MemoryLog["told"] = [];
  const at = (level: Level) => (message: string, fields?: Fields) => void told.push({ level, message, fields });
  return { told, debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}
