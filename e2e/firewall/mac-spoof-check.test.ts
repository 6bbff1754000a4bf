// The MAC spoof check as nft shows it, as traffic feels it, and beside the Go bridge.

import t from "tap";
import type { AttachmentId } from "../../pkg/cni/attachment-id.ts";
import { addMacSpoofCheck, collectMacSpoofChecks, removeMacSpoofCheck } from "../../pkg/firewall/mac-spoof-check.ts";
import { openNamespace, within } from "../../pkg/sys/namespace.ts";
import { type Host, type Namespace, newHost } from "../lab/host.ts";
import { needsKernel } from "../lab/needs.ts";

const GO = "/usr/lib/cni";
const needs = needsKernel("nft_bridge");

const owner = (containerId: string, ifName = "eth0"): AttachmentId => ({ network: "podnet", containerId, ifName });
const mac = "0a:58:0a:16:00:05";

function hostCalls(host: Namespace) {
  const inside = (work: () => void) => within(openNamespace(host.path), work);
  return {
    add: (of: AttachmentId, hostIfName = "veth1", from = mac) =>
      inside(() => addMacSpoofCheck(of, { hostIfName, mac: from }, () => false)),
    remove: (of: AttachmentId) => inside(() => removeMacSpoofCheck(of, () => false)),
    collect: (valid: AttachmentId[]) => inside(() => collectMacSpoofChecks(valid)),
  };
}

const ruleset = (host: Namespace) => host.sh("nft list ruleset");

const base = `	chain PREROUTING {
		type filter hook prerouting priority dstnat; policy accept;
`;
const of3f2a = `table bridge nat {
${base}		iifname "veth1" jump cni-br-iface-3f2a-eth0 comment "macspoofchk-3f2a-eth0"
	}

	chain cni-br-iface-3f2a-eth0 {
		jump cni-br-iface-3f2a-eth0-mac comment "macspoofchk-3f2a-eth0"
	}

	chain cni-br-iface-3f2a-eth0-mac {
		ether saddr ${mac} return comment "macspoofchk-3f2a-eth0"
		drop comment "macspoofchk-3f2a-eth0"
	}
}
`;
const empty = `table bridge nat {\n${base}	}\n}\n`;

t.test("it looks as the reference plugin makes it, twice is once, and away only the base is left", needs, async (t) => {
  const host = newHost(t, { containers: 0 });
  const { add, remove } = hostCalls(host);
  remove(owner("3f2a"));
  t.equal(ruleset(host), "", "nothing to remove, nothing made");
  for (let twice = 0; twice < 2; twice++) {
    add(owner("3f2a"));
    t.equal(ruleset(host), of3f2a);
  }
  add(owner("other", "net1"), "veth2");
  for (let twice = 0; twice < 2; twice++) {
    remove(owner("other", "net1"));
    t.equal(ruleset(host), of3f2a);
  }
  remove(owner("3f2a"));
  t.equal(ruleset(host), empty);
});

t.test("a new MAC and interface replace the old ones", needs, async (t) => {
  const host = newHost(t, { containers: 0 });
  const { add } = hostCalls(host);
  add(owner("3f2a"), "veth9", "02:00:00:00:00:01");
  add(owner("3f2a"));
  t.equal(ruleset(host), of3f2a);
});

t.test("what is damaged is mended by ADD and removed by DEL", needs, async (t) => {
  const host = newHost(t, { containers: 0 });
  const { add, remove } = hostCalls(host);
  for (const damage of [
    "flush chain bridge nat PREROUTING",
    "flush chain bridge nat PREROUTING; flush chain bridge nat cni-br-iface-3f2a-eth0; delete chain bridge nat cni-br-iface-3f2a-eth0",
    "flush chain bridge nat cni-br-iface-3f2a-eth0; delete chain bridge nat cni-br-iface-3f2a-eth0-mac",
    "delete table bridge nat",
  ]) {
    add(owner("3f2a"));
    host.sh(`nft '${damage}'`);
    add(owner("3f2a"));
    t.equal(ruleset(host).split("\n").sort().join("\n"), of3f2a.split("\n").sort().join("\n"), `mended: ${damage}`);
    host.sh(`nft '${damage}'`);
    remove(owner("3f2a"));
    t.notMatch(ruleset(host), "cni-br-iface", `removed: ${damage}`);
  }
});

