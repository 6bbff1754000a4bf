// `twill doctor`: what containers left that no runtime remembers, and what cannot be read.
import t from "tap";
import { type Host, newHost } from "../lab/host.ts";
import { needsRoot } from "../lab/needs.ts";
import { attach, bridge, configure, doctor, findings, found, healthyNetwork, ids } from "./lab.ts";

const everyRule = [
  bridge({ macspoofchk: true }),
  { type: "portmap", capabilities: { portMappings: true } },
  { type: "firewall" },
];
const withBackend = (backend: string) =>
  everyRule.map((plugin) => ({ ...plugin, ...("bridge" in plugin ? { ipMasqBackend: backend } : { backend }) }));
const port = { CAP_ARGS: JSON.stringify({ portMappings: [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }] }) };

/** Has the runtime, and host-local, forget the container; its links go with its namespace. */
function forget(node: Host, container: number): void {
  node.sh(`
    ip netns del ${node.containers[container]?.name}
    while ip -o link show type veth | grep -q .; do sleep 0.01; done
    rm /var/lib/cni/results/* /var/lib/cni/networks/net/10.*`);
}

for (const [backend, places] of [
  [
    "nftables",
    /^(inet cni_plugins_masquerade masq_checks|ip twill_hostport hostports-\S+|bridge nat \S+|inet twill_firewall containers4): /,
  ],
  ["iptables", /^(ip nat (POSTROUTING|CNI-\S+)|ip6 nat CNI-\S+|bridge nat \S+|ip filter CNI-\S+): /],
] as const) {
  t.test(`doctor: rules of ${backend} that belong to nobody, which --fix removes`, needsRoot, async (t) => {
    const node = newHost(t);
    configure(node, withBackend(backend), "net", "1.1.0");
    attach(node, 0, "net", port);
    t.strictSame(ids(node), []);
    forget(node, 0);
    const left = findings(node);
    t.strictSame([...new Set(left.map(({ id }) => id))], ["leftover-rules"]);
    for (const line of left.flatMap(({ evidence }) => evidence)) t.match(line, places);
    t.match(
      left.find(({ text }) => text.includes('"net"')),
      { severity: "warning", fix: 'collect garbage of network "net"' },
    );
    t.match(doctor(node, "--fix", "--dry-run"), { status: 1, stdout: /^would collect garbage of network "net"\n/ });
    t.ok(found(node, "leftover-rules").length > 0, "--dry-run changes nothing");
    t.match(doctor(node, "--fix"), { status: 0, stdout: /nothing is wrong\n$/ });
    t.notMatch(node.sh("nft list ruleset"), /10\.1\.0\.2|8080/);
  });
}

t.test("doctor: rules of legacy iptables that belong to nobody", needsRoot, async (t) => {
  const node = newHost(t);
  configure(node, healthyNetwork);
  node.sh(`iptables-legacy -t nat -A POSTROUTING -s 10.1.0.9 -m comment --comment 'name: "net" id: "gone"' -j ACCEPT`);
  const [left, ...more] = found(node, "leftover-rules");
  t.match(left, { evidence: ['iptables-legacy nat POSTROUTING: name: "net" id: "gone"'], remedy: /^twill gc removes/ });
  t.strictSame([left?.fix, ...more], [undefined], "version 1.0.0 has no GC");
});

t.test("doctor: an ifb device is left over", needsRoot, async (t) => {
  const node = newHost(t);
  configure(node, healthyNetwork);
  node.sh("ip link add bwp1234 type ifb; ip link set bwp1234 alias 'cni net gone eth0'");
  t.match(findings(node), [{ id: "leftover-links", evidence: ["bwp1234 (ifb): net gone eth0"] }]);
  node.sh("ip link delete bwp1234");
  t.strictSame(ids(node), []);
});

