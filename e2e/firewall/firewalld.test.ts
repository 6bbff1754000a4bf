// The firewall plugin and a real firewalld on a bus of its own, as dbus-send and nft see it.
import t from "tap";
import { type Bus, FIREWALLD, FIREWALLD_PATH, startBus, startFirewalld } from "../lab/firewalld.ts";
import { type Host, newHost } from "../lab/host.ts";
import { needsRoot } from "../lab/needs.ts";

const result = {
  cniVersion: "1.1.0",
  interfaces: [{ name: "br0" }],
  ips: [{ address: "10.1.0.2/24" }, { address: "fd00:1::2/64" }],
};
const conf = (keys: object = {}) => ({
  cniVersion: "1.1.0",
  name: "net",
  type: "firewall",
  prevResult: result,
  ...keys,
});

const zoneCall = (bus: Bus, member: string, ...args: string[]) =>
  bus.send(FIREWALLD, FIREWALLD_PATH, `${FIREWALLD}.zone.${member}`, ...args.map((arg) => `string:${arg}`)).printed;
const zoneOf = (bus: Bus, source: string) => /"(.*)"/.exec(zoneCall(bus, "getZoneOfSource", source))?.[1];

async function withFirewalld(t: Parameters<typeof newHost>[0]): Promise<{ node: Host; bus: Bus; call: object }> {
  const node = newHost(t);
  const bus = await startFirewalld(node);
  return { node, bus, call: { environment: bus.environment } };
}

t.test("firewall: where firewalld runs, addresses join its zone, and leave it", needsRoot, async (t) => {
  const { node, bus, call } = await withFirewalld(t);
  for (const [keys, zone] of [
    [{}, "trusted"],
    [{ firewalldZone: "internal" }, "internal"],
    [{ backend: "firewalld" }, "trusted"],
  ] as const) {
    t.match(node.cni("firewall", "STATUS", conf(keys), call), { status: 0, stdout: "" });
    for (let i = 0; i < 2; i++) t.match(node.cni("firewall", "ADD", conf(keys), call), { status: 0, stdout: result });
    t.equal(zoneOf(bus, "10.1.0.2/32"), zone);
    t.equal(zoneOf(bus, "fd00:1::2/128"), zone);
    t.notMatch(node.sh("iptables-save"), "-j CNI-FORWARD", "no rules of iptables");
    t.match(node.cni("firewall", "CHECK", conf(keys), call), { status: 0, stdout: "" });
    for (let i = 0; i < 2; i++)
      t.match(node.cni("firewall", "DEL", conf(keys), call), { status: 0, stdout: "", stderr: "" });
    t.equal(zoneOf(bus, "10.1.0.2/32"), "");
    t.equal(zoneOf(bus, "fd00:1::2/128"), "");
  }
});

t.test("firewall: CHECK fails when firewalld has forgotten an address, ADD tells it again", needsRoot, async (t) => {
  const { node, bus, call } = await withFirewalld(t);
  node.cni("firewall", "ADD", conf(), call);
  bus.send(FIREWALLD, FIREWALLD_PATH, `${FIREWALLD}.reload`);
  t.match(node.cni("firewall", "CHECK", conf(), call), {
    status: 1,
    stdout: { code: 999, msg: "failed to find the address 10.1.0.2/32 in trusted zone" },
  });
  t.match(node.cni("firewall", "ADD", conf(), call), { status: 0 });
  t.match(node.cni("firewall", "CHECK", conf(), call), { status: 0 });
});

