// What `twill network create` makes of its options, and what it refuses: no root, no files.
import t from "tap";
import type { CniError } from "../cni/error.ts";
import { type Prefix, parsePrefix } from "../ip/address.ts";
import { parseList } from "../runtime/network-list.ts";
import { encode } from "../sys/text.ts";
import { definitionOf, type NetworkDefinition, networksWithoutPlugins } from "./definition.ts";
import { unusedDefaultBridge } from "./network-directory.ts";
import { type HostRoute, type NetworkRequest, newDefaultBridge, newNetwork, type Surroundings } from "./new-network.ts";
import { defaultPools, parsePool } from "./subnet.ts";

const identity = { id: "0123456789ab".padEnd(64, "c"), created: "2026-01-31T12:00:00Z" };
const asked: NetworkRequest = {
  name: "front",
  driver: "bridge",
  internal: false,
  ipv6: false,
  labels: {},
  options: {},
  ipamDriver: "default",
  ipamOptions: {},
  subnets: [],
  ipRanges: [],
  gateways: [],
  auxAddresses: [],
};
const route = (prefix: string, link: string): HostRoute => ({
  prefix: parsePrefix(prefix) as Prefix,
  link,
  by: `the route ${prefix} through ${link}`,
});
const predefined = [...networksWithoutPlugins, unusedDefaultBridge];
const empty: Surroundings = {
  networks: predefined,
  routes: [],
  pools: defaultPools,
  hasLink: (name) => name === "eth0",
};

const made = (request: Partial<NetworkRequest>, host: Partial<Surroundings> = {}) =>
  newNetwork({ ...asked, ...request }, { ...empty, ...host }, identity);
const definition = (request: Partial<NetworkRequest>, id = "f".repeat(64)): NetworkDefinition => {
  const { document } = newNetwork({ ...asked, ...request }, empty, { ...identity, id });
  return definitionOf(parseList(encode(JSON.stringify(document)), "x"), "/etc/cni/net.d/twill-x.conflist");
};
/** With what is there already. */
const beside = (...requests: Partial<NetworkRequest>[]): Partial<Surroundings> => ({
  networks: [
    ...predefined,
    ...requests.map((request, i) => definition({ name: `other${i}`, ...request }, `${i}`.repeat(64))),
  ],
});

t.test("a bridge network is bridge, portmap and firewall, and its facts are read back", async (t) => {
  const { document, facts } = made({ subnets: ["10.5.0.0/24"], labels: { tier: "web" } });
  t.strictSame(document, {
    cniVersion: "1.0.0",
    cniVersions: ["0.4.0", "1.0.0", "1.1.0"],
    name: "front",
    plugins: [
      {
        type: "bridge",
        bridge: "br-0123456789ab",
        isGateway: true,
        ipMasq: true,
        hairpinMode: true,
        ipam: {
          type: "host-local",
          ranges: [[{ subnet: "10.5.0.0/24", gateway: "10.5.0.1" }]],
          routes: [{ dst: "0.0.0.0/0" }],
        },
        capabilities: { ips: true, mac: true },
      },
      { type: "portmap", capabilities: { portMappings: true } },
      { type: "firewall", ingressPolicy: "same-bridge" },
    ],
    twill: {
      ...identity,
      driver: "bridge",
      internal: false,
      ipv6: false,
      labels: { tier: "web" },
      options: {},
      ipam: { driver: "default", options: {}, config: [{ subnet: "10.5.0.0/24", gateway: "10.5.0.1" }] },
    },
  });
  const list = parseList(encode(JSON.stringify(document)), "x");
  t.strictSame(definitionOf(list, "/x"), { ...facts, name: "front", file: "/x", list });
});

