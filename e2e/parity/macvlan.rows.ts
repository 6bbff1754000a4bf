// The macvlan plugin with host-local behind it, on an uplink whose other end is nobody's.
import { failedAdd, failedAddLeavesNothing } from "./deviations.ts";
import { asRelease191, intended, type Json, type Row } from "./row.ts";
import { defaultRoute, dual, gosEth0, networkOn, uplink, v4 } from "./uplink.ts";

const network = (keys: Json, ipam?: Json | null): Json => networkOn("macvlan", keys, ipam);

function macvlan(claim: string, conf: Json, { prepare = "", ...more }: Partial<Row> = {}): Row {
  const prepared = `${uplink}${prepare}`;
  return { name: `macvlan: ${claim}`, plugin: "macvlan", conf, prepare: prepared, needs: ["macvlan"], ...more };
}

/** What is left of a row whose ADD is refused. */
const refused = (says: string): Partial<Row> => ({ steps: [{ verb: "ADD", says }] });

/** The link that it leaves keeps the master listening to all MACs. */
const gosPromiscuity = intended(failedAdd, { rewritten: [[/(link uplink promiscuity) 1/, "$1 0"]] });

const dnsOfIpam = intended("The dns of the IPAM is reported when the configuration has none", { ours: /ADD: dns\./ });

const delWithoutMaster = asRelease191("DEL does not need the master", {
  go: [/2 DEL: (exit 1|code 999|says why)/, /2 DEL: file .*networks\/net\/10\.1\.0\.2/],
  ours: /2 DEL: (exit 0| )$/,
});

export const macvlanRows: Row[] = [
  macvlan("joins the container to the master's network, in mode bridge", network({})),
  macvlan("gives addresses of both families, and tells the network of them", network({}, dual)),
  ...["private", "vepa", "passthru"].map((mode) => macvlan(`mode ${mode}`, network({ mode }))),
  macvlan("mtu counts", network({ mtu: 1400 })),
  macvlan("without master it is the default route's link", network({ master: undefined }), {
    prepare: defaultRoute,
  }),
  macvlan("a MAC that is asked for", network({ mac: "c2:11:22:33:44:55" })),
  macvlan("MAC from CNI_ARGS wins over mac", network({ mac: "c2:11:22:33:44:55" }), {
    call: { args: "IgnoreUnknown=1;MAC=c2:11:22:33:44:66" },
  }),
  macvlan("MAC from runtimeConfig wins over both", network({ runtimeConfig: { mac: "c2:11:22:33:44:77" } }), {
    call: { args: "IgnoreUnknown=1;MAC=c2:11:22:33:44:66" },
  }),
  macvlan(
    "routes of the IPAM",
    network({}, { ...v4, routes: [{ dst: "0.0.0.0/0" }, { dst: "192.0.2.0/24", gw: "10.1.0.9" }] }),
  ),
  macvlan("dns of the IPAM is reported", network({}, { ...v4, resolvConf: "/var/lib/resolv.conf" }), {
    files: { "/var/lib/resolv.conf": "nameserver 192.0.2.53\n" },
    deviations: [dnsOfIpam],
  }),
  macvlan("without IPAM there is a link and no address", network({}, null), { steps: ["ADD", "DEL", "DEL"] }),
  macvlan("two containers", network({}), {
    steps: [
      "ADD",
      { verb: "ADD", container: 1 },
      "DEL",
      { verb: "CHECK", container: 1 },
      { verb: "DEL", container: 1 },
    ],
  }),
  macvlan("a host's link of that name does not matter", network({}), { prepare: "ip link add eth0 type veth" }),
  ...["0.2.0", "0.4.0"].map((cniVersion) =>
    macvlan(`version ${cniVersion}`, network({ cniVersion }), { steps: ["ADD", "DEL"] }),
  ),
  // refused
  macvlan("an MTU above the master's", network({ mtu: 9000 }), {
    ...refused("invalid MTU 9000, must be [0, master MTU(1500)]"),
  }),
  macvlan("a mode that is none", network({ mode: "brige" }), { ...refused("mode") }),
  macvlan("a master that is not there", network({ master: "nowhere" }), { ...refused("") }),
  macvlan("no master and no default route", network({ master: undefined }), {
    ...refused("no default route interface found"),
  }),
  macvlan("an interface name that is taken", network({}), {
    steps: [{ verb: "ADD", before: "ip -n $C0 link add eth0 type veth peer name x", says: "exist" }],
  }),
  macvlan("an IPAM that refuses", network({}, { subnet: "10.1.0.0/31" }), {
    ...refused("too small to allocate from"),
    deviations: [failedAddLeavesNothing(gosEth0)],
  }),
  macvlan("a route that cannot be", network({}, { ...v4, routes: [{ dst: "192.0.2.0/24", gw: "203.0.113.1" }] }), {
    ...refused(""),
    deviations: [failedAddLeavesNothing(gosEth0), gosPromiscuity],
  }),
  // DEL and CHECK
  macvlan("DEL without a namespace gives the address back", network({}), {
    steps: ["ADD", { verb: "DEL", environment: { CNI_NETNS: "" } }],
  }),
  macvlan("DEL when interface and master are gone gives the address back", network({ master: undefined }), {
    prepare: defaultRoute,
    steps: ["ADD", { verb: "DEL", before: "ip link delete uplink" }],
    deviations: [delWithoutMaster],
  }),
  macvlan("CHECK notices another mode", network({}), {
    steps: ["ADD", { verb: "CHECK", conf: { mode: "private" }, says: "mode" }],
  }),
  macvlan("CHECK misses a removed address", network({}), {
    steps: ["ADD", { verb: "CHECK", before: "ip -n $C0 addr flush dev eth0 scope global", says: "" }],
  }),
  macvlan("CHECK misses the interface when the master is gone", network({}), {
    steps: ["ADD", { verb: "CHECK", before: "ip link delete uplink", says: "" }],
  }),
];
