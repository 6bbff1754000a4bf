import t from "tap";
import { formatPrefix } from "../../ip/address.ts";
import { chooseSubnet, freeSubnets, type SubnetChoice } from "./choose-subnet.ts";
import type { Snapshot } from "./event.ts";
import { attributesOf, cidr, ip, network, subnets } from "./fake.testing.ts";
import { type Lease, leaseOf } from "./lease.ts";
import { NoSubnet } from "./store-error.ts";

const v4 = "10.3.0.0/16 24 10.3.1.0 10.3.255.0";
const v6 = "fc00::/48 64 fc00:0:0:1:: fc00:0:0:ffff::";
const us = "192.0.2.1";

/** "10.3.1.0-24 192.0.2.2" */
function leasesOf(...texts: string[]): Snapshot {
  const leases: Lease[] = texts.map((text) => {
    const [key = "", publicIP = ""] = text.split(" ");
    return leaseOf(subnets(key), attributesOf(publicIP), undefined);
  });
  return { leases, malformed: [] };
}

function show(choice: SubnetChoice): string {
  if (choice.kind !== "create") return `${choice.kind} ${choice.lease.id}`;
  const { ipv4, ipv6 } = choice.candidates;
  const range = (all: readonly { address: Uint8Array; length: number }[] = []) =>
    all.length < 2 ? all.map(formatPrefix).join() : `${all.length} from ${formatPrefix(all[0] ?? cidr("::/0"))}`;
  return `create ${range(ipv4)}${ipv6 ? `, ${range(ipv6)}` : ""}`;
}

const cases: { claim: string; leases?: string[]; previous?: string; six?: true; choice: string }[] = [
  { claim: "the first free subnets are candidates", choice: "create 100 from 10.3.1.0/24" },
  {
    claim: "leased ones are none, whatever their size",
    leases: ["10.3.1.0-24 192.0.2.2", "10.3.2.128-25 192.0.2.3", "10.3.4.0-22 192.0.2.4", "10.9.0.0-24 192.0.2.5"],
    choice: "create 100 from 10.3.3.0/24",
  },
  { claim: "the lease with our public address is ours", leases: [`10.3.9.0-24 ${us}`], choice: "reuse 10.3.9.0-24" },
  {
    claim: "the one we had last is preferred",
    leases: [`10.3.9.0-24 ${us}`, `10.3.10.0-24 ${us}`],
    previous: "10.3.10.0-24",
    choice: "reuse 10.3.10.0-24",
  },
  {
    claim: "one that fits is preferred",
    leases: [`10.4.0.0-24 ${us}`, `10.3.10.0-24 ${us}`],
    choice: "reuse 10.3.10.0-24",
  },
  { claim: "ours outside of the range goes", leases: [`10.3.0.0-24 ${us}`], choice: "delete 10.3.0.0-24" },
  { claim: "ours of another length goes", leases: [`10.3.4.0-25 ${us}`], choice: "delete 10.3.4.0-25" },
  { claim: "ours without IPv6 goes", leases: [`10.3.4.0-24 ${us}`], six: true, choice: "delete 10.3.4.0-24" },
  {
    claim: "ours with IPv6 goes from a network without",
    leases: [`10.3.4.0-24&fc00:0:0:5::-64 ${us}`],
    choice: "delete 10.3.4.0-24&fc00:0:0:5::-64",
  },
  {
    claim: "ours with both is reused",
    leases: [`10.3.4.0-24&fc00:0:0:5::-64 ${us}`],
    six: true,
    choice: "reuse 10.3.4.0-24&fc00:0:0:5::-64",
  },
  {
    claim: "a network becomes dual stack while others have IPv4 only",
    leases: ["10.3.1.0-24 192.0.2.2", "10.3.2.0-24&fc00:0:0:1::-64 192.0.2.3"],
    six: true,
    choice: "create 100 from 10.3.3.0/24, 100 from fc00:0:0:2::/64",
  },
  { claim: "the previous subnet, when free", previous: "10.3.77.0-24", choice: "create 10.3.77.0/24" },
  {
    claim: "the previous IPv4 subnet and a new IPv6 one",
    previous: "10.3.77.0-24",
    six: true,
    choice: "create 10.3.77.0/24, 100 from fc00:0:0:1::/64",
  },
  {
    claim: "both previous subnets",
    previous: "10.3.77.0-24&fc00:0:0:77::-64",
    six: true,
    choice: "create 10.3.77.0/24, fc00:0:0:77::/64",
  },
  {
    claim: "not the previous subnet when somebody has it",
    previous: "10.3.77.0-24",
    leases: ["10.3.77.0-24 192.0.2.2"],
    choice: "create 100 from 10.3.1.0/24",
  },
  { claim: "not one that fits no more", previous: "10.4.77.0-24", choice: "create 100 from 10.3.1.0/24" },
];
for (const { claim, leases = [], previous, six, choice } of cases) {
  t.test(`choose: ${claim}`, async (t) => {
    const host = { publicIP: ip(us), previous: previous === undefined ? undefined : subnets(previous) };
    t.equal(show(chooseSubnet(network(v4, six && v6), leasesOf(...leases), host)), choice);
  });
}

