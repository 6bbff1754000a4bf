// `twill ping`: what containers reach, and why they do not reach the rest.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { attach, bridge, configure, environment, twill } from "./doctor/lab.ts";
import { type Host, newHost, type Ran } from "./lab/host.ts";
import { needsRoot } from "./lab/needs.ts";
import { ourTools } from "./lab/project.ts";

const ping = (node: Host, ...args: string[]): Ran => twill(node, "ping", ...args);

interface Reached {
  from: { network: string; ifname: string } | null;
  to: string;
  port?: number;
  what: string;
  reached: boolean;
  reason?: string;
}
const reached = (node: Host, ...args: string[]): Reached[] => JSON.parse(ping(node, "--json", ...args).stdout);
const shown = (all: readonly Reached[]): string[] =>
  all.map(({ from, to, port, what, reached: ok, reason = "" }) =>
    [from === null ? "host" : "container", what, to, port ?? "icmp", ok ? "ok" : reason.replace(/[:,].*/, "")].join(
      " ",
    ),
  );

/** Two containers in a network of both families. */
function newNode(t: Test): Host {
  const node = newHost(t, { containers: 2 });
  const ranges = [[{ subnet: "10.1.0.0/24" }], [{ subnet: "fd00:1::/64" }]];
  configure(node, [bridge({ ipMasq: false }, { ranges })]);
  for (const i of node.containers.keys()) attach(node, i);
  return node;
}

t.test("ping reaches gateways and the others of a network, in both families", needsRoot, async (t) => {
  const node = newNode(t);
  t.strictSame(shown(reached(node, "--timeout", "20000")).sort(), [
    "container container 10.1.0.2 icmp ok",
    "container container 10.1.0.3 icmp ok",
    "container container fd00:1::2 icmp ok",
    "container container fd00:1::3 icmp ok",
    "container gateway 10.1.0.1 icmp ok",
    "container gateway 10.1.0.1 icmp ok",
    "container gateway fd00:1::1 icmp ok",
    "container gateway fd00:1::1 icmp ok",
  ]);
  const trace = "/var/lib/trace";
  const traced = ["strace", "-qq", "-o", trace, "-e", "trace=sendto,ppoll", join(ourTools, "twill"), "ping"];
  t.match(node.runInside([...traced, "--timeout", "20000"], environment), { status: 0 });
  const calls = readFileSync(join(node.varLib, "trace"), "utf8");
  const firstLook = calls.search(/^ppoll\(.*\{tv_sec=0, tv_nsec=0\}/m);
  t.ok(firstLook > 0 && firstLook < calls.lastIndexOf("sendto("), "answers are read while others are still sent");
  const { status, stdout } = ping(node, "--timeout", "20000");
  t.equal(status, 0);
  t.match(stdout, /^FROM +NETWORK +INTERFACE +TO +WHAT +BY +MS +RESULT\n/);
  t.match(stdout, /net +eth0 +10\.1\.0\.1 +gateway +icmp +\d[\d.]* +ok\n/);
});

t.test("ping says why: refused, dropped, no route, no neighbour, rejected on the way", needsRoot, async (t) => {
  const node = newNode(t);
  node.sh(`
    ip link add out0 type veth peer name out1 && ip link set out0 up && ip link set out1 up && ip address add 192.0.2.1/24 dev out0
    echo 1 > /proc/sys/net/ipv4/ip_forward
    nft 'add table inet t; add chain inet t f { type filter hook forward priority 0; }; add chain inet t i { type filter hook input priority 0; }'
    nft 'add rule inet t i tcp dport 81 drop; add rule inet t f ip daddr 198.51.100.1 reject with icmp type admin-prohibited'
    ip route add 198.51.100.0/24 via 192.0.2.2`);
  const from = (...targets: string[]) =>
    shown(reached(node, ...targets))
      .filter((line) => line.includes("target"))
      .sort();
  t.strictSame(from("10.1.0.1:80", "--network", "net", "--timeout", "20000"), [
    "container target 10.1.0.1 80 refused",
    "container target 10.1.0.1 80 refused",
  ]);
  t.strictSame(from("10.1.0.1:81", "10.1.0.77", "198.51.100.1"), [
    "container target 10.1.0.1 81 no answer",
    "container target 10.1.0.1 81 no answer",
    "container target 10.1.0.77 icmp 10.1.0.77 does not answer ARP or neighbour discovery",
    "container target 10.1.0.77 icmp 10.1.0.77 does not answer ARP or neighbour discovery",
    "container target 198.51.100.1 icmp a host or router on the way says that it is unreachable or forbidden",
    "container target 198.51.100.1 icmp a host or router on the way says that it is unreachable or forbidden",
    "host target 10.1.0.1 81 no answer",
    "host target 10.1.0.77 icmp 10.1.0.77 does not answer ARP or neighbour discovery",
    "host target 198.51.100.1 icmp 192.0.2.2 does not answer ARP or neighbour discovery",
  ]);
  t.strictSame(from("2001:db8::1"), [
    "container target 2001:db8::1 icmp a router on the way has no route to it",
    "container target 2001:db8::1 icmp a router on the way has no route to it",
    "host target 2001:db8::1 icmp no route",
  ]);
  const { status, stdout } = ping(node, "10.1.0.77");
  t.equal(status, 1);
  t.match(stdout, /\n10\.1\.0\.77 does not answer ARP or neighbour discovery\n {2}To fix: it is gone or down/);
});

t.test("ping listens to what it is asked: one container, a port that is open, wrong targets", needsRoot, async (t) => {
  const node = newNode(t);
  const [first] = reached(node, "--timeout", "20000");
  t.match(first, { from: { network: "net", ifname: "eth0" } });
  const { container } = JSON.parse(ping(node, "--json", "--timeout", "20000").stdout)[0].from;
  t.equal(reached(node, "--container", container, "--timeout", "20000").length, 4);
  t.match(ping(node, "--container", "nobody"), { status: 0, stdout: "no container of these is running\n" });
  t.match(ping(node, "web:80"), {
    status: 1,
    stderr: /"web:80" is no address to reach[\s\S]*To fix: write 10\.0\.0\.1/,
  });
  t.match(ping(node, "--timeout", "soon"), { status: 1, stderr: /must be milliseconds/ });
});
