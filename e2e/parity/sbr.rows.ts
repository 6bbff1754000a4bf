// sbr behind an interface that `ip` made: rules, tables and what is left in the main table.
import { interfaceByHand, resultByHand } from "../lab/interface-by-hand.ts";
import { configurationCode, environmentCode } from "./deviations.ts";
import { asRelease191, intended, type Json, type Row } from "./row.ts";

const ownFamily = intended("A table has the routes of its address's family", {
  go: /: c0 route type unicast dst fd00:9::\/64 dev net1 table 100 /,
});
const linkLocal = intended("Link-local routes stay where they are", {
  go: /: c0 route type unicast dst fe80::\/64 dev net1 table 10[01] /,
  ours: /: c0 route type unicast dst fe80::\/64 dev net1 table main /,
});
const saysWhere = intended("The result says in which table a route is", { ours: /: routes\.\d\.table 10[01]$/ });

const withoutIPv6 = interfaceByHand
  .split("\n")
  .filter((line) => !line.includes("fd00"))
  .join("\n")
  .replace(/^/, "\necho 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6");
const inContainer = (script: string) => `ip netns exec $C0 sh -e <<END${script}\nEND\n`;
const [four, six] = resultByHand.ips;
const resultOfFour = {
  ...resultByHand,
  cniVersion: "1.0.0",
  ips: [four],
  routes: [{ dst: "0.0.0.0/0" }, { dst: "192.0.2.0/24", gw: "192.168.1.9" }],
};

const ofNoInterface = { ...resultOfFour, interfaces: [], ips: [{ ...four, interface: 7 }] };
const another = { address: "10.7.0.7/24", gateway: "10.7.0.1", interface: 1 };
const withAnother = { ...resultOfFour, interfaces: [{ name: "net1" }, { name: "eth0" }], ips: [four, another] };
const second = { address: "192.168.101.209/24", gateway: "192.168.101.1", interface: 0 };
const withSecond = { ...resultOfFour, ips: [four, second] };

function sbr(claim: string, keys: Json, more: Partial<Row> = {}): Row {
  return {
    name: `sbr: ${claim}`,
    plugin: "sbr",
    conf: { cniVersion: "1.0.0", name: "net", type: "sbr", prevResult: resultOfFour, ...keys },
    call: { ifName: "net1" },
    prepare: inContainer(withoutIPv6),
    ...more,
  };
}

const refused = (says: string): Partial<Row> => ({
  steps: [{ verb: "ADD", says }, "DEL"],
  deviations: [configurationCode],
});
const dual: Partial<Row> = { prepare: inContainer(interfaceByHand) };
const dualResult = { ...resultByHand, cniVersion: "1.0.0" };

const addAndDel: Partial<Row> = { steps: ["ADD", "DEL"], deviations: [saysWhere] };
const behind = (more: string): Partial<Row> => ({ prepare: inContainer(`${withoutIPv6}\n${more}`) });
const nothingBehind: Partial<Row> = {
  ...addAndDel,
  prepare: inContainer(withoutIPv6.replaceAll(/^ip route.*$/gm, "")),
  deviations: [],
};

export const sbrRows: Row[] = [
  sbr("one address", {}, { steps: ["ADD", "CHECK", "DEL", "DEL"], deviations: [saysWhere] }),
  sbr(
    "an address of each family",
    { prevResult: dualResult },
    { ...dual, deviations: [ownFamily, linkLocal, saysWhere] },
  ),
  sbr(
    "an address of IPv6",
    { prevResult: { ...dualResult, ips: [six], routes: [] } },
    { ...dual, deviations: [linkLocal] },
  ),
  sbr("addresses of no interface in particular", { prevResult: ofNoInterface }, addAndDel),
  sbr("other interfaces' addresses do not matter", { prevResult: withAnother }, addAndDel),
  sbr(
    "several addresses have a table each",
    { prevResult: withSecond },
    {
      ...addAndDel,
      ...behind("ip address add 192.168.101.209/24 dev net1\nip route add 10.5.0.0/16 via 192.168.101.5 dev net1"),
    },
  ),
  sbr("a default route where the main table has none", { prevResult: { ...resultOfFour, routes: [] } }, nothingBehind),
  sbr("no gateway", { prevResult: { ...resultOfFour, ips: [{ address: four?.address }], routes: [] } }, nothingBehind),
  sbr(
    "a table that a rule leads to is not taken",
    {},
    { ...addAndDel, ...behind("ip rule add from 10.9.9.9 lookup 100") },
  ),
  sbr(
    "a table that has routes is not taken",
    {},
    {
      ...behind("ip route add 10.8.0.0/16 dev far table 100"),
      steps: ["ADD", "DEL"],
      deviations: [
        saysWhere,
        intended("Tables with routes of others are left alone", {
          rewritten: [[/(: c0 (?:route|rule) .* table) 100\b/, "$1 101"]],
        }),
      ],
    },
  ),
  sbr(
    "a route by way of no subnet of the address",
    {},
    {
      ...behind("ip route add 169.254.1.1 dev net1 scope link\nip route add 10.5.0.0/16 via 169.254.1.1 dev net1"),
      steps: ["ADD", "DEL"],
      deviations: [
        saysWhere,
        intended("No route is lost", {
          ours: /: c0 route type unicast dst 10\.5\.0\.0\/16 gateway 169\.254\.1\.1 dev net1 table 100 /,
        }),
      ],
    },
  ),
  sbr("version 0.3.0", { cniVersion: "0.3.0", prevResult: { ...resultOfFour, cniVersion: "0.3.0" } }, addAndDel),
  sbr(
    "rules of others stay",
    {},
    {
      ...addAndDel,
      ...behind("ip rule add from 192.168.1.0/24 lookup 78\nip rule add to 10.0.0.0/8 lookup 79"),
    },
  ),
  sbr(
    "DEL of an interface that is gone",
    {},
    {
      steps: ["ADD", { verb: "DEL", before: "ip -n $C0 link delete net1" }],
      deviations: [
        saysWhere,
        asRelease191("DEL is content when the interface is gone", {
          go: /2 DEL: (exit 1|code 999|says why)$/,
          ours: [/2 DEL: exit 0$/, /2 DEL: {2}$/],
        }),
        intended("DEL knows the addresses of an interface that is gone", { go: /2 DEL: c0 rule .*192\.168\.1\.209/ }),
      ],
    },
  ),
  sbr("not behind another plugin", { prevResult: undefined }, refused("This plugin must be called as chained plugin")),
  sbr(
    "no addresses",
    { prevResult: { ...resultOfFour, ips: [] } },
    refused("No IP addresses supplied on interface: net1"),
  ),
  sbr(
    "an interface that is not there",
    {},
    { call: { ifName: "net7" }, prepare: "", steps: [{ verb: "ADD", says: "" }], deviations: [configurationCode] },
  ),
  sbr(
    "a namespace that is gone",
    {},
    {
      steps: [{ verb: "ADD", environment: { CNI_NETNS: "/run/twill-no-such-folder/x" }, says: "" }],
      deviations: [environmentCode],
    },
  ),
  sbr(
    "DEL without a namespace",
    {},
    {
      steps: [{ verb: "DEL", environment: { CNI_NETNS: "" } }],
      deviations: [
        intended("DEL succeeds without a namespace", {
          go: /: (exit 1|code 999|says why)$/,
          ours: [/: exit 0$/, /: {2}$/],
        }),
      ],
    },
  ),
];
