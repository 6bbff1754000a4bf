// `twill doctor`: each finding on a node that has the problem, and none of it where the problem is not.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { newHost } from "../lab/host.ts";
import { needsRoot } from "../lab/needs.ts";
import { projectRoot } from "../lab/project.ts";
import { newRoot } from "../lab/throw-away-root.ts";
import { attach, bridge, configure, doctor, findings, healthyNetwork, ids } from "./lab.ts";

t.test("doctor finds nothing wrong with containers that are as they were attached", needsRoot, async (t) => {
  const node = newHost(t, { containers: 2 });
  node.sh("iptables -P FORWARD DROP");
  configure(node, [bridge(), { type: "firewall", backend: "iptables" }]);
  attach(node, 0);
  attach(node, 1);
  t.strictSame(doctor(node), { status: 0, signal: null, stdout: "nothing is wrong\n", stderr: "" });
});

t.test("doctor: forwarding is off under running containers, and --fix turns it on", needsRoot, async (t) => {
  const node = newHost(t);
  configure(node, healthyNetwork);
  node.sh("echo 0 > /proc/sys/net/ipv4/ip_forward");
  t.strictSame(ids(node), [], "without containers nobody needs it");
  attach(node);
  node.sh("echo 0 > /proc/sys/net/ipv4/ip_forward");
  t.match(findings(node), [
    {
      id: "forwarding",
      severity: "error",
      evidence: ["net.ipv4.ip_forward is 0", "networks: net"],
      remedy: /sysctl -w/,
    },
  ]);
  t.equal(node.sh("cat /proc/sys/net/ipv4/ip_forward").trim(), "0", "nothing is changed without --fix");
  t.match(doctor(node, "--fix"), { status: 0, stdout: "fixed: set net.ipv4.ip_forward to 1\nnothing is wrong\n" });
  t.equal(node.sh("cat /proc/sys/net/ipv4/ip_forward").trim(), "1");
});

for (const [tool, drop, part, accept] of [
  [
    "nft",
    "nft 'add table inet drops; add chain inet drops f { type filter hook forward priority 0; policy drop; }'",
    "nft 'add rule inet drops f tcp dport 443 accept'",
    "nft 'add rule inet drops f iifname \"net0\" accept'",
  ],
  [
    "iptables",
    "iptables -P FORWARD DROP",
    "iptables -A FORWARD -p tcp -j ACCEPT",
    "iptables -A FORWARD -s 10.1.0.0/24 -j ACCEPT",
  ],
] as const) {
  t.test(`doctor: ${tool} has a forward policy of drop that no rule opens for a network`, needsRoot, async (t) => {
    const node = newHost(t);
    configure(node, [bridge()]);
    t.strictSame(ids(node), []);
    node.sh(drop);
    t.match(findings(node), [
      {
        id: "forward-policy",
        severity: "warning",
        text: /^chain (inet drops f|ip filter FORWARD) drops what containers of network "net" send through this host$/,
        remedy: /add \{"type": "firewall"\}/,
      },
    ]);
    const rules = node.sh("nft -s list ruleset");
    t.match(doctor(node, "--fix"), { status: 1 }, "a policy is nothing that --fix changes");
    t.equal(node.sh("nft -s list ruleset"), rules);
    node.sh(accept);
    t.strictSame(ids(node), []);
    node.sh(tool === "nft" ? "nft flush chain inet drops f" : "iptables -F FORWARD");
    t.ok(ids(node).includes("forward-policy"));
    node.sh(part);
    t.strictSame(ids(node), [], "some of it passes");
  });
}

t.test("doctor: rules of running containers are lost, and --fix restores them", needsRoot, async (t) => {
  const node = newHost(t);
  configure(node, healthyNetwork);
  attach(node);
  const rules = node.sh("nft -s list ruleset");
  node.sh("nft flush ruleset");
  const [found] = findings(node);
  t.match(found, { id: "lost-rules", severity: "error", text: /of 1 running attachments/, remedy: /^twill reload/ });
  t.match(found?.evidence[0], /^net cnitool-\w+ eth0: .*add rule in /);
  t.match(doctor(node, "--fix"), { status: 0, stdout: /^fixed: restore the rules.*\nnothing is wrong\n$/ });
  t.equal(node.sh("nft -s list ruleset"), rules);
});

t.test("doctor --fix says that rules of one container could not be restored", needsRoot, async (t) => {
  const node = newHost(t, { containers: 2 });
  configure(node, healthyNetwork);
  attach(node, 0);
  const [first = ""] = node.sh("ls /var/lib/cni/results").split("\n");
  attach(node, 1);
  const path = `/var/lib/cni/results/${first}`;
  const entry = JSON.parse(node.sh(`cat ${path}`));
  node.write(path, JSON.stringify({ ...entry, config: Buffer.from("{").toString("base64") }));
  node.sh("nft flush ruleset");
  const { status, stdout, stderr } = doctor(node, "--fix");
  t.equal(status, 3);
  t.match(
    stderr,
    /could not restore the rules, as twill reload does: the rules of 1 attachments could not be restored/,
  );
  t.notMatch(stdout, /^fixed:/m);
});

