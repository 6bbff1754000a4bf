import t from "tap";
import { cidr, ip } from "../../cluster/lease/fake.testing.ts";
import type { Lease } from "../../cluster/lease/lease.ts";
import { storeRemedies } from "../../cluster/lease/store-manager.ts";
import { logOf } from "../../cluster/log/log.ts";
import { formatAddress } from "../../ip/address.ts";
import { familyNames } from "../../ip/family.ts";
import { Connection } from "../../netlink/connection.ts";
import { backendTypes } from "./backend-registry.ts";
import { createBackend } from "./create-backend.ts";

const rtnl = new Connection({
  fd: -1,
  send() {
    throw new Error("the kernel was asked");
  },
  receive: () => new Uint8Array(),
  receiveArrived: () => undefined,
  close: () => {},
});

const create = (type: string) =>
  createBackend({
    rtnl,
    external: { index: 2, name: "eth0", mtu: 1500 },
    network: { nftables: false, noMasquerade: [], backend: { type, settings: {} } },
    published: undefined,
    statePath: "/run/flannel/subnet",
    remedies: storeRemedies,
    log: logOf(() => {}),
  });

const types = Object.keys(backendTypes).join(", ");
for (const [type, message] of [
  ["wireguard", `backend "wireguard" is not implemented by this daemon yet; choose one of: ${types}`],
  ["vxlna", `backend "vxlna" is unknown, did you mean "vxlan"?; choose one of: ${types}`],
  ["hostgw", `backend "hostgw" is unknown, did you mean "host-gw"?; choose one of: ${types}`],
  ["constructor", `backend "constructor" is unknown; choose one of: ${types}`],
] as const) {
  t.test(`a type that there is not: ${type}`, async (t) => {
    t.throws(() => create(type), {
      name: "InvalidNetworkConfig",
      message: `the network configuration cannot be used: ${message}`,
    });
  });
}

/** What each backend says of the way to a peer: the bytes that it adds, and the addresses to ping. */
const ways: Record<keyof typeof backendTypes, { overheadBytes: number; probes: string[]; advice: RegExp }> = {
  vxlan: { overheadBytes: 50, probes: ["10.5.2.0", "fd00:5:0:2::"], advice: /VXLAN's UDP port \(8472 by default\)/ },
  "host-gw": { overheadBytes: 0, probes: ["192.0.2.2", "fd00:a::2"], advice: /in one network segment$/ },
  udp: { overheadBytes: 28, probes: ["10.5.2.0"], advice: /let UDP port 8285 pass/ },
  alloc: { overheadBytes: 0, probes: [], advice: /has a route to its subnet$/ },
};
const peer: Lease = {
  id: "10.5.2.0-24&fd00:5:0:2::-64",
  ipv4: cidr("10.5.2.0/24"),
  ipv6: cidr("fd00:5:0:2::/64"),
  attributes: { publicIP: ip("192.0.2.2"), publicIPv6: ip("fd00:a::2"), backendType: "" },
};

for (const [type, { overheadBytes, probes, advice }] of Object.entries(ways)) {
  t.test(`${type}: it asks the kernel nothing before it is used, and describes the way to a peer`, async (t) => {
    const backend = create(type);
    t.equal(backend.overheadBytes, overheadBytes);
    t.equal(backend.mtu, 1500 - overheadBytes);
    const asked = familyNames.flatMap((family) => backend.probeAddress(peer, family) ?? []);
    t.strictSame(asked.map(formatAddress), probes);
    t.match(backend.adviceWhenSilent, advice);
  });
}