/** Options, and a part of what becomes of them. */
const variants: [what: string, request: Partial<NetworkRequest>, plugins: object[]][] = [
  [
    "--internal: no way out, no default route",
    { internal: true },
    [
      { type: "bridge", internal: true, isGateway: false, ipMasq: false, ipam: { routes: undefined } },
      { type: "firewall", ingressPolicy: "same-bridge" },
    ],
  ],
  [
    "both families",
    { ipv6: true, subnets: ["fd00:5::/64"] },
    [
      {
        ipam: {
          ranges: [
            [{ subnet: "172.17.0.0/16", gateway: "172.17.0.1" }],
            [{ subnet: "fd00:5::/64", gateway: "fd00:5::1" }],
          ],
          routes: [{ dst: "0.0.0.0/0" }, { dst: "::/0" }],
        },
      },
    ],
  ],
  [
    "options of the driver",
    {
      options: {
        "com.docker.network.bridge.name": "br-x",
        "com.docker.network.bridge.enable_icc": "false",
        "com.docker.network.bridge.enable_ip_masquerade": "false",
        "com.docker.network.driver.mtu": "1400",
      },
    },
    [{ bridge: "br-x", portIsolation: true, ipMasq: false, mtu: 1400 }],
  ],
  [
    "their short forms",
    { options: { "bridge.name": "br-x", icc: "false", ip_masquerade: "0", mtu: "1400" } },
    [{ bridge: "br-x", portIsolation: true, ipMasq: false, mtu: 1400 }],
  ],
  [
    "a range and auxiliary addresses",
    {
      subnets: ["10.5.0.0/24"],
      ipRanges: ["10.5.0.64/29"],
      gateways: ["10.5.0.254"],
      auxAddresses: ["dns=10.5.0.66", "a=10.5.0.64", "far=10.5.0.9"],
    },
    [
      {
        ipam: {
          ranges: [
            [
              { subnet: "10.5.0.0/24", rangeStart: "10.5.0.65", rangeEnd: "10.5.0.65", gateway: "10.5.0.254" },
              { subnet: "10.5.0.0/24", rangeStart: "10.5.0.67", rangeEnd: "10.5.0.71", gateway: "10.5.0.254" },
            ],
          ],
        },
      },
    ],
  ],
  [
    "an auxiliary address without a range",
    { subnets: ["10.5.0.0/29"], auxAddresses: ["x=10.5.0.6"] },
    [{ ipam: { ranges: [[{ rangeStart: "10.5.0.1", rangeEnd: "10.5.0.5" }]] } }],
  ],
  [
    "macvlan",
    { driver: "macvlan", subnets: ["192.0.2.0/24"], options: { parent: "eth0", mode: "private", mtu: "1400" } },
    [{ type: "macvlan", master: "eth0", mode: "private", mtu: 1400, capabilities: { ips: true, mac: true } }],
  ],
  [
    "ipvlan",
    { driver: "ipvlan", subnets: ["192.0.2.0/24"], options: { parent: "eth0", ipvlan_mode: "l3" } },
    [{ type: "ipvlan", master: "eth0", mode: "l3", capabilities: { ips: true } }],
  ],
  [
    "addresses by DHCP",
    { ipamDriver: "dhcp", driver: "macvlan", options: { parent: "eth0" } },
    [{ ipam: { type: "dhcp", ranges: undefined } }],
  ],
];
for (const [what, request, plugins] of variants) {
  t.test(what, async (t) => {
    t.match(made(request).document["plugins"], plugins);
  });
}

t.test("a subnet that overlaps no route and no network is chosen, in Docker's order", async (t) => {
  const chosen = (host: Partial<Surroundings>) => made({}, host).facts.ipam.config[0]?.subnet;
  t.equal(chosen({}), "172.17.0.0/16");
  t.equal(chosen({ routes: [route("172.17.5.0/24", "docker0"), route("172.18.0.0/16", "tun0")] }), "172.19.0.0/16");
  t.equal(chosen(beside({}, { subnets: ["172.18.0.0/16"] })), "172.19.0.0/16");
  t.equal(chosen({ routes: [route("172.16.0.0/12", "tun0"), route("192.168.0.0/24", "eth0")] }), "192.168.16.0/20");
  t.equal(
    chosen({ pools: [parsePool("base=10.200.0.0/16,size=24")], ...beside({ subnets: ["10.200.0.0/24"] }) }),
    "10.200.1.0/24",
  );
});

