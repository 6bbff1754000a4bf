// `twill doctor`: findings about the kernel, the firewall and the routes of the host, each made in a namespace.
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import t from "tap";
import { newHost } from "../lab/host.ts";
import { lackingFeatures, needsKernel, needsRoot } from "../lab/needs.ts";
import { goBin, ourTools } from "../lab/project.ts";
import {
  attach,
  bridge,
  configure,
  doctor,
  environment,
  type Found,
  findings,
  found,
  healthyNetwork,
  ids,
} from "./lab.ts";

const lacking = needsRoot.skip === false ? lackingFeatures() : [];
const missingKind = (["dummy", "ipvlan", "vrf"] as const).find((kind) => lacking.includes(kind));

t.test(
  "doctor: the kernel lacks what a network needs",
  missingKind === undefined ? { skip: "this kernel has all links" } : needsRoot,
  async (t) => {
    const node = newHost(t);
    configure(node, [{ type: missingKind }]);
    t.match(found(node, "kernel"), [
      {
        severity: "error",
        text: `this kernel does not have links of kind ${missingKind}, which "net" needs`,
        evidence: ['network "net": /var/lib/net.d/10-net.conflist', /^\/lib\/modules\/\S+ /],
        remedy: / CONFIG_\w+ \(Linux [\d.]+ or later\)$/,
      },
    ]);
    const modules = `/lib/modules/${release()}`;
    const withModules = (list: string) => {
      const laid = "mount -t overlay modules -o lowerdir=/var/lib/laid:/usr/lib /usr/lib";
      const script = `mkdir -p /var/lib/laid/modules/${release()} && ${list} && ${laid} && exec "$0" doctor --json`;
      const { stdout } = node.runInside(["sh", "-c", script, join(ourTools, "twill")], environment);
      const { evidence, remedy } = (JSON.parse(stdout).findings as Found[]).find(({ id }) => id === "kernel") as Found;
      return { evidence: evidence[1], remedy };
    };
    const file = `/var/lib/laid/modules/${release()}/modules.dep`;
    t.match(withModules("true"), { evidence: `${modules} has no modules`, remedy: /start it again/ });
    t.match(withModules(`echo kernel/drivers/net/veth.ko.xz: > ${file}`), {
      evidence: `${modules} does not have ${missingKind}`,
      remedy: new RegExp(`linux-modules-extra-${release()}.*then modprobe -a ${missingKind};`),
    });
    t.match(withModules(`echo kernel/drivers/net/${missingKind}.ko.xz: > ${file}`), {
      evidence: `${modules} has ${missingKind}`,
      remedy: new RegExp(`^load the modules \\(modprobe -a ${missingKind}\\)`),
    });
  },
);

t.test(
  "doctor: the complete kernel has what each plugin needs, and where modules are not loaded, the remedy loads them",
  needsKernel("dummy", "ipvlan", "vlan", "vrf", "vlan_filtering"),
  async (t) => {
    const node = newHost(t);
    const host = bridge(
      { macspoofchk: true, vlan: 7 },
      { ranges: [[{ subnet: "10.1.0.0/24" }], [{ subnet: "fd00:1::/64" }]] },
    );
    const others = ["bandwidth", "portmap", "firewall"].map((type) => ({ type }));
    configure(node, [host, ...others, { type: "vrf", vrfname: "red" }]);
    for (const type of ["macvlan", "ipvlan", "vlan", "dummy", "ptp", "tap"]) configure(node, [{ type }], type);
    t.strictSame(found(node, "kernel"), []);

    const modules = ["dummy", "ipvlan", "8021q"];
    const loader = "/proc/sys/kernel/modprobe"; // of the whole guest
    const before = readFileSync(loader, "utf8");
    t.teardown(() => writeFileSync(loader, before));
    writeFileSync(loader, "/bin/false");
    t.match(spawnSync("modprobe", ["-r", ...modules], { encoding: "utf8" }), { status: 0, stderr: "" });
    const lacking = found(node, "kernel");
    const commands = lacking.map(({ remedy }) => /\((modprobe -a [^)]*)\)/.exec(remedy)?.[1] ?? remedy);
    t.strictSame(commands.sort(), modules.map((name) => `modprobe -a ${name}`).sort(), JSON.stringify(lacking));
    for (const command of commands) t.match(spawnSync("sh", ["-c", command]), { status: 0 }, command);
    t.strictSame(found(node, "kernel"), [], "the remedies were followed");
  },
);

