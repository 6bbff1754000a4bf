// The firewall plugin: what it refuses, what it starts, and many calls at once.
import t, { type Test } from "tap";
import { attach, firewallConf, saved } from "./firewall/forwarding.ts";
import { newHost } from "./host.ts";
import { needsRoot } from "./needs.ts";

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

const someResult = { cniVersion: "1.1.0", interfaces: [{ name: "br1" }], ips: [{ address: "10.1.0.2/24" }] };

t.test("firewall: what is refused leaves nothing", needsRoot, async (t) => {
  refused(t, {}, undefined, {
    msg: "missing prevResult from earlier plugin",
    details: /^it works on what another plugin has made/,
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
      details: `To fix: write firewall behind a bridge plugin, or leave out "ingressPolicy"`,
    },
  );
  refused(t, { iptablesAdminChainName: "a chain" }, someResult, {
    msg: `"iptablesAdminChainName" is "a chain", must be a name of at most 28 characters without blanks`,
    details: "To fix: iptables takes no other names for chains: choose another one",
  });
});
