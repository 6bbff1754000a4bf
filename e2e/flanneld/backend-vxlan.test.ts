// The vxlan backend on real kernels: devices, entries, and what becomes of them when others interfere.
import t from "tap";
import { type Lease, leaseOf as storedLease } from "../../pkg/cluster/lease/lease.ts";
import type { Backend } from "../../pkg/flannel/backend/backend.ts";
import { offloadsTxChecksum } from "../../pkg/link/ethtool.ts";
import type { Nlmsg } from "../../pkg/netlink/nlmsg.ts";
import { openNamespace, within } from "../../pkg/sys/namespace.ts";
import { randomFrom, testSeed } from "../../pkg/sys/random.testing.ts";
import { bindSocket, openSocket } from "../../pkg/sys/socket.ts";
import { needsKernel } from "../lab/needs.ts";
import {
  address,
  type BackendHost,
  direct,
  encapsulated,
  newBackendHost,
  onlyIPv4,
  type PeerOptions,
  peer,
  prefix,
} from "./backend-host.ts";

const needsVxlan = needsKernel("vxlan");
const nothing = { added: 0, removed: 0, refused: [] };

interface Device {
  ifindex: number;
  address: string;
  mtu: number;
  flags: string[];
  linkinfo: { info_kind: string; info_data: Record<string, unknown> };
}

function device(host: BackendHost, name: string): Device {
  const [found] = host.json("ip", "-d", "-j", "link", "show", name) as Device[];
  if (found === undefined) throw new Error(`no ${name}`);
  return found;
}

const addresses = (host: BackendHost, name: string): string[] =>
  (
    host.json("ip", "-j", "addr", "show", name) as {
      addr_info: { local: string; prefixlen: number; scope: string }[];
    }[]
  )
    .flatMap(({ addr_info }) => addr_info)
    .filter(({ scope }) => scope === "global")
    .map(({ local, prefixlen }) => `${local}/${prefixlen}`);

const sorted = (...lists: string[][]): string[] => lists.flat().toSorted();
const concerned = (backend: Backend, events: readonly Nlmsg[]): boolean => events.some((one) => backend.concerns(one));

t.test("a device per family, as flannel makes them", needsVxlan, async (t) => {
  const host = newBackendHost(t);
  const backend = await host.start();
  const common = { id: 1, link: "eth0", port: 8472, learning: false, ageing: 300 };
  t.match(device(host, "flannel.1").linkinfo, { info_kind: "vxlan", info_data: { ...common, local: "192.0.2.1" } });
  t.match(device(host, "flannel-v6.1").linkinfo, { info_kind: "vxlan", info_data: { ...common, local6: "fd00:a::1" } });
  t.strictSame([device(host, "flannel.1").mtu, device(host, "flannel-v6.1").mtu, backend.mtu], [1450, 1430, 1450]);
  t.strictSame(
    backend.devices.map(({ name, mtu }) => `${name} ${mtu}`),
    ["flannel.1 1450", "flannel-v6.1 1430"],
  );
  t.strictSame(
    [addresses(host, "flannel.1"), addresses(host, "flannel-v6.1")],
    [["10.5.1.0/32"], ["fd00:5:0:1::/128"]],
  );
  t.ok(device(host, "flannel.1").flags.includes("UP") && device(host, "flannel-v6.1").flags.includes("UP"));
  t.strictSame(await backend.attributes(), {
    backendType: "vxlan",
    backendData: { VNI: 1, VtepMAC: device(host, "flannel.1").address },
    backendV6Data: { VNI: 1, VtepMAC: device(host, "flannel-v6.1").address },
  });
  for (const name of ["flannel.1", "flannel-v6.1"])
    t.equal(host.sh(`cat /proc/sys/net/ipv6/conf/${name}/accept_ra`), "0\n");
});

t.test("every key of the configuration is in the device", needsVxlan, async (t) => {
  const host = newBackendHost(t);
  await host.start({ Type: "vxlan", VNI: 7, Port: 4789, MTU: 1400, GBP: true, Learning: true });
  t.match(device(host, "flannel.7").linkinfo.info_data, { id: 7, port: 4789, learning: true, gbp: true });
  t.equal(device(host, "flannel.7").mtu, 1350);
});

