// dhcp and its daemon with dnsmasq: what each verb does, seen in the server's file of leases.
import t from "tap";
import { needsRoot } from "../lab/needs.ts";
import { newLab } from "./lab.ts";

const versions = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];
const options = [
  "--dhcp-option=6,10.77.0.53,10.77.0.54",
  "--dhcp-option=15,example.org",
  "--dhcp-option=119,a.example.org,example.net",
];
const expected = {
  ips: [{ address: /^10\.77\.0\.\d+\/24$/, gateway: "10.77.0.1" }],
  routes: [{ dst: "0.0.0.0/0", gw: "10.77.0.1" }],
  dns: { nameservers: ["10.77.0.53", "10.77.0.54"], domain: "example.org", search: ["a.example.org", "example.net"] },
};

t.test(
  "ADD has the server's address, routes and name servers; DEL gives it back, as often as it comes",
  needsRoot,
  async (t) => {
    const lab = await newLab(t);
    const server = await lab.startServer({ dnsmasq: options });
    const { status, stdout } = lab.cni("ADD");
    t.match({ status, stdout }, { status: 0, stdout: expected });
    const { ips } = stdout as { ips: { address: string }[] };
    t.match(await lab.leases(1), [new RegExp(`^${ips[0]?.address.replace("/24", "")} `)]);
    t.match(lab.node.containers[0]?.sh("ip -br link show eth0"), /<.*\bUP\b/, "it has set the interface up");

    t.strictSame(lab.cni("ADD").stdout, stdout, "once more: the same lease");
    t.match(lab.cni("CHECK", { ...lab.network(), prevResult: stdout }), { status: 0, stdout: "" });
    for (const again of ["once", "twice"]) t.match(lab.cni("DEL"), { status: 0, stdout: "" }, again);
    await server.until(/DHCPRELEASE/);
    t.strictSame(await lab.leases(0), []);
  },
);

t.test("each version has the result in its own form", needsRoot, async (t) => {
  const lab = await newLab(t);
  await lab.startServer({ dnsmasq: options });
  for (const cniVersion of versions) {
    const conf = lab.network({}, { cniVersion });
    const { status, stdout } = lab.cni("ADD", conf);
    const wanted = cniVersion < "0.3" ? { ip4: { ip: /^10\.77/, gateway: "10.77.0.1" } } : { ips: expected.ips };
    t.match({ status, stdout }, { status: 0, stdout: { cniVersion, ...wanted } }, cniVersion);
    t.match(lab.cni("DEL", conf), { status: 0, stdout: "" }, cniVersion);
  }
});

t.test("CHECK takes no lease, and says what is wrong with the one there is", needsRoot, async (t) => {
  const lab = await newLab(t);
  const server = await lab.startServer({ dnsmasq: [] });
  const prevResult = { cniVersion: "1.1.0", ips: [{ address: "10.77.0.200/24" }] };
  const conf = { ...lab.network(), prevResult };
  t.match(lab.cni("CHECK", conf), {
    status: 1,
    stdout: { code: 999, msg: "error calling DHCP.Check: there is no lease for container-0/net/eth0" },
  });
  t.notMatch(server.output(), "DHCPDISCOVER");
  lab.cni("ADD");
  t.match(lab.cni("CHECK", conf), {
    status: 1,
    stdout: {
      code: 999,
      msg: /^dhcp: the lease is for 10\.77\.0\.\d+\/24, must be for 10\.77\.0\.200\/24, which prevResult has$/,
    },
  });
  lab.node.containers[0]?.sh("ip link delete eth0");
  t.match(lab.cni("CHECK", lab.network()), {
    status: 1,
    stdout: {
      code: 999,
      msg: /^error calling DHCP\.Check: the lease of 10\.77\.0\.\d+ for container-0\/net\/eth0 is for another interface/,
    },
  });
});

t.test("a server with one address refuses the second interface, one with two does not", needsRoot, async (t) => {
  const lab = await newLab(t, { flags: ["-resendtimeout", "1s"] });
  lab.plug(0, "eth1");
  const one = await lab.startServer({ dnsmasq: ["--dhcp-lease-max=1"] });
  t.match(lab.cni("ADD"), { status: 0 });
  t.match(lab.cni("ADD", lab.network(), { ifName: "eth1" }), {
    status: 1,
    stdout: {
      code: 11,
      msg: "error calling DHCP.Allocate: no more tries",
      details: /To fix: check that a DHCP server answers/,
    },
  });
  await one.stop();
  await lab.startServer({ dnsmasq: ["--dhcp-lease-max=2"] });
  t.match(lab.cni("ADD", lab.network(), { ifName: "eth1" }), { status: 0 });
  t.equal((await lab.leases(2)).length, 2);
});

t.test("without a daemon, ADD and STATUS say how to start it, and DEL does not fail", needsRoot, async (t) => {
  const lab = await newLab(t);
  await lab.daemon.stop();
  const msg = `error dialing DHCP daemon: ${lab.socket}: ENOENT`;
  const details = /To fix: start it: `dhcp daemon`/;
  t.match(lab.cni("ADD"), { status: 1, stdout: { code: 11, msg, details } });
  t.match(lab.cni("STATUS"), { status: 1, stdout: { code: 50, msg, details } });
  t.match(lab.cni("DEL"), {
    status: 0,
    stdout: "",
    stderr: /a lease is not released and will expire: error dialing DHCP daemon/,
  });
  await lab.startDaemon();
  t.match(lab.cni("STATUS"), { status: 0, stdout: "" });
});

t.test("GC gives back what the network's attachments have that are not alive", needsRoot, async (t) => {
  const lab = await newLab(t, { containers: 3 });
  const server = await lab.startServer({ dnsmasq: [] });
  const other = lab.network({}, { name: "other" });
  for (const [container, conf] of [lab.network(), lab.network(), other].entries())
    t.match(lab.cni("ADD", conf, { container }), { status: 0 });
  t.equal((await lab.leases(3)).length, 3);
  const valid = [{ containerID: "container-1", ifname: "eth0" }];
  t.match(lab.cni("GC", { ...lab.network(), "cni.dev/valid-attachments": valid }), { status: 0, stdout: "" });
  await server.until(/DHCPRELEASE/);
  t.equal((await lab.leases(2)).length, 2);
  t.match(lab.cni("CHECK", lab.network(), { container: 0 }), { status: 1 });
  t.match(lab.cni("CHECK", lab.network(), { container: 1 }), { status: 0 });
  t.match(lab.cni("CHECK", other, { container: 2 }), { status: 0 });
});
