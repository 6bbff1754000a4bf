// What people get wrong: each is told in whole sentences with the remedy, and the kernel has nothing of it.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { dirname } from "node:path";
import t from "tap";
import { inFullRunOnly, needsRoot } from "../lab/needs.ts";
import { type ClusterHost, fakeLease, newCluster, prefix, startDaemons } from "./lab.ts";
import { startProgram } from "./program.ts";
import { until } from "./until.ts";

const needs = inFullRunOnly(needsRoot); // backends.test.ts and flanneld/ have a daemon in each run

const network = { Network: "10.5.0.0/16", Backend: { Type: "vxlan" } };

t.test(
  "a daemon without a network configuration says how to write one, and goes on when it is there",
  needs,
  async (t) => {
    const cluster = await newCluster(t);
    const host = cluster.addHost();
    const before = host.snapshot();
    const daemon = host.startDaemon();

    const [, command = ""] = await daemon.says(/(etcdctl .*put .*\/coreos\.com\/network\/config .*)$/m);
    t.match(stateOf(host), { pid: daemon.pid, state: "waiting", reason: /\/coreos\.com\/network\/config/ });
    t.strictSame(host.snapshot(), before);
    cluster.underlay.sh(`ETCDCTL_API=3 ${command}`);

    await daemon.ready();
    t.match(stateOf(host), { state: "ready" });
  },
);

const configurations: { what: string; config: object | string; told: string }[] = [
  { what: "no JSON", config: '{"Network": "10.5.0.0/16"', told: "it is not JSON" },
  { what: "no network", config: { Backend: { Type: "vxlan" } }, told: '"Network" is missing' },
  {
    what: "a backend without type",
    config: { Network: "10.5.0.0/16", Backend: {} },
    told: '"Backend.Type" is missing',
  },
  { what: "a small network", config: { ...network, Network: "10.5.0.0/30" }, told: "has no room for four subnets" },
  {
    what: "a length that does not fit",
    config: { ...network, SubnetLen: 17 },
    told: '"SubnetLen" is 17, must be from 18 to 30',
  },
  {
    what: "a first subnet behind the last",
    config: { ...network, SubnetMin: "10.5.9.0", SubnetMax: "10.5.3.0" },
    told: '"SubnetMin" is 10.5.9.0, must not be above "SubnetMax", 10.5.3.0; swap them, or remove one',
  },
  {
    what: "a first subnet elsewhere",
    config: { ...network, SubnetMin: "10.6.9.0" },
    told: '"SubnetMin" is "10.6.9.0", must be in 10.5.0.0/16',
  },
  {
    what: "a first subnet that is none",
    config: { ...network, SubnetMin: "10.5.9.7" },
    told: '"SubnetMin" is "10.5.9.7", must be the first address of a subnet of /24',
  },
  {
    what: "IPv6 alone",
    config: { EnableIPv4: false, EnableIPv6: true, IPv6Network: "fd00:5::/48", Backend: network.Backend },
    told: '"EnableIPv4" is false, must be true',
  },
  {
    what: "IPv4 for IPv6",
    config: { ...network, EnableIPv6: true, IPv6Network: "10.7.0.0/16" },
    told: "must be an IPv6 network",
  },
  {
    what: "a backend of flannel that is not here",
    config: { ...network, Backend: { Type: "wireguard" } },
    told: 'backend "wireguard" is not implemented by this daemon yet; choose one of: vxlan, host-gw, ',
  },
  {
    what: "an unknown backend",
    config: { ...network, Backend: { Type: "vxlam" } },
    told: 'backend "vxlam" is unknown, did you mean "vxlan"?; choose one of: vxlan, host-gw, ',
  },
  {
    what: "an MTU without room",
    config: { ...network, Backend: { Type: "vxlan", MTU: 100 } },
    told: "an MTU of 100 (Backend.MTU) leaves 50 bytes inside the tunnel, IPv4 needs 68; raise it to 118 or more",
  },
];

t.test("a network configuration that cannot be used is told with all that is wrong, until it can", needs, async (t) => {
  const cluster = await newCluster(t);
  const host = cluster.addHost();
  const before = host.snapshot();
  const daemon = host.startDaemon();
  for (const { what, config, told } of configurations) {
    cluster.writeConfig(config);
    await daemon.prints(told);
    t.pass(what);
  }
  t.strictSame(host.snapshot(), before);
  cluster.writeConfig(network);
  await daemon.ready();
});

interface Refusal {
  what: string;
  flags: string[];
  config?: object;
  status: number;
  told: RegExp;
  /** The state file says so as well. */
  isInState?: boolean;
}

