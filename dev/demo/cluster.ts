// Three hosts, one network: leases in etcd, vxlan between the hosts, containers that reach each other. Then a daemon dies, a host goes, another comes.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  addContainer,
  daemonCommand,
  etcdctl,
  type Host,
  killDaemon,
  makeHost,
  removeHost,
  startDaemon,
  startEtcd,
  subnetOf,
  transfer,
  until,
  viewOf,
} from "./hosts.ts";
import { pingFrom, root } from "./lab.ts";
import { command, heading, say, show, verdict } from "./tell.ts";

const PREFIX = "/coreos.com/network";
const netConf = "conf/net-conf-vxlan.json";
const conflist = "conf/50-flannel.conflist";
const MEGABYTES = 200;

export async function clusterOfHosts(): Promise<void> {
  heading("A cluster: three hosts, one network");
  say(
    "Hosts are network namespaces that a switch joins. etcd holds the network; each host's flanneld leases a subnet, and learns the others':",
  );
  await startEtcd();
  const network = JSON.stringify(JSON.parse(readFileSync(join(root, netConf), "utf8")));
  etcdctl(`put ${PREFIX}/config`, network);
  command(`etcdctl put ${PREFIX}/config '${network}'`);
  const hosts = [1, 2, 3].map(makeHost);
  const [one, ...others] = hosts as [Host, Host, Host];
  command(`${one.name}# ${daemonCommand(one)}   # and so on the others`);
  for (const host of [one, ...others]) show(hasSubnet(host, await startDaemon(host)));

  heading("Two containers on each host, by the plugin flannel");
  const containers = hosts.flatMap((host) => ["a", "b"].map((letter) => containerOn(host, letter)));
  show(clusterPicture(hosts, containers));

  heading("They reach each other");
  const [first, second, third, , fifth] = containers as [Container, Container, Container, Container, Container];
  for (const [from, to] of [
    [first, second],
    [first, third],
    [third, fifth],
    [fifth, first],
  ] as const)
    ping(from, to);
  const rate = await transfer(first.name, third.name, third.address, MEGABYTES << 20);
  verdict(rate > 0, `${first.name} -> ${third.name}: ${MEGABYTES} MB over TCP, ${rate} Gbit/s`);

  heading("A daemon is killed");
  const [, two, three] = hosts as [Host, Host, Host];
  const before = subnetOf(two);
  await killDaemon(two);
  say("What it made is the kernel's and stays, so traffic goes on:");
  ping(first, third);
  const ms = await startDaemon(two);
  verdict(subnetOf(two) === before, `${two.name} is back after ${Math.round(ms)} ms with the same subnet, ${before}`);
  ping(first, third);

  heading("A host goes, another one comes");
  const lost = leaseKey(three);
  await removeHost(three);
  say(`${three.name} is gone for good. Its lease would end within a day; the administrator need not wait:`);
  command(`etcdctl del ${lost}`);
  etcdctl(`del ${lost}`);
  const gone = lost.slice(lost.lastIndexOf("/") + 1).replace("-", "/");
  const staying = hosts.filter((host) => host !== three);
  await until("the others forget it", () => staying.every((host) => !viewOf(host).routes.join().includes(gone)));
  verdict(true, `the other hosts have no route to ${gone} any more`);
  const four = makeHost(4);
  show(hasSubnet(four, await startDaemon(four)));
  ping(first, containerOn(four, "a"));
}

interface Container {
  name: string;
  address: string;
}

function containerOn(host: Host, letter: string): Container {
  const name = `${host.name}${letter}`;
  return { name, address: addContainer(host, name, conflist) };
}

const hasSubnet = (host: Host, ms: number): string => `${host.name} has ${subnetOf(host)} after ${Math.round(ms)} ms`;

const leaseKey = (host: Host): string => `${PREFIX}/subnets/${subnetOf(host).replace(".1/", ".0-")}`;

/** Leases as etcd has them, tunnel ends and routes as `ip` sees them, and the containers. */
function clusterPicture(hosts: readonly Host[], containers: readonly Container[]): string {
  const boxes = hosts.map((host) => {
    const { mac, routes } = viewOf(host);
    const lease = JSON.parse(etcdctl(`get --print-value-only ${leaseKey(host)}`).stdout) as { PublicIP: string };
    const own = containers.filter(({ name }) => name.startsWith(host.name));
    return [
      `--+-- ${host.name}  ${lease.PublicIP}, lease ${subnetOf(host)}, VTEP flannel.1 ${mac}`,
      ...routes.map((route) => `  |     route ${route}`),
      ...own.map(({ name, address }) => `  |       container ${name}  ${address}`),
    ];
  });
  return boxes.map((lines) => lines.join("\n")).join("\n");
}

function ping(from: Container, to: Container): void {
  const ms = pingFrom(from.name, to.address);
  verdict(
    ms !== undefined,
    `${from.name} -> ${to.name} (${to.address})  ${ms === undefined ? "no answer" : `${ms} ms`}`,
  );
}
