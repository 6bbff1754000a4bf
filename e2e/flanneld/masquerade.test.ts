// Whose address the other end sees, with the rules alone: no daemon, no tunnel. A container of this host, one of another host, and an outsider.
import t from "tap";
import type { TrafficConf } from "../../pkg/flannel/rules/settings.ts";
import { type Peer, startPeer } from "../cluster/traffic.ts";
import { type Host, newHost } from "../lab/host.ts";
import { needsKernel } from "../lab/needs.ts";
import { iptables, nftables, prefix, trafficOf } from "./traffic.ts";

const needs = needsKernel("iptables_nat");
type Test = Parameters<typeof startPeer>[0];

/** Each behind a link of its own; the host's address there ends in 1, theirs in 2. */
const networks = [
  { name: "pod", ipv4: "10.5.34", ipv6: "fd00:5:0:34::" },
  { name: "remote", ipv4: "10.5.77", ipv6: "fd00:5:0:77::" },
  { name: "outside", ipv4: "192.0.2", ipv6: "2001:db8::" },
] as const;
type Name = (typeof networks)[number]["name"];

const addressOf = (name: Name, family: "ipv4" | "ipv6", end: 1 | 2) => {
  const network = networks.find((one) => one.name === name);
  return family === "ipv4" ? `${network?.ipv4}.${end}` : `${network?.ipv6}${end}`;
};

async function newRouter(t: Test): Promise<{ host: Host; peers: Readonly<Record<Name, Peer>> }> {
  const host = newHost(t, { containers: networks.length });
  host.sh("echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding");
  for (const [i, { name, ipv4, ipv6 }] of networks.entries()) {
    host.sh(`
      ip link add ${name} type veth peer name eth0 netns ${host.containers[i]?.name}
      ip addr add ${ipv4}.1/24 dev ${name}; ip addr add ${ipv6}1/64 dev ${name} nodad; ip link set ${name} up`);
    host.containers[i]?.sh(`
      ip link set lo up
      ip addr add ${ipv4}.2/24 dev eth0; ip addr add ${ipv6}2/64 dev eth0 nodad; ip link set eth0 up
      ip route add default via ${ipv4}.1; ip route add default via ${ipv6}1`);
  }
  const peers = await Promise.all(host.containers.map((container) => startPeer(t, container.name)));
  return { host, peers: Object.fromEntries(networks.map(({ name }, i) => [name, peers[i]])) as Record<Name, Peer> };
}

/** Who sends to whom, and whose address is seen: the sender's own, or the host's on the way there. */
const journeys: Record<TrafficConf["kind"], [from: Name, to: Name, seen: "own" | "host's"][]> = {
  iptables: [
    ["pod", "outside", "host's"],
    ["pod", "remote", "own"],
    ["remote", "pod", "own"],
    ["outside", "pod", "own"],
    ["outside", "remote", "host's"],
  ],
  nftables: [
    ["pod", "outside", "host's"],
    ["pod", "remote", "own"],
    ["remote", "pod", "own"],
    ["outside", "pod", "own"],
    ["outside", "remote", "own"],
  ],
};

for (const conf of [iptables, nftables]) {
  t.test(
    `${conf.kind}: outside the pod network the host's address is seen, inside everybody's own`,
    needs,
    async (t) => {
      const { host, peers } = await newRouter(t);
      if (conf.kind === "iptables") host.sh("iptables -w -P FORWARD DROP; ip6tables -w -P FORWARD DROP");
      trafficOf(host, conf).ensure();
      for (const [from, to, seen] of journeys[conf.kind])
        for (const family of ["ipv4", "ipv6"] as const)
          for (const protocol of ["tcp", "udp"] as const) {
            const answer = await peers[from].ask(protocol, addressOf(to, family, 2), 10);
            const expected = seen === "own" ? addressOf(from, family, 2) : addressOf(to, family, 1);
            t.equal(answer.from, expected, `${from} to ${to} by ${protocol}, ${family}: ${seen} address`);
          }
    },
  );

  t.test(`${conf.kind}: towards networks that are excepted a container keeps its address`, needs, async (t) => {
    const { host, peers } = await newRouter(t);
    trafficOf(host, { ...conf, noMasquerade: [prefix("192.0.2.0/24")] }).ensure();
    t.equal((await peers.pod.ask("tcp", "192.0.2.2", 10)).from, "10.5.34.2");
    t.equal((await peers.pod.ask("tcp", "2001:db8::2", 10)).from, "2001:db8::1", "not excepted");
  });

  t.test(`${conf.kind}: while the rules are made anew, no connection leaves without them`, needs, async (t) => {
    const { host, peers } = await newRouter(t);
    const variants = [conf, { ...conf, noMasquerade: [prefix("198.51.100.0/24")] }].map((one) => trafficOf(host, one));
    variants[0]?.ensure();
    for (let i = 1; i <= 20; i++) {
      const asked = Array.from({ length: 10 }, () => peers.pod.ask(i % 2 ? "tcp" : "udp", "192.0.2.2", 10));
      t.equal(variants[i % 2]?.ensure(), 1, "made anew");
      const seen = (await Promise.all(asked)).map(({ from, error }) => from ?? error);
      t.strictSame(new Set(seen), new Set(["192.0.2.1"]));
    }
  });
}