t.test("nobody's lease is ours without a public address", async (t) => {
  const leases: Lease[] = [leaseOf(subnets("10.3.9.0-24"), { backendType: "" }, undefined)];
  t.equal(
    show(chooseSubnet(network(v4), { leases, malformed: [] }, { publicIP: undefined, previous: undefined })),
    "create 100 from 10.3.1.0/24",
  );
});

t.test("a malformed lease is nobody's, and not free", async (t) => {
  const malformed = ["10.3.77.0-24", "10.3.1.0-24", "nonsense"].map((id) => ({ id, reason: "no" }));
  const host = { publicIP: ip(us), previous: subnets("10.3.77.0-24") };
  t.equal(show(chooseSubnet(network(v4), { leases: [], malformed }, host)), "create 100 from 10.3.2.0/24");
});

t.test("a full network is refused with its name, its size and the remedy", async (t) => {
  const small = network("10.3.0.0/22 24 10.3.1.0 10.3.3.0");
  const leases = leasesOf(...[1, 2, 3].map((i) => `10.3.${i}.0-24 192.0.2.1${i}`), "10.9.0.0-24 192.0.2.5");
  t.throws(() => chooseSubnet(small, leases, { publicIP: ip(us), previous: undefined }), {
    name: "NoSubnet",
    message:
      "out of subnets: 10.3.0.0/22 has no free /24 between 10.3.1.0 and 10.3.3.0, 3 leases are in it. To fix: delete " +
      "the leases of hosts that are gone, or configure a larger Network, a longer SubnetLen or a wider SubnetMin to SubnetMax",
  });
  t.throws(
    () =>
      chooseSubnet(network(v4, "fc00::/62 64 fc00:: fc00::"), leasesOf("10.3.1.0-24&fc00::-64 192.0.2.2"), {
        publicIP: ip(us),
        previous: undefined,
      }),
    NoSubnet,
    "of either family",
  );
});

t.test("a network with IPv6 only is refused", async (t) => {
  const { ipv6, ...rest } = network(v4, v6);
  const { ipv4: _, ...only } = rest;
  t.throws(
    () => chooseSubnet({ ...only, ...(ipv6 && { ipv6 }) }, leasesOf(), { publicIP: ip(us), previous: undefined }),
    {
      message: /^the network configuration has IPv6 only, and leases are named after their IPv4 subnet\. To fix: /,
    },
  );
});

t.test("the search ends, however large the network and its leases", async (t) => {
  const family = (text: string) => network(text).ipv4 ?? t.bailout("no family");
  const shown = (text: string, leased: string[], limit = 100) => {
    const config = family(text);
    return config ? freeSubnets(config, leased.map(cidr), limit).map(formatPrefix) : [];
  };
  t.strictSame(shown("fd00::/16 126 fd00:: fd00:ffff:ffff:ffff:ffff:ffff:ffff:fffc", ["fd00::/17"], 1), [
    "fd00:8000::/126",
  ]);
  t.strictSame(shown("255.255.255.0/24 26 255.255.255.64 255.255.255.192", []), [
    "255.255.255.64/26",
    "255.255.255.128/26",
    "255.255.255.192/26",
  ]);
  t.strictSame(shown("10.0.0.0/8 24 10.0.1.0 10.255.255.0", ["10.0.0.0/8"]), []);
});
