// The ipvlan plugin with host-local behind it. Few rows: each takes half a minute on the complete kernel.
import { configurationCode, failedAddLeavesNothing } from "./deviations.ts";
import { intended, type Json, type Row } from "./row.ts";
import { defaultRoute, dual, gosEth0, networkOn, uplink, v4 } from "./uplink.ts";

const network = (keys: Json, ipam?: Json | null): Json => networkOn("ipvlan", keys, ipam);

function ipvlan(claim: string, conf: Json, { prepare = "", ...more }: Partial<Row> = {}): Row {
  return {
    name: `ipvlan: ${claim}`,
    plugin: "ipvlan",
    conf,
    prepare: `${uplink}${prepare}`,
    needs: ["ipvlan"],
    ...more,
  };
}

const chained: Json = {
  prevResult: {
    cniVersion: "1.0.0",
    interfaces: [{ name: "uplink" }],
    ips: [{ address: "10.1.0.77/24", gateway: "10.1.0.1" }],
    routes: [{ dst: "0.0.0.0/0" }],
    dns: { nameservers: ["192.0.2.53"] },
  },
};

const mtuIsChecked = intended("An ipvlan's MTU is at most its master's", {
  go: /1 ADD: /,
  ours: /1 ADD: (exit 1|code 7|says)/,
});

export const ipvlanRows: Row[] = [
  ipvlan("has the master's MAC, and addresses of its own", network({}, dual)),
  ipvlan("mode l3, and a default route", network({ mode: "l3" }, { ...v4, routes: [{ dst: "0.0.0.0/0" }] }), {
    steps: ["ADD", "CHECK", "DEL"],
  }),
  ipvlan("chained, it takes interface and addresses of the plugin before", network({ master: undefined }, null), {
    steps: [{ verb: "ADD", conf: chained }, "CHECK", "DEL"],
    deviations: [
      intended("The dns of the IPAM is reported when the configuration has none", { ours: /ADD: dns\./ }),
      intended("CHECK compares the parent, not the default route", {
        go: /2 CHECK: (exit 1|code 999|says why)/,
        ours: /2 CHECK: (exit 0| )$/,
      }),
    ],
  }),
  ipvlan("DEL without master and default route gives the address back", network({ master: undefined }), {
    prepare: defaultRoute,
    steps: ["ADD", { verb: "DEL", before: "ip route delete default", conf: { prevResult: undefined } }],
    deviations: [
      intended("DEL does not need the master", {
        go: [/2 DEL: (exit 1|code 999|says why)/, /2 DEL: file .*networks\/net\/10\.1\.0\.2/, /2 DEL: c0 .*eth0/],
        ours: /2 DEL: (exit 0| )$/,
      }),
    ],
  }),
  ipvlan("an MTU above the master's", network({ mtu: 9000 }), { steps: ["ADD"], deviations: [mtuIsChecked] }),
  ipvlan("an IPAM that refuses", network({}, { subnet: "10.1.0.0/31" }), {
    steps: [{ verb: "ADD", says: "too small to allocate from" }],
    deviations: [failedAddLeavesNothing(gosEth0), configurationCode],
  }),
];
