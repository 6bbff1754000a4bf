// Whose address the other end sees: the host's outside the pod network, the pod's own inside it.
import t from "tap";
import { inFullRunOnly, needsRoot } from "../lab/needs.ts";
import { newCluster, startDaemons } from "./lab.ts";
import { startPeer } from "./traffic.ts";
import { until } from "./until.ts";

const network = {
  Network: "10.5.0.0/16",
  EnableIPv6: true,
  IPv6Network: "fd00:5::/48",
  Backend: { Type: "vxlan" },
};

/** flanneld/masquerade.test.ts has the rules of both in each run. */
const kinds = {
  iptables: { need: needsRoot, EnableNFTables: false },
  nftables: { need: inFullRunOnly(needsRoot), EnableNFTables: true },
};

for (const [kind, { need, EnableNFTables }] of Object.entries(kinds)) {
  t.test(`${kind}: pods have the host's address outside, and their own inside`, { ...need }, async (t) => {
    const cluster = await newCluster(t, { network: { ...network, EnableNFTables } });
    const hosts = [cluster.addHost(), cluster.addHost()] as const;
    await startDaemons(hosts);
    const [pod, other] = [await hosts[0].addPod(), await hosts[1].addPod()];
    const outsider = await startPeer(t, cluster.outside.name);
    await until("the pods reach each other", () => pod.reaches(other.ipv4) && pod.reaches(other.ipv6));

    for (const family of ["ipv4", "ipv6"] as const) {
      for (const protocol of ["tcp", "udp"] as const) {
        const told = `${family}, ${protocol}`;
        t.equal(
          (await pod.ask(protocol, cluster.outside[family], 100)).from,
          hosts[0][family],
          `${told}: from pod to outside`,
        );
        t.equal((await pod.ask(protocol, other[family], 100)).from, pod[family], `${told}: from pod to pod`);
      }
    }

    cluster.underlay.sh(`
      ip route add ${pod.ipv4} via ${hosts[0].ipv4}
      ip route add ${pod.ipv6} via ${hosts[0].ipv6}`);
    t.equal(
      (await outsider.ask("tcp", pod.ipv4, 100)).from,
      cluster.outside.ipv4,
      "who comes from outside keeps its address",
    );
    t.equal((await outsider.ask("tcp", pod.ipv6, 100)).from, cluster.outside.ipv6, "also with IPv6");
  });
}

t.test("without --ip-masq the bridge masquerades what leaves its subnet", inFullRunOnly(needsRoot), async (t) => {
  const cluster = await newCluster(t, { network });
  const hosts = [cluster.addHost(), cluster.addHost()] as const;
  await startDaemons(hosts, "--ip-masq=false");
  const [pod, other] = [await hosts[0].addPod(), await hosts[1].addPod()];
  await startPeer(t, cluster.outside.name);
  await until("the pods reach each other", () => pod.reaches(other.ipv4));

  t.equal(hosts[0].subnetEnv()["FLANNEL_IPMASQ"], "false");
  t.equal((await pod.ask("tcp", cluster.outside.ipv4, 100)).from, hosts[0].ipv4, "outside");
  t.equal((await pod.ask("tcp", other.ipv4, 100)).from, pod.ipv4.replace(/\d+$/, "0"), "inside: the device's address");
});
