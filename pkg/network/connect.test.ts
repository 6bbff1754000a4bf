// Options of connect: no root, no files. That of a running container is in e2e/network.test.ts.
import t from "tap";
import type { CniError } from "../cni/error.ts";
import type { Runtime } from "../runtime/network.ts";
import { parseList } from "../runtime/network-list.ts";
import { encode } from "../sys/text.ts";
import { type ConnectOptions, connectContainer, nextInterface } from "./connect.ts";
import { definitionOf } from "./definition.ts";
import { unusedDefaultBridge } from "./network-directory.ts";
import { networkDocument } from "./network-document.ts";

t.test("the interface is the ethN behind the highest one, as in Docker", async (t) => {
  const rows: [names: string[], next: string][] = [
    [["lo"], "eth0"],
    [["lo", "eth0"], "eth1"],
    [["lo", "eth3"], "eth4"],
    [["eth10", "eth2", "net7", "ethx"], "eth11"],
  ];
  for (const [names, next] of rows) t.equal(nextInterface(names), next, names.join());
});

const none: ConnectOptions = {
  ips: [],
  linkLocalIps: [],
  mac: undefined,
  interface: undefined,
  sysctls: [],
  aliases: [],
  links: [],
  ports: [],
  dns: [],
};
const runtime: Runtime = { path: [], cacheRoot: "/no/such", delegates: {} };

function network(name: string, driver: string, ipamDriver = "default") {
  const config = [
    { subnet: "10.5.0.0/24", gateway: "10.5.0.1", auxiliaryAddresses: { router: "10.5.0.9" } },
    { subnet: "fd00:5::/64", gateway: "fd00:5::1" },
  ];
  const facts = { ...unusedDefaultBridge, driver, ipam: { driver: ipamDriver, options: {}, config } };
  const { list: _list, file: _file, name: _name, ...stored } = facts;
  const list = parseList(encode(JSON.stringify(networkDocument(name, stored))), "x");
  return { ...definitionOf(list, "/x"), list };
}

const front = network("front", "bridge");
const refused: [what: string, options: Partial<ConnectOptions>, msg: string, details: RegExp, which?: typeof front][] =
  [
    [
      "an address outside",
      { ips: ["172.18.0.2"] },
      "Invalid address 172.18.0.2: It does not belong to any of this network's subnets",
      /10\.5\.0\.0\/24 or fd00:5::\/64/,
    ],
    [
      "an address of IPv6 outside",
      { ips: ["fd00:6::2"] },
      "Invalid address fd00:6::2: It does not belong to any of this network's subnets",
      /fd00:5/,
    ],
    ["no address", { ips: ["10.5.0"] }, 'invalid IP address "10.5.0"', /10\.5\.0\.9/],
    ["the gateway's address", { ips: ["10.5.0.1"] }, "Address already in use.", /gateway/],
    ["an auxiliary address", { ips: ["10.5.0.9"] }, "Address already in use.", /router/],
    [
      "an address where DHCP chooses",
      { ips: ["10.5.0.7"] },
      "ipam driver dhcp chooses the addresses of network lan",
      /remove --ip/,
      network("lan", "macvlan", "dhcp"),
    ],
    [
      "no address where they are static",
      {},
      "ipam driver static chooses no address, and none is given for network st",
      /--ip 10\.5\.0\.9\/24/,
      network("st", "bridge", "static"),
    ],
    [
      "an address without length where they are static",
      { ips: ["10.5.0.7"] },
      "IP address 10.5.0.7 has no length of its subnet, which ipam driver static of network st does not know either",
      /10\.5\.0\.7\/24/,
      network("st", "bridge", "static"),
    ],
    [
      "no address at all where they are static",
      { ips: ["10.5.0/24"] },
      'invalid IP address "10.5.0/24"',
      /10\.5\.0\.9\/24/,
      network("st", "bridge", "static"),
    ],
    ["a length where they are not", { ips: ["10.5.0.7/24"] }, 'invalid IP address "10.5.0.7/24"', /10\.5\.0\.9/],
    [
      "an address of bridge",
      { ips: ["10.5.0.7"] },
      "user specified IP address is supported on user defined networks only",
      /network create/,
      network("bridge", "bridge"),
    ],
    [
      "an alias in bridge",
      { aliases: ["web"] },
      "network-scoped alias is supported only for containers in user defined networks",
      /network create/,
      network("bridge", "bridge"),
    ],
    ["a multicast MAC", { mac: "01:00:5e:00:00:01" }, 'invalid MAC "01:00:5e:00:00:01"', /neither zero nor multicast/],
    ["a MAC that is none", { mac: "02:42" }, 'invalid MAC "02:42"', /6 bytes/],
    [
      "a MAC with ipvlan",
      { mac: "02:42:00:00:00:01" },
      "containers of driver ipvlan have the MAC of the parent interface",
      /--mac/,
      network("lan", "ipvlan"),
    ],
    ["an interface name with a slash", { interface: "a/b" }, 'invalid interface name "a/b"', /15 bytes/],
    ["an alias with a space", { aliases: ["a b"] }, 'invalid alias "a b"', /host name/],
    ["an empty alias", { aliases: [""] }, 'invalid alias ""', /host name/],
    ["an alias with a newline", { aliases: ["a\nb"] }, 'invalid alias "a\\nb"', /host name/],
    [
      "an alias with a label of 64 characters",
      { aliases: ["x".repeat(64)] },
      `invalid alias "${"x".repeat(64)}"`,
      /63/,
    ],
    ["a link with an odd alias", { links: [{ container: "db", alias: "-x" }] }, 'invalid alias "-x"', /host name/],
  ];
for (const [what, options, msg, details, which = front] of refused) {
  t.test(`${what} is refused before anything is made`, async (t) => {
    const container = { id: "x", name: "x", netns: "/no/such" };
    t.throws(() => connectContainer(which, container, { ...none, ...options }, runtime, () => {}), {
      code: 7,
      msg,
      details,
    } as unknown as CniError);
  });
}

t.test("a namespace that does not exist, and a file that is none, are no containers", async (t) => {
  for (const [netns, why] of [
    ["/no/such", "does not exist"],
    ["/etc/passwd", "is not a network namespace"],
  ] as const)
    t.throws(() => connectContainer(front, { id: "x", name: "x", netns }, none, runtime, () => {}), {
      code: 3,
      msg: `No such container: "${netns}" ${why}`,
    } as unknown as CniError);
});