t.test("GC takes the checks whose interface is gone, of whoever is not valid", needs, async (t) => {
  const host = newHost(t, { containers: 0 });
  const { add, remove, collect } = hostCalls(host);
  host.sh("ip link add veth1 type veth peer name p1");
  add(owner("3f2a")); // its interface is there
  add(owner("valid"), "gone1");
  const wanted = ruleset(host);
  add(owner("stale"), "gone2");
  add(owner("stale", "mac"), "gone3");
  add(owner("unreachable"), "veth1");
  const [, handle] =
    /macspoofchk-unreachable-eth0" # handle (\d+)/.exec(host.sh("nft -a list chain bridge nat PREROUTING")) ?? [];
  host.sh(`nft delete rule bridge nat PREROUTING handle ${handle}`);
  host.sh("nft add chain bridge nat cni-br-iface-begun-eth0"); // as the Go plugin begins
  collect([owner("valid")]);
  t.match(ruleset(host), "cni-br-iface-begun-eth0");
  host.sh("nft delete chain bridge nat cni-br-iface-begun-eth0");
  t.equal(ruleset(host), wanted);
  remove(owner("valid"));
  t.equal(ruleset(host), of3f2a);
});

const bridgeConf = {
  cniVersion: "1.0.0",
  name: "podnet",
  type: "bridge",
  bridge: "br0",
  macspoofchk: true,
  isGateway: true,
  ipam: { type: "host-local", subnet: "10.1.0.0/24" },
};

/** Name and MAC of the host's and the container's end. */
function addByGo(host: Host): { hostIfName: string; containerMac: string } {
  const { status, stdout } = host.cni("bridge", "ADD", bridgeConf, { bin: GO });
  if (status !== 0) throw new Error(JSON.stringify(stdout));
  const { interfaces } = stdout as { interfaces: { name: string; mac: string }[] };
  return { hostIfName: interfaces[1]?.name ?? "", containerMac: interfaces[2]?.mac ?? "" };
}

t.test(
  "bridge: container and interface that spell another attachment's are refused, which keeps its check",
  needs,
  async (t) => {
    const host = newHost(t, { containers: 2 });
    t.match(host.cni("bridge", "ADD", bridgeConf, { containerId: "a-b" }), { status: 0 });
    const before = ruleset(host);
    const second = { container: 1, containerId: "a", ifName: "b-eth0" };
    t.match(host.cni("bridge", "ADD", bridgeConf, second), {
      status: 1,
      stdout: { msg: /^the MAC spoof check of container a, interface "b-eth0" has the name of another attachment's/ },
    });
    t.match(host.cni("bridge", "DEL", bridgeConf, second), { status: 0, stdout: "" });
    t.equal(ruleset(host), before);
    t.match(host.cni("bridge", "DEL", bridgeConf, { containerId: "a-b" }), { status: 0 });
    t.equal(ruleset(host), empty);
  },
);

t.test("the Go bridge's check is ours, and either deletes the other's", needs, async (t) => {
  const host = newHost(t, { bin: GO });
  const { hostIfName, containerMac } = addByGo(host);
  const byGo = ruleset(host);
  const { add, remove } = hostCalls(host);
  const container = owner(host.containers[0]?.id ?? "");
  add(container, hostIfName, containerMac);
  t.equal(ruleset(host), byGo);
  remove(container);
  t.equal(ruleset(host), empty);
  add(container, hostIfName, containerMac);
  t.equal(ruleset(host), byGo);
  t.match(host.cni("bridge", "DEL", bridgeConf, { bin: GO }), { status: 0, stderr: "" });
  t.equal(ruleset(host), empty);
});

t.test("frames with another MAC are dropped, with the right one pass", needs, async (t) => {
  const host = newHost(t, { bin: GO });
  const { status, stdout } = host.cni("bridge", "ADD", { ...bridgeConf, macspoofchk: false }, { bin: GO });
  t.equal(status, 0, JSON.stringify(stdout));
  const { interfaces } = stdout as { interfaces: { name: string; mac: string }[] };
  const [container] = host.containers;
  const reaches = () => container?.run("ping", "-c1", "-W1", "10.1.0.1").status === 0;
  t.ok(reaches(), "without the check");
  hostCalls(host).add(owner(container?.id ?? ""), interfaces[1]?.name, interfaces[2]?.mac);
  t.ok(reaches(), "with its own MAC");
  container?.sh("ip link set eth0 address 02:00:00:00:00:99");
  t.notOk(reaches(), "with another");
});
