import t from "tap";
import { cidr, ip } from "../../cluster/lease/fake.testing.ts";
import type { Lease } from "../../cluster/lease/lease.ts";
import { storeRemedies } from "../../cluster/lease/store-manager.ts";
import { formatAddress, formatPrefix, networkOf } from "../../ip/address.ts";
import type { ExternalInterface } from "./backend.ts";
import type { LocalAddress } from "./local-networks.ts";
import { peerOf, type Viewpoint } from "./peer.ts";

/** Behind NAT: others reach it under 203.0.113.1. */
const external: ExternalInterface = {
  index: 2,
  name: "eth0",
  mtu: 1500,
  ipv4: ip("192.0.2.1"),
  publicIP: ip("203.0.113.1"),
};
const us: Viewpoint = {
  family: "ipv4",
  backendType: "vxlan",
  network: cidr("10.5.0.0/16"),
  external,
  local: [],
  remedies: storeRemedies,
};

interface Said {
  subnet?: string;
  publicIP?: string;
  backendType?: string;
}

const lease = ({ subnet = "10.5.2.0/24", publicIP = "192.0.2.2", backendType = "vxlan" }: Said): Lease => ({
  id: subnet,
  ipv4: cidr(subnet),
  attributes: { backendType, ...(publicIP !== "" && { publicIP: ip(publicIP) }) },
});

t.test("a peer is what its lease says of a family; a family that it lacks is no fault", async (t) => {
  const peer = peerOf(lease({}), us);
  t.equal(peer && formatPrefix(peer.subnet), "10.5.2.0/24");
  t.equal(peer && formatAddress(peer.publicIP), "192.0.2.2");
  t.equal(peerOf(lease({}), { ...us, family: "ipv6", network: cidr("fd00:5::/48") }), undefined);
});

const ours = "is our own: delete the lease if this host had it before, else give each host its own address";
const refused: [said: Said, message: string][] = [
  [{ backendType: "host-gw" }, 'its backend is "host-gw", ours is "vxlan"'],
  [{ backendType: "" }, 'its backend is udp or alloc, ours is "vxlan"'],
  [{ publicIP: "" }, "it has no PublicIP"],
  [{ subnet: "8.8.8.0/24" }, "its subnet 8.8.8.0/24 is not part of the network 10.5.0.0/16"],
  [{ subnet: "128.0.0.0/1" }, "its subnet 128.0.0.0/1 is not part of the network 10.5.0.0/16"],
  [{ subnet: "10.5.0.0/16" }, "its subnet 10.5.0.0/16 is not part of the network 10.5.0.0/16"],
  [{ publicIP: "192.0.2.1" }, `its public address 192.0.2.1 ${ours}`],
  [{ publicIP: "203.0.113.1" }, `its public address 203.0.113.1 ${ours}`],
  [
    { publicIP: "10.5.2.9" },
    "its public address 10.5.2.9 is in its own subnet 10.5.2.0/24, whose route leads through that address",
  ],
  [{ publicIP: "127.0.0.1" }, "its public address 127.0.0.1 is not a host's IPv4 address"],
  [{ publicIP: "239.1.2.3" }, "its public address 239.1.2.3 is not a host's IPv4 address"],
];
const eth1 = (text: string): LocalAddress => {
  const { address, length } = cidr(text);
  return {
    link: { index: 3, name: "eth1" },
    address,
    network: networkOf({ address, length }),
    flags: 0,
    priority: undefined,
  };
};
const locals: [address: string, subnet: string, said: string | undefined][] = [
  ["10.5.2.7/24", "10.5.2.0/24", "10.5.2.7/24 of eth1"],
  ["10.5.2.7/25", "10.5.2.0/24", "10.5.2.7/25 of eth1"],
  ["10.5.2.7/32", "10.5.2.0/24", "10.5.2.7/32 of eth1"],
  ["10.5.3.7/23", "10.5.2.0/24", "10.5.3.7/23 of eth1"],
  ["10.5.2.7/16", "10.5.2.0/24", "10.5.2.7/16 of eth1"],
  ["10.5.2.7/8", "10.5.2.0/24", "10.5.2.7/8 of eth1"],
  ["10.5.4.7/24", "10.5.2.0/24", undefined],
  ["10.5.4.7/16", "10.5.2.0/24", undefined], // the cluster has a part of the hosts' network
  ["10.200.0.1/8", "10.5.2.0/24", undefined],
  ["fd00::1/64", "10.5.2.0/24", undefined],
];
for (const [address, subnet, said] of locals) {
  t.test(`beside ${address} of this host the lease ${subnet} is ${said ? "passed over" : "used"}`, async (t) => {
    const ask = () => peerOf(lease({ subnet }), { ...us, local: [eth1(address)] });
    const message = `its subnet ${subnet} overlaps the network of this host's address ${said}, which takes precedence`;
    if (said === undefined) t.ok(ask());
    else t.throws(ask, { message });
  });
}

t.test("with another backend one of the two hosts has not read the latest configuration", async (t) => {
  t.throws(() => peerOf(lease({}), { ...us, backendType: "" }), {
    message: 'its backend is "vxlan", ours is "udp"',
    remedy: /^all hosts need the same "Backend": restart flanneld on those that were started before /,
  });
});

for (const [said, message] of refused) {
  t.test(`a lease is not believed: ${JSON.stringify(said)}`, async (t) => {
    t.throws(() => peerOf(lease(said), us), { name: "InvalidPeerLease", message });
  });
}
