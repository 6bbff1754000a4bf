// Port mappings on a fake kernel: what an ADD and a DEL make of what is there, with refusals and with others who change the rules meanwhile.
import t from "tap";
import { type Address, type Prefix, parsePrefix } from "../../ip/address.ts";
import { difference } from "../../netlink/fake/difference.testing.ts";
import type { FakeNetfilter } from "../../netlink/fake/netfilter.testing.ts";
import { NFPROTO_IPV4 } from "../../netlink/nftables/header.ts";
import { randomFrom, testSeed } from "../../sys/random.testing.ts";
import type { RuleBackend } from "../backend.ts";
import {
  differenceBy,
  disturbedOnce,
  kernelWith,
  leftByRefusal,
  refusedOnce,
  thrownBy,
  type Work,
} from "../cases.testing.ts";
import { compatFor, encodeRule } from "../iptables/encode.ts";
import { usesLegacy } from "../iptables/host.ts";
import type { Rule } from "../iptables/rule.ts";
import { encodeAddress } from "../nftables/match.ts";
import {
  deleteRule,
  deleteTable,
  findRules,
  flushChain,
  handleOf,
  newChain,
  newRule,
  newTable,
} from "../nftables/ruleset.ts";
import { addElements, deleteElements } from "../nftables/set.ts";
import { commit } from "../nftables/transaction.ts";
import { ACCEPT } from "../nftables/verdict.ts";
import { portChain, portRules } from "./iptables-rules.ts";
import { isInUse, TABLES } from "./nftables-table.ts";
import type { MappingSet, PortMapping, Protocol } from "./port-mapping.ts";
import { addPortMappings, deletePortMappings, deviationOf, gcPortMappings, restorePortMappings } from "./portmap.ts";

const owner = (containerId: string, network = "podnet", ifName = "eth0") => ({ network, containerId, ifName });
type Owner = ReturnType<typeof owner>;

const prefix = (text: string): Prefix => {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new Error(text);
  return parsed;
};

/** Returns a mapping such as `8080:80/tcp` or `192.0.2.1:53:53/udp`. */
function mapping(text: string): PortMapping {
  const [, hostIp, hostPort, containerPort, protocol] = /^(?:([\d.]+):)?(\d+):(\d+)\/(\w+)$/.exec(text) ?? [];
  const address: Address | undefined = hostIp === undefined ? undefined : prefix(`${hostIp}/32`).address;
  return {
    protocol: protocol as Protocol,
    hostPort: Number(hostPort),
    containerPort: Number(containerPort),
    hostIp: address,
    family: address === undefined ? undefined : "ip",
  };
}

const mappingSet = (
  owner: Owner,
  address: string,
  mappings: readonly string[],
  more: Partial<MappingSet> = {},
): MappingSet => ({
  owner,
  family: address.includes(":") ? "ip6" : "ip",
  container: prefix(address),
  mappings: mappings.map(mapping),
  snat: true,
  masqAll: false,
  mark: 0x2000,
  externalSetMarkChain: undefined,
  conditions: [],
  ...more,
});

const [web, dns, db] = [
  mappingSet(owner("web"), "10.22.0.5/16", ["8080:80/tcp", "8443:443/tcp"]),
  mappingSet(owner("dns"), "10.22.0.6/16", ["192.0.2.1:53:53/udp", "53:53/tcp"]),
  mappingSet(owner("db"), "10.23.0.7/24", ["5432:5432/tcp"]),
];
const web6 = mappingSet(owner("web"), "fd00::5/64", ["8080:80/tcp", "8443:443/tcp"]);

const add =
  (backend: RuleBackend, ...sets: readonly MappingSet[]): Work =>
  (netfilter) =>
    addPortMappings(() => netfilter, backend, sets);
const remove =
  ({ owner, container }: MappingSet): Work =>
  (netfilter) =>
    deletePortMappings(owner, [container], { legacy: false }, netfilter);
const publish = (...sets: readonly MappingSet[]) => add("nftables", ...sets);

const TABLE = { family: NFPROTO_IPV4, table: "twill_hostport" };
const chain = (name: string) => ({ ...TABLE, chain: name });
const foreign = { family: NFPROTO_IPV4, table: "theirs" };

