// The vlan plugin with host-local behind it. Few rows: each takes half a minute on the complete kernel.
import { configurationCode, failedAddLeavesNothing } from "./deviations.ts";
import { intended, type Json, type Row } from "./row.ts";
import { dual, gosEth0, networkOn, uplink } from "./uplink.ts";

const network = (keys: Json, ipam?: Json | null): Json => networkOn("vlan", { vlanId: 42, ...keys }, ipam);

function vlan(claim: string, conf: Json, { prepare = "", ...more }: Partial<Row> = {}): Row {
  return { name: `vlan: ${claim}`, plugin: "vlan", conf, prepare: `${uplink}${prepare}`, needs: ["vlan"], ...more };
}

export const vlanRows: Row[] = [
  vlan("puts the container into the VLAN", network({}, dual)),
  vlan("a smaller MTU than the master's, and dns", network({ mtu: 1400, dns: { nameservers: ["10.1.0.53"] } }), {
    steps: ["ADD", "CHECK", "DEL"],
  }),
  vlan("DEL without the master gives the address back", network({}), {
    steps: ["ADD", { verb: "DEL", before: "ip link delete uplink" }],
    deviations: [
      intended("DEL does not need the master", {
        go: [/2 DEL: (exit 1|code 999|says why)/, /2 DEL: file .*networks\/net\/10\.1\.0\.2/],
        ours: /2 DEL: (exit 0| )$/,
      }),
    ],
  }),
  vlan("a VLAN that is there already", network({}), {
    prepare: "ip link add link uplink name uplink.42 type vlan id 42",
    steps: [{ verb: "ADD", says: "exists" }],
  }),
  vlan("an IPAM that refuses", network({}, { subnet: "10.1.0.0/31" }), {
    steps: [{ verb: "ADD", says: "too small to allocate from" }],
    deviations: [failedAddLeavesNothing(gosEth0), configurationCode],
  }),
];
