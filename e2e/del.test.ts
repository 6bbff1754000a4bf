// DEL of every plugin, with whatever is missing: it succeeds, and nothing of the attachment stays on the host. So does GC when DEL
// never comes. One rule for all plugins, so one table: who is not in it fails the test.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import t from "tap";
import { withoutRoundRobin } from "./faults/faults.ts";
import { type Call, type Container, type Host, newHost } from "./lab/host.ts";
import { type Feature, inFullRun, inLab, inLongRunOnCompleteKernel, needsKernel, needsRoot } from "./lab/needs.ts";
import { ourTools } from "./lab/project.ts";
import { filesBelow, lookAt } from "./lab/snapshot.ts";

type Conf = Record<string, unknown>;

interface Subject {
  /** The plugin's own keys for the container of this number. */
  keys?: (container: number) => Conf;
  /** Called behind bridge, with its result. */
  isChained?: boolean;
  needs?: readonly Feature[];
  /** Run once on the host, which has so many containers. */
  prepare?: (containers: number) => string;
  /** Keys with values that ADD refuses, beside those that all plugins get. */
  unfit?: Conf;
  /** What cannot happen to it. */
  without?: readonly string[];
}

const ipam = { type: "host-local", ranges: [[{ subnet: "10.1.0.0/24" }], [{ subnet: "fd00:1::/64" }]] };
const withAddresses = (keys: Conf = {}) => ({ keys: () => ({ ipam, ...keys }) });
const uplink = () => "ip link add uplink type veth peer name far; ip link set uplink up; ip link set far up";
const each = (containers: number, command: (i: number) => string) =>
  Array.from({ length: containers }, (_, i) => command(i)).join("\n");
const ports = (container: number) => [
  { hostPort: 8000 + container, containerPort: 80, protocol: "tcp" },
  { hostPort: 8000 + container, containerPort: 53, protocol: "udp" },
];
/** The resolver's own socket and records, since it runs on. */
const ownResolver = "mkdir -p /run/twill && mount -t tmpfs none /run/twill";
const rates = { ingressRate: 8_000_000, ingressBurst: 800_000, egressRate: 8_000_000, egressBurst: 800_000 };
const chained = (keys: (container: number) => Conf = () => ({})) => ({ keys, isChained: true });

const subjects: Record<string, Subject> = {
  bandwidth: { ...chained(() => rates), unfit: { latency: 0, ingressRate: "8M" } },
  bridge: {
    ...withAddresses({ bridge: "br0", isDefaultGateway: true, ipMasq: true, macspoofchk: true }),
    unfit: { bridge: "a/b", vlan: "x", vlanTrunk: [{ id: 5000 }], ipMasqBackend: "other" },
  },
  debug: { ...chained(), unfit: { addHooks: [7], delHooks: ["true"] } },
  dnsname: { ...chained(() => ({ domainName: "dns.podman" })), prepare: () => ownResolver, unfit: { domainName: 5 } },
  dummy: { ...withAddresses(), needs: ["dummy"] },
  firewall: {
    ...chained(() => ({ ingressPolicy: "same-bridge" })),
    unfit: { backend: "other", iptablesAdminChainName: 7 },
  },
  flannel: {
    keys: () => ({ subnetFile: "/var/lib/subnet.env" }),
    prepare: () =>
      `printf 'FLANNEL_NETWORK=10.1.0.0/16\\nFLANNEL_SUBNET=10.1.3.1/24\\nFLANNEL_MTU=1450\\nFLANNEL_IPMASQ=false\\n' > /var/lib/subnet.env`,
  },
  "host-device": {
    keys: (container) => ({ ipam, device: `dev${container}`, dataDir: "/var/lib/host-device" }),
    prepare: (containers) => each(containers, (i) => `ip link add dev${i} type veth peer name peer${i}`),
    unfit: { device: "a-name-of-more-than-15-bytes", hwaddr: "x", kernelpath: "/etc", pciBusID: 5 },
    without: ["its interface"], // a device that is gone does not come back
  },
  "host-local": withAddresses(),
  ipvlan: {
    ...withAddresses({ master: "uplink" }),
    prepare: uplink,
    needs: ["ipvlan"],
    unfit: { master: "uplink:1", mode: "l9" },
  },
  loopback: {},
  macvlan: {
    ...withAddresses({ master: "uplink" }),
    prepare: uplink,
    needs: ["macvlan"],
    unfit: { master: "uplink:1", mode: "none", bcqueuelen: -5 },
  },
  portmap: {
    ...chained((container) => ({ runtimeConfig: { portMappings: ports(container) } })),
    unfit: { backend: "other", markMasqBit: 77, conditionsV4: 5 },
  },
  ptp: withAddresses({ ipMasq: true }),
  sbr: { ...chained(), unfit: { table: "main" } },
  static: { keys: () => ({ ipam: { type: "static", addresses: [{ address: "10.1.0.2/24" }] } }) },
  tap: { ...withAddresses(), unfit: { mac: "x", owner: -1, bridge: "a b" } },
  tuning: {
    ...chained(() => ({ dataDir: "/var/lib/tuning", mtu: 1400, mac: "02:00:00:00:00:01" })),
    unfit: { mac: 5, sysctl: { "net.core.somaxconn": 5 }, txQLen: -1 },
  },
  vlan: {
    keys: (container) => ({ ipam, master: "uplink", vlanId: 100 + container }),
    prepare: uplink,
    needs: ["vlan"],
    unfit: { master: "uplink:1", vlanId: "100" },
  },
  vrf: { ...chained(() => ({ vrfname: "red" })), needs: ["vrf"], unfit: { vrfname: "a/b", table: "x" } },
};
/** Whose own tests have all of it: they need a server, or a daemon. */
const elsewhere = ["dhcp"];

