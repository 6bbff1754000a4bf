// Who gets which subnet, and what the other hosts make of it.
import { writeFileSync } from "node:fs";
import t from "tap";
import { inFullRunOnly, needsRoot } from "../lab/needs.ts";
import { entriesOf, fakeLease, fakeMac, newCluster, prefix, startDaemons } from "./lab.ts";
import { startProgram } from "./program.ts";
import { until } from "./until.ts";

const needs = inFullRunOnly(needsRoot); // backends.test.ts and flanneld/ have a daemon in each run

const network = { Network: "10.5.0.0/16", Backend: { Type: "vxlan" } };

t.test("a lease that expires is forgotten by every host", needs, async (t) => {
  const cluster = await newCluster(t, { network });
  const hosts = [cluster.addHost(), cluster.addHost()] as const;
  await startDaemons(hosts);
  const peer = { subnet: "10.5.250.0", publicIP: "192.0.2.250" };
  const entries = () => hosts.map((host) => entriesOf(host, peer.subnet, fakeMac(peer.publicIP)));
  const key = `${prefix}/subnets/${peer.subnet}-24`;
  cluster.etcd.put(key, fakeLease(peer.publicIP));

  const known = {
    route: new RegExp(`^${peer.subnet}/24 via ${peer.subnet} dev flannel\\.1 .*onlink$`),
    neighbour: `${peer.subnet} lladdr ${fakeMac(peer.publicIP)} PERMANENT`,
    fdb: `${fakeMac(peer.publicIP)} dst ${peer.publicIP} self permanent`,
  };
  await until("both know it", () => entries().every(({ fdb, route }) => fdb && route));
  t.match(entries(), [known, known]);

  cluster.etcd.put(key, fakeLease(peer.publicIP), 1); // only now: a slow machine would not see it otherwise
  await until("etcd has forgotten it", () => Object.keys(cluster.leases()).length === hosts.length);
  await until("both have forgotten it", () => entries().every((entry) => Object.values(entry).join("") === ""));
});

t.test("a host is reachable as soon as the others hear of it", needs, async (t) => {
  const cluster = await newCluster(t, { network });
  const [host, next] = [cluster.addHost(), cluster.addHost()];
  await startDaemons([host]);
  writeFileSync(next.subnetFile, "FLANNEL_NETWORK=10.5.0.0/16\nFLANNEL_SUBNET=10.5.77.1/24\n"); // what it had, and takes again
  const ping = startProgram(t, host.name, ["ping", "-n", "-D", "-i", "0.01", "10.5.77.0"]);
  const watch = startProgram(t, cluster.underlay.name, [
    ...["env", "ETCDCTL_API=3", "etcdctl", `--endpoints=${cluster.etcd.endpoints}`],
    ...["watch", `${prefix}/subnets/10.5.77.0-24`],
  ]);

  next.startDaemon();
  await watch.says(/^PUT$/m);
  const heardMs = Date.now();
  const [, answeredSeconds] = await ping.says(/^\[([\d.]+)\] 64 bytes/m);

  t.comment(`its VXLAN device answers ${Math.round(Number(answeredSeconds) * 1000 - heardMs)} ms after its lease came`);
  t.strictSame(Object.keys(cluster.leases()).includes("10.5.77.0-24"), true);
});

t.test("a host takes the subnet that was reserved for it", needs, async (t) => {
  const cluster = await newCluster(t, { network });
  const host = cluster.addHost();
  cluster.etcd.put(`${prefix}/subnets/10.5.99.0-24`, JSON.stringify({ PublicIP: host.ipv4, PublicIPv6: null }));

  await startDaemons([host]);

  t.equal(host.subnetEnv()["FLANNEL_SUBNET"], "10.5.99.1/24");
  t.match(cluster.leases(), { "10.5.99.0-24": { PublicIP: host.ipv4, BackendType: "vxlan" } });
});

t.test("a lease that somebody deletes is made again, with the same subnet", needs, async (t) => {
  const cluster = await newCluster(t, { network });
  const hosts = [cluster.addHost(), cluster.addHost()] as const;
  await startDaemons(hosts);
  const pods = [await hosts[0].addPod(), await hosts[1].addPod()] as const;
  await until("the pods reach each other", () => pods[0].reaches(pods[1].ipv4));
  const before = cluster.leases();

  for (const key of Object.keys(before)) cluster.etcd.del(`${prefix}/subnets/${key}`);

  await until("both leases are there", () => Object.keys(cluster.leases()).length === 2);
  t.strictSame(cluster.leases(), before);
  await until("the pods reach each other again", () => pods[0].reaches(pods[1].ipv4));
});

t.test("a network that is used up is an error that ends when a subnet becomes free", needs, async (t) => {
  const cluster = await newCluster(t, {
    network: { Network: "10.5.0.0/22", SubnetLen: 24, Backend: { Type: "vxlan" } }, // the first of the four is not given out
  });
  const hosts = [cluster.addHost(), cluster.addHost(), cluster.addHost()] as const;
  await startDaemons(hosts);
  const late = cluster.addHost();
  const daemon = late.startDaemon();
  await daemon.says(/10\.5\.0\.0\/22/);

  const [freed = ""] = Object.keys(cluster.leases());
  cluster.etcd.del(`${prefix}/subnets/${freed}`);

  await until("there are three leases", () => Object.keys(cluster.leases()).length === 3);
});

t.test("after a restart with another network a host has a subnet of that one alone", needs, async (t) => {
  const cluster = await newCluster(t, { network });
  const hosts = [cluster.addHost(), cluster.addHost()] as const;
  const daemons = await startDaemons(hosts);

  cluster.writeConfig({ ...network, Network: "10.8.0.0/16" });
  await Promise.all(daemons.map((daemon) => daemon.end("SIGTERM")));
  await startDaemons(hosts);

  const leases = Object.keys(cluster.leases());
  t.match(leases, [/^10\.8\./, /^10\.8\./]);
  t.equal(leases.length, 2, "the old keys are gone");
  t.strictSame(
    hosts.map((host) => host.subnetEnv()["FLANNEL_NETWORK"]),
    ["10.8.0.0/16", "10.8.0.0/16"],
  );
  for (const host of hosts) {
    await until("the other's subnet has its route", () => routesBelow(host.sh("ip route"), "10.8.").length === 1);
    t.strictSame(routesBelow(host.sh("ip route"), "10.5."), [], "no route of the old network");
  }
});

function routesBelow(routes: string, start: string): string[] {
  return routes.split("\n").filter((route) => route.startsWith(start) && route.includes("flannel.1"));
}