t.test("doctor asks the kernel for features of nftables and iptables, and makes nothing", needsRoot, async (t) => {
  const node = newHost(t);
  configure(node, [
    bridge({ macspoofchk: true }),
    { type: "portmap", backend: "iptables", capabilities: { portMappings: true } },
    { type: "firewall", backend: "nftables" },
    { type: "bandwidth", capabilities: { bandwidth: true } },
  ]);
  const before = node.snapshot();
  t.strictSame(ids(node), []);
  t.strictSame(node.snapshot(), before);
  t.equal(node.sh("nft list ruleset"), "");
});

t.test("doctor: IPv6 forwarding is off under containers with IPv6 addresses", needsRoot, async (t) => {
  const node = newHost(t);
  configure(node, [bridge({}, { ranges: [[{ subnet: "fd00:1::/64" }]] }), { type: "firewall", backend: "nftables" }]);
  attach(node);
  t.strictSame(ids(node), []);
  node.sh("echo 0 > /proc/sys/net/ipv6/conf/all/forwarding");
  t.match(findings(node), [{ id: "forwarding", severity: "error", text: /does not forward IPv6/ }]);
  t.match(doctor(node, "--fix", "--dry-run"), { status: 1, stdout: /^would set net.ipv6.conf.all.forwarding to 1\n/ });
  t.equal(node.sh("cat /proc/sys/net/ipv6/conf/all/forwarding").trim(), "0");
  t.match(doctor(node, "--fix"), {
    status: 0,
    stdout: /^fixed: set net.ipv6.conf.all.forwarding to 1\nnothing is wrong/,
  });
});

t.test("doctor: a rule drops what containers send, though the policy is accept", needsRoot, async (t) => {
  const node = newHost(t);
  configure(node, healthyNetwork);
  attach(node);
  const drop = (rule: string) =>
    node.sh(`nft '
      table inet site {
        chain f { type filter hook forward priority 10; jump site_rules; }
        chain site_rules { ${rule}; }
      }'`);
  drop("ip saddr 192.0.2.0/24 drop; ct state established drop; tcp dport 25 drop");
  t.strictSame(ids(node), [], "others' traffic, and parts of it");
  drop('iifname "net0" oifname != "net0" counter reject');
  t.match(findings(node), [
    {
      id: "forward-policy",
      text: 'chain inet site f drops what containers of network "net" send through this host',
      evidence: [
        /10-net\.conflist: 10\.1\.0\.0\/24$/,
        /a packet from 10\.1\.0\.2, in through net0.*the policy is accept; chains: site_rules/,
      ],
      remedy:
        /find the rule that drops it, or accept its traffic in chain inet site f \(nft insert rule inet site f iifname net0 accept\)/,
    },
  ]);
  node.sh("nft insert rule inet site f iifname net0 accept");
  t.strictSame(ids(node), [], "the remedy helps");
});

t.test("doctor: legacy iptables drops what containers send", needsRoot, async (t) => {
  const node = newHost(t);
  configure(node, healthyNetwork);
  attach(node);
  node.sh("iptables-legacy -P FORWARD DROP");
  t.match(found(node, "forward-policy"), [
    {
      text: /^chain ip filter FORWARD of legacy iptables drops/,
      remedy: /\(iptables-legacy -I FORWARD -i net0 -j ACCEPT\)$/,
    },
  ]);
  t.match(found(node, "iptables-variants"), [
    {
      severity: "warning",
      text: /^rules of legacy iptables are in force beside those of .*iptables/,
      evidence: ["iptables-legacy, table filter: 0 rules, policy of FORWARD drop"],
    },
  ]);
  node.sh("iptables-legacy -P FORWARD ACCEPT");
  t.strictSame(ids(node), [], "a table without rules harms nobody");
  node.sh("iptables-legacy -t nat -A POSTROUTING -s 192.0.2.1 -j ACCEPT");
  t.match(findings(node), [{ id: "iptables-variants", evidence: ["iptables-legacy, table nat: 1 rules"] }]);
});

const hasBridgeFilter = "test -e /proc/sys/net/bridge/bridge-nf-call-iptables";

t.test("doctor: bridged frames pass iptables, and a policy keeps containers apart", needsRoot, async (t) => {
  const node = newHost(t, { containers: 2 });
  if (node.run("sh", "-c", hasBridgeFilter).status !== 0) {
    t.pass("this kernel has no br_netfilter");
    return;
  }
  configure(node, [bridge()]);
  attach(node, 0);
  attach(node, 1);
  node.sh("echo 1 > /proc/sys/net/bridge/bridge-nf-call-iptables; iptables -P FORWARD DROP");
  const ping = () => node.containers[0]?.run("ping", "-c1", "-W1", "10.1.0.3").status;
  t.not(ping(), 0);
  t.match(found(node, "bridge-nf-call"), [
    { severity: "error", text: /^containers of network "net" do not reach each other: chain ip filter FORWARD drops/ },
  ]);
  node.sh("echo 0 > /proc/sys/net/bridge/bridge-nf-call-iptables");
  t.equal(ping(), 0, "the remedy helps");
  t.strictSame(found(node, "bridge-nf-call"), []);
});

