import t from "tap";
import { type Prefix, parseAddress, parsePrefix } from "../../ip/address.ts";
import type { Family } from "../family.ts";
import { ruleWords } from "../iptables/canonical.ts";
import { entriesOf, entryComment, ownerIn, portRules } from "./iptables-rules.ts";
import type { MappingSet, PortMapping, Protocol } from "./port-mapping.ts";

const mapping = (
  protocol: Protocol,
  hostPort: number,
  containerPort: number,
  hostIp?: string,
  family?: Family,
): PortMapping => {
  return { protocol, hostPort, containerPort, hostIp: hostIp === undefined ? undefined : parseAddress(hostIp), family };
};
const mappings = [
  mapping("tcp", 8080, 80),
  mapping("udp", 8080, 81),
  mapping("tcp", 8083, 83, "192.168.0.2", "ip"),
  mapping("tcp", 8084, 84, undefined, "ip"),
  mapping("tcp", 8085, 85, "2001:db8:a::1", "ip6"),
];
const mappingSet = (family: Family, container: string, keys: Partial<MappingSet> = {}): MappingSet => ({
  owner: { network: "test", containerId: "c", ifName: "eth0" },
  family,
  container: parsePrefix(container) as Prefix,
  mappings,
  snat: true,
  masqAll: false,
  mark: 0x2000,
  externalSetMarkChain: undefined,
  conditions: [],
  ...keys,
});
const printed = (one: MappingSet) => portRules(one).map((rule) => ruleWords(one.family, rule).join(" "));

t.test("each mapping has its marks before its translation", async (t) => {
  t.strictSame(printed(mappingSet("ip", "10.0.0.2/24")).slice(0, 9), [
    "-s 10.0.0.0/24 -p tcp -m tcp --dport 8080 -j CNI-HOSTPORT-SETMARK",
    "-s 127.0.0.1/32 -p tcp -m tcp --dport 8080 -j CNI-HOSTPORT-SETMARK",
    "-p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.0.0.2:80",
    "-s 10.0.0.0/24 -p udp -m udp --dport 8080 -j CNI-HOSTPORT-SETMARK",
    "-s 127.0.0.1/32 -p udp -m udp --dport 8080 -j CNI-HOSTPORT-SETMARK",
    "-p udp -m udp --dport 8080 -j DNAT --to-destination 10.0.0.2:81",
    "-s 10.0.0.0/24 -d 192.168.0.2/32 -p tcp -m tcp --dport 8083 -j CNI-HOSTPORT-SETMARK",
    "-s 127.0.0.1/32 -d 192.168.0.2/32 -p tcp -m tcp --dport 8083 -j CNI-HOSTPORT-SETMARK",
    "-d 192.168.0.2/32 -p tcp -m tcp --dport 8083 -j DNAT --to-destination 10.0.0.2:83",
  ]);
  t.strictSame(printed(mappingSet("ip6", "2001:db8::2/64", { masqAll: true })).slice(-2), [
    "-d 2001:db8:a::1/128 -p tcp -m tcp --dport 8085 -j CNI-HOSTPORT-SETMARK",
    "-d 2001:db8:a::1/128 -p tcp -m tcp --dport 8085 -j DNAT --to-destination [2001:db8::2]:85",
  ]);
  t.strictSame(printed(mappingSet("ip6", "2001:db8::2/64", { snat: false })).length, 3);
});

t.test("entries have the ports of both families, by protocol, 15 each", async (t) => {
  const entries = entriesOf(mappingSet("ip", "10.0.0.2/24", { conditions: ["-s", "192.0.2.0/24"] }));
  t.strictSame(
    entries.map(({ rule }) =>
      ruleWords("ip", rule)
        .join(" ")
        .replace(/ -j .*/, ""),
    ),
    [
      '-s 192.0.2.0/24 -p tcp -m comment --comment "dnat name: \\"test\\" id: \\"c\\"" -m multiport --dports 8080,8083,8084,8085',
      '-s 192.0.2.0/24 -p udp -m comment --comment "dnat name: \\"test\\" id: \\"c\\"" -m multiport --dports 8080',
    ],
  );
  const many = Array.from({ length: 31 }, (_, i) => mapping("tcp", 1000 + i, 80));
  t.strictSame(
    entriesOf(mappingSet("ip", "10.0.0.2/24", { mappings: many })).map(({ ports }) => ports.length),
    [15, 15, 1],
  );
});

t.test("a comment tells whose it is, unless it had to be cut", async (t) => {
  t.strictSame(ownerIn(entryComment({ network: 'a "b', containerId: "3f2a" })), {
    network: 'a "b',
    containerId: "3f2a",
  });
  const long = entryComment({ network: "n".repeat(200), containerId: "c".repeat(64) });
  t.equal(long.length, 255);
  t.equal(ownerIn(long), undefined);
});
