// What somebody else takes away or changes comes back, and what nobody needs any more goes.
import t from "tap";
import { inFullRunOnly, needsRoot } from "../lab/needs.ts";
import { type ClusterHost, entriesOf, fakeLease, fakeMac, newCluster, prefix, startDaemons } from "./lab.ts";
import type { Test } from "./program.ts";
import { until } from "./until.ts";

const needs = inFullRunOnly(needsRoot); // backends.test.ts and flanneld/ have a daemon in each run

const vxlan = { Network: "10.5.0.0/16", Backend: { Type: "vxlan" } };
const hostGateway = { Network: "10.5.0.0/16", Backend: { Type: "host-gw" } };

t.test("vxlan: each entry, address, setting and the device itself comes back", needs, async (t) => {
  const { hosts, pods, subnets } = await twoPods(t, vxlan);
  const [own, peer] = subnets;
  const mac = vtepMac(hosts[1]);
  const removals = {
    "the route of a peer": `ip route del ${peer}/24`,
    "the route of a peer, led elsewhere": `ip route replace ${peer}/24 via 192.0.2.1`,
    "the neighbour entry of a peer": `ip neigh del ${peer} dev flannel.1`,
    "the neighbour entry of a peer, with another MAC": `ip neigh replace ${peer} lladdr 0e:00:00:00:00:01 dev flannel.1`,
    "the FDB entry of a peer": `bridge fdb del ${mac} dev flannel.1 dst ${hosts[1].ipv4}`,
    "all entries of a peer": `ip route flush dev flannel.1; ip neigh flush dev flannel.1 nud permanent; bridge fdb del ${mac} dev flannel.1 dst ${hosts[1].ipv4}`,
    "the device's address": `ip address flush dev flannel.1 scope global`,
    "the device, set down": "ip link set flannel.1 down",
    "the device": "ip link del flannel.1",
  };
  const state = () => ({ ...entriesOf(hosts[0], peer, vtepMac(hosts[1])), ...deviceOf(hosts[0]) });
  const before = state();
  t.match(before, { addresses: [`${own}/32`], up: true });

  for (const [what, removal] of Object.entries(removals)) {
    hosts[0].sh(removal);
    await until(`${what} to come back: ${JSON.stringify(before)}`, () => same(state(), before));
    await until(`traffic after ${what} came back`, () => pods[0].reaches(pods[1].ipv4));
    t.pass(what);
  }
});

t.test("host-gw: the route of a peer comes back", needs, async (t) => {
  const { hosts, pods, subnets } = await twoPods(t, hostGateway);
  for (const removal of [`ip route del ${subnets[1]}/24`, `ip route replace ${subnets[1]}/24 via 192.0.2.1`]) {
    hosts[0].sh(removal);
    await until(`traffic after ${removal}`, () => pods[0].reaches(pods[1].ipv4));
    t.match(hosts[0].sh(`ip route show ${subnets[1]}/24`), `via ${hosts[1].ipv4} dev eth0`, removal);
  }
});

for (const [kind, EnableNFTables] of Object.entries({ iptables: false, nftables: true })) {
  t.test(`${kind}: rules come back after a firewall was loaded anew`, needs, async (t) => {
    const cluster = await newCluster(t, { network: { ...vxlan, EnableNFTables } });
    const host = cluster.addHost();
    await startDaemons([host], "--iptables-resync=1");
    const rules = () => host.sh("nft -s list ruleset");
    const before = rules();
    t.match(before, "masquerade");

    host.sh("nft flush ruleset");

    await until(`the rules to come back:\n${before}`, () => rules() === before);
  });
}

