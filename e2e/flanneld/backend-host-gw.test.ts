// The host-gw and alloc backends on real kernels.
import t from "tap";
import type { Backend } from "../../pkg/flannel/backend/backend.ts";
import type { Nlmsg } from "../../pkg/netlink/nlmsg.ts";
import { needsRoot } from "../lab/needs.ts";
import { address, direct, newBackendHost, peer as vxlanPeer } from "./backend-host.ts";

const hostGw = { Type: "host-gw" };
const peer = (n: number, host = n) => vxlanPeer(n, { host, type: "host-gw" });
const sorted = (...lists: string[][]): string[] => lists.flat().toSorted();
const concerned = (backend: Backend, events: readonly Nlmsg[]): boolean => events.some((one) => backend.concerns(one));

t.test("a route per peer and family over the interface, with the interface's MTU", needsRoot, async (t) => {
  const host = newBackendHost(t);
  const backend = await host.start(hostGw);
  t.strictSame(await backend.attributes(), { backendType: "host-gw" });
  t.equal(backend.mtu, 1500);
  t.strictSame(await backend.setPeers([peer(2), peer(3), vxlanPeer(4)]), { added: 4, removed: 0, refused: [] });
  t.strictSame(host.entries(), sorted(direct(2), direct(3)));
  await backend.changePeers({ changed: [peer(2, 9)], gone: [peer(3).id] });
  t.strictSame(host.entries(), sorted(direct(2, { host: 9 })));
});

t.test(
  "a restart removes the routes of hosts that have gone, and flannel's become ours in place",
  needsRoot,
  async (t) => {
    const host = newBackendHost(t);
    await (await host.start(hostGw)).setPeers([peer(2), peer(3)]);
    host.sh("ip route add 10.5.6.0/24 via 192.0.2.6; ip route add 10.5.7.0/24 via 192.0.2.7");
    host.events();
    const backend = await host.start(hostGw);
    t.strictSame(await backend.setPeers([peer(2), peer(6)]), { added: 2, removed: 2, refused: [] });
    const stays = "route 10.5.7.0/24 via 192.0.2.7 dev eth0 proto boot";
    t.strictSame(
      host.entries(),
      sorted(direct(2), direct(6), [stays]),
      "what is not marked as ours and not wanted stays",
    );
    const deleted = host.events().filter(({ type }) => type === 25); // RTM_DELROUTE
    t.equal(deleted.length, 2, "only the routes of the host that has gone were deleted");
    t.match(
      host.logged(),
      ["info replacing a route of another program"].map((text) => new RegExp(text)),
    );
  },
);

/** The kernel tells of a carrier, and makes the link-local address that needs one, some time after the link is set up. */
const untilUp =
  "until ip link show eth0 | grep -q 'state UP' && ip -6 addr show dev eth0 | grep -q fe80; do sleep 0.01; done";

t.test("what others do to the routes is noticed and mended", needsRoot, async (t) => {
  const host = newBackendHost(t);
  const backend = await host.start(hostGw);
  await backend.setPeers([peer(2), peer(3)]);
  const wanted = host.entries();
  for (const command of [
    "ip route del 10.5.2.0/24",
    "ip -6 route del fd00:5:0:3::/64",
    "ip route replace 10.5.2.0/24 via 192.0.2.77",
    "ip -6 route replace fd00:5:0:2::/64 via fd00:a::77",
    "ip route replace blackhole 10.5.3.0/24",
    "ip route add 10.5.99.0/24 via 192.0.2.77 proto 143",
    `ip link set eth0 down; ip link set eth0 up; ip -6 addr add fd00:a::1/64 dev eth0; ${untilUp}`,
  ]) {
    host.events();
    host.sh(command);
    t.ok(concerned(backend, host.events()), `it concerns us: ${command}`);
    t.strictSame((await backend.repair()).refused, [], command);
    t.strictSame(host.entries(), wanted, command);
    t.notOk(concerned(backend, host.events()), `our mending does not: ${command}`);
    t.strictSame(await backend.repair(), { added: 0, removed: 0, refused: [] }, `${command}: once is enough`);
  }
  host.sh("ip route add 10.5.2.0/24 via 192.0.2.77 metric 100");
  t.strictSame(
    await backend.repair(),
    { added: 0, removed: 0, refused: [] },
    "a route with another metric is left alone",
  );
});

t.test("messages of the interface concern us when its routes may be gone, and not else", needsRoot, async (t) => {
  const host = newBackendHost(t);
  const backend = await host.start(hostGw);
  await backend.setPeers([peer(2)]);
  host.events();
  const concerns = (command: string) => {
    host.sh(command);
    const events = host.events();
    t.ok(events.length > 0, `${command}: the kernel tells of it`);
    return concerned(backend, events);
  };
  t.notOk(concerns("ip link set eth0 txqueuelen 77"));
  t.notOk(concerns("ip link set eth0 alias uplink"));
  t.ok(concerns("ip link set eth0 down"));
  t.ok(concerns("ip link set eth0 up"));
  t.ok(concerns("ip address add 192.0.2.77/24 dev eth0"));
});

t.test("routes follow to another interface", needsRoot, async (t) => {
  const host = newBackendHost(t);
  const backend = await host.start(hostGw);
  await backend.setPeers([peer(2)]);
  host.sh(`ip link add eth2 mtu 1400 type veth peer name eth3; ip link set eth2 up; ip link set eth3 up
           ip addr flush dev eth0 scope global
           ip addr add 192.0.2.1/24 dev eth2; ip addr add fd00:a::1/64 dev eth2`);
  const [link] = host.json("ip", "-j", "link", "show", "eth2") as { ifindex: number }[];
  await backend.follow({ ...host.external, index: link?.ifindex ?? 0, name: "eth2", mtu: 1400 });
  t.strictSame(
    host.entries(),
    direct(2)
      .map((text) => text.replace("eth0", "eth2"))
      .toSorted(),
  );
  t.equal(backend.mtu, 1400);
});

t.test("behind NAT there is no host-gw", needsRoot, async (t) => {
  const host = newBackendHost(t);
  await t.rejects(host.start(hostGw, { ...host.external, publicIP: address("203.0.113.9") }), {
    message:
      'host-gw: the public address 203.0.113.9 is not 192.0.2.1 of "eth0": host-gw cannot work behind NAT; remove --public-ip, or use the backend vxlan',
  });
});

t.test("alloc leaves the kernel alone", needsRoot, async (t) => {
  const host = newBackendHost(t);
  const before = host.snapshot();
  const backend = await host.start({ Type: "alloc" });
  await backend.setPeers([peer(2)]);
  await backend.repair();
  t.strictSame(host.snapshot(), before);
  t.strictSame([await backend.attributes(), backend.mtu], [{ backendType: "" }, 1500]);
});