t.test(
  "doctor: bridged frames of a Kubernetes network do not pass iptables, and --fix has them",
  needsRoot,
  async (t) => {
    const node = newHost(t);
    if (node.run("sh", "-c", hasBridgeFilter).status !== 0) {
      t.pass("this kernel has no br_netfilter");
      return;
    }
    configure(node, [{ type: "flannel", subnetFile: "/var/lib/subnet.env" }]);
    node.write("/var/lib/subnet.env", subnetFile("10.5.1.1/24"));
    node.sh("echo 0 > /proc/sys/net/bridge/bridge-nf-call-iptables");
    t.match(found(node, "bridge-nf-call"), [{ severity: "warning", evidence: [/iptables is 0$/, "networks: net"] }]);
    t.match(doctor(node, "--fix"), {
      status: 0,
      stdout: /^fixed: set net.bridge.bridge-nf-call-iptables to 1\nnothing is wrong/,
    });
  },
);

const subnetFile = (subnet: string, mtu = 1450): string =>
  `FLANNEL_NETWORK=10.5.0.0/16\nFLANNEL_SUBNET=${subnet}\nFLANNEL_MTU=${mtu}\nFLANNEL_IPMASQ=true\n`;

t.test(
  "doctor: rp_filter drops what a container sends, since the route to it leads elsewhere",
  needsRoot,
  async (t) => {
    const node = newHost(t);
    configure(node, healthyNetwork);
    attach(node);
    node.sh("echo 1 > /proc/sys/net/ipv4/conf/net0/rp_filter");
    t.strictSame(ids(node), []);
    node.sh(
      "ip link add vpn0 type veth peer name vpn1; ip link set vpn0 up; ip link set vpn1 up; ip route add 10.1.0.2 dev vpn0",
    );
    t.match(findings(node), [
      {
        id: "overlapping-routes",
        severity: "warning",
        text: 'subnet 10.1.0.0/24 of network "net" overlaps with routes of this host',
        evidence: ["10.1.0.2/32 dev vpn0"],
      },
      {
        id: "rp-filter",
        severity: "error",
        evidence: [/^net cnitool-\w+ eth0: the route to 10\.1\.0\.2 does not lead through net0$/],
      },
    ]);
    node.sh("echo 2 > /proc/sys/net/ipv4/conf/net0/rp_filter");
    t.strictSame(ids(node), ["overlapping-routes"]);
    node.sh("ip route del 10.1.0.2 dev vpn0");
    t.strictSame(ids(node), []);
  },
);

t.test(
  "doctor: rp_filter in a container of two networks drops what comes to its published ports",
  needsRoot,
  async (t) => {
    const node = newHost(t);
    configure(node, healthyNetwork);
    const second = (...more: object[]) =>
      configure(
        node,
        [
          bridge(
            { bridge: "two0", isDefaultGateway: false, isGateway: true },
            { ranges: [[{ subnet: "10.2.0.0/24" }]] },
          ),
          { type: "portmap", backend: "nftables", capabilities: { portMappings: true } },
          ...more,
          { type: "firewall", backend: "nftables" },
        ],
        "two",
      );
    second();
    const eth1 = {
      CNI_IFNAME: "eth1",
      CAP_ARGS: '{"portMappings":[{"hostPort":8080,"containerPort":80,"protocol":"tcp"}]}',
    };
    attach(node);
    attach(node, 0, "two", eth1);
    const container = node.containers[0];
    /** Whether the kernel takes a packet of another host for one that cannot come in through eth1. */
    const isRefused = (address = "10.2.0.2") =>
      container?.run("ip", "route", "get", address, "from", "203.0.113.9", "iif", "eth1").status !== 0;
    t.strictSame([ids(node), isRefused()], [[], false]);
    container?.sh("echo 1 > /proc/sys/net/ipv4/conf/eth1/rp_filter");
    t.equal(isRefused(), true);
    const findingOf = (): Found | undefined => found(node, "rp-filter")[0];
    t.match(findings(node), [
      {
        id: "rp-filter",
        severity: "error",
        text: /^two cnitool-\w+ eth1 drops what other hosts send to its published ports/,
        evidence: [/^in \S+: no route from 10\.2\.0\.2 to other hosts leads through eth1$/],
      },
    ]);
    node.sh(/nsenter .*$/.exec(findingOf()?.remedy ?? "")?.[0] ?? "false");
    t.strictSame([ids(node), isRefused()], [[], false], "the remedy for now was followed");

    node.runInside([join(ourTools, "cnitool"), "del", "two", container?.path ?? ""], { ...environment, ...eth1 });
    second({ type: "sbr" });
    attach(node, 0, "two", eth1);
    container?.sh("echo 1 > /proc/sys/net/ipv4/conf/eth1/rp_filter");
    t.strictSame([ids(node), isRefused("10.2.0.3")], [[], false], "with sbr");
  },
);