t.test("the table of one container", async (t) => {
  t.equal(
    kernelWith(publish(dns)).text(),
    `table ip twill_hostport {
  map hostports { type inet_proto . inet_service : ipv4_addr . inet_service
    tcp . 53 : 10.22.0.6 . 53 comment "id: dns, if: eth0, net: podnet"
  }
  map hostip_hostports { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service
    192.0.2.1 . udp . 53 : 10.22.0.6 . 53 comment "id: dns, if: eth0, net: podnet"
  }
  set hairpin { type ipv4_addr
    10.22.0.6 comment "id: dns, if: eth0, net: podnet"
  }
  set masquerade_all { type ipv4_addr
  }
  chain conditional {
  }
  chain lookup {
    meta mark set meta mark & 0xffffdfff ^ 0x2000 comment "mark 0x2000"
    jump conditional
    dnat to ip daddr . meta l4proto . th dport map @hostip_hostports
    dnat to meta l4proto . th dport map @hostports
    meta mark set meta mark & 0xffffdfff
  }
  chain prerouting { type nat hook prerouting priority -99; policy accept;
    fib daddr type local goto lookup comment "mark 0x2000"
  }
  chain output { type nat hook output priority -99; policy accept;
    fib daddr type local goto lookup comment "mark 0x2000"
  }
  chain masquerading { type nat hook postrouting priority 100; policy accept;
    meta mark & 0x2000 != 0x2000 return comment "mark 0x2000"
    ip daddr @masquerade_all masquerade
    ip daddr != @hairpin return
    ip saddr 127.0.0.0/8 masquerade
    ip saddr 10.22.0.0/16 ip daddr 10.22.0.0/16 masquerade comment "within 10.22.0.0/16"
  }
  chain hostports-fa98a27bbcc17b2e-RECORD {
    ip daddr 10.22.0.6 comment "id: dns, if: eth0, net: podnet"
    ip daddr 10.22.0.6 comment "192.0.2.1 udp 53"
    ip daddr 10.22.0.6 comment "tcp 53"
  }
}
`.replace("RECORD", /hostports-\w+-(\w+)/.exec(kernelWith(publish(dns)).text())?.[1] ?? ""),
  );
});

const ofWeb = 'comment "id: web, if: eth0, net: podnet"';
/** The lines that an ADD of `web` adds to a complete table. */
const webLines = [
  `+ tcp . 8080 : 10.22.0.5 . 80 ${ofWeb}`,
  `+ tcp . 8443 : 10.22.0.5 . 443 ${ofWeb}`,
  `+ 10.22.0.5 ${ofWeb}`,
  "+ chain RECORD {",
  `+ ip daddr 10.22.0.5 ${ofWeb}`,
  '+ ip daddr 10.22.0.5 comment "tcp 8080,8443"',
  "+ }",
];
const named = (lines: readonly string[]) =>
  lines.map((line) => line.replace(/hostports-[0-9a-f]+-[0-9a-f]+/, "RECORD"));
const reversed = (lines: readonly string[]) => lines.map((line) => line.replace("+", "-"));

const flushed: Work = (netfilter) => commit(netfilter, [flushChain(chain("lookup"))]);
const withoutElement: Work = (netfilter) =>
  commit(
    netfilter,
    deleteElements({ ...TABLE, set: "hostports" }, [Uint8Array.of(6, 0, 0, 0, 8080 >> 8, 8080 & 255, 0, 0)]),
  );
const foreignRule: Work = (netfilter) =>
  commit(netfilter, [newRule(chain("lookup"), { expressions: ACCEPT, at: "first" })]);
const upstreamRule =
  (containerId: string): Work =>
  (netfilter) =>
    commit(netfilter, [
      newTable({ family: NFPROTO_IPV4, table: "cni_hostport" }),
      newChain({ family: NFPROTO_IPV4, table: "cni_hostport", chain: "hostports" }),
      newRule(
        { family: NFPROTO_IPV4, table: "cni_hostport", chain: "hostports" },
        { expressions: encodeAddress("destination", prefix("10.22.0.5/32")), comment: containerId },
      ),
    ]);

