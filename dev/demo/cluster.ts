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
import { dim, heading, say, show, verdict } from "./tell.ts";

const PREFIX = "/coreos.com/network";
const netConf = "conf/net-conf-vxlan.json";
const conflist = "conf/50-flannel.conflist";
const MEGABYTES = 200;

export async function clusterOfHosts(): Promise<void> {
  heading("A cluster: three hosts, one network");
  say(
    "Each host is a network namespace; a switch joins them. etcd, which all reach, holds the network as the administrator wrote it:",
  );
  await startEtcd();
  const network = readFileSync(join(root, netConf), "utf8").trim();
  etcdctl(`put ${PREFIX}/config`, network);
  command(`etcdctl put ${PREFIX}/config "$(cat ${netConf})"`);
  show(network);
  const hosts = [1, 2, 3].map(makeHost);
  say("The daemon on each takes a subnet for its containers, and learns the others':");
  for (const host of hosts) {
    command(`${host.name}# ${daemonCommand(host)}`);
    const ms = await startDaemon(host);
    show(hasSubnet(host, ms));
  }

  heading("Two containers on each host, by the plugin flannel");
  const containers = hosts.flatMap((host) => ["a", "b"].map((letter) => containerOn(host, letter)));
  show(clusterPicture(hosts));

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
  show(clusterPicture([...staying, four]));
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

/** Leases, tunnel ends and routes: the lease as etcd has it, the rest as `ip` sees it. */
function clusterPicture(hosts: readonly Host[]): string {
  const boxes = hosts.map((host) => {
    const { mac, routes } = viewOf(host);
    const lease = JSON.parse(etcdctl(`get --print-value-only ${leaseKey(host)}`).stdout) as { PublicIP: string };
    return [
      host.name,
      `lease  ${subnetOf(host)} at ${lease.PublicIP}`,
      `VTEP   flannel.1 ${mac}`,
      ...routes.map((route) => `route  ${route}`),
    ];
  });
  return boxes
    .map(([name, ...lines]) => [`--+-- ${name}`, ...lines.map((line) => `  |     ${line}`)].join("\n"))
    .join("\n  |\n");
}

function ping(from: Container, to: Container): void {
  const ms = pingFrom(from.name, to.address);
  verdict(
    ms !== undefined,
    `${from.name} -> ${to.name} (${to.address})  ${ms === undefined ? "no answer" : `${ms} ms`}`,
  );
}

function command(text: string): void {
  console.log(`  ${dim(`$ ${text}`)}`);
}
