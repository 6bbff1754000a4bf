// The firewall plugin: what it refuses, what it starts, and many calls at once.
import t, { type Test } from "tap";
import { attach, firewallConf, saved } from "./firewall/forwarding.ts";
import { commands, legacyIptables } from "./lab/commands.ts";
import { newHost } from "./lab/host.ts";
import { needsRoot } from "./lab/needs.ts";

type Conf = Record<string, unknown>;

t.test("firewall: a policy stays for the living while many come and go", needsRoot, async (t) => {
  const count = 30;
  const node = newHost(t, { containers: 1 });
  const keys = { ingressPolicy: "isolated" };
  const confOf = (i: number) =>
    firewallConf(1, keys, {
      cniVersion: "1.1.0",
      interfaces: [{ name: "br1" }],
      ips: [{ address: `10.1.1.${i}/16` }, { address: `fd00:1::${i}/64` }],
    });
  const call = (verb: "ADD" | "DEL", i: number) =>
    node.cniAtOnce("firewall", verb, confOf(i), { containerId: `many-${i}` });
  const numbers = Array.from({ length: count }, (_, i) => i + 1);
  t.match(await call("ADD", 1), { status: 0 });
  t.match(await call("DEL", 1), { status: 0 });
  const resting = saved(node);
  const statuses = async (calls: Promise<{ status: number | null }>[]) =>
    (await Promise.all(calls)).filter(({ status }) => status !== 0);
  t.strictSame(await statuses(numbers.map((i) => call("ADD", i))), []);
  const odd = numbers.filter((i) => i % 2 === 1);
  const even = numbers.filter((i) => i % 2 === 0);
  t.strictSame(await statuses(odd.map((i) => call("DEL", i))), []);
  t.strictSame(await statuses([...odd.map((i) => call("ADD", i)), ...even.map((i) => call("DEL", i))]), []);
  for (const i of odd) {
    t.match(node.cni("firewall", "CHECK", confOf(i), { containerId: `many-${i}` }), { status: 0 }, `CHECK ${i}`);
  }
  t.strictSame(await statuses(odd.map((i) => call("DEL", i))), []);
  t.equal(saved(node), resting);
});

