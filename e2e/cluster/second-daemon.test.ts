// Two daemons that share a lease: the first says so, and both keep it.
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import t from "tap";
import { inFullRunOnly, needsRoot } from "../lab/needs.ts";
import { type Cluster, type ClusterHost, newCluster } from "./lab.ts";

const needs = inFullRunOnly(needsRoot); // backends.test.ts and flanneld/ have a daemon in each run

const network = (type: string) => ({ Network: "10.5.0.0/16", Backend: { Type: type } });

const stores: Record<string, (cluster: Cluster, type: string) => string[]> = {
  etcd(cluster, type) {
    cluster.writeConfig(network(type));
    return [];
  },
  "a folder"(cluster, type) {
    const folder = join(dirname(cluster.underlay.varLib), "leases");
    mkdirSync(folder);
    writeFileSync(join(folder, "config"), JSON.stringify(network(type)));
    return [`--subnet-dir=${folder}`];
  },
};

/** A host's public address, and one of its own by which it reaches the store whoever answers ARP for the public one. */
function haveBoth(host: ClusterHost, publicIP: string, own: string): void {
  host.sh(`ip address flush dev eth0; ip address add ${publicIP}/24 dev eth0; ip address add ${own}/24 dev eth0
    ip route add 192.0.2.1 dev eth0 src ${own}; ip route add default via 192.0.2.1 src ${own}`);
}

for (const [store, flagsOf] of Object.entries(stores)) {
  t.test(`a second daemon on a host, ${store}: the first warns, and nothing is lost`, needs, async (t) => {
    const cluster = await newCluster(t, { pods: 0 });
    const host = cluster.addHost(...flagsOf(cluster, "vxlan"));
    const first = host.startDaemon();
    await first.ready();
    const before = host.subnetEnv();
    const second = host.startDaemon(`--subnet-file=${host.subnetFile.replace("subnet.env", "second.env")}`);
    await second.ready();
    const [told] = await first.says(
      /another daemon writes our lease .* too, with our public address 192\.0\.2\.10: .*/,
    );
    t.match(told, `lease ${before["FLANNEL_SUBNET"]?.replace(".1/", ".0/")} too`);
    t.match(told, /To fix: stop the daemon that is not wanted \(pgrep -af flanneld/);
    for (const daemon of [first, second])
      t.notMatch(daemon.printed(), /the lease is lost|renewed the lease|the lease was missing/);
    await first.end("SIGTERM");
    const again = host.startDaemon();
    await again.ready();
    t.strictSame(host.subnetEnv(), before, "a daemon that starts again takes its lease over at once");
  });

  t.test(`host-gw, ${store}: two hosts with one public address have one lease, which is told`, needs, async (t) => {
    const cluster = await newCluster(t, { pods: 0 });
    const flags = flagsOf(cluster, "host-gw");
    const hosts: ClusterHost[] = [cluster.addHost(...flags), cluster.addHost(...flags)];
    for (const [i, host] of hosts.entries()) haveBoth(host, "192.0.2.10", `192.0.2.${20 + i}`);
    const daemons = [];
    for (const host of hosts) {
      const daemon = host.startDaemon("--iface=eth0");
      await daemon.ready(); // one that starts at the same moment may find no lease of this address yet, and acquire another one
      daemons.push(daemon);
    }
    const say = /another daemon writes our lease .*or another host with our address/;
    await Promise.any(daemons.map((daemon) => daemon.says(say)));
  });
}
