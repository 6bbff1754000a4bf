import t from "tap";
import type { Json } from "../config/json.ts";
import { randomFrom, testSeed } from "../sys/random.testing.ts";
import { decodePrevResult, decodeResult } from "./decode-result.ts";
import { encodeResult, printResult } from "./encode-result.ts";
import type { Result } from "./result.ts";
import { supportedVersions } from "./version.ts";

const origin = { what: 'result of "x"', remedy: "mend x" };

/** Everything a result can hold. */
const full: Result = {
  interfaces: [
    { name: "cni0", mac: "0a:58:0a:01:02:01", mtu: 1450 },
    { name: "eth0", mac: "0a:58:0a:01:02:03", sandbox: "/run/netns/<one>", socketPath: "/s", pciID: "0000:00:01.0" },
  ],
  ips: [
    { interface: 1, address: "10.1.2.3/24", gateway: "10.1.2.1" },
    { interface: 0, address: "10.9.9.9/32" },
    { address: "fd00::3/64", gateway: "fd00::1" },
  ],
  routes: [
    { dst: "0.0.0.0/0", gw: "10.1.2.1" },
    { dst: "10.2.0.0/16", mtu: 1400, advmss: 1360, priority: 100, table: 0, scope: 253 },
    { dst: "::/0" },
  ],
  dns: { nameservers: ["10.1.2.1", "fd00::53"], domain: "example.org", search: ["a", "b"], options: ["ndots:5"] },
};

/** As the reference library prints it: order of keys, indentation, what is escaped and what is left out. */
const printed: Record<string, string> = {
  "1.1.0": `{
    "cniVersion": "1.1.0",
    "dns": {
        "domain": "example.org",
        "nameservers": [
            "10.1.2.1",
            "fd00::53"
        ],
        "options": [
            "ndots:5"
        ],
        "search": [
            "a",
            "b"
        ]
    },
    "interfaces": [
        {
            "mac": "0a:58:0a:01:02:01",
            "mtu": 1450,
            "name": "cni0"
        },
        {
            "mac": "0a:58:0a:01:02:03",
            "name": "eth0",
            "pciID": "0000:00:01.0",
            "sandbox": "/run/netns/\\u003cone\\u003e",
            "socketPath": "/s"
        }
    ],
    "ips": [
        {
            "address": "10.1.2.3/24",
            "gateway": "10.1.2.1",
            "interface": 1
        },
        {
            "address": "10.9.9.9/32",
            "interface": 0
        },
        {
            "address": "fd00::3/64",
            "gateway": "fd00::1"
        }
    ],
    "routes": [
        {
            "dst": "0.0.0.0/0",
            "gw": "10.1.2.1"
        },
        {
            "advmss": 1360,
            "dst": "10.2.0.0/16",
            "mtu": 1400,
            "priority": 100,
            "scope": 253,
            "table": 0
        },
        {
            "dst": "::/0"
        }
    ]
}`,
  "0.4.0": `{
    "cniVersion": "0.4.0",
    "interfaces": [
        {
            "name": "cni0",
            "mac": "0a:58:0a:01:02:01"
        },
        {
            "name": "eth0",
            "mac": "0a:58:0a:01:02:03",
            "sandbox": "/run/netns/\\u003cone\\u003e"
        }
    ],
    "ips": [
        {
            "version": "4",
            "interface": 1,
            "address": "10.1.2.3/24",
            "gateway": "10.1.2.1"
        },
        {
            "version": "4",
            "interface": 0,
            "address": "10.9.9.9/32"
        },
        {
            "version": "6",
            "address": "fd00::3/64",
            "gateway": "fd00::1"
        }
    ],
    "routes": [
        {
            "dst": "0.0.0.0/0",
            "gw": "10.1.2.1"
        },
        {
            "dst": "10.2.0.0/16",
            "mtu": 1400,
            "advmss": 1360,
            "priority": 100,
            "table": 0,
            "scope": 253
        },
        {
            "dst": "::/0"
        }
    ],
    "dns": {
        "nameservers": [
            "10.1.2.1",
            "fd00::53"
        ],
        "domain": "example.org",
        "search": [
            "a",
            "b"
        ],
        "options": [
            "ndots:5"
        ]
    }
}`,
  "0.2.0": `{
    "cniVersion": "0.2.0",
    "ip4": {
        "ip": "10.1.2.3/24",
        "gateway": "10.1.2.1",
        "routes": [
            {
                "dst": "0.0.0.0/0",
                "gw": "10.1.2.1"
            },
            {
                "dst": "10.2.0.0/16"
            }
        ]
    },
    "ip6": {
        "ip": "fd00::3/64",
        "gateway": "fd00::1",
        "routes": [
            {
                "dst": "::/0"
            }
        ]
    },
    "dns": {
        "nameservers": [
            "10.1.2.1",
            "fd00::53"
        ],
        "domain": "example.org",
        "search": [
            "a",
            "b"
        ],
        "options": [
            "ndots:5"
        ]
    }
}`,
};
for (const [version, text] of Object.entries(printed)) {
  t.test(`a result is printed in ${version} letter by letter as the reference library prints it`, async (t) => {
    t.equal(printResult(full, version), text);
  });
}