t.test(
  "doctor: the reference plugin's ptp makes a route to each container, which is not foreign",
  needsRoot,
  async (t) => {
    const node = newHost(t);
    configure(
      node,
      [{ type: "ptp", ipam: { type: "host-local", ranges: [[{ subnet: "10.1.0.0/24" }]] } }],
      "net",
      "0.4.0",
    );
    attach(node, 0, "net", { CNI_PATH: goBin });
    t.match(node.sh("ip route"), /^10\.1\.0\.2 dev veth/m);
    t.strictSame(found(node, "overlapping-routes"), []);
    node.sh("ip link add vpn0 type veth peer name vpn1; ip link set vpn0 up; ip route add 10.1.0.128/25 dev vpn0");
    t.match(found(node, "overlapping-routes"), [{ evidence: ["10.1.0.128/25 dev vpn0"] }]);
  },
);

t.test(
  "doctor: a bridge was deleted or changed under running containers, and the remedy brings it back",
  needsRoot,
  async (t) => {
    const node = newHost(t, { containers: 2 });
    configure(node, healthyNetwork);
    attach(node, 0);
    attach(node, 1);
    const reaches = (...limit: string[]) =>
      node.containers.map(({ run }) => run("ping", "-c1", ...limit, "10.1.0.1").status);
    const [first] = node.sh("ls /sys/class/net/net0/brif").split("\n");
    t.strictSame([ids(node), reaches("-w60")], [[], [0, 0]]);
    for (const { what, command, evidence } of [
      {
        what: "deleted",
        command: "ip link delete net0",
        evidence: [/^there is no net0$/, /^net0 lacks 10\.1\.0\.1\/24$/, /^veth/, /^veth/],
      },
      { what: "down", command: "ip link set net0 down", evidence: [/^net0 is down$/] },
      { what: "without its address", command: "ip address flush dev net0", evidence: [/^net0 lacks 10\.1\.0\.1\/24$/] },
      {
        what: "without a port",
        command: `ip link set ${first} nomaster`,
        evidence: [`${first} is not a port of net0`],
      },
      { what: "with a port that is down", command: `ip link set ${first} down`, evidence: [`${first} is down`] },
    ]) {
      node.sh(command);
      t.not(String(reaches("-W0.2")), "0,0", what);
      const [finding, ...more] = found(node, "bridge");
      t.match(
        finding,
        { severity: "error", text: /^bridge "net0" does not connect 2 running containers/, evidence },
        what,
      );
      t.strictSame(more, []);
      node.sh(finding?.remedy.replace(/; or create.*$/, "") ?? "false");
      t.strictSame([ids(node), reaches("-w60")], [[], [0, 0]], `${what}: the remedy was followed`);
    }
  },
);

t.test("doctor: a bridge that is made again by the remedy is what ADD had made", needsRoot, async (t) => {
  const node = newHost(t, { containers: 2 });
  configure(node, [bridge({ portIsolation: true, hairpinMode: true })]);
  attach(node, 0);
  attach(node, 1);
  const settings = () =>
    node.sh(`
      cat /proc/sys/net/ipv6/conf/net0/accept_ra /sys/class/net/net0/address /sys/class/net/net0/brif/*/isolated
      cat /sys/class/net/net0/brif/*/hairpin_mode; ip -br address show net0`);
  const before = settings();
  node.sh("ip link delete net0");
  node.sh(found(node, "bridge")[0]?.remedy.replace(/; or create.*$/, "") ?? "false");
  t.equal(settings(), before);
  t.strictSame(ids(node), []);

  node.sh("ip link delete net0");
  configure(node, [bridge({ isDefaultGateway: false, ipMasq: false, internal: true })]);
  t.match(found(node, "bridge"), [{ remedy: /^create the containers again: / }]);
});