t.test("bridge gets the first free subnet when it is used, and keeps its name and options", async (t) => {
  const { facts, document } = newDefaultBridge(
    { ...empty, routes: [route("172.17.0.0/16", "docker0")] },
    "2026-01-31T12:00:00Z",
  );
  t.match(document, { name: "bridge", plugins: [{ bridge: "twill0", mtu: 1500 }] });
  t.match(facts, { id: unusedDefaultBridge.id, ipam: { config: [{ subnet: "172.18.0.0/16" }] } });
});

const macvlan = { driver: "macvlan", subnets: ["192.0.2.0/24"], options: { parent: "eth0" } };
/** Bad input, with Docker's texts where it has them, and a part of what to do. */
const refused: [
  what: string,
  request: Partial<NetworkRequest>,
  host: Partial<Surroundings>,
  msg: string,
  details: string | RegExp,
][] = [
  [
    "a name that is taken",
    { name: "other0" },
    beside({}),
    "network with name other0 already exists",
    /twill network rm other0/,
  ],
  [
    "a name with a space",
    { name: "bad name" },
    {},
    'invalid network name "bad name"',
    /must begin with a letter or digit/,
  ],
  ["an empty name", { name: "" }, {}, 'invalid network name ""', /letter/],
  ["a path", { name: "../../etc/passwd" }, {}, 'invalid network name "../../etc/passwd"', /letter/],
  [
    "a name that is too long",
    { name: "x".repeat(129) },
    {},
    `invalid network name "${"x".repeat(129)}"`,
    /at most 128/,
  ],
  ["a predefined name", { name: "host" }, {}, "operation is not permitted on predefined host network", /another name/],
  ["a second host network", { driver: "host" }, {}, 'only one instance of "host" network is allowed', /host/],
  ["a second null network", { driver: "null" }, {}, 'only one instance of "null" network is allowed', /none/],
  ["an unknown driver", { driver: "bridg" }, {}, 'plugin "bridg" not found', /did you mean bridge/],
  ["overlay", { driver: "overlay" }, {}, 'plugin "overlay" not found', /flanneld/],
  [
    "an unknown IPAM driver",
    { ipamDriver: "nosuch" },
    {},
    'ipam driver "nosuch" not found',
    /default, host-local, dhcp, static/,
  ],
  [
    "an unknown option of the default IPAM driver",
    { ipamOptions: { x: "y" } },
    {},
    'ipam driver default has no option "x"',
    /use one of dataDir, resolvConf, or remove it/,
  ],
  [
    "a misspelt option of DHCP",
    { ipamDriver: "dhcp", driver: "macvlan", options: { parent: "eth0" }, ipamOptions: { daemonSocketpath: "/x" } },
    {},
    'ipam driver dhcp has no option "daemonSocketpath"',
    /did you mean daemonSocketPath\?/,
  ],
  [
    "an option of static addresses",
    { ipamDriver: "static", ipamOptions: { x: "y" } },
    {},
    'ipam driver static has no option "x"',
    /it has none/,
  ],
  [
    "the loopback interface as a parent",
    { driver: "macvlan", options: { parent: "lo" } },
    {},
    "loopback interface is not a valid macvlan parent link",
    /parent=eth0/,
  ],
  [
    "a subnet for DHCP",
    { ipamDriver: "dhcp", subnets: ["10.5.0.0/24"] },
    {},
    "ipam driver dhcp takes no subnet",
    /DHCP server/,
  ],
  [
    "a subnet that is no prefix",
    { subnets: ["10.5.0.0"] },
    {},
    'invalid subnet "10.5.0.0": it is not a CIDR address',
    /10\.5\.0\.0\/24/,
  ],
  [
    "a subnet with host bits",
    { subnets: ["10.5.0.7/24"] },
    {},
    "subnet 10.5.0.7/24 has host bits set",
    /10\.5\.0\.0\/24/,
  ],
  [
    "two subnets of a family",
    { subnets: ["10.5.0.0/24", "10.6.0.0/24"] },
    {},
    "a network has one subnet of each family, but 10.5.0.0/24 and 10.6.0.0/24 are IPv4",
    /connect containers to both/,
  ],
  [
    "a subnet that overlaps a network's",
    { subnets: ["10.5.0.128/25"] },
    beside({ subnets: ["10.5.0.0/24"] }),
    "Pool overlaps with other one on this address space",
    /10\.5\.0\.128\/25 overlaps 10\.5\.0\.0\/24 of network "other0"/,
  ],
  [
    "a subnet that overlaps that of another driver",
    { subnets: ["192.0.0.0/16"] },
    beside(macvlan),
    "Pool overlaps with other one on this address space",
    /network "other0"/,
  ],
  [
    "a subnet that overlaps a route",
    { subnets: ["10.5.0.0/24"] },
    { routes: [route("10.0.0.0/8", "tun0")] },
    "Pool overlaps with other one on this address space",
    /the route 10\.0\.0\.0\/8 through tun0/,
  ],
  [
    "no pool left",
    {},
    { routes: [route("172.16.0.0/12", "tun0"), route("192.168.0.0/16", "tun0")] },
    "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network",
    /--default-address-pool/,
  ],
  [
    "IPv6 without a subnet of it",
    { ipv6: true },
    {},
    "could not find an available, non-overlapping IPv6 address pool among the defaults to assign to the network",
    /fd00:5::\/64/,
  ],
  [
    "a gateway outside",
    { subnets: ["10.5.0.0/24"], gateways: ["10.71.0.1"] },
    {},
    "no matching subnet for gateway 10.71.0.1",
    /10\.5\.0\.0\/24/,
  ],
  [
    "a gateway that is no address",
    { subnets: ["10.5.0.0/24"], gateways: ["x"] },
    {},
    'invalid gateway "x": it is not an IP address',
    /10\.5\.0\.1/,
  ],
  [
    "a gateway that is the broadcast address",
    { subnets: ["10.5.0.0/24"], gateways: ["10.5.0.255"] },
    {},
    "gateway 10.5.0.255 is the broadcast address of 10.5.0.0/24",
    /10\.5\.0\.1/,
  ],
  [
    "a gateway alone",
    { gateways: ["10.5.0.1"] },
    {},
    "every ip-range, gateway or aux-address must have a corresponding subnet",
    /--subnet/,
  ],
  [
    "two gateways",
    { subnets: ["10.5.0.0/24"], gateways: ["10.5.0.1", "10.5.0.2"] },
    {},
    "subnet 10.5.0.0/24 has more than one gateway",
    /once/,
  ],
  [
    "a range outside",
    { subnets: ["10.5.0.0/24"], ipRanges: ["10.80.0.0/24"] },
    {},
    "no matching subnet for range 10.80.0.0/24",
    /10\.5\.0\.0\/24/,
  ],
  [
    "a range larger than the subnet",
    { subnets: ["10.5.0.0/24"], ipRanges: ["10.5.0.0/16"] },
    {},
    "no matching subnet for range 10.5.0.0/16",
    /10\.5\.0\.0\/24/,
  ],
  [
    "an auxiliary address outside",
    { subnets: ["10.5.0.0/24"], auxAddresses: ["r=10.74.0.1"] },
    {},
    "no matching subnet for aux-address 10.74.0.1",
    /10\.5\.0\.0\/24/,
  ],
  [
    "an auxiliary address without a name",
    { subnets: ["10.5.0.0/24"], auxAddresses: ["10.5.0.9"] },
    {},
    'invalid aux-address "10.5.0.9"',
    /NAME=ADDRESS/,
  ],
  [
    "auxiliary addresses that leave none",
    { subnets: ["10.5.0.0/30"], auxAddresses: ["a=10.5.0.1", "b=10.5.0.2"] },
    {},
    "no address of 10.5.0.0/30 is left for containers",
    /larger/,
  ],
  [
    "a subnet of two addresses",
    { subnets: ["10.5.0.0/31"] },
    {},
    "failed to allocate gateway (): No available addresses on this pool",
    /at most 30/,
  ],
  [
    "one bridge for two networks",
    { options: { "bridge.name": "br-x" } },
    beside({ options: { "bridge.name": "br-x" } }),
    `cannot create network ${identity.id} (br-x): conflicts with network ${"0".repeat(64)} (br-x): networks have same bridge name`,
    /network "other0"/,
  ],
  ["a wrong MTU", { options: { mtu: "xyz" } }, {}, 'failed to parse mtu value: "xyz"', /68 to 65535/],
  ["a wrong flag", { options: { icc: "maybe" } }, {}, 'failed to parse icc value: "maybe"', /true or false/],
  [
    "a bridge's name that is too long",
    { options: { "bridge.name": "a-name-of-16-char" } },
    {},
    'failed to parse bridge.name value: "a-name-of-16-char"',
    /15 bytes/,
  ],
  [
    "an option misspelt",
    { options: { "com.docker.network.driver.mtv": "1400" } },
    {},
    'driver bridge has no option "com.docker.network.driver.mtv"',
    /did you mean com\.docker\.network\.driver\.mtu/,
  ],
  [
    "another driver's option",
    { options: { parent: "eth0" } },
    {},
    'option "parent" is not one of driver bridge',
    /-d macvlan, ipvlan/,
  ],
  [
    "macvlan without a parent",
    { ...macvlan, options: {} },
    {},
    "driver macvlan needs a parent interface",
    /-o parent=eth0/,
  ],
  [
    "a parent that is missing",
    { ...macvlan, options: { parent: "nosuch0" } },
    {},
    'the host has no interface "nosuch0" for driver macvlan',
    /ip link/,
  ],
  [
    "a parent that is taken",
    { ...macvlan, subnets: ["198.51.100.0/24"] },
    beside(macvlan),
    "network other0 is already using parent interface eth0",
    /VLAN/,
  ],
];
for (const [what, request, host, msg, details] of refused) {
  t.test(`${what} is refused`, async (t) => {
    t.throws(() => made(request, host), { code: what === "no pool left" ? 11 : 7, msg, details } as CniError);
  });
}

