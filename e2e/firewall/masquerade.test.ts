// Masquerade as the kernel and the standard tools see it, and beside the reference plugins.

import t from "tap";
import type { AttachmentId } from "../../pkg/cni/attachment-id.ts";
import type { RuleBackend } from "../../pkg/firewall/backend.ts";
import { findIptables } from "../../pkg/firewall/iptables/detect.ts";
import { prefix } from "../../pkg/firewall/iptables/samples.testing.ts";
import {
  addMasquerade,
  gcMasquerade,
  masqueradeBackend,
  removeMasquerade,
} from "../../pkg/firewall/masquerade/masquerade.ts";
import { chainName } from "../../pkg/firewall/upstream-names.ts";
import { openNamespace, within } from "../../pkg/sys/namespace.ts";
import { commands, legacyIptables, withPath } from "../lab/commands.ts";
import { type Host, type Namespace, newHost } from "../lab/host.ts";
import { needsKernel } from "../lab/needs.ts";
import { started, startedScript } from "./at-once.ts";

const GO = "/usr/lib/cni";
const needs = needsKernel("iptables_nat", "nft_inet_nat");

const owner = (containerId: string, network = "podnet", ifName = "eth0"): AttachmentId => ({
  network,
  containerId,
  ifName,
});

/** Calls our code as a plugin in the host's namespace would. */
function hostCalls(host: Namespace) {
  const inside = (work: () => void) => within(openNamespace(host.path), work);
  return {
    masquerade: (of: AttachmentId, addresses: string[], backend: RuleBackend | undefined) =>
      inside(() => addMasquerade(of, addresses.map(prefix), backend)),
    unmasquerade: (of: AttachmentId, addresses: string[] = []) =>
      inside(() => removeMasquerade(of, addresses.map(prefix))),
    collect: (network: string, valid: AttachmentId[]) => inside(() => gcMasquerade(network, valid)),
  };
}