/** Values that ADD refuses, in keys that no DEL needs. */
const unfit = {
  mtu: "1400",
  dns: 5,
  args: { cni: { mac: 7, sysctl: ["x"] } },
  runtimeConfig: { mac: 7, bandwidth: "fast", portMappings: [7, { hostPort: "80" }] },
};
const unfitIpam = { ...ipam, ranges: [[{ subnet: "nonsense" }]], routes: [{ dst: 5 }], resolvConf: 5 };

/** What chained plugins stand behind. */
const bridge = { cniVersion: "1.1.0", name: "net", type: "bridge", bridge: "br0", isGateway: true, ipam };

/** What is missing when DEL comes. */
interface Lack {
  what: string;
  keys?: (subject: Subject, conf: Conf) => Conf;
  environment?: Call["environment"];
  prevResult?: false;
  before?: (container: Container, ifName: string) => void;
}
const lacks: readonly Lack[] = [
  { what: "nothing" },
  { what: "CNI_NETNS", environment: { CNI_NETNS: "" } },
  { what: "the namespace's path", environment: { CNI_NETNS: "/run/netns/gone-long-ago" } },
  { what: "prevResult", prevResult: false },
  { what: "CNI_NETNS and prevResult", environment: { CNI_NETNS: "" }, prevResult: false },
  {
    what: "values that ADD would take",
    keys: (subject, { ipam: own }) => ({ ...unfit, ...(own === ipam && { ipam: unfitIpam }), ...subject.unfit }),
  },
  { what: "its interface", before: ({ run }, ifName) => run("ip", "link", "delete", ifName) },
];

/** Where most is missing. Each takes two looks at the host, seconds on the complete kernel. */
const IN_EACH_RUN_LACKING = ["CNI_NETNS and prevResult", "values that ADD would take", "its interface"];
const tried = inFullRun && !inLab ? lacks : lacks.filter(({ what }) => IN_EACH_RUN_LACKING.includes(what));

const names = spawnSync(join(ourTools, "twill"), ["--plugins"], { encoding: "utf8" })
  .stdout.split("\n")
  .filter(Boolean);
const plugins = names.filter((name) => !elsewhere.includes(name));

t.test("every plugin is in the table", needsRoot, async (t) => {
  t.ok(plugins.length >= 5, `sees the plugins: ${plugins}`);
  t.strictSame(
    plugins.filter((name) => !(name in subjects)),
    [],
  );
});

/** Of those that only the complete kernel has; the others' links are deleted by the code that macvlan shows here. */
const IN_EACH_RUN = ["vlan", "vrf"];

for (const plugin of plugins) {
  const subject = subjects[plugin] ?? {};
  const needs = needsKernel(...(subject.needs ?? []));
  t.test(
    `${plugin}: DEL and GC leave nothing on the host, whatever is missing`,
    IN_EACH_RUN.includes(plugin) ? needs : inLongRunOnCompleteKernel(needs),
    async (t) => {
      const node = newHost(t, { containers: 1 + tried.length });
      node.sh(subject.prepare?.(1 + tried.length) ?? "");
      attach(node, plugin, subject, 0);
      detach(node, plugin, subject, 0);
      const before = hostState(node);
      for (const [i, lack] of tried.entries()) {
        if (subject.without?.includes(lack.what)) continue;
        const result = attach(node, plugin, subject, 1 + i);
        const container = node.containers[1 + i];
        if (container !== undefined) lack.before?.(container, "eth0");
        for (const again of ["", ", twice"]) {
          const own = confOf(plugin, subject, 1 + i);
          const conf = { ...own, ...lack.keys?.(subject, own), ...(lack.prevResult ?? { prevResult: result }) };
          const call = { container: 1 + i, ...(lack.environment && { environment: lack.environment }) };
          t.match(node.cni(plugin, "DEL", conf, call), { status: 0, stdout: "" }, `without ${lack.what}${again}`);
        }
        if (subject.isChained) detachBridge(node, 1 + i);
        t.strictSame(hostState(node), before, `without ${lack.what}: nothing is left`);
      }
    },
  );

  t.test(
    `${plugin}: GC does for a container that is gone what DEL did not`,
    plugin === "vrf" ? needs : inLongRunOnCompleteKernel(needs),
    async (t) => {
      const node = newHost(t, { containers: 2 });
      node.sh(subject.prepare?.(2) ?? "");
      attach(node, plugin, subject, 0);
      detach(node, plugin, subject, 0);
      const alive = attach(node, plugin, subject, 1);
      const withOne = hostState(node);
      attach(node, plugin, subject, 0);
      if (subject.isChained) detachBridge(node, 0);
      else node.containers[0]?.run("ip", "link", "delete", "eth0");
      const conf = confOf(plugin, subject, 0);
      const valid = [{ containerID: node.containers[1]?.id, ifname: "eth0" }];
      t.match(node.cni(plugin, "GC", { ...conf, "cni.dev/valid-attachments": valid }), { status: 0, stdout: "" });
      if (!subject.without?.includes("its interface"))
        t.strictSame(hostState(node), withOne, "the other one's is left");
      t.match(
        node.cni(plugin, "CHECK", { ...confOf(plugin, subject, 1), prevResult: alive }, { container: 1 }),
        { status: 0 },
        "and is right",
      );
    },
  );
}

