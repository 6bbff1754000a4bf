// The kernel lab itself: what the machine's kernel lacks is there, and a node can be made and looked at.
import t from "tap";
import { newHost } from "../lab/host.ts";
import { needsKernel } from "../lab/needs.ts";

t.test("the complete kernel filters VLANs on a bridge", needsKernel("vlan_filtering"), async (t) => {
  const node = newHost(t);

  node.sh(`ip link add br0 type bridge vlan_filtering 1
    ip link add port type veth peer name other
    ip link set port master br0
    bridge vlan add dev port vid 100-105`);

  const links = node.snapshot().namespaces[node.name]?.links;
  t.ok(links?.["br0"]?.settings.includes("vlan_filtering 1"));
  t.strictSame(links?.["port"]?.vlans, ["1 PVID Egress Untagged", "100-105"]);
});

t.test("the complete kernel has dummy links", needsKernel("dummy"), async (t) => {
  const node = newHost(t);

  node.sh("ip link add d0 type dummy");

  t.equal(node.snapshot().namespaces[node.name]?.links["d0"]?.kind, "dummy");
});

t.test(
  "the complete kernel has every feature that a test may ask for",
  needsKernel("vlan", "macvlan", "ipvlan", "vrf", "vxlan", "ifb", "ipip", "geneve", "wireguard", "netem", "tbf"),
  async (t) => {
    t.pass("needsKernel throws there for a feature that is missing");
  },
);
