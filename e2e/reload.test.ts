// `twill reload`: after the firewall has lost all rules, what living containers had is there again.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { cacheSamples } from "./lab/cache-samples.ts";
import type { Host, Ran } from "./lab/host.ts";
import { needsRoot } from "./lab/needs.ts";
import { ourBin, ourTools, projectRoot } from "./lab/project.ts";
import { type Backend, backends, CLIENT, HOST, Site } from "./lab/publishing.ts";

/** bridge with masquerade and MAC spoof check, portmap, firewall. */
function list(backend: Backend, keys: { network?: string; subnet?: string } = {}): object {
  const { network = "net", subnet = "10.1.0.0/24" } = keys;
  const ipam = { type: "host-local", ranges: [[{ subnet }]] };
  return {
    cniVersion: "1.0.0",
    name: network,
    plugins: [
      {
        type: "bridge",
        bridge: `${network}0`,
        isDefaultGateway: true,
        ipMasq: true,
        ipMasqBackend: backend,
        macspoofchk: true,
        ipam,
      },
      { type: "portmap", backend, capabilities: { portMappings: true } },
      { type: "firewall", backend, ingressPolicy: "same-bridge" },
    ],
  };
}

/** Through cnitool, as a runtime with its cache. */
function attach(node: Host, network: string, container: number, hostPort: number): void {
  const portMappings = [{ hostPort, containerPort: 80, protocol: "tcp" }];
  const { status, stderr } = node.runInside(
    [join(ourTools, "cnitool"), "add", network, node.containers[container]?.path ?? ""],
    {
      CNI_PATH: ourBin,
      NETCONFPATH: "/var/lib/net.d",
      CAP_ARGS: JSON.stringify({ portMappings }),
    },
  );
  if (status !== 0) throw new Error(stderr);
}

const reload = (node: Host, ...args: string[]): Ran => node.runInside([join(ourTools, "twill"), "reload", ...args]);

