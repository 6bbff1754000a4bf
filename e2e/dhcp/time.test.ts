// A lease's life, with servers whose leases last for seconds: it is renewed, by whomever, outlives its daemon, and ends.
import t from "tap";
import { needsRoot } from "../needs.ts";
import { type Lab, newLab } from "./lab.ts";

/** udhcpd leaves T1 and T2 to the client: 1.5 and 2.55 s. */
const threeSeconds = ["opt lease 3"];

/** What the plugin that calls dhcp does with the address. */
function configure({ node }: Lab, result: unknown, container = 0): string {
  const { ips } = result as { ips: { address: string }[] };
  const address = ips[0]?.address ?? "";
  node.containers[container]?.sh(`ip address add ${address} dev eth0`);
  return address.replace("/24", "");
}

const isUp = ({ node }: Lab) => /<.*\bUP\b/.test(node.containers[0]?.sh("ip -br link show eth0") ?? "");
const ends = (seconds: number) => new RegExp(`has 10\\.77\\.0\\.\\d+ for ${seconds} s`);

t.test("a lease is renewed at T1, again and again, by a message to its server alone", needsRoot, async (t) => {
  const lab = await newLab(t);
  await lab.startServer({ udhcpd: ["opt lease 4"] });
  configure(lab, lab.cni("ADD").stdout);
  lab.node.sh(`nft add table netdev t
               nft add chain netdev t c '{ type filter hook ingress device "c0eth0" priority 0; }'
               nft add rule netdev t c ip daddr 255.255.255.255 udp dport 67 drop`);
  for (const _ of ["once", "twice"]) await lab.daemon.until(ends(4), lab.daemon.output().length);
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
    t.match(next.output(), `container-0/net/eth0: goes on with the lease of ${address}`);
    await next.until(ends(4));
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
    const next = await lab.startDaemon();
    for (const container of [0, 1]) t.match(next.output(), `container-${container}/net/eth0: its interface is gone`);
    t.match(next.output(), "with 1 leases");
    t.match(lab.cni("CHECK", lab.network(), { container: 1 }), { status: 1 });
    t.match(lab.cni("CHECK", lab.network(), { container: 2 }), { status: 0 });
  },
);

t.test(
  "a lease that nobody extends ends: the interface is down, CHECK says so, ADD gets another one",
  needsRoot,
  async (t) => {
    const lab = await newLab(t, { flags: ["-resendtimeout", "1s"] });
    const server = await lab.startServer({ udhcpd: threeSeconds });
    const address = configure(lab, lab.cni("ADD").stdout);
    await server.stop();
    await lab.daemon.until(/container-0\/net\/eth0: lease expired/);
    t.notOk(isUp(lab));
    t.match(lab.cni("CHECK"), {
      status: 1,
      stdout: {
        code: 999,
        msg: `error calling DHCP.Check: the lease of ${address} for container-0/net/eth0 has ended: lease expired`,
      },
    });
    t.match(lab.cni("ADD"), { status: 1, stdout: { code: 11, msg: "error calling DHCP.Allocate: no more tries" } });
    await lab.startServer({ udhcpd: threeSeconds });
    t.match(lab.cni("ADD"), { status: 0 });
    t.ok(isUp(lab));
  },
);

t.test("a lease that ended while no daemon ran sets the interface down when one comes", needsRoot, async (t) => {
  const lab = await newLab(t);
  await lab.startServer({ udhcpd: ["opt lease 1"] });
  configure(lab, lab.cni("ADD").stdout);
  await lab.daemon.stop();
  const left = lab.node.run("sh", "-c", `sleep 1; ls ${lab.dir}/dhcp.leases`); // the lease's own second
  t.equal(left.stdout.trim().split("\n").length, 1);
  const next = await lab.startDaemon();
  await next.until(/lease expired/);
  t.notOk(isUp(lab));
});

t.test("after T2 another server extends the lease of one that is gone", needsRoot, async (t) => {
  const lab = await newLab(t, { containers: 2 });
  const first = await lab.startServer({ udhcpd: ["opt lease 4"] });
  const address = configure(lab, lab.cni("ADD").stdout);
  await first.stop();
  lab.node.containers[1]?.sh("ip address add 10.77.0.2/24 dev eth0; ip link set eth0 up");
  const second = await lab.startServer({ dnsmasq: ["--dhcp-authoritative"], container: 1 });
  await lab.daemon.until(ends(120));
  t.match(second.output(), `DHCPACK(eth0) ${address}`);
  t.match(lab.cni("CHECK"), { status: 0 });
  t.match(lab.cni("DEL"), { status: 0 });
  await second.until(new RegExp(`DHCPRELEASE\\(eth0\\) ${address.replaceAll(".", "\\.")}`), 0);
  t.ok(isUp(lab));
});

t.test(
  "a lease that the server refuses to extend is over, since the container keeps its address",
  needsRoot,
  async (t) => {
    const lab = await newLab(t, { flags: ["-timeout", "1s"] });
    const first = await lab.startServer({ udhcpd: ["opt lease 4"] });
    const address = configure(lab, lab.cni("ADD").stdout);
    await first.stop();
    const second = await lab.startServer({ dnsmasq: ["--dhcp-authoritative"], range: "10.77.0.200,10.77.0.210,120" });
    await second.until(/DHCPNAK/);
    await lab.daemon.until(
      new RegExp(`the server refuses ${address}: asking for it anew[^]*the server refuses the address`),
    );
    t.notOk(isUp(lab));
  },
);

t.test("an interface that is gone ends its lease at the next renewal", needsRoot, async (t) => {
  const lab = await newLab(t);
  await lab.startServer({ udhcpd: threeSeconds });
  lab.cni("ADD");
  lab.node.containers[0]?.sh("ip link delete eth0");
  await lab.daemon.until(/container-0\/net\/eth0: error looking up "eth0": Link not found/);
  t.strictSame(lab.node.run("ls", `${lab.dir}/dhcp.leases`).stdout, "");
  t.match(lab.cni("DEL"), { status: 0, stdout: "" });
});
