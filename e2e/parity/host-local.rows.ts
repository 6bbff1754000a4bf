// host-local called on its own: the same addresses, files and refusals.
import {
  delAlwaysDeletes,
  environmentCode,
  failedAddLeavesNothing,
  inputOutputCode,
  lookingMakesNoFolders,
} from "./deviations.ts";
import { asRelease191, type Json, type Row, type Step } from "./row.ts";

const slash29 = { subnet: "10.1.0.0/29" };

function network(ipam: Json, keys: Json = {}): Json {
  return { cniVersion: "1.0.0", name: "net", type: "bridge", ...keys, ipam: { type: "host-local", ...ipam } };
}

function hostLocal(claim: string, conf: Json, more: Partial<Row> = {}): Row {
  return { name: `host-local: ${claim}`, plugin: "host-local", filesOnly: true, conf, ...more };
}

/** Refused by its configuration, whatever the verb. */
const refusedAlways = (says: string): Partial<Row> => ({
  steps: [
    { verb: "ADD", says },
    { verb: "CHECK", says },
    { verb: "DEL", says },
  ],
});
/** The same, but for our DEL. */
const refused = (says: string): Partial<Row> => ({ ...refusedAlways(says), deviations: [delAlwaysDeletes] });
/** Refused when an address is to be given. */
const exhausted = (says: string): Partial<Row> => ({ steps: [{ verb: "ADD", says }, "DEL"] });

const add = (id: string, more: object = {}): Step => ({ verb: "ADD", containerId: id, ...more });
const del = (id: string, more: object = {}): Step => ({ verb: "DEL", containerId: id, ...more });
const check = (id: string, more: object = {}): Step => ({ verb: "CHECK", containerId: id, ...more });

const folder = "/var/lib/cni/networks/net";
const reserved = (address: string, content = "other\r\neth0") => ({ [`${folder}/${address}`]: content });

const unparsableVersion = asRelease191("a version that cannot be parsed is an error of decoding", {
  rewritten: [[/: code 1$/, ": code 6"]],
});