t.test("versions of one family differ in the label only", async (t) => {
  const relabelled = (version: string, as: string) => ({ ...encodeResult(full, version), cniVersion: as });
  t.strictSame(relabelled("1.0.0", "1.1.0"), encodeResult(full, "1.1.0"));
  t.strictSame(relabelled("0.3.0", "0.4.0"), encodeResult(full, "0.4.0"));
  t.strictSame(relabelled("0.3.1", "0.4.0"), encodeResult(full, "0.4.0"));
  t.strictSame(relabelled("0.1.0", "0.2.0"), encodeResult(full, "0.2.0"));
});

t.test("what is empty is left out, except dns before 1.0.0", async (t) => {
  const empty: Result = { interfaces: [], ips: [], routes: [], dns: {} };
  t.equal(printResult(empty, "1.0.0"), '{\n    "cniVersion": "1.0.0"\n}');
  t.equal(printResult(empty, "0.3.0"), '{\n    "cniVersion": "0.3.0",\n    "dns": {}\n}');
});

t.test("a route without destination and an interface without name are printed as Go does", async (t) => {
  const odd: Result = { interfaces: [{ name: "" }], ips: [], routes: [{ dst: "" }] };
  const document = { cniVersion: "1.1.0", interfaces: [{ name: "" }], routes: [{ dst: "<nil>" }] };
  t.strictSame(encodeResult(odd, "1.1.0"), document);
  t.strictSame(decodeResult(document, "1.1.0", origin), odd);
});

t.test("0.2.0 without an IPv4 address drops IPv4 routes", async (t) => {
  const result: Result = { interfaces: [], ips: [{ address: "fd00::3/64" }], routes: [{ dst: "0.0.0.0/0" }] };
  t.strictSame(encodeResult(result, "0.2.0"), { cniVersion: "0.2.0", ip6: { ip: "fd00::3/64" }, dns: {} });
});

t.test("0.1.0 and 0.2.0 have no words for a result without an address", async (t) => {
  for (const version of ["0.1.0", "0.2.0", ""]) {
    t.throws(() => encodeResult({ interfaces: [], ips: [], routes: [] }, version), {
      code: 1,
      msg: "cannot convert: no valid IP addresses",
      details: `a result of version ${version || "0.1.0"} must have one. To fix: set "cniVersion" to "0.3.0" or later in the network's configuration`,
    });
  }
});

t.test("a version that does not exist is refused both ways", async (t) => {
  t.throws(() => encodeResult(full, "1.2.0"), { code: 1, msg: 'a result cannot be written in "cniVersion" "1.2.0"' });
  t.throws(() => decodeResult({ cniVersion: "1.2.0" }, "1.1.0", origin), {
    code: 1,
    msg: 'result of "x" has "cniVersion" "1.2.0", must be one of 0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0',
  });
});

t.test("a result of 0.2.0 is read as a list of addresses", async (t) => {
  const document = {
    cniVersion: "0.2.0",
    ip4: { ip: "10.1.2.3/24", gateway: "10.1.2.1", routes: [{ dst: "0.0.0.0/0", gw: "10.1.2.9" }] },
    ip6: { ip: "fd00::3/64", routes: [{ dst: "::/0" }] },
    dns: { domain: "x" },
  };
  t.strictSame(decodeResult(document, "0.2.0", origin), {
    interfaces: [],
    ips: [{ address: "10.1.2.3/24", gateway: "10.1.2.1" }, { address: "fd00::3/64" }],
    routes: [{ dst: "0.0.0.0/0", gw: "10.1.2.9" }, { dst: "::/0" }],
    dns: { domain: "x" },
  });
});