const takeover = mappingSet(owner("new"), "10.22.0.5/16", ["8080:80/tcp"]);
const cases: [claim: string, before: Work[], work: Work, expected: string[] | RegExp][] = [
  ["a second container is elements and a record", [publish(dns)], publish(web), webLines],
  ["the same again changes nothing", [publish(web)], publish(web), []],
  [
    "another network's first container adds the rule of its network",
    [publish(web)],
    publish(db),
    [
      '+ tcp . 5432 : 10.23.0.7 . 5432 comment "id: db, if: eth0, net: podnet"',
      '+ 10.23.0.7 comment "id: db, if: eth0, net: podnet"',
      '+ ip saddr 10.23.0.0/24 ip daddr 10.23.0.0/24 masquerade comment "within 10.23.0.0/24"',
      "+ chain RECORD {",
      '+ ip daddr 10.23.0.7 comment "id: db, if: eth0, net: podnet"',
      '+ ip daddr 10.23.0.7 comment "tcp 5432"',
      "+ }",
    ],
  ],
  [
    "other ports replace the earlier ones",
    [publish(web)],
    publish({ ...web, mappings: [mapping("9000:80/tcp")] }),
    [
      `- tcp . 8080 : 10.22.0.5 . 80 ${ofWeb}`,
      `- tcp . 8443 : 10.22.0.5 . 443 ${ofWeb}`,
      '- ip daddr 10.22.0.5 comment "tcp 8080,8443"',
      `+ tcp . 9000 : 10.22.0.5 . 80 ${ofWeb}`,
      '+ ip daddr 10.22.0.5 comment "tcp 9000"',
    ],
  ],
  [
    "masqAll moves the address to the other set",
    [publish(web)],
    publish({ ...web, masqAll: true }),
    [
      // the same line in another set: neither gone nor new
    ],
  ],
  [
    "without snat no set has the address",
    [publish(dns)],
    publish({ ...web, snat: false }),
    webLines.filter((line) => line !== `+ 10.22.0.5 ${ofWeb}`),
  ],
  [
    "a port that another container has is refused",
    [publish(web)],
    publish(mappingSet(owner("other"), "10.22.0.9/16", ["8080:80/tcp"])),
    /port 8080\/tcp is held by container web/,
  ],
  [
    "a port of a container whose address is this one's now is taken over, with all that it had",
    [publish(web)],
    publish(takeover),
    [
      ...reversed(webLines.filter((line) => line !== "+ }")),
      "+ chain RECORD {",
      '+ tcp . 8080 : 10.22.0.5 . 80 comment "id: new, if: eth0, net: podnet"',
      '+ 10.22.0.5 comment "id: new, if: eth0, net: podnet"',
      '+ ip daddr 10.22.0.5 comment "id: new, if: eth0, net: podnet"',
      '+ ip daddr 10.22.0.5 comment "tcp 8080"',
    ],
  ],
  [
    "a port that the container has in another network stays there",
    [publish(web)],
    publish({ ...mappingSet(owner("web", "other"), "10.9.0.5/16", ["8080:80/tcp", "9000:90/tcp"]), snat: false }),
    [
      '+ tcp . 9000 : 10.9.0.5 . 90 comment "id: web, if: eth0, net: other"',
      "+ chain RECORD {",
      '+ ip daddr 10.9.0.5 comment "id: web, if: eth0, net: other"',
      '+ ip daddr 10.9.0.5 comment "tcp 9000"',
      "+ }",
    ],
  ],
  [
    "the same port of another address of the host is another port",
    [publish(dns)],
    publish({ ...mappingSet(owner("two"), "10.22.0.8/16", ["192.0.2.2:53:53/udp"]), snat: false }),
    [
      '+ 192.0.2.2 . udp . 53 : 10.22.0.8 . 53 comment "id: two, if: eth0, net: podnet"',
      "+ chain RECORD {",
      '+ ip daddr 10.22.0.8 comment "id: two, if: eth0, net: podnet"',
      '+ ip daddr 10.22.0.8 comment "192.0.2.1 udp 53"'.replace("192.0.2.1", "192.0.2.2"),
      "+ }",
    ],
  ],
  [
    "a rule that somebody put into the lookup goes with the next ADD",
    [publish(dns), foreignRule],
    publish(web),
    ["- accept", ...webLines],
  ],
  [
    "rules of the reference plugin for something else stay",
    [publish(dns), upstreamRule("web")],
    publish(web),
    webLines,
  ],
  [
    "an ADD puts back an element of its own that somebody deleted",
    [publish(dns), publish(web), withoutElement],
    publish(web),
    [`+ tcp . 8080 : 10.22.0.5 . 80 ${ofWeb}`],
  ],
  ["DEL deletes what the ADD made", [publish(dns), publish(web)], remove(web), reversed(webLines)],
  ["DEL of a container without ports changes nothing", [publish(dns)], remove(web), []],
  ["DEL on an empty host changes nothing", [], remove(web), []],
  [
    "DEL deletes the rest when an element is gone",
    [publish(dns), publish(web), withoutElement],
    remove(web),
    reversed(webLines.filter((line) => !line.includes(". 8080"))),
  ],
  ["DEL after the lookup was flushed", [publish(dns), publish(web), flushed], remove(web), reversed(webLines)],
];

