import t from "tap";
import { formatAddress, formatPrefix } from "../../ip/address.ts";
import {
  type DividedNetworkConfig,
  type FamilyConfig,
  InvalidNetworkConfig,
  isDivided,
  type NetworkDocument,
  parseNetworkConfig,
  parseUndividedNetworkConfig,
} from "./network-config.ts";

const Backend = { Type: "vxlan" };

const shown = ({ network, subnetLength, subnetMin, subnetMax }: FamilyConfig): string =>
  `${formatPrefix(network)} in /${subnetLength} from ${formatAddress(subnetMin)} to ${formatAddress(subnetMax)}`;

const settled = (document: NetworkDocument): DividedNetworkConfig => parseNetworkConfig({ Backend, ...document });

function refusal(document: NetworkDocument): readonly string[] {
  try {
    parseNetworkConfig(document);
  } catch (error) {
    if (error instanceof InvalidNetworkConfig) return error.problems;
    throw error;
  }
  throw new Error("was not refused");
}

/** The defaults of flannel's documentation, and the edges of its rules. */
const ipv4: { given: NetworkDocument; is: string }[] = [
  { given: { Network: "10.3.0.0/16" }, is: "10.3.0.0/16 in /24 from 10.3.1.0 to 10.3.255.0" },
  { given: { Network: "10.3.7.9/16" }, is: "10.3.0.0/16 in /24 from 10.3.1.0 to 10.3.255.0" },
  { given: { Network: "10.0.0.0/8" }, is: "10.0.0.0/8 in /24 from 10.0.1.0 to 10.255.255.0" },
  { given: { Network: "0.0.0.0/0" }, is: "0.0.0.0/0 in /24 from 0.0.1.0 to 255.255.255.0" },
  { given: { Network: "10.3.4.0/22" }, is: "10.3.4.0/22 in /24 from 10.3.5.0 to 10.3.7.0" },
  { given: { Network: "10.3.4.0/23" }, is: "10.3.4.0/23 in /25 from 10.3.4.128 to 10.3.5.128" },
  { given: { Network: "10.3.4.0/28" }, is: "10.3.4.0/28 in /30 from 10.3.4.4 to 10.3.4.12" },
  { given: { Network: "10.3.0.0/16", SubnetLen: 18 }, is: "10.3.0.0/16 in /18 from 10.3.64.0 to 10.3.192.0" },
  { given: { Network: "10.3.0.0/16", SubnetLen: 30 }, is: "10.3.0.0/16 in /30 from 10.3.0.4 to 10.3.255.252" },
  {
    given: { Network: "10.5.0.0/16", SubnetLen: 28, SubnetMin: "10.5.2.0", SubnetMax: "10.5.2.240" },
    is: "10.5.0.0/16 in /28 from 10.5.2.0 to 10.5.2.240",
  },
  {
    given: { Network: "10.5.0.0/16", SubnetMin: "10.5.0.0", SubnetMax: "10.5.0.0" },
    is: "10.5.0.0/16 in /24 from 10.5.0.0 to 10.5.0.0",
  },
];
for (const { given, is } of ipv4) {
  t.test(`IPv4: ${JSON.stringify(given)}`, async (t) => {
    const { ipv4, ipv6 } = settled(given);
    t.equal(ipv4 && shown(ipv4), is);
    t.equal(ipv6, undefined);
  });
}

