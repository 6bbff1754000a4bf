// bridge with dhcp as its IPAM plugin: from nothing to a container that reaches the server, and back.
import t, { type Test } from "tap";
import { needsRoot } from "../lab/needs.ts";
import { newLab } from "./lab.ts";

/** Containers have no interface yet, and the bridge is as the plugin leaves it. */
async function bridgeLab(t: Test, options: Parameters<typeof newLab>[1] = {}): ReturnType<typeof newLab> {
  const lab = await newLab(t, options);
  lab.node.containers[0]?.sh("ip link delete eth0");
  lab.node.sh("echo 0 > /proc/sys/net/ipv6/conf/br0/accept_ra");
  return lab;
}

t.test(
  "bridge: a container gets its address from a server on the bridge, reaches it, and gives it back",
  needsRoot,
  async (t) => {
    const lab = await bridgeLab(t, { containers: 2 });
    const [container, other] = lab.node.containers;
    lab.node.sh("ip address flush dev br0"); // the host has no part in this network; the server is one of its guests
    other?.sh("ip address add 10.77.0.1/24 dev eth0; ip link set eth0 up");
    const server = await lab.startServer({ dnsmasq: ["--dhcp-option=6,10.77.0.53"], container: 1 });
    const conf = lab.network({}, { bridge: "br0" });
    const before = lab.node.snapshot();

    const { status, stdout, stderr } = lab.node.cni("bridge", "ADD", conf);
    t.match({ status, stderr }, { status: 0, stderr: "" });
    t.match(stdout, {
      interfaces: [{ name: "br0" }, {}, { name: "eth0", sandbox: container?.path }],
      ips: [{ address: /^10\.77\.0\.\d+\/24$/, gateway: "10.77.0.1", interface: 2 }],
      routes: [{ dst: "0.0.0.0/0", gw: "10.77.0.1" }],
      dns: { nameservers: ["10.77.0.53"] },
    });
    t.equal(container?.run("ping", "-c1", "-W5", "10.77.0.1").status, 0);
    t.match(container?.sh("ip route"), "default via 10.77.0.1 dev eth0");
    const held = { ...conf, prevResult: stdout };
    t.match(lab.node.cni("bridge", "CHECK", held), { status: 0, stdout: "" });

    for (const again of ["once", "twice"])
      t.match(lab.node.cni("bridge", "DEL", held), { status: 0, stdout: "" }, again);
    await server.until(/DHCPRELEASE/);
    t.strictSame(await lab.leases(0), []);
    t.strictSame(lab.node.snapshot(), before);
  },
);

t.test("bridge: an ADD that gets no address leaves nothing, with a daemon or without", needsRoot, async (t) => {
  const lab = await bridgeLab(t, { flags: ["-resendtimeout", "500ms"] });
  const conf = lab.network({}, { bridge: "br0" });
  const before = lab.node.snapshot();
  t.match(lab.node.cni("bridge", "ADD", conf), {
    status: 1,
    stdout: { code: 11, msg: "error calling DHCP.Allocate: no more tries" },
  });
  t.strictSame(lab.node.snapshot(), before);
  await lab.daemon.stop();
  t.match(lab.node.cni("bridge", "ADD", conf), { status: 1, stdout: { code: 11, msg: /^error dialing DHCP daemon/ } });
  t.strictSame(lab.node.snapshot(), before);
  t.match(lab.node.cni("bridge", "DEL", conf), { status: 0, stdout: "" });
  t.match(lab.node.cni("bridge", "STATUS", conf), { status: 1, stdout: { code: 50 } });
});

t.test("bridge: an ADD that fails after it had an address gives it back", needsRoot, async (t) => {
  const lab = await bridgeLab(t);
  const server = await lab.startServer({ dnsmasq: ["--dhcp-option=121,192.0.2.0/24,203.0.113.1"] }); // a route by way of nowhere
  const before = lab.node.snapshot();
  t.match(lab.node.cni("bridge", "ADD", lab.network({}, { bridge: "br0" })), { status: 1 });
  await server.until(/DHCPRELEASE/);
  t.strictSame(await lab.leases(0), []);
  t.strictSame(lab.node.snapshot(), before);
});

t.test("bridge: routes on the link itself, of option 121", needsRoot, async (t) => {
  const lab = await bridgeLab(t);
  await lab.startServer({
    udhcpd: ["opt router 10.77.0.1", "opt staticroutes 10.9.0.0/16 0.0.0.0, 0.0.0.0/0 10.77.0.1"],
  });
  t.match(lab.node.cni("bridge", "ADD", lab.network({}, { bridge: "br0" })), { status: 0 });
  t.match(
    lab.node.containers[0]?.sh("ip route"),
    /default via 10\.77\.0\.1 dev eth0.*10\.9\.0\.0\/16 dev eth0 scope link/s,
  );
});