t.test("doctor: a wrong command line is no finding", needsRoot, async (t) => {
  const node = newHost(t);
  t.match(doctor(node, "--fxi"), { status: 2, stdout: "" });
  t.match(doctor(node, "net"), { status: 2, stdout: "" });
});

t.test("doctor: two findings of one fix, which is said once", needsRoot, async (t) => {
  const node = newHost(t, { containers: 2 });
  configure(node, [bridge(), { type: "firewall", backend: "nftables" }], "net", "1.1.0");
  attach(node, 0);
  const [first = ""] = node.sh("ls /var/lib/cni/results").split("\n");
  attach(node, 1);
  node.sh(`for name in ${node.containers.map(({ name }) => name).join(" ")}; do ip netns del $name; done
    while ip -o link show type veth | grep -q .; do sleep 0.01; done
    rm /var/lib/cni/results/${first}`);
  t.strictSame(ids(node).slice(0, 2), ["dead-attachments", "leftover-rules"]);
  const said = /(would|fixed:) collect garbage of network "net"\n/g;
  t.equal(doctor(node, "--fix", "--dry-run").stdout.match(said)?.length, 1);
  t.equal(doctor(node, "--fix").stdout.match(said)?.length, 1);
});

t.test(
  "doctor: a container is gone without DEL, and --fix removes what it left, nobody else's",
  needsRoot,
  async (t) => {
    const node = newHost(t, { containers: 2 });
    configure(node, healthyNetwork);
    attach(node, 0);
    const alone = node.sh("nft -s list ruleset");
    attach(node, 1);
    node.sh(`ip netns del ${node.containers[1]?.name}`);
    t.match(findings(node), [
      {
        id: "dead-attachments",
        severity: "warning",
        evidence: [/^net cnitool-\w+ eth0$/],
        remedy: /^twill gc,/,
      },
    ]);
    t.match(doctor(node, "--fix"), {
      status: 0,
      stdout: /^fixed: collect garbage of network "net"\nnothing is wrong\n$/,
    });
    t.equal(node.sh("ls /var/lib/cni/networks/net | grep -c '^10'").trim(), "1", "the address of the living one");
    t.equal(node.sh("nft -s list ruleset"), alone);
  },
);

t.test("doctor: a link whose container no runtime remembers", needsRoot, async (t) => {
  const node = newHost(t);
  configure(node, healthyNetwork);
  attach(node);
  node.sh("mkdir /var/lib/elsewhere && mv /var/lib/cni/results/* /var/lib/elsewhere");
  const name = /(\S+)@/.exec(node.sh("ip -o link show type veth"))?.[1];
  t.match(findings(node)[0], {
    id: "leftover-links",
    severity: "warning",
    evidence: [new RegExp(`^${name}: net cnitool-\\w+ eth0$`)],
  });
  t.strictSame(ids(node), ["leftover-links", "leftover-rules", "leftover-reservations"]);
  const before = node.sh("ip -o link show type veth");
  t.match(doctor(node, "--fix"), { status: 1 });
  t.equal(node.sh("ip -o link show type veth"), before, "--fix leaves what may be alive");

  node.sh(": > /var/lib/cni/results/$(ls /var/lib/elsewhere)");
  t.strictSame(ids(node), ["damaged-records"], "a damaged file may be its entry");
});

t.test("doctor: a range is nearly full, then full", needsRoot, async (t) => {
  const node = newHost(t);
  configure(node, [
    bridge({}, { ranges: [[{ subnet: "10.1.0.0/24", rangeStart: "10.1.0.1", rangeEnd: "10.1.0.11" }]] }),
    { type: "firewall", backend: "nftables" },
  ]);
  const reserve = (from: number, to: number) =>
    node.sh(`for i in $(seq ${from} ${to}); do printf 'c\\r\\neth0' > /var/lib/cni/networks/net/10.1.0.$i; done`);
  const found = () => findings(node).filter(({ id }) => id === "full-range");
  node.sh("mkdir -p /var/lib/cni/networks/net");
  reserve(2, 9);
  t.strictSame(found(), [], "8 of 10, without the gateway's");
  reserve(10, 10);
  t.match(found(), [{ severity: "warning", text: 'network "net" has 1 of 10 addresses left' }]);
  reserve(11, 11);
  t.match(found(), [{ severity: "error", text: 'network "net" has 0 of 10 addresses left' }]);
});