t.test("firewall: what firewalld refuses leaves nothing", needsRoot, async (t) => {
  const { node, bus, call } = await withFirewalld(t);
  for (const verb of ["ADD", "DEL"] as const) node.cni("firewall", verb, conf({ ingressPolicy: "isolated" }), call); // makes what stays
  zoneCall(bus, "addSource", "public", "fd00:1::2/128");
  const before = node.snapshot();
  t.match(node.cni("firewall", "ADD", conf({ ingressPolicy: "isolated" }), call), {
    status: 1,
    stdout: {
      code: 999,
      msg: "failed to add the address fd00:1::2/128 to trusted zone: ZONE_CONFLICT: 'fd00:1::2/128' already bound to a zone",
      details:
        "firewalld returned org.fedoraproject.FirewallD1.Exception. To fix: see which zone has it " +
        "(firewall-cmd --get-zone-of-source=fd00:1::2/128) and remove it from that zone (--remove-source)",
    },
  });
  t.strictSame(node.snapshot(), before);
  t.equal(zoneOf(bus, "10.1.0.2/32"), "", "the first address has left again");
  t.equal(zoneOf(bus, "fd00:1::2/128"), "public", "what somebody else did is there still");
  t.match(node.cni("firewall", "ADD", conf({ firewalldZone: "nozone" }), call), {
    status: 1,
    stdout: { msg: "failed to add the address 10.1.0.2/32 to nozone zone: INVALID_ZONE: nozone" },
  });
  t.strictSame(node.snapshot(), before);
});

t.test("firewall: DEL without prevResult, and GC, tell firewalld", needsRoot, async (t) => {
  const { node, bus, call } = await withFirewalld(t);
  node.cni("firewall", "ADD", conf(), call);
  t.match(node.cni("firewall", "DEL", conf({ prevResult: undefined }), call), { status: 0 });
  t.equal(zoneOf(bus, "10.1.0.2/32"), "");
  node.cni("firewall", "ADD", conf(), call);
  t.match(node.cni("firewall", "GC", conf({ "cni.dev/valid-attachments": [] }), call), { status: 0 });
  t.equal(zoneOf(bus, "10.1.0.2/32"), "");
});

t.test("firewall: DEL goes on when firewalld is broken, and says so", needsRoot, async (t) => {
  const { node, call } = await withFirewalld(t);
  node.cni("firewall", "ADD", conf(), call);
  node.sh("nft flush ruleset");
  t.match(node.cni("firewall", "DEL", conf(), call), {
    status: 0,
    stdout: "",
    stderr: /^firewalld keeps 10\.1\.0\.2\/32 in zone trusted until it is reloaded: COMMAND_FAILED/,
  });
});

t.test("firewall: without firewalld on the bus, iptables it is; who insists is told", needsRoot, async (t) => {
  const node = newHost(t);
  const call = { environment: (await startBus(node)).environment };
  t.match(node.cni("firewall", "ADD", conf(), call), { status: 0, stderr: "" });
  t.match(node.sh("iptables-save"), "-A CNI-FORWARD -s 10.1.0.2/32 -j ACCEPT");
  t.match(node.cni("firewall", "DEL", conf(), call), { status: 0 });
  const before = node.snapshot();
  const insisting = conf({ backend: "firewalld" });
  const why = {
    msg: "firewalld is not running",
    details:
      `"backend" is "firewalld", but there is no org.fedoraproject.FirewallD1 on the system bus. ` +
      `To fix: start it (systemctl start firewalld), or remove "backend"`,
  };
  t.match(node.cni("firewall", "ADD", insisting, call), { status: 1, stdout: { code: 11, ...why } });
  t.strictSame(node.snapshot(), before);
  t.match(node.cni("firewall", "STATUS", insisting, call), { status: 1, stdout: { code: 50, ...why } });
  t.match(node.cni("firewall", "DEL", insisting, call), { status: 0, stdout: "" });
});

t.test("firewall: a bus that is not there is no obstacle to iptables", needsRoot, async (t) => {
  const node = newHost(t);
  const says = { environment: { DBUS_SYSTEM_BUS_ADDRESS: "unix:path=/nowhere/bus" } };
  for (const verb of ["ADD", "CHECK", "DEL"] as const)
    t.match(node.cni("firewall", verb, conf(), says), { status: 0, stderr: "" }, verb);
});
