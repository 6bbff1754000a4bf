// The bridge plugin with host-local behind it: each key, family and version, and what is refused.
import { codes, delAlwaysDeletes, failedAddLeavesNothing, lookingMakesNoFolders } from "./deviations.ts";
import { asRelease191, intended, type Json, type Row, type Step } from "./row.ts";

const v4 = { subnet: "10.1.0.0/24" };
const v6 = { subnet: "fd00:1::/64" };
const dual = { ranges: [[v4], [v6]] };

/** @param ipam What host-local gets; null for another or none. */
function network(keys: Json, ipam: Json | null = v4): Json {
  const base = { cniVersion: "1.0.0", name: "net", type: "bridge", bridge: "br0" };
  return { ...base, ...keys, ...(ipam && { ipam: { type: "host-local", ...ipam } }) };
}

function bridge(claim: string, conf: Json, more: Partial<Row> = {}): Row {
  return { name: `bridge: ${claim}`, plugin: "bridge", conf, ...more };
}

/** What is left of a row whose ADD is refused. */
const refused = (says: string): Partial<Row> => ({ steps: [{ verb: "ADD", says }, "DEL"] });

const twoContainers: Step[] = [
  "ADD",
  { verb: "ADD", container: 1 },
  { verb: "CHECK", container: 1 },
  "DEL",
  { verb: "CHECK", container: 1 },
  { verb: "DEL", container: 1 },
];

const existingBridge = "ip link add br0 type bridge && ip link set br0 up";

/** What a failed ADD of Go leaves until the runtime's DEL. */
const gosVeth = /: host .*\bveth#1\b/;
const gosEth0 = /: c0 .*\beth0\b/;
/** For ADDs that fail: whether the bridge's carrier lasts long enough for a link-local address is a matter of luck. */
const withoutIPv6 = "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6";
/** The bridge had a port for a while: it has a link-local address. */
const gosBridge = /: host (addr|route) .*\bbr0\b/;

const settledFirst = (...left: RegExp[]) =>
  intended("What the configuration alone can refuse is refused before anything is made", { go: left });

const routeThroughDefault = asRelease191("CHECK accepts a route whose gateway is the address's", {
  go: [/2 CHECK: exit 1/, /2 CHECK: code 999/, /2 CHECK: says why/],
  ours: [/2 CHECK: exit 0/, /2 CHECK: {2}$/],
});

const ipamDns = asRelease191("the dns of the IPAM is reported when the configuration has none", { ours: /ADD: dns\./ });

const defaultVlanGone = asRelease191("a port with a VLAN is no longer in the default one", {
  go: /: host link veth#\d vlan 1 Egress Untagged$/,
});

const oneChainForAllAddresses = intended("Masquerade with iptables serves several addresses of a family", {
  go: [
    /(ADD|CHECK): host .*CNI-\w+ [23]: /,
    /3 DEL: (exit 1|code 999|says why)/,
    /DEL: host (nft|iptables) .*(POSTROUTING|CNI-)/,
  ],
  ours: [/(ADD|CHECK): host .*CNI-\w+ [23]: /, /3 DEL: (exit 0| )$/],
});

const unusedAddressReplaced = intended("The gateway's address follows its network", {
  go: [/1 ADD: (exit 1|code 999|says why)/, / 10\.9\./, /sysctl ipv4\/.*(forward(ing)? 0|accept_redirects 1)$/],
  ours: [
    /1 ADD: (exit 0|cniVersion|interfaces\.|ips\.|file )/,
    / 10\.1\.0\.1 /,
    / 10\.1\.0\.(0\/24|255) dev br0/,
    /sysctl ipv4\/.*(forward(ing)? 1|accept_redirects 0)$/,
  ],
});

const versionCode = intended(codes, { rewritten: [[/: code 999$/, ": code 1"]] });