/** Returns how often `twill reload --dry-run` reads the rules of each chain or table. */
function reads(node: Host): Map<string, number> {
  const { stderr } = node.runInside([join(ourTools, "twill"), "reload", "--dry-run"], { TWILL_TRACE: "1" });
  const counts = new Map<string, number>();
  for (const [line] of stderr.matchAll(/^> NFT_MSG_GETRULE .*$/gm)) {
    const what = line.replace(/#\d+/, "");
    counts.set(what, (counts.get(what) ?? 0) + 1);
  }
  return counts;
}

/** Without handles, which are new each time. */
const rules = (node: Host): unknown =>
  JSON.parse(node.sh("nft -s -j list ruleset"), (key, value) => (key === "handle" ? undefined : value));

for (const backend of backends) {
  t.test(
    `reload, ${backend}: all rules are there again as they were, and connections go through`,
    needsRoot,
    async (t) => {
      const site = new Site(t, backend, 3);
      const { node, client } = site;
      node.write("/var/lib/net.d/10-net.conflist", JSON.stringify(list(backend)));
      node.write(
        "/var/lib/net.d/20-other.conflist",
        JSON.stringify(list(backend, { network: "other", subnet: "10.2.0.0/24" })),
      );
      attach(node, "net", 0, 8080);
      attach(node, "other", 1, 8081);
      attach(node, "net", 2, 8082);
      for (const container of [0, 1, 2]) site.serve(80, container);
      const before = rules(node);
      const printed = node.sh("nft -s list ruleset");
      t.match(
        reload(node),
        { status: 0, stdout: "3 attachments, nothing is missing\n", stderr: "" },
        "as long as nothing is missing",
      );
      t.equal(node.sh("nft -s list ruleset"), printed, "nothing is changed");
      const counts = reads(node);
      t.ok(counts.size > 3);
      t.strictSame(
        [...counts].filter(([, count]) => count > 1),
        [],
        "rules are read once for all attachments",
      );

      node.sh("nft flush ruleset");
      t.equal(site.ask(client, HOST, 8080), "");
      const dry = reload(node, "--dry-run");
      t.match(dry, {
        status: 0,
        stderr: "",
        stdout: /^net cnitool-\w+ eth0: \d+ changes to make\n(.+\n)+3 attachments, \d+ changes to make\n$/,
      });
      t.match(dry.stdout, /^ {4}(\d+ x )?add (rule in|elements of|table|chain|set) (ip|inet) \w+/m);
      t.equal(node.sh("nft list ruleset"), "", "--dry-run changes nothing");
      t.match(reload(node), {
        status: 0,
        stderr: "",
        stdout:
          /^net cnitool-\w+ eth0: \d+ changes made\nother cnitool-\w+ eth0: \d+ changes made\nnet cnitool-\w+ eth0: \d+ changes made/,
      });
      t.equal(node.sh("nft -s list ruleset"), printed);
      t.strictSame(rules(node), before);
      for (const [i, port] of [8080, 8081, 8082].entries()) t.equal(site.ask(client, HOST, port), `c${i} ${CLIENT}`);
    },
  );

  t.test(`reload, ${backend}: half of the rules, and a container that is dead`, needsRoot, async (t) => {
    const site = new Site(t, backend, 2);
    const { node } = site;
    node.write("/var/lib/net.d/10-net.conflist", JSON.stringify(list(backend)));
    attach(node, "net", 0, 8080);
    const alone = node.sh("nft -s list ruleset");
    attach(node, "net", 1, 8081);
    node.sh(`ip netns del ${node.containers[1]?.name}`);
    node.sh("nft flush ruleset");
    t.match(reload(node), { status: 0, stderr: "", stdout: /1 attachments/ });
    t.equal(node.sh("nft -s list ruleset"), alone, "the dead one has none");

    node.sh(
      backend === "iptables"
        ? "iptables -t nat -F CNI-HOSTPORT-DNAT; iptables -F CNI-FORWARD"
        : "nft delete table ip twill_hostport",
    );
    t.match(reload(node), { status: 0, stderr: "", stdout: /net cnitool-\w+ eth0: \d+ changes made/ });
    t.equal(sorted(node), sortedText(alone));
  });
}

for (const backend of backends) {
  t.test(`reload, ${backend}: who is dead is known from every runtime's cache`, needsRoot, async (t) => {
    const site = new Site(t, backend);
    const { node } = site;
    site.attach();
    node.sh("nft flush ruleset");
    const skipped = (told: string) =>
      told.match(/(?<=^net ).+(?= eth0: skipped, its container may no longer exist: )/gm) ?? [];
    const nothing = "0 attachments, nothing is missing\n";

    for (const { writer, write } of cacheSamples) write(node, { id: writer, netns: "/run/netns/gone" }, backend);
    const dead = reload(node);
    t.match(dead, { status: 1, stdout: nothing });
    t.strictSame(
      skipped(dead.stderr),
      cacheSamples.filter((one) => !one.hasNamespace).map(({ writer }) => writer),
    );
    for (const { writer, write } of cacheSamples) write(node, { id: writer, netns: node.path }, backend);
    const reused = reload(node);
    t.match(reused, { status: 1, stdout: nothing });
    t.strictSame(
      skipped(reused.stderr),
      cacheSamples.map(({ writer }) => writer),
      "now the host's own namespace",
    );
    t.equal(node.sh("nft list ruleset"), "");

    for (const { writer, write, hasNamespace } of cacheSamples) {
      node.sh("rm -r /var/lib/cni/results; nft flush ruleset");
      write(node, { id: "c", netns: node.containers[0]?.path ?? "" }, backend);
      const { status, stdout, stderr } = reload(node);
      t.equal(status, hasNamespace ? 0 : 1, writer);
      t.strictSame(skipped(stderr), hasNamespace ? [] : ["c"], writer);
      t.match(stdout, hasNamespace ? /^net c eth0: \d+ changes made/ : nothing, writer);
      t.equal(node.sh("nft list ruleset") !== "", hasNamespace, writer);
    }
  });
}

t.test("reload: a damaged entry is told, and does not keep others from being restored", needsRoot, async (t) => {
  const site = new Site(t, "nftables");
  const { node } = site;
  site.attach();
  node.sh("nft flush ruleset");
  const [sample] = cacheSamples.filter(({ hasNamespace }) => hasNamespace);
  sample?.write(node, { id: "c", netns: node.containers[0]?.path ?? "" }, "nftables");
  const file = "/var/lib/cni/results/net-d-eth0";
  node.write(file, "");
  t.match(reload(node), {
    status: 1,
    stdout: /^net c eth0: \d+ changes made\n1 attachments, /,
    stderr: `damaged ${file}: skipped: it is empty\n`,
  });
  t.not(site.published().length, 0);
  node.sh("rm -r /var/lib/cni/results");
  node.write("/var/lib/cni/results", "a file");
  t.match(reload(node), { status: 1, stdout: "", stderr: /^twill reload: \/var\/lib\/cni\/results cannot be read: / });
});

t.test(
  "reload: a damaged record of flannel is told, and portmap's rules are restored all the same",
  needsRoot,
  async (t) => {
    const { node } = new Site(t, "nftables");
    const subnetFile = "/var/lib/flannel/subnet.env";
    node.write(
      subnetFile,
      "FLANNEL_NETWORK=10.1.0.0/16\nFLANNEL_SUBNET=10.1.17.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n",
    );
    const portmap = { type: "portmap", backend: "nftables", capabilities: { portMappings: true } };
    const plugins = [{ type: "flannel", subnetFile }, portmap];
    node.write("/var/lib/net.d/10-net.conflist", JSON.stringify({ cniVersion: "1.0.0", name: "net", plugins }));
    attach(node, "net", 0, 8080);
    const before = rules(node);
    t.match(reload(node), { status: 0, stdout: "1 attachments, nothing is missing\n", stderr: "" });
    node.sh("nft flush ruleset; for record in /var/lib/cni/flannel/*; do echo '{' > $record; done");
    t.match(reload(node), {
      status: 1,
      stdout: /^net cnitool-\w+ eth0: \d+ changes made/,
      stderr: /^net cnitool-\w+ eth0: there is no record of "eth0" of container cnitool-\w+; /,
    });
    t.strictSame(rules(node), before, "flannel itself has made none here");
  },
);

const sortedText = (text: string): string => text.split("\n").sort().join("\n");
const sorted = (node: Host): string => sortedText(node.sh("nft -s list ruleset"));

t.test("reload: delegates of multus get their rules back; plugins of other makers are named", needsRoot, async (t) => {
  const { node } = new Site(t, "nftables");
  node.write("/var/lib/net.d/10-net.conflist", JSON.stringify(list("nftables")));
  attach(node, "net", 0, 8080);
  const before = rules(node);
  const file = node.sh("ls /var/lib/cni/results/net-*").trim();
  const entry = JSON.parse(node.sh(`cat ${file}`));
  const withType = (name: string, type: string) => {
    const conf = { cniVersion: "1.0.0", name, plugins: [{ type }] };
    const config = Buffer.from(JSON.stringify(conf)).toString("base64");
    node.write(
      `/var/lib/cni/results/${name}-${entry.containerId}-eth0`,
      JSON.stringify({ ...entry, networkName: name, config, result: { cniVersion: "1.0.0" } }),
    );
  };
  node.sh(`mkdir -p /var/lib/cni/multus/results; mv ${file} /var/lib/cni/multus/results/`);
  withType("multus-cni-network", "multus");
  withType("podman", "nosuch");
  node.sh("nft flush ruleset");
  t.match(reload(node), {
    status: 0,
    stdout: /^net cnitool-\w+ eth0: \d+ changes made/,
    stderr: /^plugin "nosuch" of 1 attachments is not one of twill's: rules that it has made are not restored[^\n]*\n$/,
  });
  t.strictSame(rules(node), before);
  const cnitool = (...args: string[]) =>
    node.runInside([join(ourTools, "cnitool"), ...args], { CNI_PATH: ourBin, NETCONFPATH: "/var/lib/net.d" });
  t.match(cnitool("list"), { status: 0, stdout: /^net /m });
  node.write("/var/lib/net.d/10-net.conflist", JSON.stringify({ ...list("nftables"), cniVersion: "1.1.0" }));
  t.match(cnitool("gc", "--dead", "net"), { status: 0 });
  t.strictSame(rules(node), before, "who lives keeps all");
});

t.test("reload: the runtime's cache may lie elsewhere, or be damaged", needsRoot, async (t) => {
  const { node } = new Site(t, "iptables");
  t.match(reload(node, "--cache-dir", "/var/lib/none"), {
    status: 0,
    stdout: "0 attachments, nothing is missing\n",
    stderr: /^twill reload: there is no \/var\/lib\/none\/results: pass the directory /,
  });
  const { path = "" } = node.containers[0] ?? {};
  const entry = { kind: "cniCacheV1", containerId: "c", ifName: "eth0", networkName: "net", netns: path, result: {} };
  node.write(
    "/var/lib/cni/results/net-c-eth0",
    JSON.stringify({ ...entry, config: Buffer.from("{}").toString("base64") }),
  );
  t.match(reload(node), {
    status: 1,
    stdout: "1 attachments, nothing is missing\n",
    stderr: /^net c eth0: cached result of net c eth0: /,
  });
  for (const [wrong, complaint] of [
    ["--dry", 'unknown argument "--dry"'],
    ["--cache-dir", "--cache-dir needs a directory"],
  ] as const)
    t.match(reload(node, wrong), { status: 2, stdout: "", stderr: `twill reload: ${complaint}\n\nUsage: ` });
  t.match(reload(node, "--help"), { status: 0, stdout: /^Usage: twill reload/ });
});

t.test("reload: systemd runs it after the firewall's services, whose failure it never is", async (t) => {
  const conf = join(projectRoot, "conf");
  const dropIns = readdirSync(conf).filter((name) => name.endsWith(".service.d"));
  t.ok(dropIns.length >= 5, "sees them");
  for (const dropIn of dropIns) {
    const lines = readFileSync(join(conf, dropIn, "twill.conf"), "utf8")
      .split("\n")
      .filter((line) => /^[^#]/.test(line));
    t.equal(lines[0], "[Service]");
    t.equal(lines[1], "ExecStartPost=-/usr/local/bin/twill reload", dropIn);
    for (const line of lines.slice(1)) t.match(line, /^Exec(StartPost|Reload)=-\//);
  }
});
