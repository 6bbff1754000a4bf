// The ptp plugin with host-local or static behind it: each key, family and version, and what is refused.
import {
  delAlwaysDeletes,
  emptyDnsOmitted,
  failedAddLeavesNothing,
  indexBesideReservations,
  keptIPv6Addresses,
  lookingMakesNoFolders,
  reservationsForRootAlone,
  vethSaysWhose,
} from "./deviations.ts";
import { intended, type Json, type Row } from "./row.ts";

const v4 = { subnet: "10.1.0.0/24" };
const v6 = { subnet: "fd00:1::/64" };
const dual = { ranges: [[v4], [v6]] };

/** @param ipam What host-local gets; null for another or none. */
function network(keys: Json, ipam: Json | null = v4): Json {
  const base = { cniVersion: "1.0.0", name: "net", type: "ptp" };
  return { ...base, ...keys, ...(ipam && { ipam: { type: "host-local", ...ipam } }) };
}

const fixed = (...addresses: Json[]): Json => network({ ipam: { type: "static", addresses } }, null);

const ptp = (claim: string, conf: Json, more: Partial<Row> = {}): Row => ({
  name: `ptp: ${claim}`,
  plugin: "ptp",
  conf,
  ...more,
});

/** What is left of a row whose ADD is refused. */
const refused = (says: string): Partial<Row> => ({ steps: [{ verb: "ADD", says }, "DEL"] });

const missing = (what: string, before: string): Row =>
  ptp(`CHECK misses ${what}`, network({}, dual), { steps: ["ADD", { verb: "CHECK", before, says: "" }, "DEL"] });

/** Go looks for duplicates of both ends' addresses. */
const usableAtOnce = intended("IPv6 addresses are usable at once", {
  rewritten: [[/(: (host|c\d) addr \S+ family inet6 local fd\S+ prefixlen \d+ scope global)$/, "$1 nodad true"]],
});