t.test("doctor: addresses of nobody are unknown, those of an earlier boot are freed by --fix", needsRoot, async (t) => {
  const node = newHost(t, { containers: 2 });
  configure(node, [bridge({ ipMasq: false })]);
  attach(node, 0);
  const first = node.sh("ls /var/lib/cni/results").trim();
  attach(node, 1);
  node.sh(`cd /var/lib/cni/results && rm $(ls | grep -v ${first}) && ip netns del ${node.containers[1]?.name}`);
  node.sh("while [ $(ip -o link show type veth | wc -l) -gt 1 ]; do sleep 0.01; done");
  t.match(findings(node), [
    {
      id: "leftover-reservations",
      severity: "unknown",
      evidence: [/^10\.1\.0\.3: container cnitool-\w+ \(eth0\)$/],
      fix: undefined,
    },
  ]);
  t.match(doctor(node), { status: 3 }, "nothing but unknowns");
  t.match(doctor(node, "--fix"), { status: 3, stdout: /^unknown: 1 addresses/ });
  node.sh(
    `cd /var/lib/cni/networks/.twill/net/owners && sed -i 's/"bootId":"[^"]*"/"bootId":"earlier"/' $(grep -l 10.1.0.3 *)`,
  );
  t.match(findings(node), [{ id: "leftover-reservations", severity: "warning", fix: /^free 1 addresses/ }]);
  t.match(doctor(node, "--fix"), {
    status: 0,
    stdout: /^fixed: free 1 addresses of network "net".*\nnothing is wrong/,
  });
  t.strictSame(node.sh("ls /var/lib/cni/networks/net | grep '^10'").trim().split("\n"), ["10.1.0.2"]);
});

t.test("doctor: damaged files and attachments of which nothing can be told", needsRoot, async (t) => {
  const node = newHost(t, { containers: 2 });
  configure(node, healthyNetwork);
  attach(node, 0);
  attach(node, 1);
  node.sh(`
    cd /var/lib/cni
    : > networks/net/10.1.0.50; echo what > networks/net/10.1.0.51
    printf 'a\\r\\nb\\r\\nc' > networks/net/10.1.0.51
    set -- results/*; : > $1
    sed -i 's,"netns":"[^"]*","netns":"no/path",' $2
    mkdir -p /var/lib/twill; echo '{' > /var/lib/twill/install.json`);
  const damaged = found(node, "damaged-records");
  t.match(damaged, [
    { severity: "unknown", text: /^1 files of the runtimes' cache are damaged/, evidence: [/: it is empty$/] },
    { severity: "warning", evidence: ["/var/lib/cni/networks/net/10.1.0.50"] },
    { severity: "unknown", evidence: ["/var/lib/cni/networks/net/10.1.0.51"] },
    { severity: "unknown", text: "/var/lib/twill/install.json is damaged", remedy: /^move it away/ },
  ]);
  t.match(found(node, "unknown-attachments"), [
    { severity: "unknown", evidence: [/^net cnitool-\w+ eth0: no\/path cannot be examined$/] },
  ]);
  const before = node.sh("cd /var/lib/cni && find . -type f -name '[0-9n]*' | sort; nft -s list ruleset");
  doctor(node, "--fix");
  t.equal(
    node.sh("cd /var/lib/cni && find . -type f -name '[0-9n]*' | sort; nft -s list ruleset"),
    before,
    "--fix leaves what is unknown",
  );
});

t.test("doctor: a cache that cannot be read is unknown, never empty", needsRoot, async (t) => {
  const node = newHost(t);
  configure(node, healthyNetwork);
  attach(node);
  node.sh("cd /var/lib/cni && mv results kept && : > results");
  const left = findings(node);
  t.ok(left.length > 3);
  t.strictSame(
    left.filter(
      ({ severity, text, fix }) =>
        severity !== "unknown" || fix !== undefined || !/could not be checked: .*results/.test(text),
    ),
    [],
  );
  t.match(doctor(node), { status: 3 });
});
