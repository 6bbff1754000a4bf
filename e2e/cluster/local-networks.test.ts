// A cluster's network that overlaps one of the host's own: the daemon leaves that alone, says so, and takes its own subnet elsewhere.
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import t from "tap";
import { inFullRunOnly, needsRoot } from "../lab/needs.ts";
import { type Cluster, type ClusterHost, executable, fakeLease, newCluster, prefix } from "./lab.ts";
import { until } from "./until.ts";

const needs = inFullRunOnly(needsRoot); // backends.test.ts and flanneld/ have a daemon in each run

/** Subnets are 10.5.1.0/24 to 10.5.3.0/24. */
const network = (type: string) => ({ Network: "10.5.0.0/22", SubnetLen: 24, Backend: { Type: type } });

const leaseOf = (type: string, publicIP: string): string =>
  JSON.stringify({ ...JSON.parse(fakeLease(publicIP)), BackendType: type });

interface Kept {
  host: ClusterHost;
  put(key: string, value: string): void;
  remove(key: string): void;
}

const stores: Record<string, (cluster: Cluster, type: string) => Kept> = {
  etcd(cluster, type) {
    cluster.writeConfig(network(type));
    return {
      host: cluster.addHost(),
      put: (key, value) => cluster.etcd.put(`${prefix}/subnets/${key}`, value),
      remove: (key) => cluster.etcd.del(`${prefix}/subnets/${key}`),
    };
  },
  "a folder"(cluster, type) {
    const folder = join(dirname(cluster.underlay.varLib), "leases");
    mkdirSync(join(folder, "subnets"), { recursive: true });
    writeFileSync(join(folder, "config"), JSON.stringify(network(type)));
    return {
      host: cluster.addHost(`--subnet-dir=${folder}`),
      put: (key, value) => writeFileSync(join(folder, "subnets", key), value),
      remove: (key) => rmSync(join(folder, "subnets", key)),
    };
  },
};

for (const [store, keptIn] of Object.entries(stores)) {
  for (const type of ["vxlan", "host-gw"]) {
    t.test(`${type}, ${store}: the host's own network stays, and no subnet is taken from it`, needs, async (t) => {
      const cluster = await newCluster(t, { pods: 0 });
      const { host, put, remove } = keptIn(cluster, type);
      host.sh("ip address add 10.5.1.7/24 dev eth0; ip address add 10.5.2.7/25 dev eth0");
      const routes = () => host.sh("ip route show root 10.5.0.0/22 proto kernel dev eth0");
      const before = routes();
      t.match(before, /^10\.5\.1\.0\/24 scope link src 10\.5\.1\.7/m);
      put("10.5.1.0-24", leaseOf(type, "192.0.2.99"));

      const daemon = host.startDaemon();
      await daemon.ready();
      t.match(host.subnetEnv(), { FLANNEL_SUBNET: "10.5.3.1/24" });
      await daemon.prints("a host cannot be reached");
      await daemon.says(/ overlaps the network of this host's address 10\.5\.1\.7\/24 of eth0/);
      put("10.5.2.0-24", leaseOf(type, "192.0.2.98"));
      await daemon.says(/10\.5\.2\.0\/24 overlaps the network of this host's address 10\.5\.2\.7\/25 of eth0/);
      t.equal(routes(), before);
      t.equal(host.sh("ip route show proto 143"), "");
      const status = host.run(executable, "--status", `--subnet-file=${host.subnetFile}`);
      t.match(status.stdout, /10\.5\.1\.7\/24 of eth0/);
      t.match(status.stdout, /host of lease 10\.5\.2\.0-24 \([0-9.]+\) cannot be reached/);

      host.sh("ip address del 10.5.1.7/24 dev eth0");
      await until("the lease is used", () => host.sh("ip route show proto 143").includes("10.5.1.0/24"));
      host.sh("ip address add 10.5.1.7/24 dev eth0");
      await until("the lease is passed over again", () => host.sh("ip route show proto 143") === "");
      t.equal(routes().split("\n").toSorted().join(), before.split("\n").toSorted().join());
      remove("10.5.1.0-24");
      remove("10.5.2.0-24");
      await daemon.end("SIGTERM");
      t.equal(routes().split("\n").toSorted().join(), before.split("\n").toSorted().join());
    });
  }
}
