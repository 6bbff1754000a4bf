// Names of bridges that a result may say and a rule must not, on the kernel: what ADD refuses, what is exact, and what DEL removes that twill 0.1.0 wrote.
import t from "tap";
import { type Host, newHost } from "../lab/host.ts";
import { needsRoot } from "../lab/needs.ts";

const network = "netx";
const conf = (backend: string, bridge: string, policy = "isolated", address = "10.77.0.5") => ({
  cniVersion: "1.1.0",
  name: network,
  type: "firewall",
  backend,
  ingressPolicy: policy,
  prevResult: { cniVersion: "1.1.0", interfaces: [{ name: bridge }], ips: [{ address: `${address}/24` }] },
});
const rulesOf = (node: Host) =>
  node.sh("iptables-save -t filter; ip6tables-save -t filter; nft list tables").replaceAll(/^#.*\n/gm, "");

const refused = ["br 0", "br\0x", "br\tx", "a/b", "a:b", "..", "twenty-bytes-of-name", "voilà"];
for (const backend of ["iptables", "nftables"]) {
  t.test(`${backend}: a result whose bridge no link can be is refused before a rule is made`, needsRoot, async (t) => {
    const node = newHost(t);
    const before = rulesOf(node);
    for (const bridge of refused) {
      for (const verb of ["ADD", "CHECK"] as const) {
        const answer = node.cni("firewall", verb, conf(backend, bridge)).stdout;
        t.match(answer, { code: 7, msg: /^"prevResult\.interfaces\[0\]\.name" is .*, must be an interface name/ });
      }
      t.equal(rulesOf(node), before);
      const { status, stderr } = node.cni("firewall", "DEL", conf(backend, bridge));
      t.equal(status, 0);
      t.match(stderr, /ignores a part of prevResult: "prevResult\.interfaces\[0\]\.name" is /);
    }
  });
}

t.test(
  "iptables: a bridge whose name iptables reads as a pattern is refused before a rule is made",
  needsRoot,
  async (t) => {
    const node = newHost(t);
    node.sh('ip link add "br+" type bridge; ip link add br1 type bridge');
    for (const bridge of ["br+", "+", 'br"', "br\\", "!"]) {
      const before = rulesOf(node);
      for (const policy of ["isolated", "same-bridge"])
        for (const verb of ["ADD", "CHECK"] as const)
          t.match(node.cni("firewall", verb, conf("iptables", bridge, policy)).stdout, {
            code: 7,
            msg: /, which iptables cannot match$/,
            details: /set "backend" to "nftables", or remove "ingressPolicy"/,
          });
      t.equal(rulesOf(node), before, bridge);
      t.equal(node.cni("firewall", "ADD", conf("iptables", bridge, "open")).status, 0, "the remedy: no policy");
      t.equal(node.cni("firewall", "DEL", conf("iptables", bridge, "open")).status, 0);
    }
  },
);

t.test("nftables: a bridge called br+ or br* is that one bridge, in rules and out of them", needsRoot, async (t) => {
  const node = newHost(t);
  const elements = () => node.sh("nft list set inet twill_firewall bridges").match(/elements = (.*)/)?.[1];
  for (const bridge of ["br+", "br*", "+"]) {
    t.equal(node.cni("firewall", "ADD", conf("nftables", bridge)).status, 0);
    t.equal(node.cni("firewall", "CHECK", conf("nftables", bridge)).status, 0);
    t.match(elements()?.replace("\\", ""), bridge);
    t.not(
      node.run("nft", "get", "element", "inet", "twill_firewall", "bridges", '{ "br1" }').status,
      0,
      "br1 is not in",
    );
    t.equal(node.cni("firewall", "DEL", conf("nftables", bridge)).status, 0);
    t.equal(elements(), undefined);
  }
});

const comment = (policy: string) => `-m comment --comment "CNI firewall plugin rules (ingressPolicy: ${policy})"`;
const shared = comment("same-bridge|isolated");

/** What containers of a host share, for iptables-restore: it empties the chains that it declares. */
const frame = `
:CNI-FORWARD - [0:0]
:CNI-FORWARD-OWNERS - [0:0]
:CNI-ISOLATION-STAGE-1 - [0:0]
:CNI-ISOLATION-STAGE-2 - [0:0]
-A FORWARD ${shared} -j CNI-ISOLATION-STAGE-1
-A FORWARD -m comment --comment "CNI firewall plugin rules" -j CNI-FORWARD
-A CNI-ISOLATION-STAGE-1 ${shared} -j RETURN
-A CNI-ISOLATION-STAGE-2 ${shared} -j RETURN`;

/** What firewall of twill 0.1.0 (7ef44b8) wrote for container c1 of network netx, as iptables-save prints it. */
function earlierRules(named: string, matches: { inside: string; leaving: string; into: string }): string {
  const own = comment("isolated");
  return `
-A CNI-FORWARD -d 10.77.0.5/32 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A CNI-FORWARD -s 10.77.0.5/32 -j ACCEPT
-A CNI-FORWARD-OWNERS -s 10.77.0.5/32 -m comment --comment "bb265745a920508d-f4d01f2ef4b92245, isolated ${named}" -j RETURN
-I CNI-ISOLATION-STAGE-1 1 ${matches.leaving} ${own} -j CNI-ISOLATION-STAGE-2
-I CNI-ISOLATION-STAGE-1 1 ${matches.inside} ${own} -j DROP
-I CNI-ISOLATION-STAGE-2 1 ${matches.into} ${shared} -j DROP`;
}
const matching = (name: string) => ({
  inside: `-i ${name} -o ${name}`,
  leaving: `-i ${name} ! -o ${name}`,
  into: `-o ${name}`,
});

/** With a NUL in the name the kernel has cut it off. */
const rest = ", net: netx, if: eth0, id: c1";
const earlier = [
  { bridge: "+", rules: earlierRules(`+${rest}`, { inside: "", leaving: "", into: "" }) },
  { bridge: "br+", rules: earlierRules(`br+${rest}`, matching("br+")) },
  { bridge: "br 0", rules: earlierRules(`br 0${rest}`, matching('"br 0"')) },
  { bridge: "br\0x", rules: earlierRules("br", matching("br")) },
];
for (const { bridge, rules } of earlier) {
  t.test(
    `iptables: DEL removes what twill 0.1.0 wrote for bridge ${JSON.stringify(bridge)}, and no other's`,
    needsRoot,
    async (t) => {
      for (const others of [undefined, "br", "cni0"]) {
        const node = newHost(t);
        if (others !== undefined) {
          const other = conf("iptables", others, "isolated", "10.77.0.6");
          t.equal(node.cni("firewall", "ADD", other, { containerId: "other" }).status, 0);
        }
        const ofOthers = () =>
          rulesOf(node)
            .match(/^-A .*$/gm)
            ?.filter((rule) => !/-j CNI-FORWARD$|CNI-ADMIN/.test(rule));
        const before = ofOthers() ?? [];
        const { status, stderr } = node.runInside(
          ["iptables-restore", "--noflush"],
          {},
          `*filter${others === undefined ? frame : ""}${rules}\nCOMMIT\n`,
        );
        t.equal(status, 0, stderr);
        t.equal(node.cni("firewall", "DEL", conf("iptables", bridge), { containerId: "c1" }).status, 0);
        if (others === undefined)
          t.notMatch(rulesOf(node), /^-A (CNI-ISOLATION|CNI-FORWARD-OWNERS|CNI-FORWARD -[sd])/m);
        else
          for (const rule of new Set(before))
            t.ok(ofOthers()?.includes(rule), `stays beside ${JSON.stringify(bridge)}: ${rule}`);
      }
    },
  );
}

t.test("nftables: DEL removes what twill 0.1.0 wrote for a bridge with a blank", needsRoot, async (t) => {
  const node = newHost(t);
  const other = conf("nftables", "cni0", "isolated", "10.77.0.6");
  t.equal(node.cni("firewall", "ADD", other, { containerId: "other" }).status, 0);
  const before = node.sh("nft list table inet twill_firewall");
  const tenancy = "bb265745a920508d-f4d01f2ef4b92245, isolated br 0, net: netx, if: eth0, id: c1";
  node.sh(`nft -f - <<'END'
add element inet twill_firewall containers4 { 10.77.0.5 comment "${tenancy}" }
add element inet twill_firewall bridges { "br 0" }
END`);
  t.equal(node.cni("firewall", "DEL", conf("nftables", "br 0"), { containerId: "c1" }).status, 0);
  t.equal(node.sh("nft list table inet twill_firewall"), before);
});