for (const [network, subnet] of [
  [vxlan, "10.5.250.0"],
  [hostGateway, "10.5.250.0"],
] as const) {
  const name = `${network.Backend.Type}: what a peer left that went while the daemon was away goes, and nothing else`;
  t.test(name, needs, async (t) => {
    const cluster = await newCluster(t, { network });
    const [host, peer] = [cluster.addHost(), cluster.addHost()];
    const [daemon] = await startDaemons([host, peer]);
    const lease = JSON.stringify({ ...JSON.parse(fakeLease("192.0.2.250")), BackendType: network.Backend.Type });
    cluster.etcd.put(`${prefix}/subnets/${subnet}-24`, lease);
    const routes = () => host.sh("ip route");
    await until("both peers are known", () => routes().match(/^10\.5\.\d+\.0\/24 via/gm)?.length === 2);
    host.sh("ip route add 10.5.251.0/24 via 192.0.2.1 dev eth0"); // somebody else's

    await daemon.end("SIGKILL");
    cluster.etcd.del(`${prefix}/subnets/${subnet}-24`);
    await startDaemons([host]);

    await until("its route is gone", () => !routes().includes(subnet));
    t.match(routes(), /^10\.5\.251\.0\/24 via 192\.0\.2\.1 dev eth0/m);
    const ours = subnetOf(peer);
    t.match(routes(), new RegExp(`^${ours}/24 via `, "m"));
    if (network === vxlan)
      await until("its other entries are gone", () =>
        same(entriesOf(host, subnet, fakeMac("192.0.2.250")), { route: "", neighbour: "", fdb: "" }),
      );
  });
}

t.test("a host that gets another address keeps its subnet, and the others follow", needs, async (t) => {
  const { cluster, hosts, pods, subnets } = await twoPods(t, vxlan);

  const startedMs = performance.now();
  hosts[0].sh(`
    ip address del ${hosts[0].ipv4}/24 dev eth0
    ip address add 192.0.2.50/24 dev eth0
    ip route add default via 192.0.2.1`);

  await until("the lease tells the new address", () => cluster.leases()[`${subnets[0]}-24`]?.PublicIP === "192.0.2.50");
  t.comment(`the lease tells it after ${Math.round(performance.now() - startedMs)} ms`);
  await until("the pods reach each other", () => pods[1].reaches(pods[0].ipv4) && pods[0].reaches(pods[1].ipv4));
  t.comment(`the pods reach each other after ${Math.round(performance.now() - startedMs)} ms`);
  t.equal(Object.keys(cluster.leases()).length, 2);
  t.match(entriesOf(hosts[1], subnets[0], vtepMac(hosts[0])), { fdb: /dst 192\.0\.2\.50 / });
});

t.test("the device and subnet.env follow the interface's MTU", needs, async (t) => {
  const { hosts, pods } = await twoPods(t, vxlan);

  hosts[0].sh("ip link set eth0 mtu 1400");

  await until("subnet.env follows", () => hosts[0].subnetEnv()["FLANNEL_MTU"] === "1350");
  await until("the device follows", () => deviceOf(hosts[0]).mtu === 1350);
  t.ok(pods[0].reaches(pods[1].ipv4));
});

/** Two hosts with a pod each, which reach each other; `subnets` are base addresses of /24s. */
async function twoPods(t: Test, network: object) {
  const cluster = await newCluster(t, { network });
  const hosts = [cluster.addHost(), cluster.addHost()] as const;
  await startDaemons(hosts);
  const pods = [await hosts[0].addPod(), await hosts[1].addPod()] as const;
  await until("the pods reach each other", () => pods[0].reaches(pods[1].ipv4));
  return { cluster, hosts, pods, subnets: [subnetOf(hosts[0]), subnetOf(hosts[1])] as const };
}

function subnetOf(host: ClusterHost): string {
  return (host.subnetEnv()["FLANNEL_SUBNET"] ?? "").replace(/1\/24$/, "0");
}

interface Device {
  address: string;
  mtu: number;
  flags: string[];
  addr_info: { family: string; local: string; prefixlen: number }[];
}

function device(host: ClusterHost): Device {
  const [found] = host.json("ip", "-j", "address", "show", "flannel.1") as [Device];
  return found;
}

const vtepMac = (host: ClusterHost) => device(host).address;

function deviceOf(host: ClusterHost): { addresses: string[]; mtu: number; up: boolean } {
  const { addr_info, mtu, flags } = device(host);
  const ipv4 = addr_info.filter(({ family }) => family === "inet");
  return { addresses: ipv4.map(({ local, prefixlen }) => `${local}/${prefixlen}`), mtu, up: flags.includes("UP") };
}

function same(one: object, other: object): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