export const hostLocalRows: Row[] = [
  // ranges
  hostLocal("a /24 begins with .2, its gateway is .1", network({ subnet: "10.1.0.0/24" })),
  hostLocal("a /25 in the upper half", network({ subnet: "10.1.0.128/25" })),
  hostLocal("a /30 has one address", network({ subnet: "10.1.0.0/30" }), {
    steps: [
      add("a"),
      add("b", { says: "no IP addresses available in range set: 10.1.0.1-10.1.0.2" }),
      del("a"),
      add("b"),
    ],
  }),
  hostLocal("an IPv6 /64", network({ subnet: "2001:db8:1::/64" })),
  hostLocal("an IPv6 /126", network({ subnet: "2001:db8:1::/126" }), {
    steps: [add("a"), add("b"), add("c", { says: "no IP addresses available in range set" })],
  }),
  hostLocal(
    "rangeStart and rangeEnd bound the range",
    network({ subnet: "10.1.0.0/24", rangeStart: "10.1.0.10", rangeEnd: "10.1.0.11" }),
    {
      steps: [
        add("a"),
        add("b"),
        add("c", { says: "no IP addresses available in range set: 10.1.0.10-10.1.0.11" }),
        del("a"),
        del("b"),
      ],
    },
  ),
  hostLocal("a gateway of its own is skipped", network({ ...slash29, gateway: "10.1.0.3" }), {
    steps: [add("a"), add("b"), add("c")],
  }),
  hostLocal("a gateway outside of the subnet", network({ ...slash29, gateway: "192.0.2.1" }), {
    steps: [add("a"), add("b")],
  }),
  hostLocal("ranges with one set", network({ ranges: [[{ subnet: "10.1.0.0/24", rangeStart: "10.1.0.50" }]] })),
  hostLocal(
    "one set of two ranges: the second is used after the first",
    network({ ranges: [[{ subnet: "10.1.0.0/30" }, { subnet: "10.2.0.0/30" }]] }),
    {
      steps: [
        add("a"),
        add("b"),
        add("c", { says: "no IP addresses available in range set: 10.1.0.1-10.1.0.2,10.2.0.1-10.2.0.2" }),
        del("a"),
        add("c"),
      ],
    },
  ),
  hostLocal(
    "two sets give two addresses",
    network({ ranges: [[{ subnet: "10.1.0.0/24" }], [{ subnet: "2001:db8:1::/64" }]] }),
  ),
  hostLocal(
    "the legacy range comes before ranges",
    network({ subnet: "10.9.0.0/24", ranges: [[{ subnet: "10.1.0.0/24" }]] }),
  ),
  hostLocal(
    "ranges of runtimeConfig come first",
    network(
      { ranges: [[{ subnet: "10.1.0.0/24" }]] },
      { runtimeConfig: { ipRanges: [[{ subnet: "10.7.0.0/24", rangeStart: "10.7.0.9" }]] } },
    ),
  ),
  hostLocal(
    "addresses of IPv6 are written in their short form",
    network({ subnet: "2001:0DB8:0000::/64", rangeStart: "2001:db8:0:0:0:0:0:1a" }),
  ),
  // round robin
  hostLocal("round robin: a freed address comes last", network(slash29), {
    steps: [
      add("a"),
      add("b"),
      del("a"),
      add("c"),
      add("d"),
      add("e"),
      add("f"),
      add("g", { says: "no IP addresses available" }),
    ],
  }),
  hostLocal("round robin goes on after the last one", network(slash29), {
    files: { [`${folder}/last_reserved_ip.0`]: "10.1.0.5" },
    steps: [add("a"), add("b")],
  }),
  hostLocal("round robin: a last one outside of the range", network(slash29), {
    files: { ...reserved("10.1.0.2"), [`${folder}/last_reserved_ip.0`]: "10.1.0.128" },
    steps: [add("a")],
  }),
  hostLocal("round robin comes back to the last one itself", network(slash29), {
    files: {
      ...reserved("10.1.0.2"),
      ...reserved("10.1.0.4"),
      ...reserved("10.1.0.5"),
      ...reserved("10.1.0.6"),
      [`${folder}/last_reserved_ip.0`]: "10.1.0.3",
    },
    steps: [add("a"), add("b", { says: "no IP addresses available" })],
  }),
  hostLocal(
    "round robin over the ranges of a set",
    network({ ranges: [[{ subnet: "10.0.0.0/30" }, { subnet: "10.0.1.0/30" }, { subnet: "10.0.2.0/30" }]] }),
    { files: { [`${folder}/last_reserved_ip.0`]: "10.0.2.2" }, steps: [add("a"), add("b"), add("c")] },
  ),
  hostLocal("a last_reserved_ip that is not an address", network(slash29), {
    files: { [`${folder}/last_reserved_ip.0`]: "nonsense" },
    steps: [add("a")],
  }),
  // requested addresses
  hostLocal("IP of CNI_ARGS", network(slash29), { call: { args: "IP=10.1.0.5" } }),
  hostLocal("IP of CNI_ARGS with a prefix", network(slash29), { call: { args: "IP=10.1.0.5/29" } }),
  hostLocal("ips of args.cni", network(slash29, { args: { cni: { ips: ["10.1.0.5"] } } })),
  hostLocal(
    "ips of runtimeConfig for two sets",
    network(
      { ranges: [[{ subnet: "10.1.0.0/24" }], [{ subnet: "2001:db8:1::/64" }]] },
      { runtimeConfig: { ips: ["10.1.0.77/24", "2001:db8:1::77"] } },
    ),
  ),
  hostLocal(
    "requested addresses of all three kinds add up",
    network(
      { ranges: [[{ subnet: "10.1.0.0/24" }], [{ subnet: "10.2.0.0/24" }], [{ subnet: "10.3.0.0/24" }]] },
      { args: { cni: { ips: ["10.2.0.5"] } }, runtimeConfig: { ips: ["10.3.0.5"] } },
    ),
    { call: { args: "IP=10.1.0.5" } },
  ),
  hostLocal("a requested address that is taken is refused", network(slash29), {
    files: reserved("10.1.0.5"),
    call: { args: "IP=10.1.0.5" },
    ...exhausted("requested IP address 10.1.0.5 is not available in range set 10.1.0.1-10.1.0.6"),
  }),
  hostLocal("a requested gateway is refused", network(slash29), {
    call: { args: "IP=10.1.0.1" },
    ...exhausted("requested ip 10.1.0.1 is subnet's gateway"),
  }),
  hostLocal("a requested address outside is refused, and nothing stays reserved", network(slash29), {
    call: { args: "IP=10.8.0.1" },
    ...exhausted("failed to allocate all requested IPs: 10.8.0.1"),
    deviations: [failedAddLeavesNothing(/last_reserved_ip/)],
  }),
  hostLocal("a malformed requested address is refused", network(slash29), {
    call: { args: "IP=10.1.0" },
    steps: [{ verb: "ADD", says: "10.1.0" }],
    deviations: [environmentCode],
  }),
  hostLocal("an unknown key in CNI_ARGS is refused", network(slash29), {
    call: { args: "COLOUR=red" },
    steps: [{ verb: "ADD", says: "COLOUR" }],
    deviations: [environmentCode],
  }),
  hostLocal("an unknown key in CNI_ARGS is passed over with IgnoreUnknown", network(slash29), {
    call: { args: "IgnoreUnknown=true;COLOUR=red" },
  }),
  // the rest of the result
  hostLocal(
    "routes are passed on",
    network({
      ...slash29,
      routes: [
        { dst: "0.0.0.0/0" },
        { dst: "192.168.0.0/16", gw: "10.1.0.3" },
        { dst: "2001:db8::/32", gw: "2001:db8::1" },
      ],
    }),
  ),
  hostLocal("resolvConf becomes dns", network({ ...slash29, resolvConf: "/var/lib/resolv.conf" }), {
    files: {
      "/var/lib/resolv.conf":
        "# comment\n; another\nnameserver 192.0.2.1\nnameserver 192.0.2.2\ndomain one.example\ndomain two.example\nsearch a.example b.example\nsearch c.example\noptions ndots:2 timeout:1\noptions rotate\nnameserver\n\n",
    },
  }),
  hostLocal("an empty resolvConf is none", network({ ...slash29, resolvConf: "/var/lib/resolv.conf" }), {
    files: { "/var/lib/resolv.conf": "" },
  }),
  hostLocal("an unreadable resolvConf is refused", network({ ...slash29, resolvConf: "/var/lib/none" }), {
    steps: [{ verb: "ADD", says: "/var/lib/none" }],
    deviations: [inputOutputCode],
  }),
  hostLocal("dataDir says where the files are", network({ ...slash29, dataDir: "/var/lib/elsewhere" })),
  // owners
  hostLocal("two interfaces of one container have an address each", network(slash29), {
    steps: [
      add("a"),
      add("a", { ifName: "eth1" }),
      del("a"),
      check("a", { ifName: "eth1" }),
      del("a", { ifName: "eth1" }),
    ],
  }),
  hostLocal("a second ADD of an attachment is refused, others go on", network(slash29), {
    steps: [
      add("a"),
      add("a", { says: "10.1.0.2 has been allocated to a, duplicate allocation is not allowed" }),
      add("b"),
      del("a"),
      add("a"),
    ],
  }),
  hostLocal("white space around the owner does not matter", network(slash29), {
    files: reserved("10.1.0.2", " a\r\neth0 \n"),
    steps: [check("a"), add("a", { says: "duplicate allocation is not allowed" }), del("a")],
  }),
  hostLocal("a file of old times has the container ID alone", network(slash29), {
    files: reserved("10.1.0.2", "a"),
    steps: [check("a"), del("a")],
  }),
  hostLocal("an exact owner goes before an old file", network(slash29), {
    files: { ...reserved("10.1.0.2", "a"), ...reserved("10.1.0.3", "a\r\neth0") },
    steps: [del("a"), del("a")],
  }),
  hostLocal("DEL of an unknown container is content", network(slash29), {
    steps: [del("a")],
    deviations: [lookingMakesNoFolders],
  }),
  hostLocal("CHECK of an unknown container is refused", network(slash29), {
    steps: [check("a", { says: "Failed to find address added by container a" })],
    deviations: [lookingMakesNoFolders],
  }),
  hostLocal("networks have their own folders", network({ ...slash29 }, { name: "other.net-1_x" })),
  // refused
  hostLocal(
    "a /31 is too small",
    network({ subnet: "10.1.0.0/31" }),
    refused("Network 10.1.0.0/31 too small to allocate from"),
  ),
  hostLocal(
    "an IPv6 /127 is too small",
    network({ subnet: "2001:db8::/127" }),
    refused("Network 2001:db8::/127 too small to allocate from"),
  ),
  hostLocal("host bits in the subnet are refused", network({ subnet: "10.1.0.12/24" }), refused("10.1.0.0")),
  hostLocal(
    "rangeStart outside",
    network({ subnet: "10.1.0.0/24", rangeStart: "10.2.0.1" }),
    refused("RangeStart 10.2.0.1 not in network 10.1.0.0/24"),
  ),
  hostLocal(
    "rangeEnd outside",
    network({ subnet: "10.1.0.0/24", rangeEnd: "10.2.0.1" }),
    refused("RangeEnd 10.2.0.1 not in network 10.1.0.0/24"),
  ),
  hostLocal(
    "rangeEnd before rangeStart",
    network({ subnet: "10.1.0.0/24", rangeStart: "10.1.0.20", rangeEnd: "10.1.0.10" }),
    refused("RangeStart 10.1.0.20 not in network 10.1.0.0/24"),
  ),
  hostLocal(
    "overlapping ranges in a set",
    network({ ranges: [[{ subnet: "10.1.0.0/24" }, { subnet: "10.1.0.0/16" }]] }),
    refused("overlap"),
  ),
  hostLocal(
    "overlapping ranges across sets",
    network({ ranges: [[{ subnet: "10.1.0.0/24" }], [{ subnet: "10.1.0.0/16" }]] }),
    refused("overlap"),
  ),
  hostLocal(
    "both families in one set",
    network({ ranges: [[{ subnet: "10.1.0.0/24" }, { subnet: "2001:db8::/64" }]] }),
    refused("mixed address families"),
  ),
  hostLocal("an empty set", network({ ranges: [[]] }), refused("empty range set")),
  hostLocal("no ranges", network({}), refused("no IP ranges specified")),
  hostLocal(
    "no ipam",
    { cniVersion: "1.0.0", name: "net", type: "bridge" },
    refusedAlways("IPAM config missing 'ipam' key"),
  ),
  hostLocal("a subnet that is none", network({ subnet: "10.1.0.0" }), refused("10.1.0.0")),
  hostLocal("a subnet with leading zeros", network({ subnet: "10.01.0.0/24" }), refused("10.01.0.0/24")),
  hostLocal("a subnet of the wrong type", network({ subnet: 10 }), refused("")),
  // versions
  ...["0.1.0", "0.2.0"].map((cniVersion) =>
    hostLocal(
      `version ${cniVersion}`,
      network(
        {
          ranges: [[{ subnet: "10.1.0.0/24" }], [{ subnet: "2001:db8:1::/64" }]],
          routes: [{ dst: "0.0.0.0/0" }, { dst: "::/0" }],
        },
        { cniVersion },
      ),
      { steps: ["ADD", "DEL"] },
    ),
  ),
  ...["0.3.0", "0.3.1", "0.4.0"].map((cniVersion) =>
    hostLocal(
      `version ${cniVersion}`,
      network(
        { ranges: [[{ subnet: "10.1.0.0/24" }], [{ subnet: "2001:db8:1::/64" }]], routes: [{ dst: "0.0.0.0/0" }] },
        { cniVersion },
      ),
      { steps: ["ADD", "DEL"] },
    ),
  ),
  hostLocal(
    "version 0.2.0 with two ranges of a family is refused",
    network({ ranges: [[{ subnet: "10.1.0.0/24" }], [{ subnet: "10.2.0.0/24" }]] }, { cniVersion: "0.2.0" }),
    { steps: [{ verb: "ADD", says: "CNI version 0.2.0 does not support more than 1 address per family" }] },
  ),
  hostLocal("a version of the future is refused", network(slash29, { cniVersion: "9.9.9" }), {
    steps: [
      { verb: "ADD", says: "" },
      { verb: "DEL", says: "" },
    ],
  }),
  hostLocal("a version that is none is refused", network(slash29, { cniVersion: "one" }), {
    steps: [{ verb: "ADD", says: "" }],
    deviations: [unparsableVersion],
  }),
  // the call
  hostLocal("a bad network name is refused", network(slash29, { name: "../escape" }), {
    steps: [{ verb: "ADD", says: "" }],
  }),
  hostLocal("no network name is refused", network(slash29, { name: undefined }), {
    steps: [{ verb: "ADD", says: "" }],
  }),
  hostLocal("a bad container ID is refused", network(slash29), { steps: [add("a b", { says: "" })] }),
  hostLocal("missing variables are named together", network(slash29), {
    steps: [
      {
        verb: "ADD",
        environment: { CNI_CONTAINERID: undefined, CNI_IFNAME: undefined },
        says: "CNI_CONTAINERID,CNI_IFNAME",
      },
    ],
  }),
  hostLocal("an unknown verb is refused", network(slash29), {
    steps: [{ verb: "ADD", environment: { CNI_COMMAND: "FROB" }, says: "unknown CNI_COMMAND: FROB" }],
  }),
  hostLocal("stdin that is not JSON is refused", network(slash29), { steps: [{ verb: "ADD", stdin: "{", says: "" }] }),
  hostLocal("empty stdin is refused", network(slash29), { steps: [{ verb: "ADD", stdin: "", says: "" }] }),
  hostLocal("keys in another letter case count", {
    cniVersion: "1.0.0",
    name: "net",
    type: "bridge",
    IPAM: { TYPE: "host-local", Ranges: [[{ SUBNET: "10.1.0.0/24", RangeSTART: "10.1.0.9" }]] },
  }),
];