t.test("keys are read in any case, the last spelling wins, null is nothing", async (t) => {
  const document = {
    CNIVersion: "1.0.0",
    IPs: [{ Address: "10.1.2.3/24", GATEWAY: null, address: "10.1.2.4/24" }],
    routes: null,
  };
  t.strictSame(decodeResult(document, "1.0.0", origin).ips, [{ address: "10.1.2.4/24" }]);
});

t.test("an empty gateway is none, of an address as of a route", async (t) => {
  const lists = { ips: [{ address: "10.1.2.3/24", gateway: "" }], routes: [{ dst: "10.9.0.0/16", gw: "" }] };
  const first = { ip4: { ip: "10.1.2.3/24", gateway: "", routes: [{ dst: "10.9.0.0/16", gw: "" }] } };
  for (const [document, version] of [
    [lists, "1.0.0"],
    [first, "0.2.0"],
  ] as const)
    for (const read of [decodeResult(document, version, origin), decodePrevResult(document, version)])
      t.match(read, { ips: [{ gateway: undefined }], routes: [{ dst: "10.9.0.0/16", gw: undefined }] }, version);
});

t.test("addresses come out in Go's spelling, host bits stay", async (t) => {
  const document = { ips: [{ address: "FD00:0:0::0003/64", gateway: "::FFFF:10.1.2.1" }] };
  t.strictSame(decodeResult(document, "1.0.0", origin).ips, [{ address: "fd00::3/64", gateway: "10.1.2.1" }]);
});

t.test("interface -1 of old plugins means none, 0 is the first", async (t) => {
  const document = {
    ips: [
      { address: "10.1.2.3/24", interface: -1 },
      { address: "10.1.2.4/24", interface: 0 },
    ],
  };
  t.strictSame(decodeResult(document, "0.4.0", origin).ips, [
    { address: "10.1.2.3/24" },
    { interface: 0, address: "10.1.2.4/24" },
  ]);
});

const unreadable: [what: string, document: Json, msg: string][] = [
  ["a text", "x", 'result of "x" is "x", must be an object'],
  ["ips that are no list", { ips: {} }, 'result of "x": "ips" is {}, must be a list'],
  ["an IP that is no object", { ips: [1] }, 'result of "x": "ips[0]" is 1, must be an object'],
  ["an IP without address", { ips: [{}] }, 'result of "x": "ips[0].address" is missing'],
  [
    "an address without prefix length",
    { ips: [{ address: "10.1.2.3" }] },
    'result of "x": "ips[0].address" is "10.1.2.3", must be an IP address with its prefix length, as "10.1.0.0/16" or "fd00::/64"',
  ],
  [
    "a gateway with leading zeros",
    { ips: [{ address: "10.1.2.3/24", gateway: "10.1.2.01" }] },
    'result of "x": "ips[0].gateway" is "10.1.2.01", must be an IP address, as "10.1.2.3" or "fd00::1"',
  ],
  [
    "a name that is a number",
    { interfaces: [{ name: 1 }] },
    'result of "x": "interfaces[0].name" is 1, must be a string',
  ],
  ["a fraction", { interfaces: [{ mtu: 1.5 }] }, 'result of "x": "interfaces[0].mtu" is 1.5, must be a whole number'],
  ["a dns that is a list", { dns: [] }, 'result of "x": "dns" is [], must be an object'],
  [
    "a name server that is none",
    { dns: { nameservers: "x" } },
    'result of "x": "dns.nameservers" is "x", must be a list of strings',
  ],
  ["a version that is a number", { cniVersion: 1 }, 'result of "x": "cniVersion" is 1, must be a string'],
];
for (const [what, document, msg] of unreadable) {
  t.test(`decodeResult refuses ${what}`, async (t) => {
    t.throws(() => decodeResult(document, "1.1.0", origin), { code: 6, msg, details: "To fix: mend x" });
  });
}

