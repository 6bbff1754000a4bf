// Which of a host's interfaces leads to the others, and two networks side by side on the same hosts.
import { dirname, join } from "node:path";
import t from "tap";
import { inFullRunOnly, needsRoot } from "../lab/needs.ts";
import { type ClusterHost, newCluster, startDaemons } from "./lab.ts";
import { until } from "./until.ts";

const needs = inFullRunOnly(needsRoot); // backends.test.ts and flanneld/ have a daemon in each run

t.test("of two interfaces the one is taken that the flags name", needs, async (t) => {
  const cluster = await newCluster(t, { network: { Network: "10.5.0.0/16", Backend: { Type: "vxlan" } } });
  const host = withSecondInterface(cluster.addHost(), "203.0.113.10/24");
  const [first, second] = [
    { publicIP: host.ipv4, parent: "eth0", local: host.ipv4 },
    { publicIP: "203.0.113.10", parent: "eth1", local: "203.0.113.10" },
  ];
  const rows = [
    { flags: [], expected: first }, // the default route
    { flags: ["--iface=eth1"], expected: second },
    { flags: ["--iface=203.0.113.10"], expected: second },
    { flags: ["--iface=eth7", "--iface=eth1"], expected: second },
    { flags: ["--iface-regex=^203\\.0\\."], expected: second },
    { flags: ["--iface-can-reach=203.0.113.77"], expected: second },
    { flags: ["--public-ip=203.0.113.10"], expected: second },
    {
      flags: ["--iface=eth0", "--public-ip=198.51.100.7"], // that of a NAT before this host
      expected: { publicIP: "198.51.100.7", parent: "eth0", local: host.ipv4 },
    },
  ];

  for (const { flags, expected } of rows) {
    const daemon = host.startDaemon(...flags);
    await daemon.ready();
    const [key = ""] = await until("one lease of that address", () => {
      const found = Object.entries(cluster.leases()).filter(([, { PublicIP }]) => PublicIP === expected.publicIP);
      return found.length === 1 && found.map(([key]) => key);
    });
    const [device] = host.json("ip", "-j", "-d", "link", "show", "flannel.1") as [VxlanLink];

    t.match(device, { linkinfo: { info_data: { link: expected.parent, local: expected.local } } }, flags.join(" "));
    t.equal(host.subnetEnv()["FLANNEL_SUBNET"], key.replace(/0-/, "1/"));
    await daemon.end("SIGTERM");
  }
});

t.test("two networks on the same hosts are two worlds", needs, async (t) => {
  const cluster = await newCluster(t);
  const { etcd } = cluster;
  etcd.put("/one/network/config", JSON.stringify({ Network: "10.5.0.0/16", Backend: { Type: "vxlan", VNI: 1 } }));
  etcd.put("/two/network/config", JSON.stringify({ Network: "10.6.0.0/16", Backend: { Type: "vxlan", VNI: 2 } }));
  etcd.put("/three/network/config", JSON.stringify({ Network: "10.7.0.0/16", Backend: { Type: "host-gw" } }));
  const hosts = [cluster.addHost(), cluster.addHost()] as const;
  for (const name of ["one", "two", "three"]) {
    const flags = (host: ClusterHost) => [`--etcd-prefix=/${name}/network`, `--subnet-file=${subnetFile(host, name)}`];
    await Promise.all(hosts.map((host) => startDaemons([host], ...flags(host))));
  }

  const subnets = Object.fromEntries(
    ["one", "two", "three"].map((name) => {
      const [key = ""] =
        Object.entries(etcd.get(`/${name}/network/subnets/`)).find(([, value]) => value.includes(hosts[1].ipv4)) ?? [];
      return [name, key.replace(/.*\//, "").replace("-", "/")];
    }),
  );
  const routes = () => hosts[0].json("ip", "-j", "route") as { dst: string; dev: string }[];
  await until(
    "all peers are known",
    () => routes().filter(({ dst }) => Object.values(subnets).includes(dst)).length === 3,
  );

  t.strictSame(
    Object.entries(subnets).map(([name, subnet]) => [name, routes().find(({ dst }) => dst === subnet)?.dev]),
    [
      ["one", "flannel.1"],
      ["two", "flannel.2"],
      ["three", "eth0"],
    ],
  );
  for (const name of ["one", "two"]) {
    const peer = subnets[name]?.replace(/\/.*/, "") ?? "";
    t.equal(hosts[0].run("ping", "-n", "-c", "1", "-W", "5", peer).status, 0, `network ${name} carries traffic`);
  }
  const wrongWay = hosts[0].run(
    "ping",
    "-n",
    "-c",
    "1",
    "-W",
    "1",
    "-I",
    "flannel.1",
    subnets["two"]?.replace(/\/.*/, "") ?? "",
  );
  t.not(wrongWay.status, 0, "network one does not carry what is for network two");
});

for (const [kind, EnableNFTables] of Object.entries({ iptables: false, nftables: true })) {
  t.test(`${kind}: two networks on one host leave each other's rules alone`, needs, async (t) => {
    const cluster = await newCluster(t);
    const host = cluster.addHost();
    const start = async (VNI: number, Network: string) => {
      const config = { Network, EnableNFTables, Backend: { Type: "vxlan", VNI } };
      cluster.etcd.put(`/${VNI}/config`, JSON.stringify(config));
      const daemon = host.startDaemon(
        `--etcd-prefix=/${VNI}`,
        `--subnet-file=${subnetFile(host, `${VNI}`)}`,
        "--iptables-resync=1",
      );
      await daemon.ready();
      return daemon;
    };
    const one = await start(1, "10.5.0.0/16");
    await start(2, "10.6.0.0/16");
    const masquerades = (network: string) => new RegExp(`ip saddr ${network}\\b.* masquerade`);

    await until("both masquerade", () => {
      const rules = host.sh("nft list ruleset");
      return masquerades("10.5.0.0/16").test(rules) && masquerades("10.6.0.0/16").test(rules);
    });
    const { stdout: changes } = host.run("timeout", "3", "nft", "monitor"); // three times what they take to look again
    t.equal(changes, "", "nobody changes anything from then on");

    const ofTwo = () => host.sh("nft -a list ruleset").match(/.*\b10\.6\..*/g);
    const before = ofTwo();
    await one.end("SIGTERM");
    await start(1, "10.8.0.0/16");
    t.notMatch(host.sh("nft list ruleset"), /\b10\.5\./, "an earlier network's rules go");
    t.strictSame(ofTwo(), before, "the other's stay, as their handles tell");
  });
}

interface VxlanLink {
  linkinfo: { info_data: { link: string; local: string } };
}

/** A network card that leads nowhere else. @param address With prefix length. */
function withSecondInterface(host: ClusterHost, address: string): ClusterHost {
  host.sh(`
    ip link add eth1 type veth peer name wire
    ip link set wire up
    ip address add ${address} dev eth1
    ip link set eth1 up`);
  return host;
}

function subnetFile(host: ClusterHost, network: string): string {
  return join(dirname(host.subnetFile), `${network}.env`);
}
