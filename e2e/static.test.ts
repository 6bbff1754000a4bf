// static behind the plugins that ask it, and what it answers on its own.
import t from "tap";
import { newHost } from "./lab/host.ts";
import { needsRoot } from "./lab/needs.ts";

const addresses = [{ address: "10.1.0.5/24", gateway: "10.1.0.1" }, { address: "fd00:1::5/64" }];
const network = (ipam: object = { addresses }, keys: object = {}) => ({
  cniVersion: "1.1.0",
  name: "net",
  type: "bridge",
  bridge: "br0",
  ...keys,
  ipam: { type: "static", ...ipam },
});

t.test("static: bridge gives the container what the configuration names", needsRoot, async (t) => {
  const node = newHost(t);
  const conf = network({
    addresses,
    routes: [{ dst: "192.0.2.0/24", gw: "10.1.0.9" }],
    dns: { domain: "example.org" },
  });
  const { status, stdout, stderr } = node.cni("bridge", "ADD", conf);
  t.match({ status, stderr }, { status: 0, stderr: "" });
  t.match(stdout, {
    ips: [
      { address: "10.1.0.5/24", gateway: "10.1.0.1", interface: 2 },
      { address: "fd00:1::5/64", interface: 2 },
    ],
    routes: [{ dst: "192.0.2.0/24", gw: "10.1.0.9" }],
    dns: { domain: "example.org" },
  });
  const container = node.containers[0];
  t.match(container?.sh("ip address show eth0"), /inet 10\.1\.0\.5\/24.*inet6 fd00:1::5\/64/s);
  t.match(container?.sh("ip route"), "192.0.2.0/24 via 10.1.0.9 dev eth0");
  t.strictSame(Object.keys(node.snapshot().files), ["cni"], "it keeps nothing");

  t.match(node.cni("bridge", "CHECK", { ...conf, prevResult: stdout }), { status: 0, stdout: "" });
  const changed = network({ addresses: [...addresses, { address: "10.2.0.5/24" }] });
  t.match(node.cni("bridge", "CHECK", { ...changed, prevResult: stdout }), {
    status: 1,
    stdout: {
      code: 999,
      msg: "static: Failed to match addr 10.2.0.5 on interface eth0",
      details: /^prevResult does not have 10\.2\.0\.5\/24\. To fix: ./,
    },
  });
  for (const again of ["once", "twice"]) t.match(node.cni("bridge", "DEL", conf), { status: 0, stdout: "" }, again);
});

t.test("static: addresses of the call reach the container", needsRoot, async (t) => {
  const node = newHost(t, { containers: 2 });
  node.cni("bridge", "ADD", network({}), { args: "IgnoreUnknown=1;IP=10.1.0.7/24" });
  node.cni("bridge", "ADD", network({}, { runtimeConfig: { ips: ["10.1.0.8/24"] } }), { container: 1 });
  t.equal(node.containers[0]?.run("ping", "-c1", "-W5", "10.1.0.8").status, 0);
});

t.test("static: a gateway of CNI_ARGS that belongs to no address is told", needsRoot, async (t) => {
  const node = newHost(t);
  t.match(node.cni("static", "ADD", network(), { args: "IP=10.2.0.7/24;GATEWAY=10.3.0.1" }), {
    status: 0,
    stderr: 'static: network "net": CNI_ARGS GATEWAY 10.3.0.1 is in no subnet of CNI_ARGS IP, and is ignored\n',
  });
});

t.test("static: STATUS refuses what ADD would refuse, DEL and GC are content", needsRoot, async (t) => {
  const node = newHost(t);
  const wrong = network({ addresses: [{ address: "10.1.0.5" }] });
  const says = {
    code: 7,
    msg: "the 'address' field is expected to be in CIDR notation, got: '10.1.0.5' (ipam.addresses[0])",
  };
  for (const plugin of ["static", "bridge"]) {
    for (const verb of ["ADD", "STATUS"] as const)
      t.match(node.cni(plugin, verb, wrong), { status: 1, stdout: says }, `${plugin} ${verb}`);
    t.match(node.cni(plugin, "STATUS", network()), { status: 0, stdout: "" });
    t.match(node.cni(plugin, "DEL", wrong), { status: 0, stdout: "" }, `${plugin} DEL`);
    t.match(node.cni(plugin, "GC", { ...wrong, "cni.dev/valid-attachments": [] }), { status: 0 }, `${plugin} GC`);
  }
  t.match(node.cni("bridge", "ADD", network({})), {
    status: 1,
    stdout: { msg: "IPAM plugin returned missing IP config" },
  });
});

t.test("static: a mistyped key is told", needsRoot, async (t) => {
  const node = newHost(t);
  t.match(node.cni("static", "ADD", network({ adresses: addresses })), {
    status: 0,
    stderr: 'static: network "net": unknown key "ipam.adresses" is ignored; did you mean "addresses"?\n',
  });
});