/** What the kernel cannot have, though it is of the right type: a path, the value, what is allowed. */
const impossible: [path: string, document: Json, allowed: RegExp][] = [
  ["interfaces[0].name", { interfaces: [{ name: "br 0" }] }, /an interface name/],
  ["interfaces[1].name", { interfaces: [{ name: "cni0" }, { name: "eth0\0x" }] }, /an interface name/],
  ["interfaces[0].name", { interfaces: [{ name: "../../x" }] }, /an interface name/],
  ["interfaces[0].mac", { interfaces: [{ name: "eth0", mac: "x" }] }, /a hardware address/],
  ["interfaces[0].mtu", { interfaces: [{ name: "eth0", mtu: -1 }] }, /a whole number from 0 to 4294967295/],
  ["interfaces[0].sandbox", { interfaces: [{ name: "eth0", sandbox: "/run/netns/x\0" }] }, /a path without NUL/],
  ["routes[0].table", { routes: [{ dst: "10.0.0.0/8", table: 1e20 }] }, /a whole number from 0 to 4294967295/],
  ["routes[0].table", { routes: [{ dst: "10.0.0.0/8", table: -1 }] }, /a whole number from 0 to 4294967295/],
  ["routes[0].scope", { routes: [{ dst: "10.0.0.0/8", scope: 999 }] }, /a whole number from 0 to 255/],
  ["routes[0].priority", { routes: [{ dst: "10.0.0.0/8", priority: 2 ** 32 }] }, /a whole number from 0 to 4294967295/],
  ["routes[0].mtu", { routes: [{ dst: "10.0.0.0/8", mtu: 2 ** 32 }] }, /a whole number from 0 to 4294967295/],
  ["routes[0].advmss", { routes: [{ dst: "10.0.0.0/8", advmss: -5 }] }, /a whole number from 0 to 4294967295/],
];
for (const [path, document, allowed] of impossible) {
  t.test(
    `a prevResult whose ${path} cannot be is refused, and does without it on DEL: ${JSON.stringify(document)}`,
    async (t) => {
      const refusal = {
        code: 7,
        msg: new RegExp(`^"prevResult\\.${path.replaceAll(/[[\]]/g, "\\$&")}" is .*, must be ${allowed.source}`),
      };
      t.throws(() => decodePrevResult(document, "1.1.0"), refusal);
      t.throws(() => decodeResult(document, "1.1.0", origin), { code: 7 }, "of an IPAM plugin too");
      const ignored: string[] = [];
      const result = decodePrevResult(document, "1.1.0", (problem) => ignored.push(problem));
      t.equal(ignored.length, 1);
      t.match(ignored[0], refusal.msg);
      const [list = "", index = ""] = path.split(/[[\]]/);
      const item = (result[list as "routes"][Number(index)] ?? {}) as unknown as Record<string, unknown>;
      t.notOk(item[path.slice(path.indexOf(".") + 1)], "that value alone is missing");
    },
  );
}

t.test("what a DEL leaves out does not move what is told by its place", async (t) => {
  const document = {
    interfaces: [5, { name: "x y", mac: "0a:58:0a:01:00:02" }, { name: "eth0", sandbox: "/run/netns/a" }],
    ips: [{ address: "10.1.0.5/24", interface: 2 }],
    routes: "none",
    dns: [],
  };
  const ignored: string[] = [];
  const result = decodePrevResult(document, "1.1.0", (problem) => ignored.push(problem));
  t.strictSame(result, {
    interfaces: [{ name: "" }, { mac: "0a:58:0a:01:00:02", name: "" }, { name: "eth0", sandbox: "/run/netns/a" }],
    ips: [{ address: "10.1.0.5/24", interface: 2 }],
    routes: [],
    dns: undefined,
  });
  t.equal(ignored.length, 4, ignored.join("\n"));
  for (const ips of [{ address: "no" }, { address: "10.1.0.5/24", gateway: "x" }, 5])
    t.throws(
      () => decodePrevResult({ ...document, ips: [{ address: "10.1.0.5/24" }, ips] }, "1.1.0", () => {}),
      { code: 6 },
      "who is told some addresses takes them for all",
    );
});