const ipv6: { given: NetworkDocument; is: string }[] = [
  { given: { IPv6Network: "fc00::/48" }, is: "fc00::/48 in /64 from fc00:0:0:1:: to fc00:0:0:ffff::" },
  { given: { IPv6Network: "fc00::1/62" }, is: "fc00::/62 in /64 from fc00:0:0:1:: to fc00:0:0:3::" },
  { given: { IPv6Network: "fc00::/63" }, is: "fc00::/63 in /65 from fc00::8000:0:0:0 to fc00:0:0:1:8000::" },
  { given: { IPv6Network: "fc00::/124" }, is: "fc00::/124 in /126 from fc00::4 to fc00::c" },
  {
    given: {
      IPv6Network: "fc00::/48",
      IPv6SubnetLen: 56,
      IPv6SubnetMin: "fc00:0:0:200::",
      IPv6SubnetMax: "fc00:0:0:500::",
    },
    is: "fc00::/48 in /56 from fc00:0:0:200:: to fc00:0:0:500::",
  },
];
for (const { given, is } of ipv6) {
  t.test(`IPv6 beside IPv4: ${JSON.stringify(given)}`, async (t) => {
    const { ipv4, ipv6 } = settled({ Network: "10.3.0.0/16", EnableIPv6: true, ...given });
    t.equal(ipv6 && shown(ipv6), is);
    t.equal(ipv4 && shown(ipv4), "10.3.0.0/16 in /24 from 10.3.1.0 to 10.3.255.0");
  });
}

t.test("keys of a family that is not enabled do not count", async (t) => {
  t.equal(settled({ Network: "10.3.0.0/16", IPv6Network: "10.4.0.0/16", IPv6SubnetLen: 500 }).ipv6, undefined);
});

t.test("the backend's type is in lower case, its settings are all there", async (t) => {
  const { backend } = settled({ Network: "10.3.0.0/16", Backend: { Type: "VXLAN", VNI: 7, Other: [1] } });
  t.strictSame(backend, { type: "vxlan", settings: { Type: "VXLAN", VNI: 7, Other: [1] } });
});

t.test("rules: iptables unless nftables is asked for; exceptions from masquerading of both families", async (t) => {
  const plain = settled({ Network: "10.3.0.0/16" });
  t.match(plain, { nftables: false, noMasquerade: [] });
  const { nftables, noMasquerade } = settled({
    Network: "10.3.0.0/16",
    EnableNFTables: true,
    NoMasqueradeCIDRs: ["10.0.0.0/8", "fd00::/8"],
  });
  t.equal(nftables, true);
  t.strictSame(noMasquerade.map(formatPrefix), ["10.0.0.0/8", "fd00::/8"]);
});

t.test("without Backend it is udp, as in flannel", async (t) => {
  t.strictSame(parseNetworkConfig({ Network: "10.3.0.0/16" }).backend, { type: "udp", settings: {} });
});