const refusals: Refusal[] = [
  { what: "an unknown flag", flags: ["--ifase=eth0"], status: 2, told: /unknown flag --ifase; did you mean --iface\?/ },
  {
    what: "a value that is none",
    flags: ["--healthz-port=many"],
    status: 2,
    told: /--healthz-port is "many", must be a whole number/,
  },
  {
    what: "a word that is no flag",
    flags: ["--ip-masq", "false", "--iface=eth0"],
    status: 2,
    told: /"false" is not a flag; use --ip-masq=false/,
  },
  { what: "Kubernetes", flags: ["--kube-subnet-mgr"], status: 1, told: /kube-subnet-mgr/ },
  {
    what: "an interface that is not there",
    flags: ["--iface=eth7"],
    status: 1,
    told: /no external interface found: --iface=?.*eth7.*this host has eth0 \(192\.0\.2\.10, 2001:db8::10\); choose one with --iface/,
    isInState: true,
  },
  {
    what: "a public address that no interface has",
    flags: ["--public-ip=198.51.100.7"],
    status: 1,
    told: /no external interface found: .*198\.51\.100\.7.*--iface/,
  },
  {
    what: "host-gw behind NAT",
    flags: ["--iface=eth0", "--public-ip=198.51.100.7"],
    config: { ...network, Backend: { Type: "host-gw" } },
    status: 1,
    told: /the public address 198\.51\.100\.7 is not 192\.0\.2\.10 of "eth0": host-gw cannot work behind NAT; remove --public-ip, or use/,
    isInState: true,
  },
  {
    what: "a file of certificates that is not there",
    flags: ["--etcd-cafile=/nowhere"],
    status: 1,
    told: /--etcd-cafile \/nowhere cannot be read/,
  },
];

t.test("what cannot work ends the daemon with a message, and leaves nothing in the kernel", needs, async (t) => {
  const cluster = await newCluster(t, { network });
  const host = cluster.addHost();
  const before = host.snapshot();
  for (const { what, flags, config, status, told, isInState } of refusals) {
    cluster.writeConfig(config ?? network);
    const daemon = host.startDaemon(...flags);
    t.match(await daemon.ended, { status }, `${what}: exit status`);
    t.match(daemon.printed(), told, what);
    t.strictSame(host.snapshot(), before, `${what}: nothing is left`);
    if (isInState) t.match(stateOf(host), { state: "ended", reason: told }, `${what}: the state file says why`);
  }
});

t.test("a health port that is in use is told as such", needs, async (t) => {
  const cluster = await newCluster(t, { network });
  const host = cluster.addHost();
  const server = "require('node:http').createServer().listen(8081, () => console.log('listening'))";
  await startProgram(t, host.name, [process.execPath, "-e", server]).says(/listening/);
  const before = host.snapshot();

  const daemon = host.startDaemon("--healthz-port=8081");

  t.match(await daemon.ended, { status: 1 });
  t.match(daemon.printed(), "cannot listen for health checks on 0.0.0.0:8081: another program uses it. To fix: ");
  t.strictSame(host.snapshot(), before);
});

t.test("a second daemon with the same subnet file is refused, and the first goes on", needs, async (t) => {
  const cluster = await newCluster(t, { network });
  const host = cluster.addHost();
  const [first] = await startDaemons([host]);

  const second = host.startDaemon();

  t.match(await second.ended, { status: 1 });
  t.match(
    second.printed(),
    `another flanneld (pid ${first.pid}) uses subnet file ${host.subnetFile}. To fix: stop that one first`,
  );
  t.match(stateOf(host), { pid: first.pid, state: "ready" });
});

const unwritable = {
  "is read-only": {
    make: 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0"',
    told: "EROFS",
  },
  "is full": { make: 'mount -t tmpfs -o nr_inodes=1 none "$0"', told: "ENOSPC" },
};

for (const [what, { make, told }] of Object.entries(unwritable)) {
  t.test(`a subnet file in a directory that ${what} is told with the remedy`, needs, async (t) => {
    const cluster = await newCluster(t, { network });
    const host = cluster.addHost();
    const directory = dirname(host.subnetFile);
    mkdirSync(directory, { recursive: true });
    const before = host.snapshot();

    const daemon = host.startDaemonUnder(["sh", "-c", `${make} && exec "$@"`, directory]);

    t.match(await daemon.ended, { status: 1 });
    t.match(daemon.printed(), new RegExp(`cannot use --subnet-file ${host.subnetFile}: .*${told}\\. To fix: `));
    t.strictSame(host.snapshot(), before);
    t.strictSame(cluster.leases(), {});
  });
}

