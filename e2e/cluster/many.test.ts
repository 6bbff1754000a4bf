// Fifty hosts that start at the same moment, as after a power cut. One namespace with fifty addresses is enough: alloc makes no device.
import { dirname, join } from "node:path";
import t from "tap";
import { inFullRunOnly, inLongRunOnly, needsRoot } from "../lab/needs.ts";
import { type ClusterHost, newCluster, startDaemons } from "./lab.ts";

const HOSTS = 50;

/** Dual stack shows what IPv4 alone does. */
const networks = {
  IPv4: { need: inLongRunOnly(needsRoot), network: {} },
  "dual stack": { need: inFullRunOnly(needsRoot), network: { EnableIPv6: true, IPv6Network: "fd00:5::/48" } },
};

for (const [name, { need, network }] of Object.entries(networks)) {
  t.test(`${HOSTS} daemons at once all get distinct subnets, ${name}`, { ...need }, async (t) => {
    const backend = { Type: "alloc" };
    const cluster = await newCluster(t, {
      network: { Network: "10.5.0.0/16", SubnetLen: 24, ...network, Backend: backend },
    });
    const host = cluster.addHost();
    const places = placesOn(host);

    await Promise.all(places.map(({ flags }) => startDaemons([host], ...flags)));

    const leases = cluster.leases();
    const halves = Object.keys(leases).flatMap((key) => key.split("&"));
    t.equal(new Set(halves).size, "EnableIPv6" in network ? 2 * HOSTS : HOSTS, "distinct subnets");
    t.strictSame(
      Object.values(leases)
        .map(({ PublicIP }) => PublicIP)
        .sort(),
      places.map(({ publicIP }) => publicIP).sort(),
    );
  });
}

/** Addresses and files for each daemon. */
function placesOn(host: ClusterHost): { publicIP: string; flags: string[] }[] {
  const places = Array.from({ length: HOSTS }, (_, i) => {
    const [ipv4, ipv6] = [`192.0.2.${100 + i}`, `2001:db8::1:${i}`];
    const file = join(dirname(host.subnetFile), `${i}.env`);
    const addresses = ["--iface=eth0", `--public-ip=${ipv4}`, `--public-ipv6=${ipv6}`];
    const noRules = ["--ip-masq=false", "--iptables-forward-rules=false"];
    return { publicIP: ipv4, ipv6, flags: [...addresses, ...noRules, `--subnet-file=${file}`] };
  });
  host.sh(
    places
      .map(({ publicIP, ipv6 }) => `ip address add ${publicIP}/24 dev eth0; ip address add ${ipv6}/64 dev eth0`)
      .join("\n"),
  );
  return places;
}