const refused: { given: NetworkDocument; problems: string[] }[] = [
  {
    given: {},
    problems: ['"Network" is missing, "EnableIPv4" needs it; add "Network": "10.244.0.0/16"'],
  },
  {
    given: { Network: "10.3.0.0/16", Backend: { VNI: 1 } },
    problems: ['"Backend.Type" is missing; add it, as "Backend": {"Type": "vxlan"}'],
  },
  {
    given: { Network: "fd00::/48", Backend },
    problems: ['"Network" is "fd00::/48", must be an IPv4 network; write it as "Network": "10.244.0.0/16"'],
  },
  {
    given: { Network: "10.3.0.0/16", EnableIPv6: true, IPv6Network: "10.4.0.0/16", Backend },
    problems: [
      '"IPv6Network" is "10.4.0.0/16", must be an IPv6 network; write it as "IPv6Network": "fd00:10:244::/48"',
    ],
  },
  {
    given: { Network: "10.3.0.0/16", EnableIPv6: true, Backend },
    problems: ['"IPv6Network" is missing, "EnableIPv6" needs it; add "IPv6Network": "fd00:10:244::/48"'],
  },
  {
    given: { EnableIPv4: false, Backend },
    problems: ['"EnableIPv4" is false and "EnableIPv6" is not true, so the network has no family; remove "EnableIPv4"'],
  },
  {
    given: { EnableIPv4: false, EnableIPv6: true, IPv6Network: "fd00::/48", Backend },
    problems: [
      '"EnableIPv4" is false, must be true: leases are kept by their IPv4 subnets, also where "EnableIPv6" is true; remove "EnableIPv4" and give an IPv4 "Network" as well',
    ],
  },
  {
    given: { Network: "10.3.4.0/29", Backend },
    problems: ['"Network" is "10.3.4.0/29", which has no room for four subnets of /30; use a network of /28 or larger'],
  },
  {
    given: { Network: "10.3.0.0/16", EnableIPv6: true, IPv6Network: "fd00::/125", Backend },
    problems: [
      '"IPv6Network" is "fd00::/125", which has no room for four subnets of /126; use a network of /124 or larger',
    ],
  },
  {
    given: { Network: "10.3.0.0/16", SubnetLen: 17, Backend },
    problems: [
      '"SubnetLen" is 17, must be from 18 to 30 in 10.3.0.0/16: at least four subnets of at least four addresses; change it, or remove it for 24',
    ],
  },
  {
    given: { Network: "10.3.0.0/16", SubnetLen: 31, Backend },
    problems: [
      '"SubnetLen" is 31, must be from 18 to 30 in 10.3.0.0/16: at least four subnets of at least four addresses; change it, or remove it for 24',
    ],
  },
  {
    given: { Network: "10.3.0.0/16", EnableIPv6: true, IPv6Network: "fd00::/48", IPv6SubnetLen: 127, Backend },
    problems: [
      '"IPv6SubnetLen" is 127, must be from 50 to 126 in fd00::/48: at least four subnets of at least four addresses; change it, or remove it for 64',
    ],
  },
  {
    given: { Network: "10.3.0.0/16", SubnetMin: "10.4.0.0", Backend },
    problems: ['"SubnetMin" is "10.4.0.0", must be in 10.3.0.0/16; use one from 10.3.1.0 to 10.3.255.0'],
  },
  {
    given: { Network: "10.3.0.0/16", SubnetMax: "fd00::", Backend },
    problems: ['"SubnetMax" is "fd00::", must be in 10.3.0.0/16; use one from 10.3.1.0 to 10.3.255.0'],
  },
  {
    given: { Network: "10.3.0.0/16", SubnetMin: "10.3.4.5", Backend },
    problems: [
      '"SubnetMin" is "10.3.4.5", must be the first address of a subnet of /24; write it as "SubnetMin": "10.3.4.0"',
    ],
  },
  {
    given: { Network: "10.3.0.0/16", SubnetMin: "10.3.9.0", SubnetMax: "10.3.4.0", Backend },
    problems: ['"SubnetMin" is 10.3.9.0, must not be above "SubnetMax", 10.3.4.0; swap them, or remove one'],
  },
  {
    given: { Network: "10.3.0.0/16", SubnetMax: "10.3.0.0", Backend },
    problems: ['"SubnetMin" is 10.3.1.0, must not be above "SubnetMax", 10.3.0.0; swap them, or remove one'],
  },
];
for (const { given, problems } of refused) {
  t.test(`${JSON.stringify(given)} is refused`, async (t) => {
    t.strictSame(refusal(given), problems);
  });
}

t.test("all problems are in the message", async (t) => {
  t.throws(() => parseNetworkConfig({ Backend: {} }), {
    name: "InvalidNetworkConfig",
    message: `the network configuration cannot be used: "Network" is missing, "EnableIPv4" needs it; add "Network": "10.244.0.0/16"; also: "Backend.Type" is missing; add it, as "Backend": {"Type": "vxlan"}`,
  });
});

t.test("a network whose subnets are given may be of any size, and of IPv6 alone", async (t) => {
  const { ipv4, ipv6 } = parseUndividedNetworkConfig({ Backend, Network: "10.3.0.0/30", SubnetLen: 8 });
  t.strictSame([ipv4 && formatPrefix(ipv4.network), ipv6], ["10.3.0.0/30", undefined]);
  const six = parseUndividedNetworkConfig({ Backend, EnableIPv4: false, EnableIPv6: true, IPv6Network: "fd00::/120" });
  t.strictSame([six.ipv4, six.ipv6 && formatPrefix(six.ipv6.network)], [undefined, "fd00::/120"]);
  t.notOk(isDivided(six));
  t.throws(() => parseUndividedNetworkConfig({ Backend, EnableIPv4: false }), /the network has no family/);
});