t.test("firewall: no program is started where iptables is the nf_tables variant", needsRoot, async (t) => {
  const node = newHost(t);
  const attached = attach(node, 0, 1, { ingressPolicy: "isolated" });
  for (const verb of ["ADD", "CHECK", "DEL", "GC", "STATUS"] as const) {
    const conf = {
      ...firewallConf(1, { ingressPolicy: "isolated" }, attached.result),
      "cni.dev/valid-attachments": [],
    };
    const { status, stderr } = node.cni("firewall", verb, conf, {
      under: ["strace", "-f", "-qq", "-e", "trace=execve,fork,clone,clone3,vfork"],
    });
    t.equal(status, 0, verb);
    t.strictSame(
      stderr.match(/^.*(execve|fork|clone)\(.*$/gm)?.length,
      1,
      `${verb}: only the plugin itself: ${stderr}`,
    );
  }
});

const someResult = { cniVersion: "1.1.0", interfaces: [{ name: "br1" }], ips: [{ address: "10.1.0.2/24" }] };
const dualResult = { ...someResult, ips: [...someResult.ips, { address: "fd00:1::2/64" }] };

t.test("firewall: legacy iptables gets the same rules, and is rid of them without prevResult", needsRoot, async (t) => {
  const node = newHost(t);
  const PATH = `${commands(t, legacyIptables)}:/usr/sbin:/usr/bin:/sbin:/bin`;
  const call = { environment: { PATH } };
  const keys = { ingressPolicy: "isolated" };
  const rules = () =>
    node
      .sh("iptables-legacy-save -t filter; ip6tables-legacy-save -t filter")
      .replace(/^#.*\n/gm, "")
      .replace(/\[\d+:\d+\]/g, "");
  t.match(node.cni("firewall", "ADD", firewallConf(1, keys, dualResult), call), { status: 0, stderr: "" });
  t.match(node.cni("firewall", "DEL", firewallConf(1, keys), call), { status: 0 });
  const resting = rules();
  for (let i = 0; i < 2; i++)
    t.match(node.cni("firewall", "ADD", firewallConf(1, keys, dualResult), call), { status: 0 });
  t.match(rules(), "-A CNI-FORWARD -s 10.1.0.2/32 -j ACCEPT");
  t.match(rules(), /-A CNI-ISOLATION-STAGE-1 -i br1 -o br1 .*-j DROP/);
  t.equal(rules().match(/-A CNI-FORWARD-OWNERS /g)?.length, 2);
  t.match(node.cni("firewall", "CHECK", firewallConf(1, keys, dualResult), call), { status: 0, stdout: "" });
  t.match(node.cni("firewall", "DEL", firewallConf(1, keys), call), { status: 0, stdout: "" });
  t.equal(rules(), resting);
  t.equal(node.sh("nft list ruleset"), "", "nothing in the other world");
});

t.test("firewall: beside Docker's rules containers get through, and Docker's stay", needsRoot, async (t) => {
  const node = newHost(t, { containers: 2 });
  const docker = `
    iptables -w -P FORWARD DROP; iptables -w -N DOCKER-USER; iptables -w -N DOCKER; iptables -w -N DOCKER-ISOLATION-STAGE-1
    iptables -w -A FORWARD -j DOCKER-USER; iptables -w -A FORWARD -j DOCKER-ISOLATION-STAGE-1
    iptables -w -A FORWARD -o docker0 -j DOCKER; iptables -w -A FORWARD -i docker0 ! -o docker0 -j ACCEPT`;
  node.sh(docker);
  const isDockers = (line: string) => /DOCKER|docker0|:FORWARD DROP/.test(line);
  const before = saved(node).split("\n").filter(isDockers);
  const [one, across] = [attach(node, 0, 1, {}), attach(node, 1, 2, {})];
  t.equal(node.containers[0]?.run("ping", "-c1", "-W10", across.addresses[0] ?? "").status, 0);
  t.strictSame(saved(node).split("\n").filter(isDockers), before);
  one.detach();
  across.detach();
  t.strictSame(saved(node).split("\n").filter(isDockers), before);
});

t.test("firewall: the administrator's chain is asked before the container's rules", needsRoot, async (t) => {
  const node = newHost(t, { containers: 2 });
  attach(node, 0, 1, {});
  const across = attach(node, 1, 2, {});
  const reaches = (waitS: number) =>
    node.containers[0]?.run("ping", "-c1", `-W${waitS}`, across.addresses[0] ?? "").status === 0;
  t.ok(reaches(10));
  node.sh("iptables -w -A CNI-ADMIN -s 10.1.0.0/24 -j DROP");
  t.notOk(reaches(1));
});

t.test("firewall: in nftables the administrator's chain also overrides policies", needsRoot, async (t) => {
  const node = newHost(t, { containers: 2 });
  const keys = { backend: "nftables", ingressPolicy: "isolated", iptablesAdminChainName: "mine" };
  attach(node, 0, 1, keys);
  const across = attach(node, 1, 2, keys);
  const reaches = (waitS: number) =>
    node.containers[0]?.run("ping", "-c1", `-W${waitS}`, across.addresses[0] ?? "").status === 0;
  t.notOk(reaches(1));
  node.sh(
    "nft add rule inet twill_firewall mine ip saddr 10.1.0.0/24 accept; nft add rule inet twill_firewall mine ct state established accept",
  );
  t.ok(reaches(10));
});

t.test("firewall: neither iptables nor firewalld: nftables it is", needsRoot, async (t) => {
  const node = newHost(t);
  const call = { under: ["env", "PATH=/nowhere"] };
  for (const verb of ["ADD", "CHECK"] as const)
    t.match(node.cni("firewall", verb, firewallConf(1, {}, someResult), call), { status: 0, stderr: "" });
  t.match(node.sh("nft list ruleset"), /^table inet twill_firewall \{.*10\.1\.0\.2 comment/s);
  t.match(node.cni("firewall", "DEL", firewallConf(1, {}), call), { status: 0 });
});

t.test("firewall: an unknown backend is told, and ignored as the reference plugin ignores it", needsRoot, async (t) => {
  const node = newHost(t);
  const { status, stderr } = node.cni("firewall", "ADD", firewallConf(1, { backend: "nft" }, someResult));
  t.equal(status, 0);
  t.equal(
    stderr,
    `"backend" is "nft", must be one of iptables, firewalld, nftables: it is ignored, and the backend is the one that the host uses\n`,
  );
});

t.test("firewall: CHECK says which rule is missing", needsRoot, async (t) => {
  const node = newHost(t);
  const conf = firewallConf(1, { ingressPolicy: "isolated" }, someResult);
  const policy = "CNI firewall plugin rules (ingressPolicy: isolated)";
  for (const [damage, msg] of [
    ["iptables -w -D CNI-FORWARD -s 10.1.0.2 -j ACCEPT", "expected rule [-s 10.1.0.2/32 -j ACCEPT] not found"],
    [
      `iptables -w -D CNI-ISOLATION-STAGE-1 -i br1 -o br1 -m comment --comment "${policy}" -j DROP`,
      `expected CNI-ISOLATION-STAGE-1 rule [-i br1 -o br1 -m comment --comment ${policy} -j DROP] not found`,
    ],
  ] as const) {
    t.match(node.cni("firewall", "ADD", conf), { status: 0 });
    node.sh(damage);
    t.match(node.cni("firewall", "CHECK", conf), { status: 1, stdout: { code: 999, msg } });
  }
});

/** Which keys are refused, with the whole text. */
function refused(t: Test, keys: Conf, prevResult: unknown, expected: { msg: string; details: string | RegExp }): void {
  const node = newHost(t);
  const before = node.snapshot();
  t.match(node.cni("firewall", "ADD", firewallConf(1, keys, prevResult)), {
    status: 1,
    stdout: { code: 7, ...expected },
  });
  t.strictSame(node.snapshot(), before);
  t.match(node.cni("firewall", "DEL", firewallConf(1, keys, prevResult)), { status: 0 }, "DEL goes on");
}

t.test("firewall: what is refused leaves nothing", needsRoot, async (t) => {
  refused(t, {}, undefined, {
    msg: "missing prevResult from earlier plugin",
    details: /^the result of ADD is passed as prevResult: .*put it in "plugins" of a \.conflist after that one/,
  });
  refused(t, { ingressPolicy: "closed" }, someResult, {
    msg: `unknown ingress policy: "closed"`,
    details: `To fix: set "ingressPolicy" to one of "open", "same-bridge", "isolated"`,
  });
  refused(
    t,
    { ingressPolicy: "isolated" },
    { ...someResult, interfaces: [] },
    {
      msg: `interface needs to be set for ingress policy "isolated", make sure to chain "firewall" plugin with "bridge"`,
      details: `To fix: put firewall after a bridge plugin, or remove "ingressPolicy"`,
    },
  );
  refused(t, { iptablesAdminChainName: "a chain" }, someResult, {
    msg: `"iptablesAdminChainName" is "a chain", must be a name of at most 28 characters without spaces`,
    details: "To fix: iptables accepts no other names for chains: choose another one",
  });
});