/** What a prevResult says of itself, under which configuration; whether it is read. */
const families: [own: string | undefined, configuration: string, isRead: boolean][] = [
  ["0.4.0", "0.3.0", true],
  ["1.1.0", "1.0.0", true],
  ["1.0.0", "1.1.0", true],
  ["0.1.0", "0.2.0", true],
  ["", "0.2.0", true],
  [undefined, "0.2.0", true],
  [undefined, "1.1.0", true],
  ["", "0.3.0", false],
  ["", "1.0.0", false],
  ["0.4.0", "1.0.0", false],
  ["1.0.0", "0.4.0", false],
  ["0.2.0", "0.3.0", false],
  ["9.9.9", "1.1.0", false],
];
for (const [own, configuration, isRead] of families) {
  const name = own === undefined ? "no version" : JSON.stringify(own);
  t.test(`a prevResult of ${name} ${isRead ? "is read" : "is refused"} under ${configuration}`, async (t) => {
    const read = () => decodePrevResult(own === undefined ? {} : { cniVersion: own }, configuration);
    if (isRead) t.strictSame(read(), { interfaces: [], ips: [], routes: [] });
    else
      t.throws(read, { code: 1, msg: `prevResult has "cniVersion" ${name}, the configuration has "${configuration}"` });
  });
}

t.test("whatever a version can say survives being printed and read again", async (t) => {
  const seed = testSeed();
  t.comment(`seed ${seed}`);
  const random = randomFrom(seed);
  for (let round = 0; round < 500; round++) {
    const result = randomResult(random);
    for (const version of supportedVersions) {
      const document = encodeResult(result, version);
      const once = decodeResult(JSON.parse(JSON.stringify(document)) as Json, "", origin);
      t.strictSame(encodeResult(once, version), document, `${version}, round ${round}, seed ${seed}`);
      if (version >= "1") t.strictSame(once, result, `nothing is lost in ${version}, round ${round}, seed ${seed}`);
    }
  }
});

t.test("going down and up again keeps what the lower version has", async (t) => {
  const throughLower = decodeResult(encodeResult(full, "0.4.0"), "", origin);
  t.strictSame(throughLower, {
    ...full,
    interfaces: [
      { name: "cni0", mac: "0a:58:0a:01:02:01" },
      { name: "eth0", mac: "0a:58:0a:01:02:03", sandbox: "/run/netns/<one>" },
    ],
  });
});

function randomResult(random: () => number): Result {
  const below = (limit: number): number => Math.floor(random() * limit);
  const maybe = <T extends object>(part: T): T | Record<string, never> => (random() < 0.5 ? part : {});
  const many = <T>(make: () => T): T[] => Array.from({ length: below(4) }, make);
  const v4 = (): string => `10.${below(256)}.${below(256)}.${below(256)}`;
  const v6 = (): string => `fd00::${(1 + below(0xfffe)).toString(16)}`;
  const ip = (): Result["ips"][number] => {
    const isV4 = random() < 0.5;
    const address = isV4 ? `${v4()}/${below(33)}` : `${v6()}/${below(129)}`;
    return { ...maybe({ interface: below(3) }), address, ...maybe({ gateway: isV4 ? v4() : v6() }) };
  };
  return {
    interfaces: many(() => ({
      name: `eth${below(10)}`,
      ...maybe({ mac: "0a:58:0a:01:02:03" }),
      ...maybe({ mtu: 1 + below(9000) }),
      ...maybe({ sandbox: "/run/netns/x" }),
      ...maybe({ socketPath: "/s" }),
      ...maybe({ pciID: "0000:00:01.0" }),
    })),
    ips: [{ address: `${v4()}/24` }, ...many(ip)],
    routes: many(() => ({
      dst: random() < 0.5 ? "0.0.0.0/0" : `${v6()}/64`,
      ...maybe({ gw: v4() }),
      ...maybe({ mtu: 1 + below(9000) }),
      ...maybe({ advmss: 1 + below(9000) }),
      ...maybe({ priority: 1 + below(9000) }),
      ...maybe({ table: below(300) }),
      ...maybe({ scope: below(255) }),
    })),
    ...maybe({ dns: { nameservers: [v4()], ...maybe({ domain: "x" }), ...maybe({ search: ["a"] }) } }),
  };
}
