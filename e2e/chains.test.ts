// The plugins as runtimes use them: whole lists, many containers at once.
import { join } from "node:path";
import t, { type Test } from "tap";
import { withoutRoundRobin } from "./faults/faults.ts";
import { type Host, newHost } from "./lab/host.ts";
import { inFullRun, inFullRunOnly, needsKernel } from "./lab/needs.ts";
import { ourBin, ourTools } from "./lab/project.ts";

const CONTAINERS = inFullRun ? 100 : 30;
const needs = needsKernel("ifb", "tbf");
/** What loses a rule among many is the exchange of a table with the kernel, which is the same for both. */
const needsOf = { iptables: inFullRunOnly(needs), nftables: needs };
const NETWORK = "chain";

const chain = (backend: "iptables" | "nftables") => ({
  cniVersion: "1.1.0",
  name: NETWORK,
  plugins: [
    {
      type: "bridge",
      bridge: "chain0",
      isDefaultGateway: true,
      ipMasq: true,
      ipMasqBackend: backend,
      ipam: { type: "host-local", ranges: [[{ subnet: "10.1.0.0/16" }]] },
    },
    { type: "portmap", backend, capabilities: { portMappings: true } },
    { type: "firewall", backend, ingressPolicy: "same-bridge" },
    {
      type: "bandwidth",
      ingressRate: 80_000_000,
      ingressBurst: 8_000_000,
      egressRate: 80_000_000,
      egressBurst: 8_000_000,
    },
    { type: "tuning", dataDir: "/var/lib/tuning", mtu: 1400, sysctl: { "net.ipv4.conf.IFNAME.arp_filter": "1" } },
  ],
});

/** Container 0 publishes port 10000, and so on. */
function cnitool(node: Host, verb: string, container: number, under: readonly string[] = []) {
  const portMappings = [{ hostPort: 10_000 + container, containerPort: 80, protocol: "tcp" }];
  return node.runInsideAtOnce(
    [...under, join(ourTools, "cnitool"), verb, NETWORK, node.containers[container]?.path ?? ""],
    {
      CNI_PATH: ourBin,
      NETCONFPATH: "/var/lib/net.d",
      CAP_ARGS: JSON.stringify({ portMappings }),
    },
  );
}

async function allAtOnce(t: Test, node: Host, verb: string): Promise<void> {
  const outcomes = await Promise.all(node.containers.map((_, i) => cnitool(node, verb, i)));
  t.strictSame(
    outcomes.filter(({ status, stderr }) => status !== 0 || stderr !== ""),
    [],
    `${verb} of all`,
  );
}

for (const backend of ["iptables", "nftables"] as const) {
  t.test(
    `${CONTAINERS} containers up and down at once, by ${backend}: no rule is lost, nothing is left`,
    needsOf[backend],
    async (t) => {
      const node = newHost(t, { containers: CONTAINERS });
      node.write("/var/lib/net.d/chain.conflist", JSON.stringify(chain(backend)));
      for (const verb of ["add", "del"]) t.match(await cnitool(node, verb, 0), { status: 0, stderr: "" }, verb);
      const before = hostState(node);

      await allAtOnce(t, node, "add");
      const ruleset = node.sh("nft list ruleset");
      const links = node.sh("ip -o link show");
      for (let i = 0; i < CONTAINERS; i++) {
        const address = addressOf(node, i);
        t.ok(
          ruleset.split(`${address}`).length > 3,
          `${address} stands in the rules of masquerade, portmap and firewall`,
        );
        t.match(ruleset, new RegExp(`\\b${10_000 + i}\\b`), `port ${10_000 + i} is published`);
      }
      t.equal(links.match(/: bwp[\da-f]{12}:/g)?.length, CONTAINERS, "each has its ifb");
      await allAtOnce(t, node, "check");
      t.equal(reached(node, 0, 7), "from container 7", "a published port leads to its container");

      await allAtOnce(t, node, "del");
      t.strictSame(hostState(node), before);
    },
  );
}

t.test("the whole list starts no program, up and down", needs, async (t) => {
  const node = newHost(t);
  t.match(node.sh("iptables --version"), "nf_tables", "where iptables is the variant for nf_tables");
  for (const backend of ["iptables", "nftables"] as const) {
    node.write("/var/lib/net.d/chain.conflist", JSON.stringify(chain(backend)));
    for (const verb of ["add", "check", "del"]) {
      const under = ["strace", "-f", "-qq", "-e", "trace=execve,execveat", "-o", "/var/lib/started"];
      t.match(await cnitool(node, verb, 0, under), { status: 0, stderr: "" }, `${backend}, ${verb}`);
      const started = node.sh("cat /var/lib/started").trim().split("\n");
      t.equal(started.length, 1, `${backend}, ${verb}: cnitool alone is started: ${started.join(", ")}`);
    }
  }
});

function addressOf(node: Host, container: number): string {
  return /inet ([\d.]+)/.exec(node.containers[container]?.sh("ip -o -4 address show eth0") ?? "")?.[1] ?? "none";
}

/** What a container hears that asks the host for another one's published port. */
function reached(node: Host, from: number, to: number): string {
  const [asking, answering] = [node.containers[from], node.containers[to]];
  const gateway = "10.1.0.1";
  return node.sh(`
    mkfifo /var/lib/ready
    ip netns exec ${answering?.name} node -e 'require("net").createServer((s) => s.end("from container ${to}")).listen(80, () => console.log("ready"))' > /var/lib/ready &
    server=$!
    trap 'kill $server; rm /var/lib/ready' EXIT
    read ready < /var/lib/ready
    ip netns exec ${asking?.name} node -e 'require("net").connect(${10_000 + to}, "${gateway}").pipe(process.stdout)'`);
}

/** Without the containers' namespaces. */
function hostState(node: Host): unknown {
  const { namespaces, files } = withoutRoundRobin(node.snapshot());
  return { host: namespaces[node.name], files };
}