for (const [claim, before, work, expected] of cases) {
  t.test(claim, async (t) => {
    const kernel = kernelWith(...before);
    if (expected instanceof RegExp) {
      const text = kernel.text();
      t.match(
        thrownBy(() => work(kernel.connect())),
        expected,
      );
      t.equal(kernel.text(), text, "nothing is changed");
    } else {
      t.strictSame(named(differenceBy(kernel, work)).sort(), [...expected].sort());
    }
  });
}

t.test("a complete table costs an ADD one read of each chain and one batch", async (t) => {
  const kernel = kernelWith(publish(dns));
  kernel.sent.length = 0;
  publish(web)(kernel.connect());
  const kinds = kernel.sent.map(({ name }) => name);
  t.equal(kinds.filter((name) => name.startsWith("NFT_MSG_NEW") || name.startsWith("NFT_MSG_DEL")).length, 5);
  t.notOk(kinds.includes("NFT_MSG_DELRULE"));
});

t.test("CHECK finds what is missing, and a reload puts it back", async (t) => {
  const complete = kernelWith(publish(web), publish(dns)).text();
  const damages: [Work, RegExp][] = [
    [flushed, /chains or rules of table ip twill_hostport are missing/],
    [withoutElement, /host port 8080\/tcp does not lead to the container/],
    [
      (netfilter) => commit(netfilter, deleteElements({ ...TABLE, set: "hairpin" }, [web.container.address])),
      /set hairpin .* lacks the container's address/,
    ],
    [remove(web), /chain hostports-\S+ of table ip twill_hostport is missing/],
    [(netfilter) => commit(netfilter, [deleteTable(TABLE)]), /are missing/],
  ];
  for (const [damage, message] of damages) {
    const kernel = kernelWith(publish(web), publish(dns), damage);
    const netfilter = () => kernel.connect();
    t.match(deviationOf(netfilter, "nftables", [web]), message);
    for (const set of [web, dns]) restorePortMappings(netfilter, "nftables", [set]);
    t.equal(deviationOf(netfilter, "nftables", [web]), undefined);
    t.strictSame(difference(complete, kernel.text()), [], `${message}`);
  }
});

const skip = usesLegacy("ip") || usesLegacy("ip6") ? "the host's iptables is the legacy variant" : false;

// --- Many ports --------------------------------------------------------------------------------------------------------------------------

/** Half of them for one address of the host, so that either map has many. */
const many = Array.from({ length: 160 }, (_, i) => {
  return `${i % 2 ? "" : "192.0.2.1:"}${9000 + i}:${80 + i}/${i % 3 ? "udp" : "tcp"}`;
});
const wide = mappingSet(owner("wide"), "10.22.0.5/16", many);
const key = (port: number, protocol = 6) => Uint8Array.of(protocol, 0, 0, 0, port >> 8, port & 255, 0, 0);
const elementOf = (port: number, comment: string, containerPort: number): Work => {
  const place = { ...TABLE, set: "hostports" };
  const data = Uint8Array.of(10, 22, 0, 5, containerPort >> 8, containerPort & 255, 0, 0);
  return (netfilter) =>
    commit(netfilter, [
      ...deleteElements(place, [key(port)]),
      ...addElements(place, [{ key: key(port), data }], { comment }),
    ]);
};

