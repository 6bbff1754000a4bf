import { CniError } from "../../../pkg/cni/error.ts";
import type { RuleBackend } from "../../../pkg/firewall/backend.ts";
import { findIptables } from "../../../pkg/firewall/iptables/detect.ts";
import { usesLegacy } from "../../../pkg/firewall/iptables/host.ts";
import { masqueradeBackend } from "../../../pkg/firewall/masquerade/masquerade.ts";
import { deleteChain, newChain, newTable } from "../../../pkg/firewall/nftables/ruleset.ts";
import { commit } from "../../../pkg/firewall/nftables/transaction.ts";
import { portmapBackend } from "../../../pkg/firewall/portmap/portmap.ts";
import { isIPv4 } from "../../../pkg/ip/address.ts";
import { needVlanFiltering } from "../../../pkg/link/bridge.ts";
import { needKinds } from "../../../pkg/link/create.ts";
import { openRtnetlink } from "../../../pkg/link/link.ts";
import { connect, NETLINK_NETFILTER, NetlinkError, request } from "../../../pkg/netlink/connection.ts";
import { NF_INET_POST_ROUTING, NF_INET_PRE_ROUTING, NF_IP_PRI_NAT_SRC } from "../../../pkg/netlink/nftables/chain.ts";
import { COMPAT_TARGET, compatMessage, NFNL_MSG_COMPAT_GET } from "../../../pkg/netlink/nftables/compat.ts";
import { NFPROTO_BRIDGE, NFPROTO_INET, NFPROTO_IPV4 } from "../../../pkg/netlink/nftables/header.ts";
import { isErrno } from "../../../pkg/sys/errno.ts";
import { closeFile, Open, openFile } from "../../../pkg/sys/file.ts";
import type { Network, PluginEntry } from "../../cnitool/lint/lint-file.ts";
import type { Check, Observation } from "./finding.ts";
import { causeOf } from "./kernel-modules.ts";
import type { NodeView } from "./node-view.ts";

/** What plugins need of the kernel. */
interface Feature {
  what: string;
  isNeeded(plugin: PluginEntry): boolean;
  /** Asks the kernel, by requests that it refuses whether it has the feature or not, so that nothing is made. */
  isThere(node: NodeView): boolean;
  modules: string;
  option: string;
  /** The first kernel that has it. */
  since: string;
}

const isOfType =
  (...types: string[]) =>
  ({ type }: PluginEntry): boolean =>
    types.includes(type);

const isSet = (value: unknown): boolean => value !== undefined && value !== false && value !== 0;

/** The backends as the plugins choose them, but for firewalld, whose rules are its own. */
const backendOf = (
  { type, conf }: PluginEntry,
  netfilter = () => connect(NETLINK_NETFILTER),
): RuleBackend | undefined => {
  const configured = (key: string) => (conf[key] === "iptables" || conf[key] === "nftables" ? conf[key] : undefined);
  if ((type === "bridge" || type === "ptp") && conf["ipMasq"] === true)
    return masqueradeBackend(configured("ipMasqBackend"), netfilter);
  if (type === "portmap") return portmapBackend(configured("backend"), netfilter);
  if (type === "firewall" && conf["backend"] !== "firewalld")
    return configured("backend") ?? (findIptables("ip") === undefined ? "nftables" : "iptables");
  return undefined;
};

const byNftables = (plugin: PluginEntry): boolean => backendOf(plugin) === "nftables";
const byIptables = (plugin: PluginEntry): boolean => backendOf(plugin) === "iptables" && !usesLegacy("ip");
const translates = ({ type }: PluginEntry): boolean => type !== "firewall";

const kind = (
  name: Parameters<typeof needKinds>[1],
  modules: string,
  option: string,
  since: string,
): Omit<Feature, "isNeeded"> => ({
  what: `links of kind ${name}`,
  isThere: () => accepts(() => needKinds(openRtnetlink(), name)),
  modules,
  option,
  since,
});

