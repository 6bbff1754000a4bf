// The tuning plugin behind an interface that is there already: each key but txQLen, which release 1.1.1 does not have, and what is refused.
import { codes } from "./deviations.ts";
import { asRelease191, intended, type Json, type Row } from "./row.ts";

/** The kernel handles a carrier at once only where the indices of a pair differ, and else once a second. */
const interfaceThere =
  "ip link add host0 index 9 type veth peer name eth0 netns $C0 address 02:00:00:00:00:01; ip -n $C0 link set eth0 up; ip link set host0 up";
const prevResult = {
  cniVersion: "1.0.0",
  interfaces: [{ name: "eth0", mac: "02:00:00:00:00:01", sandbox: "/run/netns/c0" }],
  ips: [{ address: "10.1.0.2/24", interface: 0 }],
};

function tuning(claim: string, keys: Json, more: Partial<Row> = {}): Row {
  const conf = { cniVersion: "1.0.0", name: "net", type: "tuning", dataDir: "/var/lib/tuning", prevResult, ...keys };
  return { name: `tuning: ${claim}`, plugin: "tuning", conf, prepare: interfaceThere, ...more };
}

const refused = (says: string): Partial<Row> => ({
  steps: [{ verb: "ADD", says }, "DEL"],
  deviations: [configurationCode],
});
const configurationCode = intended(codes, { rewritten: [[/: code 999$/, ": code 7"]] });

const saysWhose = intended("A backup says whose it is", {
  rewritten: [[/(: file tuning\/\S+\.json "0600 .*)(\\n\}"$)/, '$1,\\n \\"network\\": \\"net\\"$2']],
});
const kept = { deviations: [saysWhose] };
const byWords = intended("CHECK compares sysctls by words", {
  go: [/2 CHECK: exit 1/, /2 CHECK: code 999/, /2 CHECK: says why/],
  ours: [/2 CHECK: exit 0/, /2 CHECK: {2}$/],
});
const interfacesSysctl = asRelease191("CHECK knows IFNAME", {
  go: [/2 CHECK: exit 1/, /2 CHECK: code 999/, /2 CHECK: says why/],
  ours: [/2 CHECK: exit 0/, /2 CHECK: {2}$/],
});
const nothingHalfDone = intended("A failed ADD leaves nothing behind", {
  go: [/1 ADD: (c0|file|host)/, /2 DEL: (c0|file|host)/],
});

export const tuningRows: readonly Row[] = [
  tuning("nothing to do passes the result on", {}),
  tuning("mtu", { mtu: 1400 }, kept),
  tuning("mac", { mac: "c2:11:22:33:44:55" }, kept),
  tuning("promisc", { promisc: true }, kept),
  tuning("allmulti", { allmulti: true }, kept),
  tuning("all of them", { mtu: 1400, mac: "c2:11:22:33:44:55", promisc: true, allmulti: true }, kept),
  tuning(
    "a sysctl of the interface",
    { sysctl: { "net.ipv4.conf.IFNAME.arp_filter": "1" } },
    { deviations: [interfacesSysctl] },
  ),
  tuning(
    "a sysctl with slashes",
    { sysctl: { "net/ipv4/conf/IFNAME/arp_filter": "1" } },
    { deviations: [interfacesSysctl] },
  ),
  tuning(
    "a sysctl that is a list",
    { sysctl: { "net.ipv4.ip_local_port_range": "20000 30000" } },
    { deviations: [byWords] },
  ),
  tuning(
    "the MAC of CNI_ARGS goes before the configuration's",
    { mac: "c2:11:22:33:44:55" },
    {
      ...kept,
      call: { args: "IgnoreUnknown=1;MAC=c2:11:22:33:44:66" },
    },
  ),
  tuning(
    "the MAC of the runtime goes before both",
    { mac: "c2:11:22:33:44:55", runtimeConfig: { mac: "c2:11:22:33:44:77" } },
    {
      ...kept,
      call: { args: "IgnoreUnknown=1;MAC=c2:11:22:33:44:66" },
    },
  ),
  tuning("no result before it", { prevResult: undefined }, refused("Required prevResult missing")),
  tuning("a sysctl of another kind", { sysctl: { "kernel.panic": "1" } }, refused("invalid net sysctl key")),
  tuning(
    "a MAC that is none",
    { mac: "no" },
    { steps: ["ADD", "DEL"], deviations: [configurationCode, nothingHalfDone] },
  ),
];