const rights = {
  "an ordinary user": ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"],
  "root without CAP_NET_ADMIN": ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"],
};

for (const [who, command] of Object.entries(rights)) {
  t.test(`${who} is told what is missing`, needs, async (t) => {
    const cluster = await newCluster(t, { network });
    const host = cluster.addHost();
    const before = host.snapshot();

    const daemon = host.startDaemonUnder(command);

    t.match(await daemon.ended, { status: 1 });
    t.match(daemon.printed(), "it lacks CAP_NET_ADMIN. To fix: run it as root, or give it the capability");
    t.strictSame(host.snapshot(), before);
    t.strictSame(cluster.leases(), {});
  });
}

t.test("of a subnet.env that cannot be understood the rest is used, and it is written anew", needs, async (t) => {
  const cluster = await newCluster(t, { network });
  const host = cluster.addHost();
  writeFileSync(host.subnetFile, "FLANNEL_NETWORK=10.5.0.0/160\nFLANNEL_SUBNET=10.5.77.1/24\n\u0000garbage\n");

  const [daemon] = await startDaemons([host]);

  t.match(daemon.printed(), /subnet\.env.*FLANNEL_NETWORK.*10\.5\.0\.0\/160/);
  t.match(host.subnetEnv(), { FLANNEL_NETWORK: "10.5.0.0/16", FLANNEL_SUBNET: "10.5.77.1/24" });
});

const malformed = {
  "10.5.240.0-24": "no JSON",
  "10.5.241.0-24": '{"PublicIP":"192.0.2","BackendType":"vxlan"}',
  "10.5.242.0-24":
    '{"PublicIP":"192.0.2.242","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"me"}}',
  "10.5.243.0-24": '{"PublicIP":"192.0.2.243","PublicIPv6":null,"BackendType":"vxlan"}',
  "not-a-subnet": fakeLease("192.0.2.244"),
  "10.5.300.0-24": fakeLease("192.0.2.245"),
};

t.test("leases that cannot be understood are skipped, told and counted; the others work", needs, async (t) => {
  const cluster = await newCluster(t, { network });
  const host = cluster.addHost();
  const before = Object.entries(malformed).slice(0, 3);
  const later = Object.entries(malformed).slice(3);
  for (const [key, value] of before) cluster.etcd.put(`${prefix}/subnets/${key}`, value);
  const [daemon] = await startDaemons([host]);
  for (const [key, value] of later) cluster.etcd.put(`${prefix}/subnets/${key}`, value);
  cluster.etcd.put(`${prefix}/subnets/10.5.250.0-24`, fakeLease("192.0.2.250"));

  await until("the good one is known", () => host.sh("ip route").includes("10.5.250.0/24"));

  for (const key of Object.keys(malformed))
    await daemon.says(new RegExp(key.replaceAll(".", "\\.").replace("-24", "(-|/)24")));
  t.strictSame(host.sh("ip route").match(/^10\.5\.\S+ via/gm), ["10.5.250.0/24 via"]);
  const counted = /^twill_flanneld_malformed_leases_total (\d+)$/m.exec(await metricsOf(host))?.[1];
  t.ok(Number(counted) >= 4, `${counted} are counted`);
});

t.test("a second host with our public address takes our lease, which is told", needs, async (t) => {
  const cluster = await newCluster(t, { network });
  const [host, copy] = [cluster.addHost(), cluster.addHost()];
  const [daemon] = await startDaemons([host]);
  const subnet = host.subnetEnv()["FLANNEL_SUBNET"];

  await startDaemons([copy], "--iface=eth0", `--public-ip=${host.ipv4}`);

  t.equal(copy.subnetEnv()["FLANNEL_SUBNET"], subnet);
  await daemon.says(
    /two hosts have the same address, or a second daemon runs on this host\. To fix: start each host with its own --public-ip/,
  );
  t.match(stateOf(host), { state: "lost", reason: /--public-ip/ });
});

/** What the daemon left beside its subnet file. */
function stateOf(host: ClusterHost): { pid: number; state: string; reason?: string } {
  return JSON.parse(readFileSync(host.subnetFile.replace(/\.env$/, ".state"), "utf8"));
}

function metricsOf(host: ClusterHost): Promise<string> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath: host.subnetFile.replace(/\.env$/, ".sock"), path: "/metrics" }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part) => {
        text += part;
      });
      response.on("end", () => resolve(text));
    });
    asked.on("error", reject).end();
  });
}