const ruleset = (host: Namespace) => host.sh("nft list ruleset").replace(/^# .*\n/gm, "");
const IP6_NAT = /table ip6 nat \{\n(\t.*\n|\n)*\}\n/;
const nat = (host: Namespace) => host.sh("iptables -w -t nat -S; ip6tables -w -t nat -S").trim().split("\n");
/** Rules of masq_checks, without what is the same in all of them. */
const checks = (host: Namespace) =>
  (host.run("nft", "list", "chain", "inet", "cni_plugins_masquerade", "masq_checks").stdout.match(/^\t\tip.*$/gm) ?? [])
    .map((rule) => rule.trim())
    .sort();

t.test("by iptables it looks as the reference plugins make it, and says whose an address is", needs, async (t) => {
  const host = newHost(t, { containers: 0 });
  hostCalls(host).masquerade(owner("1234", "test"), ["10.1.2.3/16", "2001:db8::2/64"], "iptables");
  const comment = '-m comment --comment "name: \\"test\\" id: \\"1234\\""';
  const owned = comment.replace(/"$/, ' if: \\"eth0\\""');
  const chain = "CNI-2bbe0c48b91a7d1b8a6753a8";
  t.strictSame(nat(host), [
    ...["PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"].map((base) => `-P ${base} ACCEPT`),
    `-N ${chain}`,
    `-A POSTROUTING -s 10.1.2.3/32 ${comment} -j ${chain}`,
    `-A ${chain} -d 10.1.0.0/16 ${comment} -j ACCEPT`,
    `-A ${chain} ! -d 224.0.0.0/4 ${comment} -j MASQUERADE`,
    `-A ${chain} -s 10.1.2.3/32 ${owned} -j RETURN`,
    ...["PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"].map((base) => `-P ${base} ACCEPT`),
    `-N ${chain}`,
    `-A POSTROUTING -s 2001:db8::2/128 ${comment} -j ${chain}`,
    `-A ${chain} -d 2001:db8::/64 ${comment} -j ACCEPT`,
    `-A ${chain} ! -d ff00::/8 ${comment} -j MASQUERADE`,
    `-A ${chain} -s 2001:db8::2/128 ${owned} -j RETURN`,
  ]);
});

t.test("by nftables it looks as the reference plugins make it", needs, async (t) => {
  const host = newHost(t, { containers: 0 });
  hostCalls(host).masquerade(owner("one", "unit-test"), ["192.168.1.1/24", "2001:db8::2/50"], "nftables");
  const comment = 'comment "6fd94d501e58f0aa-287fc69eff0574a2, net: unit-test, if: eth0, id: one"';
  const byUs = ruleset(host);
  t.equal(
    byUs,
    `table inet cni_plugins_masquerade {
	comment "Masquerading for plugins from github.com/containernetworking/plugins"
	chain masq_checks {
		comment "Masquerade traffic from certain IPs to any (non-multicast) IP outside their subnet"
		ip saddr 192.168.1.1 ip daddr != 192.168.1.0/24 masquerade ${comment}
		ip6 saddr 2001:db8::2 ip6 daddr != 2001:db8::/50 masquerade ${comment}
	}

	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		ip daddr 224.0.0.0/4 return
		ip6 daddr ff00::/8 return
		goto masq_checks
	}
}
`,
  );
  host.sh(`nft flush ruleset; printf '%s' '${byUs}' | nft -f -`);
  t.equal(ruleset(host), byUs, "nft reads back what it printed");
});

for (const backend of ["iptables", "nftables"] as const) {
  t.test(`${backend}: twice is once, and away it is as before`, needs, async (t) => {
    const host = newHost(t, { containers: 0 });
    const calls = hostCalls(host);
    calls.masquerade(owner("first"), ["10.1.0.2/16"], backend);
    calls.unmasquerade(owner("first"));
    const before = ruleset(host); // tables and base chains stay
    calls.masquerade(owner("a"), ["10.1.0.3/16", "fd00::3/64"], backend);
    const once = ruleset(host);
    calls.masquerade(owner("a"), ["10.1.0.3/16", "fd00::3/64"], backend);
    t.equal(ruleset(host), once);
    for (let i = 0; i < 2; i++) {
      calls.unmasquerade(owner("a"));
      t.equal(ruleset(host).replace(IP6_NAT, ""), before);
    }
  });

  t.test(`${backend}: the address's next owner keeps its rules when the last one is deleted late`, needs, async (t) => {
    const host = newHost(t, { containers: 0 });
    const calls = hostCalls(host);
    calls.masquerade(owner("b"), ["10.1.0.3/16"], backend);
    const alone = ruleset(host);
    calls.masquerade(owner("a"), ["10.1.0.3/16"], backend);
    calls.unmasquerade(owner("a"), ["10.1.0.3/16"]);
    t.equal(ruleset(host), alone);
  });

  t.test(`${backend}: DEL is content when rules, chains or tables are gone`, needs, async (t) => {
    const host = newHost(t, { containers: 0 });
    const calls = hostCalls(host);
    const damages = {
      iptables: [
        "iptables -w -t nat -F POSTROUTING",
        "nft delete table ip nat",
        "nft flush ruleset",
        "iptables -w -t nat -F POSTROUTING && nft delete chain ip nat POSTROUTING",
        `iptables -w -t nat -F ${chainName(owner("a"))}`,
      ],
      nftables: [
        "nft flush table inet cni_plugins_masquerade",
        "nft delete table inet cni_plugins_masquerade",
        "nft flush ruleset",
        "nft flush chain inet cni_plugins_masquerade postrouting && nft delete chain inet cni_plugins_masquerade postrouting",
      ],
    }[backend];
    for (const damage of damages) {
      calls.masquerade(owner("a"), ["10.1.0.3/16", "fd00::3/64"], backend);
      host.sh(damage);
      calls.unmasquerade(owner("a"));
      t.notMatch(ruleset(host), /CNI-|id: a/, damage);
      calls.masquerade(owner("b"), ["10.1.0.4/16"], backend);
      t.match(ruleset(host), /10\.1\.0\.4/, `ADD mends: ${damage}`);
      calls.unmasquerade(owner("b"));
    }
  });

  t.test(`${backend}: GC deletes what is not valid any more, of its own network`, needs, async (t) => {
    const host = newHost(t, { containers: 0 });
    const calls = hostCalls(host);
    for (const network of ["podnet", "podnet2"]) calls.masquerade(owner("a", network), ["10.1.0.3/16"], backend);
    const wanted = ruleset(host);
    calls.masquerade(owner("b"), ["10.1.0.4/16", "fd00::4/64"], backend);
    calls.masquerade(owner("c"), ["10.1.0.5/16"], backend);
    host.sh(`eval "$(iptables -w -t nat -S POSTROUTING | sed -n '/0.5.32/s/^-A/iptables -w -t nat -D/p')"`); // a chain without its jump
    calls.collect("podnet", [owner("a")]);
    t.equal(ruleset(host).replace(IP6_NAT, ""), wanted);
    calls.collect("podnet", []);
    const left = () => [...nat(host), ...checks(host)].filter((rule) => rule.includes("id: "));
    t.equal(left().length, backend === "iptables" ? 4 : 1, "podnet2's are there");
    calls.collect("podnet2", []);
    t.strictSame(left(), []);
  });
}

t.test(
  "a chain of iptables that the administrator jumps to as well is emptied, and the next ADD fills it",
  needs,
  async (t) => {
    const host = newHost(t, { containers: 0 });
    const calls = hostCalls(host);
    calls.masquerade(owner("a"), ["10.1.0.3/16"], "iptables");
    const chain = chainName(owner("a"));
    host.sh(`iptables -w -t nat -N MINE; iptables -w -t nat -A MINE -j ${chain}`);
    const before = nat(host);
    calls.unmasquerade(owner("a"));
    t.strictSame(
      nat(host).filter((rule) => rule.includes(chain)),
      [`-N ${chain}`, `-A MINE -j ${chain}`],
    );
    calls.masquerade(owner("a"), ["10.1.0.3/16"], "iptables");
    t.strictSame(nat(host).sort(), before.sort());
  },
);

const worker = `
import { addMasquerade, removeMasquerade } from "./pkg/firewall/masquerade/masquerade.ts";
import { parsePrefix } from "./pkg/ip/address.ts";
const [name, backend, count] = process.argv.slice(1);
for (let i = 0; i < Number(count); i++) {
  const owner = { network: "podnet", containerId: name + i, ifName: "eth0" };
  const addresses = ["10.1." + i + ".3/16", "fd00::" + i + "/64"].map(parsePrefix);
  addMasquerade(owner, addresses, backend);
  if (i % 2) removeMasquerade(owner, i % 4 === 1 ? [] : addresses);
}`;

for (const backend of ["iptables", "nftables"] as const) {
  t.test(`${backend}: many at once lose nothing and leave nothing`, needs, async (t) => {
    const host = newHost(t, { containers: 0 });
    const each = 20;
    const workers = ["a", "b", "c", "d"].map((name) => startedScript(host, worker, name, backend, String(each)));
    const foreign = started(
      host,
      "sh",
      "-c",
      "for i in $(seq 40); do iptables -w -t nat -A POSTROUTING -s 9.9.9.$i -j ACCEPT || exit 1; done",
    );
    t.strictSame(await Promise.all([...workers, foreign]), [0, 0, 0, 0, 0]);
    const rules = [...nat(host), ...checks(host)].filter((rule) => rule.includes("id: "));
    const expected = { iptables: 4 * (each / 2) * 2 * 4, nftables: 4 * (each / 2) * 2 }[backend];
    t.equal(rules.length, expected);
    t.equal(new Set(rules).size, expected, "none twice");
    t.equal(nat(host).filter((rule) => rule.includes("-s 9.9.9.")).length, 40);
    if (backend === "nftables")
      t.equal(host.sh("nft list chain inet cni_plugins_masquerade postrouting").match(/return|goto/g)?.length, 3);
  });
}

t.test("two attachments of a container to a network share a chain of iptables", needs, async (t) => {
  const host = newHost(t, { containers: 0 });
  const calls = hostCalls(host);
  calls.masquerade(owner("a"), ["10.1.0.3/16"], "iptables");
  const one = ruleset(host);
  calls.masquerade(owner("a", "podnet", "net1"), ["10.2.0.3/16"], "iptables");
  t.match(
    nat(host).filter((rule) => rule.startsWith("-A CNI-")),
    [
      /-d 10\.2\.0\.0\/16 .*ACCEPT/,
      /-d 10\.1\.0\.0\/16 .*ACCEPT/,
      /MASQUERADE/,
      /-s 10\.1\.0\.3\/32 .*RETURN/,
      /-s 10\.2\.0\.3\/32 .*RETURN/,
    ],
    "networks come before the masquerade",
  );
  calls.unmasquerade(owner("a", "podnet", "net1"), ["10.2.0.3/16", "fd00::3/64"]);
  t.equal(ruleset(host), one);
  calls.masquerade(owner("a", "podnet", "net1"), ["10.2.0.3/16"], "iptables");
  calls.unmasquerade(owner("a"));
  t.notMatch(ruleset(host), /10\.1\.0/, "also without addresses");
  t.match(ruleset(host), /10\.2\.0\.3/);
  calls.unmasquerade(owner("a", "podnet", "net1"));
  t.notMatch(ruleset(host), /CNI-/);
});

t.test("nftables: the cases of the reference plugins' suite", needs, async (t) => {
  const host = newHost(t, { containers: 0 });
  const { masquerade, unmasquerade, collect } = hostCalls(host);
  const unit = (id: string) => owner(id, "unit-test");
  const alternate = owner("three", "alternate", "net1");
  const many = ["10.0.0.5/24", "10.0.0.6/24", "10.0.1.7/24", "2001:db8::5/64", "2001:db8::6/64", "2001:db8:1::7/64"];
  masquerade(unit("one"), ["192.168.1.1/24"], "nftables");
  masquerade(unit("two"), ["192.168.1.2/24", "2001:db8::2/64"], "nftables");
  masquerade(unit("three"), ["192.168.99.5/24"], "nftables");
  masquerade(alternate, many, "nftables");
  t.equal(checks(host).length, 10);
  t.ok(checks(host).some((rule) => rule.startsWith("ip saddr 10.0.1.7 ip daddr != 10.0.1.0/24 masquerade")));
  const before = checks(host);

  masquerade(unit("four"), ["192.168.1.1/24"], "nftables");
  const withFour = checks(host);
  unmasquerade(unit("one"), ["192.168.1.1/24"]);
  t.strictSame(
    checks(host),
    withFour.filter((rule) => !rule.includes("id: one")),
    "four's rule for the address is left",
  );
  masquerade(unit("one"), ["192.168.1.1/24"], "nftables");

  collect("unit-test", [unit("two"), unit("three"), unit("one")]);
  t.strictSame(checks(host), before, "only four's is gone");
  collect("unit-test", []);
  collect("alternate", []);
  t.strictSame(checks(host), []);
  t.match(ruleset(host), /224\.0\.0\.0\/4 return\n\t\tip6 daddr ff00::\/8 return\n\t\tgoto masq_checks/);
});

t.test("nftables: ADD mends the rules around, and only then", needs, async (t) => {
  const host = newHost(t, { containers: 0 });
  const { masquerade } = hostCalls(host);
  masquerade(owner("a"), ["10.1.0.3/16"], "nftables");
  const handles = () => host.sh("nft -a list chain inet cni_plugins_masquerade postrouting");
  const before = handles();
  masquerade(owner("b"), ["10.1.0.4/16"], "nftables");
  t.equal(handles(), before, "nothing is replaced");
  for (const damage of [
    "flush chain inet cni_plugins_masquerade postrouting",
    "add rule inet cni_plugins_masquerade postrouting accept",
  ]) {
    host.sh(`nft ${damage}`);
    masquerade(owner("c"), ["10.1.0.5/16"], "nftables");
    t.equal(handles().replace(/ # handle \d+/g, ""), before.replace(/ # handle \d+/g, ""), damage);
  }
});

// --- Beside the reference plugins --------------------------------------------------------------------------------------------------------

const bridgeConf = {
  cniVersion: "1.0.0",
  name: "podnet",
  type: "bridge",
  bridge: "br0",
  isGateway: true,
  ipMasq: true,
  ipam: { type: "host-local", ranges: [[{ subnet: "10.1.0.0/24" }], [{ subnet: "fd00:1::/64" }]] },
};

function addByGo(host: Host): string[] {
  const { status, stdout } = host.cni("bridge", "ADD", bridgeConf, { bin: GO });
  if (status !== 0) throw new Error(JSON.stringify(stdout));
  return (stdout as { ips: { address: string }[] }).ips.map(({ address }) => address);
}

t.test("the Go bridge's rules are ours, and we delete them", needs, async (t) => {
  const host = newHost(t, { bin: GO });
  const addresses = addByGo(host);
  const byGo = nat(host);
  const { masquerade, unmasquerade } = hostCalls(host);
  const of = owner(host.containers[0]?.id ?? "");
  const isOwnerRule = (rule: string) => rule.includes('if: \\"eth0\\"');
  masquerade(of, addresses, "iptables");
  t.strictSame(
    nat(host).filter((rule) => !isOwnerRule(rule)),
    byGo,
    "nothing to add but whose the addresses are",
  );
  t.equal(nat(host).filter(isOwnerRule).length, addresses.length);
  unmasquerade(of);
  t.notMatch(ruleset(host), /CNI-/);
  masquerade(of, addresses, "iptables");
  t.strictSame(
    nat(host).filter((rule) => !isOwnerRule(rule)),
    byGo,
    "we write what it wrote",
  );
});

t.test("the Go bridge deletes our rules", needs, async (t) => {
  const host = newHost(t, { bin: GO });
  const addresses = addByGo(host);
  host.sh("nft flush ruleset");
  hostCalls(host).masquerade(owner(host.containers[0]?.id ?? ""), addresses, "iptables");
  t.match(ruleset(host), /CNI-/);
  t.match(host.cni("bridge", "DEL", bridgeConf, { bin: GO }), { status: 0, stderr: "" });
  t.notMatch(ruleset(host), /CNI-/);
});

// --- The choice of a backend, and legacy iptables ----------------------------------------------------------------------------------------

t.test("legacy iptables gets its rules through iptables-restore", needs, async (t) => {
  const host = newHost(t, { containers: 0 });
  const path = commands(t, legacyIptables);
  const { masquerade, unmasquerade, collect } = hostCalls(host);
  const saved = () =>
    ["iptables", "ip6tables"].map((command) => host.sh(`${command}-legacy -w -t nat -S`).replace(/^-P.*\n/gm, ""));
  withPath(`${path}:${process.env["PATH"]}`, () => {
    for (let i = 0; i < 2; i++) masquerade(owner("1234", "test"), ["10.1.2.3/16", "2001:db8::2/64"], undefined);
    const comment = '-m comment --comment "name: \\"test\\" id: \\"1234\\""';
    const chain = "CNI-2bbe0c48b91a7d1b8a6753a8";
    t.equal(
      saved()[0],
      `-N ${chain}\n-A POSTROUTING -s 10.1.2.3/32 ${comment} -j ${chain}\n-A ${chain} -d 10.1.0.0/16 ${comment} -j ACCEPT\n-A ${chain} ! -d 224.0.0.0/4 ${comment} -j MASQUERADE\n-A ${chain} -s 10.1.2.3/32 ${comment.replace(/"$/, ' if: \\"eth0\\""')} -j RETURN\n`,
    );
    t.match(saved()[1], "-s 2001:db8::2/128");
    t.equal(ruleset(host), "", "nothing in nf_tables");
    masquerade(owner("5678", "test"), ["10.1.2.3/16"], "iptables");
    unmasquerade(owner("1234", "test"), []);
    t.match(saved()[0], /"5678/);
    t.notMatch(saved().join(""), /1234/);
    masquerade(owner("1234", "test"), ["10.1.2.4/16"], "iptables");
    collect("test", [owner("1234", "test")]);
    t.notMatch(saved().join(""), /5678/);
    collect("test", []);
    t.strictSame(saved(), ["", ""]);
  });
});

t.test("what legacy iptables complains about is told", needs, async (t) => {
  const host = newHost(t, { containers: 0 });
  const path = commands(t, {
    iptables: { prints: "iptables v1.6.1" },
    "iptables-save": { prints: "*nat\n:POSTROUTING ACCEPT [0:0]\nCOMMIT" },
    "iptables-restore": { prints: "line 3: no", status: 2 },
  });
  const failure = withPath(path, () => {
    try {
      return hostCalls(host).masquerade(owner("a"), ["10.1.0.3/16"], "iptables");
    } catch (error) {
      return error;
    }
  });
  const chain = chainName(owner("a"));
  const comment = '-m comment --comment "name: \\"podnet\\" id: \\"a\\""';
  t.match(failure, {
    code: 999,
    msg: `"${path}/iptables-restore --noflush --wait" failed with exit status 2`,
    details: `line 3: no; its input was: *nat | :${chain} - [0:0] | -I ${chain} 1 -d 10.1.0.0/16 ${comment} -j ACCEPT | -A ${chain} ! -d 224.0.0.0/4 ${comment} -j MASQUERADE | -A ${chain} -s 10.1.0.3/32 ${comment.replace(/"$/, ' if: \\"eth0\\""')} -j RETURN | -A POSTROUTING -s 10.1.0.3/32 ${comment} -j ${chain} | COMMIT | . To fix: run it by hand to see why, or choose the nftables backend in the configuration`,
  });
});

t.test("the backend is chosen by looking", needs, async (t) => {
  const host = newHost(t, { containers: 0 });
  const choose = (configured?: RuleBackend) => within(openNamespace(host.path), () => masqueradeBackend(configured));
  const empty = commands(t, {});
  const nft = commands(t, { iptables: { link: "/etc/alternatives/iptables" } });
  const old = commands(t, { iptables: { link: "/usr/sbin/xtables-legacy-multi" } });
  t.equal(withPath(empty, choose), "nftables", "there is no iptables in PATH");
  t.equal(withPath(`${empty}:${nft}`, choose), "iptables", "which writes to nf_tables");
  t.equal(withPath(`${old}:${nft}`, choose), "iptables", "which writes to the legacy tables");
  t.equal(
    withPath(empty, () => choose("iptables")),
    "iptables",
    "it is configured",
  );
  withPath(empty, () => hostCalls(host).masquerade(owner("a"), ["10.1.0.3/16"], "iptables"));
  t.match(nat(host).join("\n"), /10\.1\.0\.3\/32/, "without the program as well");
  t.equal(withPath(empty, choose), "iptables", "there are CNI chains in table nat");
});

t.test("a copy or a script is asked for its variant", needs, async (t) => {
  const variants = {
    "iptables v1.8.9 (nf_tables)": "nf_tables",
    "iptables v1.8.9 (legacy)": "legacy",
    "iptables v1.6.1": "legacy",
  };
  for (const [prints, variant] of Object.entries(variants)) {
    const path = commands(t, { iptables: { prints } });
    t.equal(withPath(path, () => findIptables("ip"))?.variant, variant, prints);
  }
});
