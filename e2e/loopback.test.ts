// The loopback plugin on the real kernel, as `ip` sees it.
import t from "tap";
import { type Host, newHost } from "./lab/host.ts";
import { needsRoot } from "./lab/needs.ts";

const network = (keys: object = {}) => ({ cniVersion: "1.1.0", name: "lo-net", type: "loopback", ...keys });

function flagsOfLo({ containers: [container] }: Host): string[] {
  const links = container?.json("ip", "-j", "link", "show", "lo") as { flags: string[] }[] | undefined;
  return links?.[0]?.flags ?? [];
}

t.test("lo is up after ADD and down after DEL; both may come twice", needsRoot, async (t) => {
  const node = newHost(t);
  for (const verb of ["ADD", "ADD", "CHECK", "STATUS", "DEL", "DEL"] as const) {
    t.match(node.cni("loopback", verb, network()), { status: 0, stderr: "" }, verb);
    t.equal(flagsOfLo(node).includes("UP"), ["ADD", "CHECK", "STATUS"].includes(verb), `${verb}: up or down`);
  }
  t.match(node.cni("loopback", "GC", network({ "cni.dev/valid-attachments": [] })), { status: 0, stdout: "" });
});

const ips = (extra: (family: "4" | "6") => object) => [
  { ...extra("4"), interface: 0, address: "127.0.0.1/8" },
  { ...extra("6"), interface: 0, address: "::1/128" },
];
const results: Record<string, object> = {
  "0.1.0": { ip4: { ip: "127.0.0.1/8" }, ip6: { ip: "::1/128" }, dns: {} },
  "0.2.0": { ip4: { ip: "127.0.0.1/8" }, ip6: { ip: "::1/128" }, dns: {} },
  "0.3.0": { ips: ips((version) => ({ version })), dns: {} },
  "0.3.1": { ips: ips((version) => ({ version })), dns: {} },
  "0.4.0": { ips: ips((version) => ({ version })), dns: {} },
  "1.0.0": { ips: ips(() => ({})) },
  "1.1.0": { ips: ips(() => ({})) },
};
for (const [cniVersion, result] of Object.entries(results)) {
  t.test(`the result has the shape of ${cniVersion}`, needsRoot, async (t) => {
    const node = newHost(t);
    const lo = { name: "lo", mac: "00:00:00:00:00:00", sandbox: node.containers[0]?.path };
    const interfaces = cniVersion >= "0.3.0" ? { interfaces: [lo] } : {};
    const { stdout } = node.cni("loopback", "ADD", network({ cniVersion }));
    t.strictSame(stdout, { cniVersion, ...interfaces, ...result });
  });
}

t.test("without IPv6 the result has IPv4 only", needsRoot, async (t) => {
  const node = newHost(t);
  node.containers[0]?.sh("echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6");
  t.match(node.cni("loopback", "ADD", network()).stdout, { ips: [{ address: "127.0.0.1/8", interface: 0 }] });
});

t.test("prevResult is passed on", needsRoot, async (t) => {
  const node = newHost(t);
  const prevResult = { cniVersion: "1.1.0", interfaces: [{ name: "eth0" }], ips: [{ address: "10.1.2.3/24" }] };
  t.strictSame(node.cni("loopback", "ADD", network({ prevResult })).stdout, prevResult);
  t.ok(flagsOfLo(node).includes("UP"));
});

t.test("an ADD that fails leaves lo as it was", needsRoot, async (t) => {
  const node = newHost(t);
  node.containers[0]?.sh("ip addr add 192.0.2.1/32 dev lo");
  const before = node.snapshot();
  t.match(node.cni("loopback", "ADD", network()), {
    status: 1,
    stdout: {
      code: 999,
      msg: 'link "lo" has 192.0.2.1/32, must have loopback addresses only',
      details:
        "To fix: remove it (`ip address delete 192.0.2.1/32 dev lo` in the namespace), or give it to another link",
    },
  });
  t.strictSame(node.snapshot(), before);
});

t.test("CHECK notices that lo is down", needsRoot, async (t) => {
  const node = newHost(t);
  t.match(node.cni("loopback", "CHECK", network()), {
    status: 1,
    stdout: { code: 999, msg: `link "lo" in ${node.containers[0]?.path} is down, must be up` },
  });
});

t.test("DEL is content when there is no namespace any more", needsRoot, async (t) => {
  const node = newHost(t);
  for (const CNI_NETNS of ["", "/run/netns/gone"])
    t.match(node.cni("loopback", "DEL", network(), { environment: { CNI_NETNS } }), { status: 0, stdout: "" });
});