t.test(
  "each peer is a neighbour, a forwarding entry and a route; what cannot be read is said once",
  needsVxlan,
  async (t) => {
    const host = newBackendHost(t);
    const backend = await host.start();
    const noMac = { ...peer(5), attributes: { ...peer(5).attributes, backendV6Data: { VNI: 1 } } };
    const { ipv6: _, ...onlyIPv4 } = peer(6);
    t.strictSame(await backend.setPeers([peer(2), peer(3), peer(4, { type: "host-gw" }), noMac, onlyIPv4]), {
      added: 18,
      removed: 0,
      refused: [],
    });
    const isIPv4 = (text: string) => !text.includes("flannel-v6");
    const parts = [...encapsulated(5), ...encapsulated(6)].filter(isIPv4);
    t.strictSame(host.entries(), sorted(encapsulated(2), encapsulated(3), parts));
    await backend.repair();
    t.strictSame(host.logged(), [
      'warn a host cannot be reached {"lease":"10.5.4.0-24&fd00:5:0:4::-64","publicIP":"192.0.2.4, fd00:a::4","reason":"its backend is \\"host-gw\\", ours is \\"vxlan\\"; its backend is \\"host-gw\\", ours is \\"vxlan\\"","remedy":"all hosts need the same \\"Backend\\": restart flanneld on those that were started before the network configuration was changed"}',
      'warn a host cannot be reached {"lease":"10.5.5.0-24&fd00:5:0:5::-64","publicIP":"192.0.2.5, fd00:a::5","reason":"its BackendV6Data is {\\"VNI\\":1}, expected one like {\\"VtepMAC\\":\\"0e:2a:00:00:00:01\\"}"}',
    ]);
  },
);

t.test("a lease with our own public address, or of no subnet of the network, leads nowhere", needsVxlan, async (t) => {
  const host = newBackendHost(t);
  const backend = await host.start();
  const subnets = { ipv4: prefix("198.51.100.0/24"), ipv6: prefix("2001:db8::/32") };
  const outside = storedLease(subnets, peer(3).attributes, undefined);
  t.strictSame(await backend.setPeers([peer(2, { host: 1 }), outside]), { added: 0, removed: 0, refused: [] });
  t.strictSame(host.entries(), [], "packets would go round inside the host, 63 times each");
  t.match(host.logged(), [/10\.5\.2\.0-24.*is our own/, /198\.51\.100\.0\/24 is not part of the network/]);
});

t.test("a host without IPv6 uses the IPv4 part of dual-stack peers", needsVxlan, async (t) => {
  const host = newBackendHost(t);
  const backend = await host.start({ Type: "vxlan" }, host.external, onlyIPv4);
  t.strictSame(await backend.setPeers([peer(2)]), { added: 3, removed: 0, refused: [] });
  t.strictSame(
    host.entries(),
    encapsulated(2)
      .filter((text) => !text.includes("flannel-v6"))
      .toSorted(),
  );
  const restarted = await host.start({ Type: "vxlan" });
  await t.rejects(restarted.setOwnLease({ ipv4: prefix("10.5.1.0/24") }), {
    message:
      "the lease has no IPv6 subnet, but the network configuration now has one; delete the lease's key from the store, and restart flanneld",
  });
});

