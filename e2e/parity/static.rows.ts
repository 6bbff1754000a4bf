// static called on its own: the same addresses from all sources, and the same refusals.
import { environmentCode } from "./deviations.ts";
import { intended, type Json, type Row } from "./row.ts";

const one = { address: "10.1.0.5/24", gateway: "10.1.0.1" };
const six = { address: "fd00:1::5/64", gateway: "fd00:1::1" };

const network = (ipam: Json, keys: Json = {}): Json => ({
  cniVersion: "1.0.0",
  name: "net",
  type: "bridge",
  ...keys,
  ipam: { type: "static", ...ipam },
});

function staticRow(claim: string, conf: Json, more: Partial<Row> = {}): Row {
  return { name: `static: ${claim}`, plugin: "static", filesOnly: true, conf, steps: ["ADD", "DEL", "DEL"], ...more };
}

const refused = (says: string): Partial<Row> => ({ steps: [{ verb: "ADD", says }, "DEL"] });

const prevResult = (...ips: Json[]): Json => ({ prevResult: { cniVersion: "1.0.0", interfaces: [], ips } });
const check = (keys: Json): Partial<Row> => ({ steps: [{ verb: "CHECK", conf: keys }] });
const stricterCheck = intended("CHECK misses an address that is not there", {
  go: /^\d CHECK: /,
  ours: /^\d CHECK: /,
});

export const staticRows: Row[] = [
  staticRow("the configuration's addresses, routes and dns", {
    ...network({
      addresses: [one, six, { address: "10.2.0.5/16" }],
      routes: [
        { dst: "0.0.0.0/0", gw: "10.1.0.1" },
        { dst: "0.0.0.0/0", gw: "10.1.0.2" },
        { dst: "192.168.0.0/16" },
        { dst: "::/0", gw: "fd00:1::9" },
      ],
      dns: { nameservers: ["192.0.2.53"], domain: "example.org", search: ["example.org"], options: ["ndots:2"] },
    }),
  }),
  staticRow(
    'a key "Address" is another field; "ADDRESS" is "address"',
    network({
      addresses: [{ address: "10.1.0.5/24", Address: {} }, { ADDRESS: "fd00:1::5/64" }],
    }),
  ),
  staticRow("IP of CNI_ARGS adds to the configuration's", network({ addresses: [six] }), {
    call: { args: "IP=10.1.0.9/24;GATEWAY=10.1.0.1" },
  }),
  staticRow("several addresses and gateways in CNI_ARGS find each other", network({ addresses: [one] }), {
    call: { args: "IP=10.2.0.9/24, 10.3.0.9/24,fd00:1::9/64;GATEWAY=10.1.0.7,10.3.0.1,fd00:1::7,10.3.0.2" },
  }),
  staticRow(
    "ips of args.cni stand instead of those",
    network({ addresses: [one] }, { args: { cni: { ips: ["10.7.0.7/16"] } } }),
    {
      call: { args: "IP=10.2.0.9/24" },
    },
  ),
  staticRow(
    "ips of runtimeConfig stand instead of all",
    network(
      { addresses: [one] },
      { args: { cni: { ips: ["10.7.0.7/16"] } }, runtimeConfig: { ips: ["10.8.0.8/16", "fd00:8::8/64"] } },
    ),
    { call: { args: "IP=10.2.0.9/24" } },
  ),
  staticRow("without addresses", network({})),
  ...["0.1.0", "0.2.0", "0.3.0", "0.4.0"].map((cniVersion) =>
    staticRow(
      `version ${cniVersion}`,
      network({ addresses: [one, six], routes: [{ dst: "0.0.0.0/0" }] }, { cniVersion }),
    ),
  ),
  staticRow(
    "two addresses of a family are refused before 0.3.0",
    network({ addresses: [one, { address: "10.2.0.5/24" }] }, { cniVersion: "0.2.0" }),
    refused("CNI version 0.2.0 does not support more than 1 address per family"),
  ),
  staticRow(
    "no ipam",
    { cniVersion: "1.0.0", name: "net", type: "bridge", runtimeConfig: { ips: ["10.1.0.5/24"] } },
    {
      ...refused("IPAM config missing 'ipam' key"),
    },
  ),
  staticRow(
    "an address without prefix length",
    network({ addresses: [{ address: "10.1.0.5" }] }),
    refused("the 'address' field is expected to be in CIDR notation, got: '10.1.0.5'"),
  ),
  staticRow(
    "an entry without address",
    network({ addresses: [{ gateway: "10.1.0.1" }] }),
    refused("the 'address' field is expected to be in CIDR notation, got: ''"),
  ),
  staticRow("a gateway that is none", network({ addresses: [{ ...one, gateway: "x" }] }), refused("")),
  staticRow("an address without prefix length in CNI_ARGS", network({}), {
    call: { args: "IP=10.1.0.5" },
    ...refused("the 'ip' field is expected to be in CIDR notation, got: '10.1.0.5'"),
    deviations: [environmentCode],
  }),
  staticRow("a gateway in CNI_ARGS that is none", network({ addresses: [one] }), {
    call: { args: "GATEWAY=x" },
    ...refused("invalid gateway address: x"),
    deviations: [environmentCode],
  }),
  staticRow(
    "an address without prefix length in args.cni",
    network({}, { args: { cni: { ips: ["10.1.0.5"] } } }),
    refused("an entry in the 'ips' field is NOT in CIDR notation, got: '10.1.0.5'"),
  ),
  staticRow(
    "an address without prefix length in runtimeConfig",
    network({}, { runtimeConfig: { ips: ["10.1.0.5"] } }),
    refused("an entry in the 'ips' field is NOT in CIDR notation, got: '10.1.0.5'"),
  ),
  staticRow("an unknown key in CNI_ARGS", network({ addresses: [one] }), {
    call: { args: "MAC=02:00:00:00:00:01" },
    ...refused("MAC=02:00:00:00:00:01"),
    deviations: [environmentCode],
  }),
  staticRow("CHECK is content with what it gave", network({ addresses: [one, six] }), check(prevResult(one, six))),
  staticRow("CHECK is content with gateways that others gave", network({ addresses: [{ address: one.address }] }), {
    ...check(prevResult(one, { address: "10.9.0.1/24" })),
  }),
  staticRow("CHECK wants the gateway", network({ addresses: [one] }), {
    steps: [
      {
        verb: "CHECK",
        conf: prevResult({ ...one, gateway: "10.1.0.2" }),
        says: "static: Failed to match addr 10.1.0.5 on interface eth0",
      },
    ],
  }),
  staticRow("CHECK wants the address", network({ addresses: [one, six] }), {
    ...check(prevResult(one)),
    deviations: [stricterCheck],
  }),
  staticRow("CHECK wants prevResult", network({ addresses: [one] }), {
    steps: [{ verb: "CHECK", says: "Required prevResult missing" }],
  }),
];