const delWithoutNamespace = intended("DEL removes the veth pair also when the namespace cannot be named", {
  go: [/2 DEL: host .*\bveth#1\b/, /2 DEL: c0 .*\beth0\b/],
});

/** The keys of the configuration, one by one. */
export const bridgeKeyRows: Row[] = [
  bridge("joins a container to the default bridge cni0", { ...network({}), bridge: undefined }),
  bridge("gives an IPv4 address and nothing else", network({})),
  bridge("gives an IPv6 address and nothing else", network({}, v6)),
  bridge("gives addresses of both families", network({}, dual)),
  bridge("gives addresses from three subnets", network({}, { ranges: [[v4], [{ subnet: "10.2.0.0/24" }], [v6]] })),
  bridge("isGateway puts the gateway's address on the bridge", network({ isGateway: true })),
  bridge("isGateway in IPv6 turns on its forwarding", network({ isGateway: true }, v6)),
  bridge("isGateway serves both families", network({ isGateway: true }, dual)),
  bridge(
    "isGateway takes the gateway that the range names",
    network({ isGateway: true }, { subnet: "10.1.0.0/24", gateway: "10.1.0.254" }),
  ),
  bridge("isDefaultGateway adds the default route", network({ isDefaultGateway: true })),
  bridge("isDefaultGateway adds a default route for each family", network({ isDefaultGateway: true }, dual)),
  bridge("isDefaultGateway wins over isGateway false", network({ isDefaultGateway: true, isGateway: false })),
  bridge(
    "isDefaultGateway leaves a default route that the IPAM gives with gateway",
    network({ isDefaultGateway: true }, { ...v4, routes: [{ dst: "0.0.0.0/0", gw: "10.1.0.9" }] }),
  ),
  bridge(
    "two gateways of one family do not fit on the bridge",
    network({ isGateway: true }, { ranges: [[v4], [{ subnet: "10.2.0.0/24" }]] }),
    {
      prepare: withoutIPv6,
      ...refused("already has an IP address different from 10.2.0.1/24"),
      deviations: [failedAddLeavesNothing(gosVeth, gosEth0)],
    },
  ),
  bridge(
    "two gateways of one family: forceAddress leaves the last",
    network({ isGateway: true, forceAddress: true }, { ranges: [[v4], [{ subnet: "10.2.0.0/24" }]] }),
  ),
  bridge(
    "isDefaultGateway beside a default route that the IPAM gives without gateway",
    network({ isDefaultGateway: true }, { ...v4, routes: [{ dst: "0.0.0.0/0" }] }),
    { prepare: withoutIPv6, ...refused(""), deviations: [failedAddLeavesNothing(gosVeth, gosEth0)] },
  ),
  bridge(
    "routes of the IPAM go through the gateway or where they say",
    network(
      { isGateway: true },
      {
        ...dual,
        routes: [{ dst: "192.0.2.0/24" }, { dst: "198.51.100.0/24", gw: "10.1.0.7" }, { dst: "2001:db8::/32" }],
      },
    ),
    { deviations: [routeThroughDefault] },
  ),
  bridge("forceAddress replaces a foreign address of the bridge", network({ isGateway: true, forceAddress: true }), {
    prepare: `${existingBridge} && ip addr add 10.9.0.1/16 dev br0`,
  }),
  bridge("forceAddress replaces an overlapping IPv6 address", network({ isGateway: true, forceAddress: true }, v6), {
    prepare: `${existingBridge} && ip addr add fd00:1::9/48 dev br0`,
  }),
  bridge("an IPv6 address of another subnet stays on the bridge", network({ isGateway: true }, v6), {
    prepare: `${existingBridge} && ip addr add fd00:9::1/64 dev br0`,
  }),
  bridge("the gateway's address already on the bridge stays", network({ isGateway: true }), {
    prepare: `${existingBridge} && ip addr add 10.1.0.1/24 dev br0`,
  }),
  bridge("a bridge that exists is used as it is", network({ mtu: 1400 }), {
    prepare: `ip link add br0 mtu 1300 type bridge`,
  }),
  bridge("mtu counts for bridge and veth", network({ mtu: 1400 })),
  bridge("mtu above the kernel's default", network({ mtu: 9000 })),
  bridge("hairpinMode lets the port send back", network({ hairpinMode: true })),
  bridge("promiscMode makes the bridge promiscuous", network({ promiscMode: true })),
  bridge(
    "dns of the configuration is reported",
    network({
      dns: { nameservers: ["10.1.0.53"], domain: "example.org", search: ["a.example.org"], options: ["ndots:2"] },
    }),
  ),
  bridge(
    "dns of the IPAM is reported when the configuration has none",
    network({}, { ...v4, resolvConf: "/var/lib/resolv.conf" }),
    {
      files: { "/var/lib/resolv.conf": "nameserver 192.0.2.53\nsearch example.org\noptions ndots:3\n" },
      deviations: [ipamDns],
    },
  ),
  bridge("without IPAM there is a link and no address", network({ ipam: {} }, null), {
    steps: ["ADD", "DEL", "DEL"],
  }),
  bridge("without an ipam key there is a link and no address", network({}, null), {
    steps: ["ADD", "DEL", "DEL"],
  }),
  bridge("macspoofchk drops what bears another MAC", network({ macspoofchk: true }), { needs: ["nft_bridge"] }),
  // masquerade
  bridge("ipMasq in IPv4 with iptables", network({ isDefaultGateway: true, ipMasq: true, ipMasqBackend: "iptables" })),
  bridge(
    "ipMasq in IPv6 with iptables",
    network({ isDefaultGateway: true, ipMasq: true, ipMasqBackend: "iptables" }, v6),
  ),
  bridge(
    "ipMasq in both families with iptables",
    network({ isDefaultGateway: true, ipMasq: true, ipMasqBackend: "iptables" }, dual),
  ),
  bridge(
    "ipMasq of two addresses of one family with iptables",
    network({ ipMasq: true, ipMasqBackend: "iptables" }, { ranges: [[v4], [{ subnet: "10.2.0.0/24" }]] }),
    { deviations: [oneChainForAllAddresses] },
  ),
  bridge("ipMasq takes the backend that the host has", network({ isDefaultGateway: true, ipMasq: true })),
  bridge(
    "ipMasq of two containers: one's DEL leaves the other's rules",
    network({ isGateway: true, ipMasq: true, ipMasqBackend: "iptables" }),
    { steps: twoContainers },
  ),
  bridge("ipMasq leaves foreign rules alone", network({ isGateway: true, ipMasq: true, ipMasqBackend: "iptables" }), {
    prepare:
      "iptables -t nat -A POSTROUTING -s 192.0.2.0/24 -j MASQUERADE; iptables -N FOREIGN; iptables -A FORWARD -j FOREIGN",
  }),
];

/** The verbs: names, attachments, VLANs, versions, and what is refused. */
export const bridgeVerbRows: Row[] = [
  // names and attachments
  bridge("the container's interface has the name that CNI_IFNAME gives", network({}), { call: { ifName: "net.1-a" } }),
  bridge("two containers share the bridge", network({ isDefaultGateway: true }), { steps: twoContainers }),
  bridge("two interfaces in one container", network({ isGateway: true }, dual), {
    steps: [
      "ADD",
      { verb: "ADD", ifName: "eth1" },
      "CHECK",
      "DEL",
      { verb: "CHECK", ifName: "eth1" },
      { verb: "DEL", ifName: "eth1" },
    ],
  }),
  bridge("MAC from CNI_ARGS", network({}), { call: { args: "IgnoreUnknown=1;MAC=c2:11:22:33:44:55" } }),
  bridge("MAC from args.cni wins over CNI_ARGS", network({ args: { cni: { mac: "c2:11:22:33:44:66" } } }), {
    call: { args: "IgnoreUnknown=1;MAC=c2:11:22:33:44:55" },
  }),
  bridge(
    "MAC from runtimeConfig wins over both",
    network({ args: { cni: { mac: "c2:11:22:33:44:66" } }, runtimeConfig: { mac: "C2:11:22:33:44:77" } }),
    { call: { args: "IgnoreUnknown=1;MAC=c2:11:22:33:44:55" } },
  ),
  bridge("address from CNI_ARGS", network({}), { call: { args: "IgnoreUnknown=1;IP=10.1.0.77" } }),
  bridge("addresses from runtimeConfig", network({ runtimeConfig: { ips: ["10.1.0.88", "fd00:1::88/64"] } }, dual)),
  bridge(
    "ranges from runtimeConfig",
    network(
      {
        runtimeConfig: {
          ipRanges: [[{ subnet: "10.3.0.0/24", rangeStart: "10.3.0.10", rangeEnd: "10.3.0.20", gateway: "10.3.0.1" }]],
        },
      },
      {},
    ),
  ),
  bridge("keys in another letter case count", {
    CNIVersion: "x",
    cniVersion: "1.0.0",
    name: "net",
    type: "bridge",
    Bridge: "br0",
    IsGateway: true,
    Mtu: 1400,
    IPAM: { Type: "host-local", Subnet: "10.1.0.0/24" },
  }),
  bridge("unknown keys are passed over", network({ nonsense: { deep: [1] }, capabilities: { mac: true } })),
  // VLANs; the bridge's MAC is set where it would be the lowest of several random ones
  bridge("vlan gives the port a PVID", network({ vlan: 100 }), {
    needs: ["vlan_filtering"],
    deviations: [defaultVlanGone],
    steps: ["ADD", "CHECK", "DEL"],
  }),
  bridge("vlan without IPAM", network({ vlan: 100 }, null), {
    needs: ["vlan_filtering"],
    deviations: [defaultVlanGone],
    steps: ["ADD", "DEL"],
  }),
  bridge("vlan with isGateway makes a gateway interface of the VLAN", network({ vlan: 100, isGateway: true }, dual), {
    needs: ["vlan_filtering"],
    deviations: [defaultVlanGone],
    prepare: "ip link add br0 address 02:00:00:00:00:01 type bridge vlan_filtering 1",
    steps: ["ADD", "CHECK", "DEL"],
  }),
  bridge("vlan: two containers share the gateway interface", network({ vlan: 100, isGateway: true }), {
    needs: ["vlan_filtering"],
    deviations: [defaultVlanGone],
    prepare: "ip link add br0 address 02:00:00:00:00:01 type bridge vlan_filtering 1",
    steps: ["ADD", { verb: "ADD", container: 1 }, "DEL", { verb: "DEL", container: 1 }],
  }),
  // versions
  ...["0.1.0", "0.2.0"].map((cniVersion) =>
    bridge(`version ${cniVersion} has one address a family`, network({ cniVersion, isDefaultGateway: true }, dual), {
      steps: ["ADD", { verb: "CHECK", says: "config version does not allow CHECK" }, "DEL"],
    }),
  ),
  ...["0.3.0", "0.3.1"].map((cniVersion) =>
    bridge(`version ${cniVersion} has interfaces`, network({ cniVersion, isDefaultGateway: true }, dual), {
      steps: ["ADD", { verb: "CHECK", says: "config version does not allow CHECK" }, "DEL"],
    }),
  ),
  bridge("version 0.4.0 has CHECK", network({ cniVersion: "0.4.0", isDefaultGateway: true }, dual)),
  bridge(
    "an absent version means 0.1.0",
    { ...network({ isGateway: true }), cniVersion: undefined },
    { steps: ["ADD", "DEL"] },
  ),
  bridge(
    "version 0.2.0 cannot have two addresses of one family",
    network({ cniVersion: "0.2.0" }, { ranges: [[v4], [{ subnet: "10.2.0.0/24" }]] }),
    {
      steps: [
        { verb: "ADD", says: "CNI version 0.2.0 does not support more than 1 address per family" },
        { verb: "DEL", says: "CNI version 0.2.0 does not support more than 1 address per family" },
      ],
      deviations: [settledFirst(gosVeth, gosEth0, gosBridge), delAlwaysDeletes],
    },
  ),
  bridge("version 0.2.0 cannot have no address", network({ cniVersion: "0.2.0" }, null), {
    prepare: withoutIPv6,
    ...refused("cannot convert: no valid IP addresses"),
    deviations: [failedAddLeavesNothing(gosVeth, gosEth0), versionCode],
  }),
  // refused
  bridge("an address that clashes with the bridge's is refused", network({ isGateway: true }), {
    prepare: `ip link add br0 address 02:00:00:00:00:01 type bridge && ip link set br0 up
      ip addr add 10.9.0.1/16 dev br0
      ip link add port type veth peer name other && ip link set port master br0
      ip link set port up && ip link set other up`, // a carrier of its own: the refused ADD lends it one for too short a time
    ...refused("already has"),
    deviations: [failedAddLeavesNothing(gosVeth, gosEth0)],
  }),
  bridge("an address that clashes with the bridge's, which nobody uses", network({ isGateway: true }), {
    prepare: `${existingBridge} && ip addr add 10.9.0.1/16 dev br0`,
    steps: ["ADD", "DEL"],
    deviations: [unusedAddressReplaced],
  }),
  bridge("hairpinMode with promiscMode is refused", network({ hairpinMode: true, promiscMode: true }), {
    ...refused("cannot set hairpin mode and promiscuous mode at the same time"),
    deviations: [lookingMakesNoFolders],
  }),
  bridge("a VLAN ID of 4095 is refused", network({ vlan: 4095 }), {
    ...refused("invalid VLAN ID 4095 (must be between 0 and 4094)"),
    deviations: [delAlwaysDeletes],
  }),
  bridge("a negative VLAN ID is refused", network({ vlan: -1 }), {
    ...refused("invalid VLAN ID -1 (must be between 0 and 4094)"),
    deviations: [delAlwaysDeletes],
  }),
  bridge("a bridge that is another kind of link is refused", network({}), {
    prepare: "ip link add br0 type veth peer name other",
    ...refused("br0"),
    deviations: [lookingMakesNoFolders],
  }),
  bridge("an interface name that is taken is refused", network({}), {
    steps: [
      { verb: "ADD", before: "ip link add eth0 type veth peer name x && ip link set eth0 netns $C0", says: "exist" },
    ],
    deviations: [settledFirst(gosBridge)],
  }),
  bridge("an IPAM that is missing is refused", network({ ipam: { type: "no-such-ipam" } }, null), {
    prepare: withoutIPv6,
    ...refused('failed to find plugin "no-such-ipam" in path'),
    deviations: [failedAddLeavesNothing(gosVeth, gosEth0)],
  }),
  bridge("an IPAM that refuses: its text comes through", network({}, { subnet: "10.1.0.0/31" }), {
    prepare: withoutIPv6,
    ...refused("too small to allocate from"),
    deviations: [failedAddLeavesNothing(gosVeth, gosEth0), delAlwaysDeletes],
  }),
  bridge("a malformed MAC is refused", network({ runtimeConfig: { mac: "c2:11:22" } }), {
    ...refused("c2:11:22"),
    deviations: [settledFirst(/ br0 /, /conf\/br0\//), lookingMakesNoFolders],
  }),
  bridge("a duplicate ADD is refused", network({}), { steps: ["ADD", { verb: "ADD", says: "" }, "DEL"] }),
  // CNI_NETNS and DEL
  bridge("DEL without a namespace gives the addresses back", network({ isGateway: true }), {
    steps: ["ADD", { verb: "DEL", environment: { CNI_NETNS: "" } }],
    deviations: [delWithoutNamespace],
  }),
  bridge("DEL with a namespace that is gone gives the addresses back", network({ isGateway: true }), {
    steps: ["ADD", { verb: "DEL", environment: { CNI_NETNS: "/run/netns/no-such-namespace" } }],
    deviations: [delWithoutNamespace],
  }),
  bridge("DEL when the interface is gone gives the addresses back", network({ isGateway: true }), {
    steps: ["ADD", { verb: "DEL", before: "ip -n $C0 link del eth0" }],
  }),
  bridge(
    "DEL of what was never added is content",
    network({ isGateway: true, ipMasq: true, ipMasqBackend: "iptables" }),
    { steps: ["DEL"], deviations: [lookingMakesNoFolders] },
  ),
  bridge("DEL without prevResult", network({ isGateway: true, ipMasq: true, ipMasqBackend: "iptables" }), {
    steps: ["ADD", { verb: "DEL", conf: { prevResult: undefined } }],
  }),
  // CHECK
  bridge("CHECK misses a removed address", network({}), {
    steps: ["ADD", { verb: "CHECK", before: "ip -n $C0 addr flush dev eth0 scope global", says: "" }, "DEL"],
  }),
  bridge("CHECK misses a removed default route", network({ isDefaultGateway: true }), {
    steps: ["ADD", { verb: "CHECK", before: "ip -n $C0 route del default", says: "" }],
  }),
  bridge("CHECK misses a removed interface", network({}), {
    steps: ["ADD", { verb: "CHECK", before: "ip -n $C0 link del eth0", says: "" }],
  }),
  bridge("CHECK misses a removed bridge", network({}), {
    steps: ["ADD", { verb: "CHECK", before: "ip link del br0", says: "" }],
  }),
  bridge("CHECK misses a released address", network({}), {
    steps: ["ADD", { verb: "CHECK", before: "rm /var/lib/cni/networks/net/10.1.0.2", says: "" }],
  }),
  bridge("CHECK notices that the port left the bridge", network({}), {
    steps: ["ADD", { verb: "CHECK", before: "ip link set $(ls /sys/class/net/br0/brif) nomaster", says: "" }],
  }),
  bridge("CHECK notices a changed MAC", network({}), {
    steps: ["ADD", { verb: "CHECK", before: "ip -n $C0 link set eth0 address c2:00:00:00:00:01", says: "" }],
  }),
  bridge("CHECK without prevResult is refused", network({}), {
    steps: ["ADD", { verb: "CHECK", conf: { prevResult: undefined }, says: "" }],
  }),
];