t.test("a restart touches nothing that is right, and removes what is left of others", needsVxlan, async (t) => {
  const host = newBackendHost(t);
  const first = await host.start();
  await first.setPeers([peer(2), peer(3), peer(4)]);
  const before = device(host, "flannel.1");
  host.sh("ip route add 10.9.0.0/24 via 192.0.2.9 proto 143; ip route add 10.5.77.0/24 via 192.0.2.9 proto 143");
  host.sh("ip neigh add 10.5.66.0 lladdr 02:00:00:00:00:66 nud permanent dev flannel.1");
  host.events();

  const second = await host.start();
  t.strictSame(await second.attributes(), await first.attributes());
  t.strictSame(await second.setPeers([peer(2), peer(3)]), { added: 0, removed: 8, refused: [] });
  t.strictSame(host.entries(), sorted(encapsulated(2), encapsulated(3)));
  t.equal(device(host, "flannel.1").ifindex, before.ifindex);
  t.equal(
    host.sh("ip route show 10.9.0.0/24 | wc -l"),
    "1\n",
    "a route of our protocol in another network is another daemon's",
  );
  const touched = host.events().filter(({ type }) => type === 24 || type === 28); // RTM_NEWROUTE, RTM_NEWNEIGH
  t.strictSame(
    touched.filter((one) => second.concerns(one)),
    [],
  );
});

t.test("what flannel made is taken over without a gap", needsVxlan, async (t) => {
  const host = newBackendHost(t);
  host.sh(`ip link add flannel.1 type vxlan id 1 dev eth0 local 192.0.2.1 nolearning dstport 8472
    ip addr add 10.5.1.0/32 dev flannel.1; ip link set flannel.1 mtu 1450 up
    ip neigh replace 10.5.2.0 lladdr 02:00:00:00:04:02 nud permanent dev flannel.1
    bridge fdb replace 02:00:00:00:04:02 dst 192.0.2.2 self permanent dev flannel.1
    ip route replace 10.5.2.0/24 via 10.5.2.0 dev flannel.1 onlink`);
  const before = device(host, "flannel.1");
  const backend = await host.start();
  host.events();
  t.strictSame(await backend.setPeers([peer(2)]), { added: 4, removed: 0, refused: [] }); // IPv6, and the route's protocol
  t.strictSame(host.entries(), sorted(encapsulated(2)));
  t.same(device(host, "flannel.1"), before);
  t.strictSame(
    host.events().filter(({ type }) => type === 25 || type === 29),
    [],
    "nothing was deleted",
  ); // RTM_DELROUTE, RTM_DELNEIGH
});

const removals: Record<string, (entry: string) => string> = {
  route: (entry) => `ip route del ${entry.split(" ")[1]}`,
  neighbour: (entry) => `ip neigh del ${entry.split(" ")[1]} dev ${entry.split(" ")[3]}`,
  fdb: (entry) => `bridge fdb del ${entry.split(" ")[1]} dev ${entry.split(" ")[3]} self`,
};

t.test("any entry that somebody deletes is noticed, comes back, and nothing else is touched", needsVxlan, async (t) => {
  const host = newBackendHost(t);
  const backend = await host.start();
  await backend.setPeers([peer(2), peer(3)]);
  const wanted = host.entries();
  for (const entry of wanted) {
    host.events();
    host.sh(removals[entry.split(" ")[0] ?? ""]?.(entry) ?? "");
    t.ok(concerned(backend, host.events()), `it concerns us: ${entry}`);
    t.match(backend.missing(), [`${entry} is missing`]);
    t.strictSame(await backend.repair(), { added: 1, removed: 0, refused: [] }, entry);
    t.strictSame(host.entries(), wanted);
    const own = host.events();
    t.equal(own.length, 1, "one message tells of the mending");
    t.notOk(concerned(backend, own), "and does not concern us");
  }
  t.strictSame(await backend.repair(), nothing);
  t.strictSame(backend.missing(), []);
});

