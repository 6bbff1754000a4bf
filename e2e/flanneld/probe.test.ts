// Who answers the daemon's probe, over real links.
//
//     host  10.61.0.1  --- 1500 ---  10.61.0.2  near  10.62.0.1  --- 1300 ---  10.62.0.2  far
import t from "tap";
import { ping, type Target } from "../../cmd/flanneld/status/ping.ts";
import { parseAddress } from "../../pkg/ip/address.ts";
import { closeNamespace, openNamespace, within } from "../../pkg/sys/namespace.ts";
import { until } from "../cluster/until.ts";
import { type Host, newHost } from "../lab/host.ts";
import { needsRoot } from "../lab/needs.ts";

const SIZE = 1500;

async function chain(t: Parameters<typeof newHost>[0]): Promise<Host> {
  const host = newHost(t, { containers: 2 });
  const [near, far] = host.containers;
  if (!near || !far) throw new Error("two containers were asked for");
  host.sh(`
    ip link add right type veth peer name left netns ${near.name}
    ip address add 10.61.0.1/24 dev right
    ip address add fd61::1/64 dev right nodad
    ip link set right up
    ip route add 10.62.0.0/24 via 10.61.0.2
    ip route add fd62::/64 via fd61::2`);
  near.sh(`
    ip link add right type veth peer name left netns ${far.name}
    ip address add 10.61.0.2/24 dev left
    ip address add fd61::2/64 dev left nodad
    ip address add 10.62.0.1/24 dev right
    ip address add fd62::1/64 dev right nodad
    ip link set left up
    ip link set right mtu 1300 up
    sysctl -q -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1`);
  far.sh(`
    ip address add 10.62.0.2/24 dev left
    ip address add fd62::2/64 dev left nodad
    ip link set left mtu 1300 up
    ip route add default via 10.62.0.1
    ip route add default via fd62::1`);
  await until("the end of the chain", () => host.run("ping", "-n", "-c", "1", "-W", "1", "fd62::2").status === 0);
  return host;
}

const target = (address: string, size = SIZE): Target => ({ address: parseAddress(address) ?? new Uint8Array(), size });

function probeFrom(host: Host, targets: readonly Target[], timeoutMs?: number) {
  const namespace = openNamespace(host.path);
  return within(namespace, () => ping(targets, timeoutMs)).finally(() => closeNamespace(namespace));
}

t.test("a peer answers, one does not, and one is behind a small MTU", needsRoot, async (t) => {
  const host = await chain(t);
  const targets = ["10.61.0.2", "10.61.0.99", "10.62.0.2", "10.99.0.1", "fd61::2", "fd61::99", "fd62::2"];
  t.strictSame(
    await probeFrom(
      host,
      targets.map((address) => target(address)),
    ),
    ["yes", "no", "small packets", "no", "yes", "no", "small packets"],
  );
});

t.test("a packet larger than our own device takes is not waited for", needsRoot, async (t) => {
  const host = await chain(t);
  const patience = 600_000; // the test would time out
  t.strictSame(await probeFrom(host, [target("10.61.0.2", 1501), target("10.61.0.2", 1500)], patience), [
    "small packets",
    "yes",
  ]);
});

t.test("thousands of targets are asked side by side, and nothing is lost", needsRoot, async (t) => {
  const host = await chain(t);
  host.containers[0]?.sh("ip route add local 10.63.0.0/16 dev lo");
  host.sh("ip route add 10.63.0.0/16 via 10.61.0.2");
  const targets = Array.from({ length: 5000 }, (_, i) => target(`10.63.${i >> 8}.${i & 255}`));
  const answers = await probeFrom(host, targets, 20_000);
  t.equal(answers.filter((answer) => answer === "yes").length, 5000);
});

t.test("nobody to ask is nothing to wait for", async (t) => {
  t.strictSame(await ping([], 600_000), []);
});
