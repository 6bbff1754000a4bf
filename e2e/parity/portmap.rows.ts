// portmap with iptables, which the old release in Debian has too: the same rules, and each deletes and checks what the other made.
import { configurationCode } from "./deviations.ts";
import { asRelease191, intended, type Json, type Row, type Step } from "./row.ts";

const tcp = (hostPort: number, containerPort = 80, more: Json = {}): Json => ({
  hostPort,
  containerPort,
  protocol: "tcp",
  ...more,
});
const udp = (hostPort: number, containerPort = 53, more: Json = {}): Json => ({
  ...tcp(hostPort, containerPort, more),
  protocol: "udp",
});

const v4 = { address: "10.1.0.5/24" };
const v6 = { address: "fd00:1::5/64" };
const result = (...ips: Json[]): Json => ({ cniVersion: "1.0.0", interfaces: [], ips });

function network(portMappings: readonly Json[], keys: Json = {}): Json {
  const base = { cniVersion: "1.0.0", name: "net", type: "portmap", backend: "iptables" };
  return { ...base, runtimeConfig: { portMappings }, prevResult: result(v4), ...keys };
}

function portmap(claim: string, conf: Json, more: Partial<Row> = {}): Row {
  return { name: `portmap: ${claim}`, plugin: "portmap", conf, ...more };
}

const refused = (says: string): Partial<Row> => ({ steps: [{ verb: "ADD", says }], deviations: [configurationCode] });

/** The way to the container, whose interface gets `route_localnet`. */
const prepare = "ip link add br0 type bridge && ip addr add 10.1.0.1/24 dev br0 && ip link set br0 up";

const all = [
  tcp(8080),
  tcp(8081),
  udp(8080, 81),
  udp(8082, 82),
  tcp(8083, 83, { hostIP: "192.168.0.2" }),
  tcp(8084, 84, { hostIP: "0.0.0.0" }),
  tcp(8085, 85, { hostIP: "2001:db8:a::1" }),
  tcp(8086, 86, { hostIP: "::" }),
];

/** It looks for rules of the family that the container does not have, and for those of one family in the other. */
export const checkOfOneFamily = asRelease191("CHECK looks at the families that the container has", {
  go: [/ CHECK: exit 1/, / CHECK: code 999/, / CHECK: says why/],
  ours: [/ CHECK: exit 0/, / CHECK: {2}$/],
});

/** `nft list` words ports and marks otherwise then; iptables has the same words for both. */
export const anyReleasesWords = intended("iptables: rules are written so that every release reads them", {
  go: /: host nft table ip6? nat chain CNI-/,
  ours: /: host nft table ip6? nat chain CNI-/,
});

export const looksMakeNoTables = intended("DEL makes no tables", { go: /(DEL|CHECK): host ip6?tables -t nat -P / });

const delAlways = intended("DEL needs no portMappings", { go: /DEL: host (nft|iptables) / });
const replaced = intended("An ADD replaces what the container had", {
  go: /2 ADD: host iptables /,
  ours: /2 ADD: host iptables /,
});

const twoContainers: Step[] = [
  "ADD",
  {
    verb: "ADD",
    container: 1,
    conf: { prevResult: result({ address: "10.1.0.6/24" }), runtimeConfig: { portMappings: [tcp(9090)] } },
  },
  "CHECK",
  "DEL",
  {
    verb: "CHECK",
    container: 1,
    conf: { prevResult: result({ address: "10.1.0.6/24" }), runtimeConfig: { portMappings: [tcp(9090)] } },
  },
  { verb: "DEL", container: 1, conf: { runtimeConfig: { portMappings: [tcp(9090)] } } },
];

export const portmapRows: Row[] = [
  portmap("without ports the result is passed on", network([])),
  portmap("a port, for all and for a single address", network([tcp(8080), tcp(8080, 81, { hostIP: "192.0.2.1" })]), {
    prepare,
  }),
  portmap("all kinds of mappings in IPv4", network(all), { prepare }),
  portmap("all kinds of mappings in IPv6", network(all, { prevResult: result(v6) })),
  portmap("all kinds of mappings in both families", network(all, { prevResult: result(v4, v6) }), {
    prepare,
  }),
  portmap("more ports than one match can have", network(Array.from({ length: 33 }, (_, i) => tcp(8000 + 2 * i)))),
  portmap("sctp", network([{ ...tcp(9), protocol: "sctp" }])),
];

/** masqAll is not among them: release 1.1.1 does not have it. */
export const portmapKeyRows: Row[] = [
  portmap("snat off", network([tcp(8080)], { snat: false }), { prepare }),
  portmap("another bit", network([tcp(8080)], { markMasqBit: 5 })),
  portmap("a chain of somebody else sets the mark", network([tcp(8080)], { externalSetMarkChain: "MARK-IT" }), {
    prepare: "iptables -t nat -N MARK-IT",
  }),
  portmap(
    "conditions about addresses and interfaces",
    network([tcp(8080), udp(53)], { conditionsV4: ["!", "-s", "192.0.2.0/24", "-i", "up0"] }),
  ),
  portmap(
    "conditions that only iptables knows",
    network([tcp(8080)], { conditionsV4: ["-m", "length", "--length", "0:1000"] }),
  ),
  portmap(
    "the first address that is not another interface's",
    network([tcp(8080)], {
      prevResult: {
        cniVersion: "1.0.0",
        interfaces: [{ name: "br0" }, { name: "eth0", sandbox: "/somewhere" }, { name: "net1", sandbox: "/somewhere" }],
        ips: [
          { address: "10.9.0.1/24", interface: 0 },
          { address: "10.9.0.2/24", interface: 2 },
          { address: "10.1.0.5/24", interface: 1 },
          { address: "10.1.0.6/24", interface: 1 },
        ],
      },
    }),
  ),
];

export const portmapVerbRows: Row[] = [
  portmap("two containers", network([tcp(8080), udp(53)]), { steps: twoContainers }),
  portmap("DEL without ports", network([tcp(8080)]), {
    steps: ["ADD", { verb: "DEL", conf: { runtimeConfig: {} } }],
    deviations: [delAlways],
  }),
  portmap("an ADD with other ports", network([tcp(8080)]), {
    steps: ["ADD", { verb: "ADD", conf: { runtimeConfig: { portMappings: [tcp(8081)] } } }],
    deviations: [replaced],
  }),
  portmap("a host port of 0", network([tcp(0)]), refused("Invalid host port number: 0")),
  portmap("a container port of 0", network([tcp(80, 0)]), refused("Invalid container port number: 0")),
  portmap("a bit too high", network([tcp(80)], { markMasqBit: 32 }), refused("MasqMarkBit must be between 0 and 31")),
  portmap(
    "a bit and a chain",
    network([tcp(80)], { markMasqBit: 1, externalSetMarkChain: "X" }),
    refused("Cannot specify externalSetMarkChain and markMasqBit"),
  ),
  portmap("not chained", network([tcp(80)], { prevResult: undefined }), refused("must be called as chained plugin")),
];