t.test("what others put on our device is noticed and removed; elsewhere it stays", needsVxlan, async (t) => {
  const host = newBackendHost(t);
  const backend = await host.start();
  await backend.setPeers([peer(2)]);
  const wanted = host.entries();
  for (const command of [
    "ip route add 10.5.99.0/24 dev flannel.1",
    "ip route replace 10.5.2.0/24 via 192.0.2.77",
    "ip route prepend 10.5.2.0/24 via 192.0.2.77",
    "ip route add 10.5.2.0/24 via 192.0.2.77 dev flannel.1 onlink metric 50",
    "ip neigh replace 10.5.2.0 lladdr 02:00:00:00:00:77 nud permanent dev flannel.1",
    "ip neigh replace 10.5.2.0 lladdr 02:00:00:00:04:02 nud reachable dev flannel.1",
    "bridge fdb replace 02:00:00:00:04:02 dst 192.0.2.78 self dev flannel.1",
    "bridge fdb add 02:00:00:00:00:78 dst 192.0.2.78 self permanent dev flannel.1",
    "ip addr add 10.5.44.4/32 dev flannel.1",
    "ip addr add fd00:44::4/128 dev flannel-v6.1",
    "ip addr del 10.5.1.0/32 dev flannel.1",
    "ip link set flannel.1 down",
    "ip link set flannel.1 down; ip link set flannel.1 up",
    "ip link set flannel-v6.1 down",
    "ip link set flannel-v6.1 down; ip link set flannel-v6.1 up",
    "ip link set flannel.1 mtu 1300",
    "ip link set flannel-v6.1 address 02:00:00:00:00:01",
    "ip link set flannel.1 type vxlan id 1 learning",
    "ip link del flannel.1",
    "ip link del flannel-v6.1",
  ]) {
    const before = [device(host, "flannel.1"), device(host, "flannel-v6.1")];
    host.events();
    host.sh(command);
    t.ok(concerned(backend, host.events()), `it concerns us: ${command}`);
    t.strictSame((await backend.repair()).refused, [], command);
    t.strictSame(host.entries(), wanted, command);
    t.strictSame(
      [addresses(host, "flannel.1"), addresses(host, "flannel-v6.1")],
      [["10.5.1.0/32"], ["fd00:5:0:1::/128"]],
    );
    const shape = ({ address, mtu, linkinfo }: Device) => ({ address, mtu, linkinfo });
    t.same([device(host, "flannel.1"), device(host, "flannel-v6.1")].map(shape), before.map(shape), command);
    t.strictSame(await backend.repair(), nothing, `${command}: once is enough`);
  }
  host.events();
  host.sh(
    "ip route add 10.77.0.0/24 via 192.0.2.9; ip addr add 192.0.2.200/24 dev eth0; ip neigh replace 192.0.2.9 lladdr 02:00:00:00:00:09 dev eth0",
  );
  t.notOk(concerned(backend, host.events()), "what happens on other interfaces does not concern us");
  t.strictSame(await backend.repair(), nothing);
});

t.test(
  "a device that is gone since an earlier run gets the MAC that is published; one that is there keeps its own",
  needsVxlan,
  async (t) => {
    const host = newBackendHost(t);
    const published = { ...peer(1).attributes, backendV6Data: { VNI: 1, VtepMAC: "01:00:00:00:00:01" } };
    await host.start({ Type: "vxlan" }, host.external, undefined, published);
    t.equal(device(host, "flannel.1").address, "02:00:00:00:04:01");
    t.match(device(host, "flannel-v6.1").address, /^(?!01:)/, "what is published is no device's");
    await host.start({ Type: "vxlan" }, host.external, undefined, peer(9).attributes);
    t.equal(device(host, "flannel.1").address, "02:00:00:00:04:01");
  },
);

t.test("a peer's new MAC replaces the old one, with its forwarding entry", needsVxlan, async (t) => {
  const host = newBackendHost(t);
  const backend = await host.start();
  await backend.setPeers([peer(2), peer(3)]);
  host.events();
  t.strictSame(await backend.changePeers({ changed: [peer(2, { mac: 9, host: 8 })], gone: [] }), {
    added: 4,
    removed: 2,
    refused: [],
  });
  t.strictSame(host.entries(), sorted(encapsulated(2, { mac: 9, host: 8 }), encapsulated(3)));
  t.notOk(concerned(backend, host.events()));
});