t.test("a pool that is none is refused", async (t) => {
  for (const text of [
    "",
    "10.0.0.0/8",
    "base=10.0.0.0/8",
    "base=10.0.0.0/24,size=16",
    "base=10.0.0.0/8,size=31",
    "base=x,size=24",
  ])
    t.throws(() => parsePool(text), { code: 7 } as CniError, text);
});

t.test("of another program's network is told what its plugins show", async (t) => {
  const podman = {
    cniVersion: "0.4.0",
    name: "n1",
    args: { podman_labels: { a: "b" }, podman_options: { mtu: "1300" } },
    plugins: [
      {
        type: "bridge",
        bridge: "cni-podman1",
        ipam: {
          type: "host-local",
          ranges: [[{ subnet: "10.10.1.0/24", gateway: "10.10.1.1" }], [{ subnet: "fd00::/64" }]],
        },
      },
    ],
  };
  const shown = definitionOf(parseList(encode(JSON.stringify(podman)), "x"), "/x");
  t.match(shown, {
    driver: "bridge",
    created: "",
    ipv6: true,
    labels: { a: "b" },
    options: { mtu: "1300" },
    ipam: { driver: "default", config: [{ subnet: "10.10.1.0/24", gateway: "10.10.1.1" }, { subnet: "fd00::/64" }] },
  });
  t.match(shown.id, /^[0-9a-f]{64}$/);
  t.equal(definitionOf(parseList(encode(JSON.stringify(podman)), "x"), "/y").id, shown.id, "the ID stays");
  const nerdctl = { ...podman, nerdctlID: "d".repeat(64), nerdctlLabels: { c: "d" } };
  t.match(definitionOf(parseList(encode(JSON.stringify(nerdctl)), "x"), "/x"), {
    id: "d".repeat(64),
    labels: { c: "d" },
  });
});

t.test('a key "twill" that is not ours counts for nothing', async (t) => {
  const { document } = made({});
  const own = document["twill"] as object;
  for (const wrong of [
    5,
    {},
    { ...own, id: 7 },
    { ...own, labels: { a: 1 } },
    { ...own, ipam: { driver: "default", options: {}, config: [{}] } },
  ])
    t.match(definitionOf(parseList(encode(JSON.stringify({ ...document, twill: wrong })), "x"), "/x"), {
      created: "",
      driver: "bridge",
    });
});