/** What a failed ADD of Go leaves until the runtime's DEL. */
const gosVeth = failedAddLeavesNothing(/: host .*\bveth#1\b/, /: c0 .*\beth0\b/);

const forwardingLast = intended("Forwarding is turned on when there is something to forward", {
  go: /: host sysctl ipv4\/.*(forward(ing)? 1|accept_redirects 0)$/,
  ours: /: host sysctl ipv4\/.*(forward(ing)? 0|accept_redirects 1)$/,
});

const interfaceFirst = intended("The interface is made before addresses are asked for", {
  go: /: file cni\/networks/,
});

const delWithoutNamespace = intended("DEL removes the veth pair also when the namespace cannot be named", {
  go: [/2 DEL: host .*\bveth#1\b/, /2 DEL: c0 .*\beth0\b/],
});

/** What is made. */
export const ptpKeyRows: Row[] = [
  ptp("an IPv4 address", network({})),
  ptp("an IPv6 address", network({}, v6)),
  ptp(
    "addresses of both families, and routes",
    network({}, { ...dual, routes: [{ dst: "0.0.0.0/0" }, { dst: "::/0" }] }),
  ),
  ptp(
    "routes through other gateways of the subnet",
    network({}, { ...v4, routes: [{ dst: "192.0.2.0/24", gw: "10.1.0.7" }] }),
  ),
  ptp("two subnets of a family", network({}, { ranges: [[v4], [{ subnet: "10.2.0.0/24" }], [v6]] })),
  ptp("the gateway that the range names", network({}, { subnet: "10.1.0.0/24", gateway: "10.1.0.254" })),
  ptp("a subnet of two addresses", fixed({ address: "10.1.0.0/31", gateway: "10.1.0.1" })),
  ptp("mtu", network({ mtu: 1400 })),
  ptp("two containers share a gateway", network({}, dual), {
    steps: [
      "ADD",
      { verb: "ADD", container: 1 },
      "DEL",
      { verb: "CHECK", container: 1 },
      { verb: "DEL", container: 1 },
    ],
  }),
  ptp("masquerade by iptables", network({ ipMasq: true, ipMasqBackend: "iptables" }, dual)),
  ptp("masquerade by what the host uses", network({ ipMasq: true })),
];

/** What the result says, and what versions make of it. */
export const ptpResultRows: Row[] = [
  ptp("the IPAM's dns", network({}, { ...v4, resolvConf: "/var/lib/resolv.conf" }), {
    files: { "/var/lib/resolv.conf": "nameserver 192.0.2.53\nsearch example.org\n" },
  }),
  ptp(
    "a dns of its own",
    network({ dns: { nameservers: ["192.0.2.1"] } }, { ...v4, resolvConf: "/var/lib/resolv.conf" }),
    {
      files: { "/var/lib/resolv.conf": "nameserver 192.0.2.53\nsearch example.org\n" },
    },
  ),
  ptp("an empty dns of its own", network({ dns: { nameservers: [] } }, { ...v4, resolvConf: "/var/lib/resolv.conf" }), {
    files: { "/var/lib/resolv.conf": "nameserver 192.0.2.53\nsearch example.org\n" },
  }),
  ptp("keys in another letter case count", {
    cniVersion: "1.0.0",
    name: "net",
    type: "ptp",
    MTU: 1400,
    IPAM: { Type: "host-local", Subnet: "10.1.0.0/24" },
  }),
  ...["0.1.0", "0.2.0", "0.3.1"].map((cniVersion) =>
    ptp(`version ${cniVersion} has no CHECK`, network({ cniVersion }, dual), {
      steps: ["ADD", { verb: "CHECK", says: "config version does not allow CHECK" }, "DEL"],
    }),
  ),
  ptp("version 0.4.0 has CHECK", network({ cniVersion: "0.4.0" }, dual)),
  ptp(
    "version 0.2.0 cannot have two addresses of one family",
    network({ cniVersion: "0.2.0" }, { ranges: [[v4], [{ subnet: "10.2.0.0/24" }]] }),
    {
      steps: [{ verb: "ADD", says: "CNI version 0.2.0 does not support more than 1 address per family" }],
    },
  ),
];

/** What is refused, and what the other verbs do. */
export const ptpVerbRows: Row[] = [
  ptp("an address without a gateway is refused", fixed({ address: "10.1.0.5/24" }), {
    ...refused(""),
    deviations: [gosVeth, forwardingLast],
  }),
  ptp("an interface name that is taken is refused", network({}), {
    steps: [
      { verb: "ADD", before: "ip link add eth0 type veth peer name x && ip link set eth0 netns $C0", says: "exist" },
      "DEL",
    ],
    deviations: [forwardingLast, interfaceFirst],
  }),
  ptp("without IPAM it is refused", network({}, null), {
    ...refused("no plugin name provided"),
    deviations: [delAlwaysDeletes],
  }),
  ptp(
    "an IPAM that is missing is refused",
    network({ ipam: { type: "no-such-ipam" } }, null),
    refused('failed to find plugin "no-such-ipam" in path'),
  ),
  ptp("an IPAM that refuses: its text comes through", network({}, { subnet: "10.1.0.0/31" }), {
    ...refused("too small to allocate from"),
    deviations: [delAlwaysDeletes],
  }),
  ptp("a duplicate ADD is refused", network({}), { steps: ["ADD", { verb: "ADD", says: "" }, "DEL"] }),
  // DEL
  ptp("DEL without a namespace gives the addresses back", network({}), {
    steps: ["ADD", { verb: "DEL", environment: { CNI_NETNS: "" } }],
    deviations: [delWithoutNamespace],
  }),
  ptp("DEL with a namespace that is gone gives the addresses back", network({}), {
    steps: ["ADD", { verb: "DEL", environment: { CNI_NETNS: "/run/netns/no-such-namespace" } }],
    deviations: [delWithoutNamespace],
  }),
  ptp("DEL when the interface is gone gives the addresses back", network({}), {
    steps: ["ADD", { verb: "DEL", before: "ip -n $C0 link del eth0" }],
  }),
  ptp("DEL of what was never added is content", network({ ipMasq: true }), {
    steps: ["DEL"],
    deviations: [lookingMakesNoFolders],
  }),
  // CHECK
  missing("a removed address", "ip -n $C0 addr flush dev eth0 scope global"),
  missing("a removed route", "ip -n $C0 route del 10.1.0.0/24"),
  missing("a removed interface", "ip -n $C0 link del eth0"),
  missing("a released address", "rm /var/lib/cni/networks/net/10.1.0.2"),
  missing("a changed MAC", "ip -n $C0 link set eth0 address c2:00:00:00:00:01"),
];

/** What any row may show. */
export const inManyPtpRows = [
  emptyDnsOmitted,
  reservationsForRootAlone,
  indexBesideReservations,
  vethSaysWhose,
  keptIPv6Addresses,
  usableAtOnce,
];