t.test("direct routing follows the network: neighbours get plain routes, others the tunnel", needsVxlan, async (t) => {
  const host = newBackendHost(t);
  const backend = await host.start({ Type: "vxlan", DirectRouting: true });
  await backend.setPeers([peer(2), peer(3)]);
  t.strictSame(host.entries(), sorted(direct(2), direct(3)));
  host.events();
  host.sh("ip route add 192.0.2.3/32 via 192.0.2.254; ip -6 route add fd00:a::3/128 via fd00:a::fe");
  t.ok(concerned(backend, host.events()), "a gateway in between concerns us");
  t.strictSame(await backend.repair(), { added: 6, removed: 0, refused: [] });
  t.strictSame(host.entries(), sorted(direct(2), encapsulated(3)));
  host.sh("ip route del 192.0.2.3/32; ip -6 route del fd00:a::3/128");
  t.strictSame(await backend.repair(), { added: 2, removed: 4, refused: [] });
  t.strictSame(host.entries(), sorted(direct(2), direct(3)));
});

t.test("IPv6 peers are reached behind a route of somebody else that covers their subnets", needsVxlan, async (t) => {
  const host = newBackendHost(t);
  host.sh("ip -6 route add fd00:5::/44 via fd00:a::9 dev eth0");
  const covering = ["route fd00:5::/44 via fd00:a::9 dev eth0 proto boot"];
  const backend = await host.start();

  t.strictSame(await backend.setPeers([peer(2)]), { added: 6, removed: 0, refused: [] });
  t.strictSame(await backend.changePeers({ changed: [peer(3)], gone: [] }), { added: 6, removed: 0, refused: [] });

  t.strictSame(host.entries(), sorted(encapsulated(2), encapsulated(3), covering), "nothing else stays");
  host.sh("ip -6 route del fd00:5:0:2::/64");
  t.strictSame(await backend.repair(), { added: 1, removed: 0, refused: [] });
  t.strictSame(host.entries(), sorted(encapsulated(2), encapsulated(3), covering));
});

t.test("an incompatible device is made anew, a compatible one is changed in place", needsVxlan, async (t) => {
  const host = newBackendHost(t);
  for (const [kind, made] of [
    ["bridge", true],
    ["vxlan id 2 dev eth0 local 192.0.2.1 dstport 8472", true],
    ["vxlan id 1 dev eth0 local 192.0.2.1 group 239.1.1.1 dstport 8472", true],
    ["vxlan id 1 dev eth0 local 192.0.2.1 dstport 8472 l2miss", true],
    ["vxlan id 1 dev eth0 local 192.0.2.99 dstport 8472 learning", false],
    ["vxlan id 1 dev eth0 local 192.0.2.1 dstport 4789", false],
  ] as const) {
    host.sh(`ip link add flannel.1 mtu 1400 type ${kind}`);
    const before = device(host, "flannel.1");
    await host.start();
    const after = device(host, "flannel.1");
    t.equal(after.ifindex !== before.ifindex, made, kind);
    t.match(after, { mtu: 1450, linkinfo: { info_data: { id: 1, local: "192.0.2.1", learning: false } } }, kind);
    host.sh("ip link del flannel.1; ip link del flannel-v6.1");
  }
});

t.test("the devices follow the interface's address and MTU, with all entries", needsVxlan, async (t) => {
  const host = newBackendHost(t);
  const backend = await host.start();
  await backend.setPeers([peer(2)]);
  const before = [device(host, "flannel.1"), device(host, "flannel-v6.1")];
  host.sh("ip link set eth0 mtu 1400; ip addr add 192.0.2.50/24 dev eth0; ip addr add fd00:a::50/64 dev eth0");
  const [ipv4, ipv6] = [address("192.0.2.50"), address("fd00:a::50")];
  await backend.follow({ ...host.external, mtu: 1400, ipv4, ipv6, publicIP: ipv4, publicIPv6: ipv6 });
  const after = [device(host, "flannel.1"), device(host, "flannel-v6.1")];
  t.match(after[0], { mtu: 1350, linkinfo: { info_data: { local: "192.0.2.50" } } });
  t.match(after[1], { mtu: 1330, linkinfo: { info_data: { local6: "fd00:a::50" } } });
  t.equal(backend.mtu, 1350);
  const identity = ({ ifindex, address }: Device) => ({ ifindex, address });
  t.strictSame(after.map(identity), before.map(identity));
  t.strictSame(host.entries(), sorted(encapsulated(2)));
});

