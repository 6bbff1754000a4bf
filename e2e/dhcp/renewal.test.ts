// A lease goes on, with servers whose leases last for seconds: renewed by whomever, and by the next daemon.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { needsRoot } from "../lab/needs.ts";
import { configure, isUp, lasting, newLab } from "./lab.ts";

t.test("a lease is renewed at T1, again and again, by a message to its server alone", needsRoot, async (t) => {
  const lab = await newLab(t);
  await lab.startServer({ udhcpd: ["opt lease 4"] });
  configure(lab, lab.cni("ADD").stdout);
  lab.node.sh(`nft add table netdev t
               nft add chain netdev t c '{ type filter hook ingress device "c0eth0" priority 0; }'
               nft add rule netdev t c ip daddr 255.255.255.255 udp dport 67 drop`);
  for (const _ of ["once", "twice"]) await lab.daemon.until(lasting(4), lab.daemon.output().length);
  t.match(lab.cni("CHECK"), { status: 0 });
});

t.test("a lease goes on when a plugin of the chain has given the interface another MAC", needsRoot, async (t) => {
  const lab = await newLab(t);
  await lab.startServer({ udhcpd: ["opt lease 2"] });
  configure(lab, lab.cni("ADD").stdout);
  lab.node.containers[0]?.sh("ip link set eth0 address 02:00:00:00:00:77");
  await lab.daemon.until(lasting(2), lab.daemon.output().length);
  t.match(lab.cni("CHECK"), { status: 0 });
});

for (const signal of ["SIGTERM", "SIGKILL"] as const) {
  t.test(`a lease outlives a daemon that ${signal} ends, and is renewed by the next one`, needsRoot, async (t) => {
    const lab = await newLab(t);
    await lab.startServer({ udhcpd: ["opt lease 4"] });
    const { stdout } = lab.cni("ADD");
    const address = configure(lab, stdout);
    const status = await lab.daemon.stop(signal);
    t.equal(status, signal === "SIGTERM" ? 0 : null);
    const next = await lab.startDaemon();
    t.match(next.output(), `container-0/net/eth0: resumed the lease of ${address}`);
    await next.until(lasting(4));
    t.match(lab.cni("CHECK", { ...lab.network(), prevResult: stdout }), { status: 0, stdout: "" });
    t.strictSame(lab.cni("ADD").stdout, stdout);
    t.ok(isUp(lab));
  });
}

t.test(
  "a daemon that starts forgets leases whose interface is gone, or is another one by now",
  needsRoot,
  async (t) => {
    const lab = await newLab(t, { containers: 3 });
    await lab.startServer({ dnsmasq: [] });
    for (const container of [0, 1, 2]) t.match(lab.cni("ADD", lab.network(), { container }), { status: 0 });
    await lab.daemon.stop();
    lab.node.containers[0]?.sh("ip link delete eth0");
    lab.node.containers[1]?.sh("ip link delete eth0");
    lab.plug(1, "eth0");
    writeFileSync(join(lab.dir, "dhcp.leases/0123456789abcdef"), "{");
    writeFileSync(join(lab.dir, "dhcp.leases/0123456789abcdef.01234567.tmp"), "");
    const next = await lab.startDaemon();
    t.match(next.output(), /0123456789abcdef is damaged and ignored/);
    t.match(
      next.output(),
      /0123456789abcdef\.01234567\.tmp is of an earlier boot or another version, or incomplete: removed/,
    );
    for (const container of [0, 1]) t.match(next.output(), `container-${container}/net/eth0: its interface is gone`);
    t.match(next.output(), "with 1 leases");
    t.match(lab.cni("CHECK", lab.network(), { container: 1 }), { status: 1 });
    t.match(lab.cni("CHECK", lab.network(), { container: 2 }), { status: 0 });
  },
);

t.test(
  "a daemon that does not see a living container's namespace keeps its lease for the next one",
  needsRoot,
  async (t) => {
    const lab = await newLab(t);
    await lab.startServer({ udhcpd: ["opt lease 12"] });
    const { stdout } = lab.cni("ADD");
    const address = configure(lab, stdout);
    await lab.daemon.stop();
    const blind = await lab.startDaemonWithout(lab.node.containers[0]?.path ?? "");
    t.match(blind.output(), /container-0\/net\/eth0: its namespace \S+ cannot be entered from here, but may exist/);
    await blind.until(/container-0\/net\/eth0: failed to open netns/); // when it is to be renewed
    await blind.stop();
    const next = await lab.startDaemon();
    t.match(next.output(), `container-0/net/eth0: resumed the lease of ${address}`);
    t.match(lab.cni("CHECK", { ...lab.network(), prevResult: stdout }), { status: 0 });
  },
);

t.test("after T2 another server extends the lease of one that is gone", needsRoot, async (t) => {
  const lab = await newLab(t, { containers: 2 });
  const first = await lab.startServer({ udhcpd: ["opt lease 4"] });
  const address = configure(lab, lab.cni("ADD").stdout);
  await first.stop();
  lab.node.containers[1]?.sh("ip address add 10.77.0.2/24 dev eth0; ip link set eth0 up");
  const second = await lab.startServer({ dnsmasq: ["--dhcp-authoritative"], container: 1 });
  await lab.daemon.until(lasting(120));
  t.match(second.output(), `DHCPACK(eth0) ${address}`);
  t.match(lab.cni("CHECK"), { status: 0 });
  t.match(lab.cni("DEL"), { status: 0 });
  await second.until(new RegExp(`DHCPRELEASE\\(eth0\\) ${address.replaceAll(".", "\\.")}`), 0);
  t.ok(isUp(lab));
});
