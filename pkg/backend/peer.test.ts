import t from "tap";
import { formatAddress, formatPrefix } from "../ip/address.ts";
import { cidr, ip } from "../subnet/fake.ts";
import type { Lease } from "../subnet/lease.ts";
import type { ExternalInterface } from "./backend.ts";
import { peerOf, type Viewpoint } from "./peer.ts";

/** Behind NAT: others reach it under 203.0.113.1. */
const external: ExternalInterface = {
  index: 2,
  name: "eth0",
  mtu: 1500,
  ipv4: ip("192.0.2.1"),
  publicIP: ip("203.0.113.1"),
};
const us: Viewpoint = { family: "ipv4", backendType: "vxlan", network: cidr("10.5.0.0/16"), external };

interface Said {
  subnet?: string;
  publicIP?: string;
  backendType?: string;
}

const lease = ({ subnet = "10.5.2.0/24", publicIP = "192.0.2.2", backendType = "vxlan" }: Said): Lease => ({
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
  [{ publicIP: "" }, "it has no PublicIP"],
  [{ subnet: "8.8.8.0/24" }, "its subnet 8.8.8.0/24 is no part of the network 10.5.0.0/16"],
  [{ subnet: "128.0.0.0/1" }, "its subnet 128.0.0.0/1 is no part of the network 10.5.0.0/16"],
  [{ subnet: "10.5.0.0/16" }, "its subnet 10.5.0.0/16 is no part of the network 10.5.0.0/16"],
  [{ publicIP: "192.0.2.1" }, `its public address 192.0.2.1 ${ours}`],
  [{ publicIP: "203.0.113.1" }, `its public address 203.0.113.1 ${ours}`],
  [{ publicIP: "127.0.0.1" }, "its public address 127.0.0.1 is no host's IPv4 address"],
  [{ publicIP: "239.1.2.3" }, "its public address 239.1.2.3 is no host's IPv4 address"],
];
for (const [said, message] of refused) {
  t.test(`a lease is not believed: ${JSON.stringify(said)}`, async (t) => {
    t.throws(() => peerOf(lease(said), us), { name: "Unreachable", message });
  });
}