t.test("a MAC that a policy rewrites before the lease is there is put back", needsVxlan, async (t) => {
  const host = newBackendHost(t);
  const backend = await host.start();
  const before = device(host, "flannel.1").address;
  host.sh("ip link set flannel.1 address 02:00:00:00:00:01");
  await backend.setOwnLease({ ipv4: prefix("10.5.1.0/24"), ipv6: prefix("fd00:5:0:1::/64") });
  t.equal(device(host, "flannel.1").address, before);
});

t.test("checksum offload is off behind NAT, also for a device that is made again", needsVxlan, async (t) => {
  const host = newBackendHost(t);
  const namespace = openNamespace(host.path);
  const offload = () => within(namespace, () => [offloadsTxChecksum("flannel.1"), offloadsTxChecksum("flannel-v6.1")]);
  const behindNat = { ...host.external, publicIP: address("203.0.113.9") };
  const backend = await host.start({ Type: "vxlan" }, behindNat);
  t.strictSame(offload(), [false, true]);
  t.match(
    device(host, "flannel.1").linkinfo.info_data,
    { local: "192.0.2.1" },
    "from an address of its own, or nothing is sent",
  );
  host.sh("ip link del flannel.1");
  await backend.repair();
  t.strictSame(offload(), [false, true]);
  await host.start({ Type: "vxlan", TxChecksum: "off" });
  t.strictSame(offload(), [false, false]);
  await host.start({ Type: "vxlan" });
  t.strictSame(offload(), [false, false], "auto undoes nothing");
  await host.start({ Type: "vxlan", TxChecksum: "on" });
  t.strictSame(offload(), [true, true]);
});

const refusals: { what: string; before: string; settings?: Record<string, number>; message: string }[] = [
  {
    what: "the VNI is taken",
    before: "ip link add other type vxlan id 1 dev eth0 dstport 8472",
    message:
      'cannot create the device "flannel.1": VNI 1 is used by the device "other"; remove it (ip link delete other), or give this network another "VNI"',
  },
  {
    what: "the interface is too small for IPv6",
    before: "true",
    settings: { MTU: 1300 },
    message:
      "the network configuration cannot be used: an MTU of 1300 (Backend.MTU) leaves 1250 bytes inside the tunnel, IPv6 needs 1280; raise it to 1350 or more",
  },
];
for (const { what, before, settings, message } of refusals) {
  t.test(`it is said why there is no device: ${what}`, needsVxlan, async (t) => {
    const host = newBackendHost(t);
    host.sh(before);
    await t.rejects(host.start({ Type: "vxlan", ...settings }), { message });
  });
}

t.test("it is said why a device cannot be set up: its port is taken", needsVxlan, async (t) => {
  const host = newBackendHost(t);
  const anyAddress8472 = Uint8Array.of(2, 0, 0x21, 0x18, ...new Uint8Array(12)); // struct sockaddr_in
  within(openNamespace(host.path), () => bindSocket(openSocket(2, 2, 0), anyAddress8472));
  await t.rejects(host.start(), {
    message:
      'cannot assign 10.5.1.0/32 to "flannel.1" and set it up: UDP port 8472 is used by another program; see ss -ulpn, or give this network another "Port" on every host',
  });
});