t.test("many ports in nftables are read at once, and one of them that is wrong is found", async (t) => {
  const complete = kernelWith(publish(dns, wide)).text();
  const kernel = kernelWith(publish(dns, wide));
  kernel.sent.length = 0;
  const netfilter = () => kernel.connect();
  publish(wide)(netfilter());
  t.equal(kernel.text(), complete);
  t.equal(deviationOf(netfilter, "nftables", [wide]), undefined);
  const names = kernel.sent.map(({ name }) => name);
  t.ok(names.filter((name) => name === "NFT_MSG_GETSETELEM").length < 12, `${names.length} requests`);
  t.notOk(
    names.some((name) => /NEW|DEL/.test(name)),
    "nothing is replaced",
  );

  const ofWide = "id: wide, if: eth0, net: podnet";
  const damages: [claim: string, Work, RegExp | undefined][] = [
    [
      "no element",
      (netfilter) => commit(netfilter, deleteElements({ ...TABLE, set: "hostports" }, [key(9051)])),
      /9051/,
    ],
    ["another container's port", elementOf(9051, ofWide.replace("wide", "else"), 9999), /9051/],
    ["another comment", elementOf(9051, ofWide.replace("eth0", "net1"), 131), undefined],
  ];
  for (const [claim, damage, message] of damages) {
    const damaged = kernelWith(publish(dns, wide), damage);
    const netfilter = () => damaged.connect();
    if (message === undefined) t.equal(deviationOf(netfilter, "nftables", [wide]), undefined, claim);
    else t.match(deviationOf(netfilter, "nftables", [wide]), message, claim);
  }
  const repaired = kernelWith(publish(dns, wide), damages[0]?.[1] as Work, publish(wide));
  t.strictSame(difference(complete, repaired.text()), []);
});

t.test("many ports of a container that is gone are taken over at once", async (t) => {
  const next = { ...wide, owner: owner("next") };
  const kernel = kernelWith(publish(dns, wide), publish(next));
  t.strictSame(difference(kernelWith(publish(dns, next)).text(), kernel.text()), []);
  const refused = kernelWith(publish(dns, next));
  const living = { ...wide, container: prefix("10.22.0.9/16") };
  t.match(
    thrownBy(() => publish(living)(refused.connect())),
    /port \S+ is held by container next of network podnet/,
  );
});

t.test(
  "ports in iptables: each rule that is wrong is found, and the same again changes nothing",
  { skip },
  async (t) => {
    const some = { ...wide, mappings: wide.mappings.slice(0, 24) }; // the fake kernel reads all rules for each of them
    const complete = kernelWith(add("iptables", some)).text();
    const chain = { family: NFPROTO_IPV4, table: "nat", chain: portChain("ip", some.owner).chain };
    /** Replaces a rule by one with the same conditions and other ports. */
    const replaced =
      (at: number, ports: string): Work =>
      (netfilter) => {
        const rule = portRules({ ...some, mappings: [mapping(ports)] }).at(at % 3) as Rule;
        commit(netfilter, [
          newRule(chain, {
            expressions: encodeRule("ip", rule),
            compat: compatFor(rule),
            at: { before: handleOf(findRules(netfilter, chain)[at] as Uint8Array) },
          }),
          deleteRule(chain, handleOf(findRules(netfilter, chain)[at] as Uint8Array)),
        ]);
      };
    const lacks = /chain CNI-DN-\w+ of iptables lacks rule .*--dport 9011/;
    const damages: [claim: string, Work, RegExp | undefined][] = [
      ["nothing", () => {}, undefined],
      ["a mark for another port", replaced(3 * 11, "9999:91/udp"), lacks],
      ["another port in the container", replaced(3 * 11 + 2, "9011:92/udp"), lacks],
      ["another port of the host", replaced(3 * 11 + 2, "9999:91/udp"), lacks],
      ["another protocol", replaced(3 * 11 + 2, "9011:91/tcp"), lacks],
      ["another address of the host", replaced(3 * 11 + 2, "192.0.2.1:9011:91/udp"), lacks],
      [
        "another address of the container",
        add("iptables", { ...some, container: prefix("10.22.0.9/16") }),
        /lacks rule/,
      ],
    ];
    for (const [claim, damage, message] of damages) {
      const kernel = kernelWith(add("iptables", some), damage);
      const netfilter = () => kernel.connect();
      const found = deviationOf(netfilter, "iptables", [some]);
      if (message === undefined) t.equal(found, undefined, claim);
      else t.match(found, message, claim);
      add("iptables", some)(netfilter());
      t.strictSame(difference(complete, kernel.text()), [], claim);
    }
  },
);

// --- Several backends ---------------------------------------------------------------------------------------------------------------------

t.test("DEL and GC: what is refused to one backend keeps no other's rules", { skip }, async (t) => {
  const parts = [/id: web, if: eth0/, /"?name: ."net|CNI-DN-/, /comment "web"/];
  const all = () => kernelWith(publish(web), add("iptables", web), upstreamRule("web"));
  t.strictSame(leftByRefusal(all, remove(web), parts), []);
  const collect: Work = (netfilter) => gcPortMappings("podnet", [], netfilter);
  t.strictSame(leftByRefusal(all, collect, parts.slice(0, 2)), []);
});

