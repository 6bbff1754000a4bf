// Daemons and etcd that go and come back: what runs goes on, and what was missed is made up for.
import t from "tap";
import { inFullRunOnly, needsRoot } from "../lab/needs.ts";
import { type ClusterHost, fakeLease, newCluster, prefix, startDaemons } from "./lab.ts";
import type { Test } from "./program.ts";
import { startPinging } from "./traffic.ts";
import { until } from "./until.ts";

const needs = inFullRunOnly(needsRoot); // backends.test.ts and flanneld/ have a daemon in each run

const network = { Network: "10.5.0.0/16", Backend: { Type: "vxlan" } };

t.test("a daemon that is killed and started again keeps its subnet, and no ping is lost", needs, async (t) => {
  const { hosts, pods, daemons } = await twoPods(t);
  for (const [signal, status] of [
    ["SIGKILL", null],
    ["SIGTERM", 0],
  ] as const) {
    const subnet = hosts[0].subnetEnv();
    const pinging = startPinging(t, pods[0].name, pods[1].ipv4);
    await pinging.answers(5);

    const ended = await daemons[0].end(signal);
    await pinging.answers(10);
    daemons[0] = hosts[0].startDaemon();
    await daemons[0].ready();
    await pinging.answers(20);

    t.match(ended, { status }, `it ends with ${signal}`);
    t.strictSame(hosts[0].subnetEnv(), subnet);
    t.match(await pinging.stop(), { lost: 0 });
  }
});

t.test("traffic goes on while etcd is away; then hosts that come are seen again", needs, async (t) => {
  const { cluster, hosts, pods } = await twoPods(t);
  const pinging = startPinging(t, pods[0].name, pods[1].ipv4);
  await pinging.answers(5);

  await cluster.etcd.stop();
  await pinging.answers(20);
  await cluster.etcd.start();
  const [next] = [cluster.addHost()];
  await startDaemons([next]);
  const pod = await next.addPod();

  await until("the new pod reaches the others", () => pods.every(({ ipv4 }) => pod.reaches(ipv4)));
  t.match(await pinging.stop(), { lost: 0 });
  t.equal(Object.keys(cluster.leases()).length, hosts.length + 1);
});

t.test("a daemon that starts before etcd waits for it, and says so", needs, async (t) => {
  const cluster = await newCluster(t, { network });
  const host = cluster.addHost();
  await cluster.etcd.stop();

  const daemon = host.startDaemon();
  await daemon.says(/etcd/);
  await cluster.etcd.start();

  await daemon.ready();
  t.equal(Object.keys(cluster.leases()).length, 1);
});

t.test("events that etcd has forgotten meanwhile are made up for", needs, async (t) => {
  const { cluster, hosts, daemons } = await twoPods(t);
  cluster.etcd.put(`${prefix}/subnets/10.5.250.0-24`, fakeLease("192.0.2.250"));
  await until("the first fake peer is known", () => knows(hosts[0], "10.5.250.0/24"));

  process.kill(daemons[0].pid, "SIGSTOP");
  await cluster.etcd.stop(); // its connection is cut, what comes now it has to ask for
  await cluster.etcd.start();
  cluster.etcd.del(`${prefix}/subnets/10.5.250.0-24`);
  cluster.etcd.put(`${prefix}/subnets/10.5.251.0-24`, fakeLease("192.0.2.251"));
  cluster.etcd.compact();
  process.kill(daemons[0].pid, "SIGCONT");

  await until("the second is known", () => knows(hosts[0], "10.5.251.0/24"));
  await until("the first is forgotten", () => !knows(hosts[0], "10.5.250.0/24"));
});

t.test("another member of etcd leads, and the old leader dies: hosts that come are seen", needs, async (t) => {
  const { cluster, hosts } = await twoPods(t, { members: 3 });
  const { etcd } = cluster;

  const leader = etcd.moveLeader();
  etcd.put(`${prefix}/subnets/10.5.250.0-24`, fakeLease("192.0.2.250"));
  await until("the first fake peer is known", () => hosts.every((host) => knows(host, "10.5.250.0/24")));

  await etcd.members.find(({ endpoint }) => endpoint === leader)?.kill();
  await until("etcd has a leader", () => etcd.get(`${prefix}/config`));
  etcd.put(`${prefix}/subnets/10.5.251.0-24`, fakeLease("192.0.2.251"));
  await until("the second is known", () => hosts.every((host) => knows(host, "10.5.251.0/24")));
});

/** Two hosts with a pod each, which reach each other. */
async function twoPods(t: Test, etcd = {}) {
  const cluster = await newCluster(t, { network, etcd });
  const hosts = [cluster.addHost(), cluster.addHost()] as const;
  const daemons = await startDaemons(hosts);
  const pods = [await hosts[0].addPod(), await hosts[1].addPod()] as const;
  await until("the pods reach each other", () => pods[0].reaches(pods[1].ipv4));
  return { cluster, hosts, daemons, pods };
}

function knows(host: ClusterHost, subnet: string): boolean {
  return (host.json("ip", "-j", "route", "show", subnet) as unknown[]).length > 0;
}