t.test("through any sequence of states the kernel has what is wanted", needsVxlan, async (t) => {
  const seed = testSeed();
  const number = randomFrom(seed);
  const random = (below: number) => Math.floor(number() * below);
  const host = newBackendHost(t);
  let backend = await host.start();
  let wanted = new Map<number, PeerOptions>();
  await backend.setPeers([]);
  for (let step = 1; step <= 60; step++) {
    const next = new Map(wanted);
    for (let change = random(4); change >= 0; change--) mutate(next, random);
    const leases = (of: ReadonlyMap<number, PeerOptions>): Lease[] => [...of].map(([n, options]) => peer(n, options));
    const way = random(4);
    if (way === 0) {
      backend = await host.start();
      await backend.setPeers(leases(next));
    } else {
      const changed = leases(next).filter(
        (lease) => JSON.stringify(lease) !== JSON.stringify(leases(wanted).find(({ id }) => id === lease.id)),
      );
      await backend.changePeers({
        changed,
        gone: [...wanted.keys()].filter((n) => !next.has(n)).map((n) => peer(n).id),
      });
    }
    wanted = next;
    if (way === 1) vandalise(host, random);
    if (way === 1) await backend.repair();
    const expected = sorted(...[...wanted].map(([n, options]) => encapsulated(n, options)));
    t.strictSame(host.entries(), expected, `step ${step} of seed ${seed}`);
  }
});

/** Peers 2 to 9; MACs are of one peer each, since two with one MAC cannot both be reached. */
function mutate(peers: Map<number, PeerOptions>, random: (below: number) => number): void {
  const n = 2 + random(8);
  const mac = n + 16 * random(3);
  if (random(3) === 0) peers.delete(n);
  else peers.set(n, { mac, host: 2 + random(200) });
}

function vandalise(host: BackendHost, random: (below: number) => number): void {
  const entries = host.entries();
  const entry = entries[random(entries.length)];
  if (random(4) === 0) host.sh("ip link del flannel.1");
  else if (entry !== undefined) host.sh(removals[entry.split(" ")[0] ?? ""]?.(entry) ?? "");
}

t.test("containers of two hosts reach each other, and a restart loses no packet", needsVxlan, async (t) => {
  const [one, two] = [newBackendHost(t, 1, { containers: 0 }), newBackendHost(t, 2, { containers: 0 })];
  one.sh(`ip link set eth1 netns ${two.name} name wire0`);
  two.sh(
    "ip link add bridge0 type bridge; ip link set wire0 master bridge0; ip link set eth1 master bridge0; ip link set bridge0 up; ip link set wire0 up; ip link set eth1 up",
  );
  const backends = await Promise.all([one, two].map((host) => host.start()));
  const leaseOf = async (n: 1 | 2): Promise<Lease> => {
    const attributes = await backends[n - 1]?.attributes();
    if (attributes === undefined) throw new Error("no backend");
    return { ...peer(n), attributes: { ...peer(n).attributes, ...attributes } };
  };
  await backends[0]?.setPeers([await leaseOf(2)]);
  await backends[1]?.setPeers([await leaseOf(1)]);
  [one, two].forEach((host, i) => {
    host.sh(`ip addr add 10.5.${i + 1}.1/24 dev lo; ip addr add fd00:5:0:${i + 1}::1/64 dev lo`);
  });
  t.match(one.sh("ping -q -c 3 -i 0.05 -W 2 -I 10.5.1.1 10.5.2.1"), " 0% packet loss");
  t.match(one.sh("ping -q -c 3 -i 0.05 -W 2 -I fd00:5:0:1::1 fd00:5:0:2::1"), " 0% packet loss");
  t.match(
    one.sh("ping -q -c 1 -M do -s 1422 -W 2 -I 10.5.1.1 10.5.2.1"),
    " 0% packet loss",
    "at the device's full size",
  );
  const during = one.runInside([
    "sh",
    "-c",
    "ping -q -c 40 -i 0.05 -W 2 -I 10.5.1.1 10.5.2.1 > /tmp/ping-$0 & echo $!",
    one.name,
  ]);
  t.equal(during.status, 0);
  for (let again = 0; again < 20; again++) {
    await (await one.start()).setPeers([await leaseOf(2)]);
    await (await two.start()).setPeers([await leaseOf(1)]);
  }
  one.sh(`while kill -0 ${during.stdout.trim()} 2>/dev/null; do sleep 0.05; done`);
  t.match(
    one.sh(`cat /tmp/ping-${one.name}; rm /tmp/ping-${one.name}`),
    " 0% packet loss",
    "while both daemons restart",
  );
});
