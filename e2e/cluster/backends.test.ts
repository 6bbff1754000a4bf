// Three hosts, a pod on each: every backend carries every kind of traffic between all of them.
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import t from "tap";
import { inFullRunOnly, needsRoot } from "../lab/needs.ts";
import { newCluster, type Pod, startDaemons } from "./lab.ts";
import { until } from "./until.ts";

const TRANSFER_BYTES = 1 << 20;
const DATAGRAM_BYTES = 1000;

const ipv4 = { Network: "10.5.0.0/16" };
const dual = { ...ipv4, EnableIPv6: true, IPv6Network: "fd00:5::/48" };

type Family = "ipv4" | "ipv6";

interface Row {
  name: string;
  network: object;
  /** The device that leads to the other hosts' pods. */
  through: Partial<Record<Family, string>>;
}

const overlay = { ipv4: "flannel.1", ipv6: "flannel-v6.1" };
const rows: Row[] = [
  { name: "vxlan, IPv4", network: { ...ipv4, Backend: { Type: "vxlan" } }, through: { ipv4: overlay.ipv4 } },
  { name: "vxlan, dual stack", network: { ...dual, Backend: { Type: "vxlan" } }, through: overlay },
  {
    name: "vxlan with DirectRouting, IPv4",
    network: { ...ipv4, Backend: { Type: "vxlan", DirectRouting: true } },
    through: { ipv4: "eth0" },
  },
  {
    name: "vxlan with DirectRouting, dual stack",
    network: { ...dual, Backend: { Type: "vxlan", DirectRouting: true } },
    through: { ipv4: "eth0", ipv6: "eth0" },
  },
  { name: "udp, which is taken without Backend", network: ipv4, through: { ipv4: "flannel0" } },
  { name: "host-gw, IPv4", network: { ...ipv4, Backend: { Type: "host-gw" } }, through: { ipv4: "eth0" } },
  {
    name: "host-gw, dual stack",
    network: { ...dual, Backend: { Type: "host-gw" } },
    through: { ipv4: "eth0", ipv6: "eth0" },
  },
];

/** A backend each; dual stack shows what IPv4 alone does, and DirectRouting is made by what host-gw shows. */
const inEachRun = ["vxlan, dual stack", "host-gw, dual stack"];

for (const { name, network, through } of rows) {
  const need = inEachRun.includes(name) ? needsRoot : inFullRunOnly(needsRoot);
  t.test(`${name}: pods of three hosts reach each other by ping, TCP and UDP`, { ...need }, async (t) => {
    const cluster = await newCluster(t, { network });
    const hosts = [cluster.addHost(), cluster.addHost(), cluster.addHost()] as const;
    await startDaemons(hosts);
    const pods = await Promise.all(hosts.map((host) => host.addPod()));

    for (const { from, to } of pairs(pods)) {
      for (const family of Object.keys(through) as Family[]) {
        const address = to[family];
        await until(`${from.name} pings ${address}`, () => from.reaches(address));
        const transfer = await from.ask("tcp", address, TRANSFER_BYTES);
        const datagram = await from.ask("udp", address, DATAGRAM_BYTES);
        t.strictSame(
          [transfer, datagram],
          Array(2).fill({ intact: true, from: from[family] }),
          `${from[family]} -> ${address}`,
        );
      }
    }
    for (const [family, device] of Object.entries(through)) {
      const [route] = hosts[0].json("ip", "-j", "route", "get", pods[1]?.[family as Family] ?? "") as { dev: string }[];
      t.equal(route?.dev, device, `${family} leaves through ${device}`);
    }
  });
}

t.test("hosts that share a folder need no etcd", needsRoot, async (t) => {
  const cluster = await newCluster(t);
  await cluster.etcd.stop();
  const folder = join(dirname(cluster.underlay.varLib), "leases");
  const hosts = [1, 2, 3].map(() => cluster.addHost(`--subnet-dir=${folder}`));
  const daemons = hosts.map((host) => host.startDaemon());
  await Promise.all(daemons.map((daemon) => daemon.prints(`${folder}/config`))); // what they wait for
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "config"), JSON.stringify({ ...ipv4, Backend: { Type: "vxlan" } }));
  await Promise.all(daemons.map((daemon) => daemon.ready()));
  const pods = await Promise.all(hosts.map((host) => host.addPod()));

  for (const { from, to } of pairs(pods)) await until(`${from.name} pings ${to.ipv4}`, () => from.reaches(to.ipv4));
  t.equal(new Set(hosts.map((host) => host.subnetEnv()["FLANNEL_SUBNET"])).size, 3);
});

function pairs(pods: readonly Pod[]): { from: Pod; to: Pod }[] {
  return pods.flatMap((from) => pods.filter((to) => to !== from).map((to) => ({ from, to })));
}