t.test("without the reference plugin's form, its mappings of the container stay", { skip }, async (t) => {
  const kernel = kernelWith(publish(web), upstreamRule("web"));
  deletePortMappings(web.owner, [], { legacy: false, upstream: false }, kernel.connect());
  t.match(kernel.text(), 'comment "web"');
  t.notMatch(kernel.text(), "id: web");
});

t.test("the table is in use while an attachment or somebody else has something in it", { skip }, async (t) => {
  const isUsed = (...works: Work[]) => isInUse(kernelWith(...works).connect(), TABLES.ip);
  const rule = newRule(chain("prerouting"), { expressions: ACCEPT, comment: "mine" });
  t.equal(isUsed(publish(web), remove(web)), false);
  t.equal(isUsed(publish(web)), true);
  t.equal(isUsed(publish({ ...web, conditions: ["iifname eth0"] })), true);
  t.equal(
    isUsed(publish(web), remove(web), (netfilter) => commit(netfilter, [rule])),
    true,
  );
  t.equal(
    isUsed(publish(web), remove(web), (netfilter) => commit(netfilter, [newChain(chain("mine"))])),
    true,
  );
});

for (const backend of ["nftables", "iptables"] as const) {
  t.test(`${backend}: ADD, then DEL, leave what was there`, { skip }, async (t) => {
    const before: [string, Work[]][] = [
      ["another container", [add(backend, dns)]],
      ["others of both families", [add(backend, dns), add(backend, { ...web6, owner: owner("six") })]],
      ["both backends", [add("nftables", dns), add("iptables", dns)]],
      ["foreign rules", [add(backend, dns), (netfilter) => commit(netfilter, theirs)]],
    ];
    for (const [what, works] of before) {
      const kernel = kernelWith(...works, add(backend, web, web6), remove(web)); // the table of IPv6 stays, and the network's rule
      const text = kernel.text();
      add(backend, web, web6)(kernel.connect());
      t.not(kernel.text(), text);
      remove(web)(kernel.connect());
      t.equal(kernel.text(), text, what);
    }
  });

  t.test(`${backend}: ADD twice is ADD once`, { skip }, async (t) => {
    const once = kernelWith(add(backend, dns), add(backend, web, web6)).text();
    t.equal(kernelWith(add(backend, dns), add(backend, web, web6), add(backend, web, web6)).text(), once);
  });

  t.test(`${backend}: a refusal is reported and changes nothing, whichever request it meets`, { skip }, async (t) => {
    const others = () => kernelWith(add(backend, dns));
    t.strictSame(
      refusedOnce(() => kernelWith(), add(backend, web)),
      [],
    );
    t.strictSame(refusedOnce(others, add(backend, web)), []);
  });

  t.test(`${backend}: what others do meanwhile is kept`, { skip }, async (t) => {
    const theirTable: Work = (netfilter) => commit(netfilter, theirs);
    const theirAdd = add(backend, dns);
    const starts: [string, Work[]][] = [
      ["an empty host", []],
      ["a host with another container", [add(backend, db)]],
      ["a host with the same container", [add(backend, db), add(backend, web)]],
    ];
    for (const [what, start] of starts) {
      for (const [who, change] of [
        ["a table of somebody else", theirTable],
        ...(backend === "nftables" ? ([["another ADD", theirAdd]] as const) : []), // with iptables a lock keeps it out
      ] as const) {
        const expected = kernelWith(...start, add(backend, web), change).text();
        const found = disturbedOnce(() => kernelWith(...start), add(backend, web), change, expected);
        t.strictSame(found, [], `${what}, ${who}`);
      }
    }
  });

  t.test(`${backend}: a DEL beside others' changes`, { skip }, async (t) => {
    const start = () => kernelWith(add(backend, db), add(backend, web), add(backend, dns));
    for (const [who, change] of [
      [
        "another ADD",
        add(backend, {
          ...web,
          owner: owner("late"),
          container: prefix("10.22.0.77/16"),
          mappings: [mapping("99:99/tcp")],
        }),
      ],
      ["another DEL", remove(dns)],
      ["the same DEL", remove(web)],
    ] as const) {
      const kernel = start();
      change(kernel.connect());
      remove(web)(kernel.connect());
      t.strictSame(disturbedOnce(start, remove(web), change, kernel.text()), [], who);
    }
  });
}