t.test("doctor: a bridge with VLANs is not made again by hand", needsKernel("vlan_filtering"), async (t) => {
  const node = newHost(t);
  configure(node, [bridge({ vlan: 7 })]);
  attach(node);
  t.strictSame(ids(node), []);
  node.sh("ip link set net0 down");
  t.match(found(node, "bridge"), [{ remedy: /^ip link set net0 up; or create/ }]);
  node.sh("ip link set net0 up; for port in $(ls /sys/class/net/net0/brif); do ip link set $port nomaster; done");
  t.match(found(node, "bridge"), [{ remedy: /^create the containers again: / }]);
});

t.test("doctor: MTUs that do not fit together", needsRoot, async (t) => {
  const node = newHost(t);
  configure(node, healthyNetwork);
  attach(node);
  node.sh(`
    ip link add up0 type veth peer name up1; ip link set up1 up; ip link set up0 up
    ip addr add 192.0.2.1/24 dev up0; ip route add default via 192.0.2.2`);
  t.strictSame(ids(node), []);
  node.sh("ip link set up0 mtu 1400");
  t.match(findings(node), [
    {
      id: "mtu",
      severity: "warning",
      text: /^1 containers have a larger MTU than up0/,
      evidence: ["up0: 1400", /^veth.*: 1500 \(net /],
    },
  ]);
  node.sh(`
    ip link set up0 mtu 1500
    ip link add flannel.1 type vxlan id 1 dev up0 dstport 8472 nolearning
    ip link set up0 mtu 1400`);
  t.match(found(node, "mtu")[1], { text: /^flannel\.1 has MTU 1450/, remedy: /ip link set flannel\.1 mtu 1350$/ });
  node.sh("ip link set flannel.1 mtu 1350; ip link set up0 mtu 1500");
  t.strictSame(ids(node), []);
});

t.test("doctor: the subnet file has another subnet or MTU than bridge and containers have", needsRoot, async (t) => {
  const node = newHost(t);
  node.sh(
    "if [ -e /proc/sys/net/bridge/bridge-nf-call-iptables ]; then echo 1 > /proc/sys/net/bridge/bridge-nf-call-iptables; fi",
  );
  const state = (text: string) =>
    node.write(
      "/var/lib/subnet.state",
      JSON.stringify({ pid: 1, since: "2026-01-31T12:00:00.000Z", state: text, reason: "another host has it" }),
    );
  const delegate = { type: "bridge", bridge: "net0", isDefaultGateway: true };
  configure(node, [{ type: "flannel", subnetFile: "/var/lib/subnet.env", dataDir: "/var/lib/cni/flannel", delegate }]);
  node.write("/var/lib/subnet.env", subnetFile("10.5.1.1/24"));
  attach(node);
  t.strictSame(ids(node), []);
  node.write("/var/lib/subnet.env", subnetFile("10.5.2.1/24", 1400));
  t.match(findings(node), [
    { id: "mtu", text: /^1 containers of network "net" have a larger MTU than the overlay/ },
    {
      id: "subnet-file",
      severity: "error",
      text: 'network "net": bridge "net0" has an address outside of the subnet in /var/lib/subnet.env',
      evidence: ["net0: 10.5.1.1/24", "/var/lib/subnet.env: 10.5.2.0/24"],
    },
  ]);
  node.write("/var/lib/subnet.env", subnetFile("10.5.1.1/24"));
  state("ready");
  t.match(findings(node), [
    { id: "subnet-file", severity: "warning", text: /flanneld, which has written .*, does not run/ },
  ]);
  state("lost");
  t.match(findings(node), [{ id: "subnet-file", severity: "error", text: /flanneld has lost the lease/ }]);
});

t.test("doctor: two running containers have one MAC", needsRoot, async (t) => {
  const node = newHost(t, { containers: 2 });
  configure(node, healthyNetwork);
  attach(node, 0, "net", { CNI_ARGS: "IgnoreUnknown=1;MAC=02:00:00:00:00:05" });
  t.strictSame(ids(node), []);
  attach(node, 1, "net", { CNI_ARGS: "IgnoreUnknown=1;MAC=02:00:00:00:00:05" });
  t.match(findings(node), [
    {
      id: "duplicate-macs",
      severity: "error",
      text: /^2 running .* have the MAC 02:00:00:00:00:05/,
      evidence: [/^net /, /^net /],
    },
  ]);
});

t.test("doctor --list tells what is looked at", needsRoot, async (t) => {
  const node = newHost(t);
  t.match(doctor(node, "--list"), { status: 0, stdout: /^kernel +error +kernel modules/m });
  t.match(JSON.parse(doctor(node, "--list", "--json").stdout).checks[0], { id: "plugins", severity: "warning" });
});
