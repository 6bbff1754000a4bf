// `twill metrics`: the numbers of a node, and the file that node_exporter reads.
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { attach, bridge, configure, twill } from "./doctor/lab.ts";
import { type Host, newHost } from "./lab/host.ts";
import { needsRoot } from "./lab/needs.ts";
import { projectRoot } from "./lab/project.ts";

/** Values by series; each family has its two lines once. */
function metrics(t: Test, node: Host): Record<string, number> {
  const { status, stdout, stderr } = twill(node, "metrics");
  t.strictSame({ status, stderr }, { status: 0, stderr: "" });
  const lines = stdout.trimEnd().split("\n");
  const types = lines.filter((line) => line.startsWith("# TYPE ")).map((line) => line.split(" ")[2]);
  t.strictSame(types, [...new Set(types)]);
  const samples = lines.filter((line) => !line.startsWith("#"));
  for (const line of samples) {
    t.match(line, /^twill_[a-z_]+(\{([a-z]+="([^"\\]|\\[\\"n])*",?)+\})? \d+$/);
    t.ok(types.includes(/^\w+/.exec(line)?.[0] ?? ""), line);
  }
  return Object.fromEntries(
    samples.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ") + 1))]),
  );
}

function newNode(t: Test): Host {
  const node = newHost(t, { containers: 3 });
  configure(node, [bridge({}, { ranges: [[{ subnet: "10.1.0.0/24" }], [{ subnet: "fd00:1::/64" }]] })]);
  for (const i of node.containers.keys()) attach(node, i);
  return node;
}

t.test("metrics of a node: addresses, attachments, leftovers, lost rules, failed calls", needsRoot, async (t) => {
  const node = newNode(t);
  t.match(metrics(t, node), {
    'twill_addresses_used{network="net",range="10.1.0.1-10.1.0.254"}': 3,
    'twill_addresses_free{network="net",range="10.1.0.1-10.1.0.254"}': 250,
    'twill_addresses_used{network="net",range="fd00:1::1-fd00:1::ffff:ffff:ffff:ffff"}': 3,
    'twill_attachments{network="net",state="alive"}': 3,
    'twill_attachments{network="net",state="dead"}': 0,
    'twill_leftovers{kind="attachment",state="dead"}': 0,
    'twill_leftovers{kind="link",state="unknown"}': 0,
    'twill_leftovers{kind="rule",state="unknown"}': 0,
    'twill_leftovers{kind="reservation",state="unknown"}': 0,
    'twill_attachments_without_rules{state="missing"}': 0,
    twill_damaged_cache_files: 0,
    twill_recorded_calls: 0,
  });
  node.sh(`ip netns del ${node.containers[0]?.name}`);
  node.sh(`nft flush ruleset; rm $(grep -lF '"${node.containers[2]?.path}"' /var/lib/cni/results/*)`);
  node.cni("bridge", "ADD", { cniVersion: "1.0.0", name: "net", type: "bridge", mtu: "x" });
  t.match(metrics(t, node), {
    'twill_attachments{network="net",state="alive"}': 1,
    'twill_attachments{network="net",state="dead"}': 1,
    'twill_leftovers{kind="attachment",state="dead"}': 1,
    'twill_leftovers{kind="link",state="unknown"}': 1,
    'twill_leftovers{kind="reservation",state="unknown"}': 2,
    'twill_attachments_without_rules{state="missing"}': 1,
    'twill_failed_calls_last_hour{plugin="bridge",command="ADD",code="7"}': 1,
  });
});

t.test("metrics: a part that cannot be read is absent, and the others are there", needsRoot, async (t) => {
  const node = newHost(t);
  node.write("/var/lib/cni/twill/calls.log/x", "");
  const { status, stdout, stderr } = twill(node, "metrics");
  t.equal(status, 0);
  t.match(stderr, /^twill metrics: not known: calls: .*EISDIR/);
  t.match(stdout, /twill_collection_success\{part="calls"\} 0\n/);
  t.match(stdout, /twill_collection_success\{part="attachments"\} 1\n/);
  t.notMatch(stdout, /recorded_calls/);
});

t.test("metrics --output replaces a file in one step, and leaves nothing where it cannot", needsRoot, async (t) => {
  const node = newHost(t);
  const folder = join(node.varLib, "out");
  mkdirSync(folder);
  t.match(twill(node, "metrics", "--output", "/var/lib/out/twill.prom"), { status: 0, stdout: "" });
  t.strictSame(readdirSync(folder), ["twill.prom"]);
  t.equal(statSync(join(folder, "twill.prom")).mode & 0o777, 0o644);
  t.match(readFileSync(join(folder, "twill.prom"), "utf8"), /^twill_build_info\{version="\S+"\} 1$/m);
  t.match(twill(node, "metrics", "--output", "/var/lib/nowhere/twill.prom"), {
    status: 1,
    stderr: /there is no directory \/var\/lib\/nowhere[\s\S]*To fix: name a file in the directory of/,
  });
  t.notOk(existsSync(join(node.varLib, "nowhere")));
});

t.test("twill-metrics.service runs the command that there is, and writes where its condition looks", async (t) => {
  const unit = readFileSync(join(projectRoot, "conf/twill-metrics.service"), "utf8");
  const folder = /^ConditionPathIsDirectory=(.*)$/m.exec(unit)?.[1];
  t.match(unit, new RegExp(`^ExecStart=/usr/local/bin/twill metrics --output ${folder}/twill.prom$`, "m"));
  t.match(readFileSync(join(projectRoot, "conf/twill-metrics.timer"), "utf8"), /^OnUnitActiveSec=1min$/m);
});