t.test("doctor: calls that failed in the last 10 minutes, those with one error together", needsRoot, async (t) => {
  const node = newHost(t);
  const call = (minutesAgo: number, keys: object) =>
    `${JSON.stringify({ time: new Date(Date.now() - minutesAgo * 60_000).toISOString(), plugin: "bridge", verb: "ADD", ms: 5, ...keys })}\n`;
  const failed = { network: "net", error: { code: 7, msg: "no gateway" } };
  node.write("/var/lib/cni/twill/calls.log", call(11, failed) + call(1, {}));
  t.strictSame(ids(node), [], "an old failure, a slow call");
  node.write(
    "/var/lib/cni/twill/calls.log",
    call(11, failed) + call(9, failed) + call(8, { error: { code: 11, msg: "later" } }) + call(1, failed),
  );
  t.match(findings(node), [
    {
      id: "failed-calls",
      severity: "warning",
      text: "3 calls of plugins failed in the last 10 minutes",
      evidence: ['2 x bridge ADD, network "net": no gateway', "bridge ADD: later"],
      remedy: /^twill log --failed --details /,
    },
  ]);
});

t.test("doctor: flanneld has written no subnet file, or a damaged one", needsRoot, async (t) => {
  const node = newHost(t);
  configure(node, [{ type: "flannel", subnetFile: "/var/lib/subnet.env" }]);
  t.match(findings(node), [
    { id: "subnet-file", severity: "error", text: /^network "net": .*\/var\/lib\/subnet\.env/ },
  ]);
  node.write(
    "/var/lib/subnet.env",
    "FLANNEL_NETWORK=10.5.0.0/16\nFLANNEL_SUBNET=no\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n",
  );
  t.match(findings(node), [{ id: "subnet-file", severity: "error" }]);
  node.write(
    "/var/lib/subnet.env",
    "FLANNEL_NETWORK=10.5.0.0/16\nFLANNEL_SUBNET=10.5.1.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n",
  );
  t.strictSame(ids(node), []);
});

t.test("doctor: mistakes in configurations, a plugin that is not there, subnets that overlap", needsRoot, async (t) => {
  const node = newHost(t);
  configure(node, [bridge({ isGatway: true }), { type: "firewall" }], "a");
  configure(node, [bridge({ bridge: "b0" }), { type: "firewall" }, { type: "none" }], "b");
  t.match(findings(node), [
    { id: "configuration", severity: "error", text: 'unknown key "isGatway"', remedy: 'did you mean "isGateway"?' },
    {
      id: "configuration",
      severity: "error",
      text: 'failed to find plugin "none"',
      evidence: [/10-b\.conflist:1:\d+$/],
    },
  ]);
  node.sh("rm /var/lib/net.d/*");
  configure(node, healthyNetwork, "a");
  configure(node, [bridge({ bridge: "b0" }), { type: "firewall" }], "b");
  t.match(findings(node), [
    { id: "configuration", severity: "warning", text: /^subnet 10\.1\.0\.0\/24 overlaps with 10\.1\.0\.0\/24/ },
  ]);
  node.write("/var/lib/net.d/20-odd.conflist", '{"name": "\\u001b[2J", "plugins": [{"type": "\\u001b[2J"}]}');
  t.ok(findings(node).length > 1);
  t.notMatch(doctor(node).stdout, "\u001b", "names are printed as they can be read");
});

t.test("each finding has its section in docs/doctor.md, and each section its finding", async (t) => {
  const folder = join(projectRoot, "cmd/twill/doctor");
  const checks = readdirSync(folder).flatMap((file) =>
    Array.from(readFileSync(join(folder, file), "utf8").matchAll(/^ {2}id: "([\w-]+)",$/gm), ([, id = ""]) => id),
  );
  const page = readFileSync(join(projectRoot, "docs/doctor.md"), "utf8");
  const sections = Array.from(page.matchAll(/^## (.+)$/gm), ([, title = ""]) => title);
  t.ok(checks.length >= 9);
  t.strictSame(sections.sort(), checks.sort());
});

t.test("doctor: a runtime calls plugins of others, one of them in front of twill's", needsRoot, async (t) => {
  const root = await newRoot(t);
  root.sh("install /dev/null /usr/local/bin/podman; twill install --no-tools > /dev/null");
  t.match(root.run("twill doctor"), { status: 0, stdout: "nothing is wrong\n" });
  root.sh(
    "mkdir -p /usr/local/lib && mount -t tmpfs none /usr/local/lib && mkdir /usr/local/lib/cni && cp /run/go/bridge /usr/local/lib/cni",
  );
  const { status, stdout } = root.run("twill doctor");
  t.equal(status, 1);
  t.match(
    stdout,
    /^warning: podman calls 20 of twill's 21 plugins \[plugins\]\n {2}it looks in .*\n {2}bridge in \/usr\/local\/lib\/cni: CNI bridge plugin/,
  );
  t.match(stdout, /\n {2}To fix: twill install puts twill's there/);
});