const features: readonly Feature[] = [
  { isNeeded: isOfType("bridge", "ptp", "flannel"), ...kind("veth", "veth", "CONFIG_VETH", "2.6.24") },
  { isNeeded: isOfType("bridge", "flannel"), ...kind("bridge", "bridge", "CONFIG_BRIDGE", "2.4") },
  { isNeeded: isOfType("macvlan"), ...kind("macvlan", "macvlan", "CONFIG_MACVLAN", "2.6.23") },
  { isNeeded: isOfType("ipvlan"), ...kind("ipvlan", "ipvlan", "CONFIG_IPVLAN", "3.19") },
  { isNeeded: isOfType("vlan"), ...kind("vlan", "8021q", "CONFIG_VLAN_8021Q", "2.4") },
  { isNeeded: isOfType("dummy"), ...kind("dummy", "dummy", "CONFIG_DUMMY", "2.4") },
  {
    what: "TUN and TAP devices",
    isNeeded: isOfType("tap"),
    isThere: hasTun,
    modules: "tun",
    option: "CONFIG_TUN",
    since: "2.4",
  },
  { isNeeded: isOfType("vrf"), ...kind("vrf", "vrf", "CONFIG_NET_VRF", "4.3") },
  { isNeeded: isOfType("bandwidth"), ...kind("ifb", "ifb", "CONFIG_IFB", "2.6.17") },
  {
    what: "VLAN filtering of bridges",
    isNeeded: ({ type, conf }) => type === "bridge" && (isSet(conf["vlan"]) || isSet(conf["vlanTrunk"])),
    isThere: () => accepts(() => needVlanFiltering(openRtnetlink(), "")),
    modules: "bridge",
    option: "CONFIG_BRIDGE_VLAN_FILTERING",
    since: "3.9",
  },
  {
    what: "address translation by nftables in tables of family inet",
    isNeeded: (plugin) => byNftables(plugin) && translates(plugin),
    isThere: () =>
      hasChainType({ family: NFPROTO_INET, type: "nat", number: NF_INET_POST_ROUTING, priority: NF_IP_PRI_NAT_SRC }),
    modules: "nf_tables nft_chain_nat nft_masq nft_nat",
    option: "CONFIG_NF_TABLES_INET, CONFIG_NFT_NAT, CONFIG_NFT_MASQ",
    since: "5.2",
  },
  {
    what: "filtering by nftables in tables of family inet",
    isNeeded: (plugin) => byNftables(plugin) && !translates(plugin),
    isThere: () => hasChainType({ family: NFPROTO_INET, type: "filter", number: NF_INET_PRE_ROUTING, priority: 0 }),
    modules: "nf_tables",
    option: "CONFIG_NF_TABLES_INET",
    since: "3.14",
  },
  {
    what: "nftables on bridges, for the MAC spoof check",
    isNeeded: ({ type, conf }) => type === "bridge" && conf["macspoofchk"] === true,
    isThere: () =>
      hasChainType({ family: NFPROTO_BRIDGE, type: "filter", number: NF_INET_PRE_ROUTING, priority: -300 }),
    modules: "nf_tables",
    option: "CONFIG_NF_TABLES_BRIDGE",
    since: "3.13",
  },
  {
    what: "masquerading by iptables",
    isNeeded: (plugin) => byIptables(plugin) && translates(plugin),
    isThere: () => hasTarget("MASQUERADE", 0),
    modules: "nft_compat xt_MASQUERADE xt_comment nft_chain_nat",
    option: "CONFIG_NFT_COMPAT, CONFIG_NETFILTER_XT_TARGET_MASQUERADE",
    since: "3.13",
  },
  {
    what: "publishing of ports by iptables",
    isNeeded: (plugin) => byIptables(plugin) && plugin.type === "portmap",
    isThere: () => hasTarget("DNAT", 2),
    modules: "nft_compat xt_nat xt_mark xt_multiport xt_addrtype",
    option: "CONFIG_NETFILTER_XT_NAT",
    since: "3.13",
  },
  {
    what: "IPv6",
    isNeeded: ({ ranges }) => ranges.some(({ subnet }) => !isIPv4(subnet.address)),
    isThere: ({ sysctl }) => sysctl("ipv6/conf/all/forwarding") !== undefined,
    modules: "ipv6",
    option: "CONFIG_IPV6, and no ipv6.disable=1 on the kernel's command line",
    since: "2.6",
  },
];

export const kernel: Check = {
  id: "kernel",
  about: "kernel modules and features that the plugins of the configured networks need",
  severity: "error",
  find: (node) =>
    features.flatMap((feature) => {
      const users = node.networks.filter(({ plugins }) => plugins.some(feature.isNeeded));
      return users.length === 0 || feature.isThere(node) ? [] : [observationOf(feature, users)];
    }),
};

function observationOf(feature: Feature, users: readonly Network[]): Observation {
  const { evidence, remedy } = causeOf(feature);
  return {
    text: `this kernel does not have ${feature.what}, which ${users.map(({ name }) => `"${name}"`).join(", ")} needs`,
    evidence: [...users.map(({ name, file }) => `network "${name}": ${file}`), evidence],
    remedy,
  };
}

/** Whether a check of STATUS does not refuse. */
function accepts(need: () => void): boolean {
  try {
    need();
    return true;
  } catch (error) {
    if (error instanceof CniError) return false;
    throw error;
  }
}

interface ChainType {
  family: number;
  type: string;
  number: number;
  priority: number;
}

/** Asks by a transaction that also deletes a chain which does not exist, so that all of it is refused. */
function hasChainType({ family, ...hook }: ChainType): boolean {
  const table = { family, table: "twill_doctor_probe" };
  try {
    commit(connect(NETLINK_NETFILTER), [
      newTable(table),
      newChain({ ...table, chain: "probe" }, { hook }),
      deleteChain({ ...table, chain: "none" }),
    ]);
    return true;
  } catch (error) {
    if (!(error instanceof NetlinkError) || isErrno(error, "EPERM")) throw error;
    return error.request === "NFT_MSG_DELCHAIN";
  }
}

/** Opening the device loads the module; without the device's file nothing is known. */
function hasTun(): boolean {
  try {
    closeFile(openFile("/dev/net/tun", Open.readWrite));
    return true;
  } catch (error) {
    return !isErrno(error, "ENODEV", "ENXIO");
  }
}

/** The kernel loads the module of the extension that it is asked for. */
function hasTarget(name: string, revision: number): boolean {
  const value = { family: NFPROTO_IPV4, name, revision, type: COMPAT_TARGET };
  try {
    connect(NETLINK_NETFILTER).request(
      request({ name: "NFNL_MSG_COMPAT_GET", type: NFNL_MSG_COMPAT_GET, table: compatMessage, value }),
    );
    return true;
  } catch (error) {
    if (!(error instanceof NetlinkError) || isErrno(error, "EPERM")) throw error;
    return false;
  }
}