function confOf(plugin: string, { keys }: Subject, container: number): Conf {
  return { cniVersion: "1.1.0", name: "net", type: plugin, ...keys?.(container) };
}

/** ADD, behind bridge if it is a chained plugin. @returns its result */
function attach(node: Host, plugin: string, subject: Subject, container: number): unknown {
  const prevResult = subject.isChained ? succeed(node, "bridge", "ADD", bridge, container) : undefined;
  return succeed(
    node,
    plugin,
    "ADD",
    { ...confOf(plugin, subject, container), ...(prevResult !== undefined && { prevResult }) },
    container,
  );
}

function detach(node: Host, plugin: string, subject: Subject, container: number): void {
  succeed(node, plugin, "DEL", confOf(plugin, subject, container), container);
  if (subject.isChained) detachBridge(node, container);
}

function detachBridge(node: Host, container: number): void {
  succeed(node, "bridge", "DEL", bridge, container);
}

function succeed(node: Host, plugin: string, verb: "ADD" | "DEL", conf: Conf, container: number): unknown {
  const { status, stdout, stderr } = node.cni(plugin, verb, conf, { container });
  if (status !== 0) throw new Error(`${plugin} ${verb}: ${JSON.stringify(stdout)} ${stderr}`);
  return stdout;
}

/**
 * Without the containers', which are not all in reach, and without which address was given last. A master listens to the MACs of its
 * children as long as they live, in containers that are out of reach as well.
 */
function hostState(node: Host): unknown {
  const { namespaces, files } = withoutRoundRobin({
    namespaces: lookAt([node.name]),
    files: filesBelow(node.varLib),
  });
  const { links = {}, ...host } = namespaces[node.name] ?? {};
  const named = Object.entries(links).map(([name, { promiscuity: _, ...link }]) => [name, link]);
  return { host: { ...host, links: Object.fromEntries(named) }, files };
}

const racing: Record<string, object> = {
  bridge: { bridge: "br0", isGateway: true },
  ptp: {},
  "host-device": { device: "uplink" },
};
for (const [plugin, keys] of Object.entries(racing)) {
  t.test(`${plugin}: a DEL beside an ADD leaves no interface whose address is free`, needsRoot, async (t) => {
    const node = newHost(t, { containers: 2 });
    node.sh("ip link add uplink type veth peer name far");
    const ipam = { type: "host-local", ranges: [[{ subnet: "10.9.0.0/24" }]] };
    const conf = { cniVersion: "1.1.0", name: "net", type: plugin, ipam, ...keys };
    for (const verb of ["ADD", "DEL"] as const) node.cni(plugin, verb, conf, { container: 1 }); // makes the directory of the lock
    const under = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=flock:delay_enter=3000000:when=1"];
    let isDone = false;
    const deleted = node.cniAtOnce(plugin, "DEL", conf, { under }).finally(() => {
      isDone = true;
    });
    const isBetween = () =>
      /flock|lock/.test(node.sh("ls -l /proc/[0-9]*/fd 2> /dev/null | grep networks/net/lock || true"));
    while (!isDone && !isBetween()) await setTimeout(5);
    t.match(node.cni(plugin, "ADD", conf), { status: 0 });
    t.match(await deleted, { status: 0, stdout: "", stderr: "" });
    const hasInterface = node.containers[0]?.run("ip", "link", "show", "eth0").status === 0;
    const hasAddress = node.sh("find /var/lib/cni/networks/net -name '10.*'") !== "";
    t.equal(hasInterface, hasAddress);
    t.match(node.cni(plugin, "DEL", conf), { status: 0 });
  });
}