const theirs = [
  newTable(foreign),
  newChain({ ...foreign, chain: "c" }),
  newRule({ ...foreign, chain: "c" }, { expressions: ACCEPT, comment: "theirs" }),
];

// --- A random walk ---------------------------------------------------------------------------------------------------------------------

const STEPS = 80;

t.test("a random walk ends where its model ends", { skip }, async (t) => {
  const seed = testSeed();
  for (const backend of ["nftables", "iptables"] as const)
    t.strictSame(walk(backend, seed), [], `${backend}, TWILL_SEED=${seed}`);
});

/** Returns the mappings of a container in one or both families. Containers whose numbers are equal modulo 4 want the same ports. */
function attachment(number: number, variant: number, isDual: boolean): [MappingSet, ...MappingSet[]] {
  const port = number % 4;
  const mappings = [
    [`${8000 + port}:80/tcp`],
    [`${8000 + port}:80/tcp`, `${9000 + port}:90/tcp`, `${9000 + port}:90/udp`],
    [`192.0.2.${port + 1}:${7000 + port}:70/udp`, `${6000 + number}:60/sctp`],
  ][variant] as string[];
  const own = owner(`c${number}`);
  const ipv4 = mappingSet(own, `10.22.0.${10 + number}/16`, mappings);
  return isDual ? [ipv4, mappingSet(own, `fd00::${10 + number}/64`, mappings)] : [ipv4];
}

const portsOf = (sets: readonly MappingSet[]): string[] =>
  sets.flatMap(({ family, mappings }) =>
    mappings
      .filter((one) => one.family === undefined || one.family === family)
      .map(({ protocol, hostPort, hostIp }) => `${family} ${hostIp} ${hostPort}/${protocol}`),
  );

/** Adds, deletes and checks at random, beside somebody else's changes. @returns the first difference from the model */
function walk(backend: RuleBackend, seed: number): string[] {
  const random = randomFrom(seed);
  const below = (limit: number) => Math.floor(random() * limit);
  const empty = () => kernelWith(add(backend, ...attachment(99, 1, true)), remove(attachment(99, 1, true)[0]));
  const kernel = empty();
  const held = new Map<number, readonly MappingSet[]>(); // the model: the mappings of each container
  for (let step = 1; step <= STEPS; step++) {
    const number = below(12);
    const where = `step ${step}, container ${number}`;
    const before = kernel.text();
    const isBusy = below(4) === 0;
    if (isBusy) disturb(kernel, below(3));
    if (below(5) < 3) {
      const sets = attachment(number, below(3), below(2) === 1);
      const taken = [...held].filter(([other]) => other !== number).flatMap(([, others]) => portsOf(others));
      const isTaken = portsOf(sets).some((port) => taken.includes(port));
      const message = thrownBy(() => add(backend, ...sets)(kernel.connect()));
      if (isTaken !== /is held by/.test(message ?? "") || (!isTaken && message !== undefined))
        return [`${where}: ADD ${message}`];
      if (isTaken && !isBusy && kernel.text() !== before) return [`${where}: a refused ADD has changed something`];
      const others = (held.get(number) ?? []).filter((old) => !sets.some(({ family }) => family === old.family));
      if (!isTaken) held.set(number, [...others, ...sets]); // an ADD replaces what the container had in its families
    } else {
      const message = thrownBy(() => remove(attachment(number, 0, false)[0])(kernel.connect()));
      if (message !== undefined) return [`${where}: DEL ${message}`];
      held.delete(number);
    }
    kernel.before = undefined;
    const other = below(12);
    const sets = held.get(other);
    if (sets !== undefined) {
      const deviation = deviationOf(() => kernel.connect(), backend, sets);
      if (deviation !== undefined) return [`${where}, CHECK of container ${other}: ${deviation}`];
    }
  }
  thrownBy(() => commit(kernel.connect(), [deleteTable(foreign)]));
  const model = empty();
  for (const sets of held.values()) add(backend, ...sets)(model.connect());
  return difference(model.text(), kernel.text());
}

/** Has somebody else change the ruleset just before one of the next datagrams. */
function disturb(kernel: FakeNetfilter, datagrams: number): void {
  let left = datagrams;
  kernel.before = () => {
    if (left-- > 0) return;
    kernel.before = undefined;
    commit(kernel.connect(), theirs);
  };
}
