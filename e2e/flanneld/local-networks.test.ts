// Leases that overlap a network that the host itself is in, and routes of others to the subnet of a lease: they stay, and it is said.
import t from "tap";
import type { JsonObject } from "../../pkg/config/json.ts";
import type { Backend } from "../../pkg/flannel/backend/backend.ts";
import { needsKernel } from "../lab/needs.ts";
import { type BackendHost, direct, encapsulated, newBackendHost, peer as peerOf } from "./backend-host.ts";

const kinds: { name: string; settings: JsonObject; reach: (n: number) => string[] }[] = [
  { name: "vxlan", settings: { Type: "vxlan" }, reach: (n) => encapsulated(n) },
  { name: "vxlan with DirectRouting", settings: { Type: "vxlan", DirectRouting: true }, reach: (n) => direct(n) },
  { name: "host-gw", settings: { Type: "host-gw" }, reach: (n) => direct(n) },
];

const addEth2 = "ip link add eth2 type veth peer name eth3; ip link set eth3 up; ip link set eth2 up";
const own = "ip address add 10.5.9.7/24 dev eth2; ip address add fd00:5:0:9::7/64 dev eth2 nodad";
const connected = {
  ipv4: "10.5.9.0/24 dev eth2 proto kernel scope link src 10.5.9.7",
  ipv6: "fd00:5:0:9::/64 dev eth2 proto kernel metric 256 pref medium",
};

/** To the subnets of peer 9. */
const routes = (host: BackendHost) => ({
  ipv4: host.sh("ip route show 10.5.9.0/24").trim(),
  ipv6: host.sh("ip -6 route show fd00:5:0:9::/64").trim(),
});

const concerned = (host: BackendHost, backend: Backend): boolean =>
  host.events().some((event) => backend.concerns(event));

for (const { name, settings, reach } of kinds) {
  const type = String(settings["Type"]);
  const peer = (n: number) => peerOf(n, { type });
  const needs = needsKernel("vxlan");
  const sorted = (...peers: number[]) => peers.flatMap(reach).toSorted();

  t.test(`${name}: the network of an interface stays, whichever came first`, needs, async (t) => {
    const host = newBackendHost(t);
    host.sh(addEth2);
    host.sh(own);
    const backend = await host.start(settings);
    t.equal((await backend.setPeers([peer(2), peer(9)])).refused.length, 0);
    t.strictSame(routes(host), connected, "there before the lease");
    t.strictSame(host.entries(), sorted(2), "the other peer is reached");
    t.match(host.logged().join("\n"), /warn a host cannot be reached .*10\.5\.9\.0.*10\.5\.9\.7\/24 of eth2/);
    t.match(
      backend.obstacles().map(({ text }) => text),
      [/10\.5\.0\.0\/16 overlaps .* 10\.5\.9\.7\/24 of eth2/, /fd00:5::\/48/, /host of lease 10\.5\.9\.0-24&/],
    );

    host.events();
    host.sh("ip address del 10.5.9.7/24 dev eth2; ip address del fd00:5:0:9::7/64 dev eth2");
    t.ok(concerned(host, backend), "that the address goes is noticed");
    await backend.repair();
    t.strictSame(host.entries(), sorted(2, 9), "the lease can be used");
    t.strictSame(backend.obstacles(), []);

    host.events();
    host.sh(own);
    t.ok(concerned(host, backend), "that an address comes is noticed");
    await backend.repair();
    t.strictSame(routes(host), connected, "there after the lease");
    await backend.changePeers({ changed: [peer(9)], gone: [] });
    t.strictSame(routes(host), connected, "the lease is written again");
    host.events();
    host.sh("ip address change 10.5.9.7/24 dev eth2 preferred_lft 1000 valid_lft 2000");
    t.notOk(concerned(host, backend), "what the kernel says of the address again is nothing new");
  });

  t.test(`${name}: an address in a peer's subnet stays reachable`, needs, async (t) => {
    const host = newBackendHost(t);
    host.sh(`${addEth2}; ip address add 10.5.9.7/32 dev eth2; ip address add fd00:5:0:8::7/128 dev eth2 nodad`);
    const backend = await host.start(settings);
    await backend.setPeers([peer(2), peer(8), peer(9)]);
    const isOf = (text: string) => !/fd00:5:0:8:|10\.5\.9\.|192\.0\.2\.9$|:04:09|:06:08/.test(text);
    t.strictSame(host.entries(), sorted(2, 8, 9).filter(isOf), "the other family of each is reached");
  });

  t.test(`${name}: a route of another program stays, until that removes it`, needs, async (t) => {
    const host = newBackendHost(t);
    const add = `ip route add 10.5.9.0/24 via 192.0.2.77 proto static
                 ip -6 route add fd00:5:0:9::/64 via fd00:a::77 proto static`;
    const remove = `ip route del 10.5.9.0/24 proto static
                    ip -6 route del fd00:5:0:9::/64 proto static`;
    const foreign = [
      "route 10.5.9.0/24 via 192.0.2.77 dev eth0 proto static",
      "route fd00:5:0:9::/64 via fd00:a::77 dev eth0 proto static",
    ];
    const shown = () => host.entries().filter((text) => /^route (10\.5\.9\.|fd00:5:0:9:)/.test(text));
    const ours = sorted(9).filter((text) => text.startsWith("route"));
    const backend = await host.start(settings);
    await backend.setPeers([peer(2)]);
    host.sh(add);
    for (const [what, work] of [
      ["a lease that comes", () => backend.changePeers({ changed: [peer(9)], gone: [] })],
      ["a repair", () => backend.repair()],
      ["a restart", async () => (await host.start(settings)).setPeers([peer(2), peer(9)])],
    ] as const) {
      t.strictSame((await work()).refused, [], what);
      t.strictSame(shown(), foreign, what);
    }
    t.match(host.logged().join("\n"), /warn a host cannot be reached: .*10\.5\.9\.0\/24 via 192\.0\.2\.77/);
    t.match(
      backend.obstacles().find(({ text }) => text.includes("10.5.9.0/24 via 192.0.2.77")),
      { remedy: /ip route del 10\.5\.9\.0\/24 via 192\.0\.2\.77 proto 4$/ },
    );

    host.events();
    host.sh(remove);
    t.ok(concerned(host, backend), "that it goes is noticed");
    await backend.repair();
    t.strictSame(shown(), ours);
    t.strictSame(backend.obstacles(), []);

    host.sh(add.replaceAll("route add", "route replace"));
    t.ok(concerned(host, backend), "that ours is replaced is noticed");
    await backend.repair();
    t.strictSame(shown(), foreign, "and not fought");
    host.events();
    await backend.changePeers({ changed: [], gone: [peer(9).id] });
    t.strictSame(shown(), foreign, "the lease goes");
  });

  t.test(`${name}: the network's route comes back that an earlier version replaced`, needs, async (t) => {
    const host = newBackendHost(t);
    host.sh(addEth2);
    host.sh(own);
    const before = routes(host);
    host.sh("ip route replace 10.5.9.0/24 via 192.0.2.9 dev eth0 proto 143");
    const backend = await host.start(settings);
    await backend.setPeers([peer(2), peer(9)]);
    t.strictSame(routes(host), before);
    t.match(host.logged().join("\n"), /warn restored the kernel's route to an interface's network/);
    host.sh("ip address del 10.5.9.7/24 dev eth2");
    t.equal(routes(host).ipv4, "", "the kernel takes it for its own");
  });
}
