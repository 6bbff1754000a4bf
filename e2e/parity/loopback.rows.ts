// loopback: lo of the container, whatever CNI_IFNAME says.
import { environmentCode, failedAdd, failedAddLeavesNothing } from "./deviations.ts";
import { intended, type Json, type Row } from "./row.ts";

const ownShape = "loopback's result has the shape of its version";

const network = (keys: Json = {}): Json => ({ cniVersion: "1.0.0", name: "lo-net", type: "loopback", ...keys });

function loopback(claim: string, conf: Json, more: Partial<Row> = {}): Row {
  return { name: `loopback: ${claim}`, plugin: "loopback", conf, call: { ifName: "lo" }, ...more };
}

export const loopbackRows: Row[] = [
  loopback("ADD sets lo up, DEL down", network()),
  loopback("CNI_IFNAME does not matter", network(), { call: { ifName: "eth0" } }),
  loopback("ADD twice", network(), { steps: ["ADD", "ADD", "DEL"] }),
  loopback("addresses that lo has are reported", network(), { prepare: "ip -n $C0 addr add 127.0.0.5/8 dev lo" }),
  loopback("an address on lo that is no loopback address is refused", network(), {
    prepare: "ip -n $C0 addr add 192.0.2.1/32 dev lo",
    steps: [{ verb: "ADD", says: "" }, "DEL"],
    deviations: [
      failedAddLeavesNothing(
        /addr lo family inet local 127\.0\.0\.1/,
        /addr lo family inet6 local ::1/,
        /route type (broadcast|local) dst 127/,
        /route type local dst ::1/,
      ),
      intended(failedAdd, { rewritten: [[/link lo flags LOOPBACK UP/, "link lo flags LOOPBACK"]] }),
    ],
  }),
  loopback(
    "prevResult is passed on",
    network({
      prevResult: {
        cniVersion: "1.0.0",
        interfaces: [{ name: "eth0", sandbox: "/x" }],
        ips: [{ address: "192.0.2.2/24", interface: 0 }],
        dns: { domain: "example.org" },
      },
    }),
    { steps: ["ADD", "CHECK", "DEL"] },
  ),
  loopback("CHECK notices that lo is down", network(), {
    steps: ["ADD", { verb: "CHECK", before: "ip -n $C0 link set lo down", says: "" }],
  }),
  loopback("DEL without a namespace is content", network(), {
    steps: [{ verb: "DEL", environment: { CNI_NETNS: "" } }],
  }),
  loopback("DEL with a namespace that is gone is content", network(), {
    steps: [{ verb: "DEL", environment: { CNI_NETNS: "/run/netns/no-such-namespace" } }],
  }),
  loopback("ADD with a namespace that is gone is refused", network(), {
    steps: [{ verb: "ADD", environment: { CNI_NETNS: "/run/netns/no-such-namespace" }, says: "no-such-namespace" }],
    deviations: [environmentCode],
  }),
  loopback("ADD with a path that is no namespace is refused", network(), {
    steps: [{ verb: "ADD", environment: { CNI_NETNS: "/etc/passwd" }, says: "/etc/passwd" }],
    deviations: [environmentCode],
  }),
  ...["0.1.0", "0.2.0"].map((cniVersion) =>
    loopback(`version ${cniVersion} has ip4 and ip6`, network({ cniVersion }), {
      steps: ["ADD", "DEL"],
      deviations: [
        intended(ownShape, {
          go: [/: interfaces\.0\./, /: ips\.0\./, /: ips\.1\./],
          ours: [/: ip4\.ip 127\.0\.0\.1\/8$/, /: ip6\.ip ::1\/128$/],
        }),
      ],
    }),
  ),
  ...["0.3.0", "0.3.1", "0.4.0"].map((cniVersion) =>
    loopback(`version ${cniVersion} has ips with a version`, network({ cniVersion }), {
      steps: ["ADD", "DEL"],
      deviations: [intended(ownShape, { ours: [/: ips\.0\.version 4$/, /: ips\.1\.version 6$/] })],
    }),
  ),
  loopback("no version is 0.1.0", network({ cniVersion: undefined }), { steps: ["ADD", "DEL"] }),
];
