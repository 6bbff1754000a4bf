// `twill report`: what is in the archive, by tar, and that no secret of the node is.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { bridge, environment } from "./doctor/lab.ts";
import { type Host, newHost, type Ran } from "./lab/host.ts";
import { needsRoot } from "./lab/needs.ts";
import { ourTools } from "./lab/project.ts";

const SECRET = "hunter2";

const report = (node: Host, file: string, more: Record<string, string> = {}): Ran =>
  node.runInside([join(ourTools, "twill"), "report", file], { ...environment, ...more });

const tar = (node: Host, ...args: string[]): string => {
  const { status, stdout, stderr } = spawnSync("tar", [...args, "-f", join(node.varLib, "report.tar")], {
    encoding: "utf8",
    maxBuffer: 64 << 20,
  });
  if (status !== 0) throw new Error(stderr);
  return stdout;
};
const contentOf = (node: Host, path: string) => JSON.parse(tar(node, "-xO", `report/${path}`));

/** A container in a network with secrets, in each place that a report looks at. */
function newNode(test: Parameters<typeof newHost>[0]): Host {
  const node = newHost(test);
  const network = {
    cniVersion: "1.0.0",
    name: "net",
    plugins: [
      {
        ...bridge(),
        vaultToken: SECRET,
        backend: { etcd: { password: SECRET, url: `https://me:${SECRET}@10.0.0.1/` } },
        env: [{ name: "DB_PASS", value: SECRET }, { name: "MODE", value: "fast" }, `TOKEN="${SECRET} ${SECRET}"`],
      },
    ],
  };
  node.write("/var/lib/net.d/10-net.conflist", JSON.stringify(network));
  const damaged = `{"name": "broken",\n "mtu": 1400\n "password":\n  "${SECRET}",\n "secret": '${SECRET}',\n apiKey: ${SECRET}\n`;
  node.write("/var/lib/net.d/20 ödd name.conflist", damaged);
  const { status, stderr } = node.runInside([join(ourTools, "cnitool"), "add", "net", node.containers[0]?.path ?? ""], {
    ...environment,
    CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAME=web;DB=${SECRET}`,
    CAP_ARGS: `{"x": "${SECRET}"}`,
  });
  if (status !== 0) throw new Error(stderr);
  node.sh(`nft add table inet theirs; nft 'add chain inet theirs c { comment "token=${SECRET}"; }'`);
  node.cni("bridge", "ADD", { cniVersion: "1.0.0", name: "net", type: "bridge" }, { args: `DB=${SECRET};` });
  node.cni("bridge", "ADD", { cniVersion: "1.0.0", name: "net", type: "bridge", mtu: `password=${SECRET}` });
  return node;
}

t.test("a report has what is on the node, and no secret", needsRoot, async (t) => {
  const node = newNode(t);
  const before = node.snapshot();
  const { status, stdout, stderr } = report(node, "/var/lib/report.tar", { DB_PASSWORD: SECRET, TWILL_SLOW_MS: "500" });
  t.strictSame({ status, stderr }, { status: 0, stderr: "" });
  t.match(stdout, /^\/var\/lib\/report\.tar: \d+ files; look through it before you publish it: tar -xf /);
  t.notMatch(stdout, /not known/);
  const shown = node.runInside([join(ourTools, "twill"), "doctor", "--json"], environment);
  t.match(shown.stdout, /"id": "configuration"/);
  t.notMatch(shown.stdout + shown.stderr, SECRET);
  const names = tar(node, "-t").trim().split("\n");
  for (const name of [
    "README.txt",
    "versions.json",
    "runtimes.json",
    "doctor.json",
    "calls.json",
    "metrics.prom",
    "attachments.json",
    "reservations.json",
    "host/links.json",
    "host/nft-list-ruleset.txt",
    "configurations/0-10-net.conflist.json",
    "configurations/1-20__dd_name.conflist.json",
  ])
    t.ok(names.includes(`report/${name}`), name);
  t.notMatch(tar(node, "-xO"), SECRET);
  t.match(tar(node, "-xO", "report/README.txt"), "Left out, as (left out): values named like a password");
  t.match(tar(node, "-xO", "report/host/nft-list-ruleset.txt"), "table inet cni_plugins_masquerade");
  t.match(contentOf(node, "versions.json"), { twill: String, variables: ["CNI_PATH", "NETCONFPATH", "TWILL_SLOW_MS"] });
  t.match(contentOf(node, "attachments.json"), { attachments: [{ networkName: "net", state: "alive" }], damaged: [] });
  t.match(contentOf(node, "doctor.json"), [{ id: "configuration" }]);
  t.equal(contentOf(node, "calls.json").length, 2);
  t.match(contentOf(node, "configurations/0-10-net.conflist.json"), {
    document: {
      plugins: [
        {
          bridge: "net0",
          vaultToken: "(left out)",
          backend: { etcd: { password: "(left out)" } },
          env: [{ name: "DB_PASS", value: "(left out)" }, { name: "MODE", value: "fast" }, "TOKEN=(left out)"],
        },
      ],
    },
  });
  t.match(contentOf(node, "configurations/1-20__dd_name.conflist.json"), {
    text: '{"name": "broken",\n "mtu": 1400\n(left out)',
  });
  const inside = contentOf(node, names.find((name) => name.includes("containers/"))?.slice("report/".length) ?? "");
  t.match(
    inside.links,
    [{ name: "lo" }, { name: "eth0", addresses: [{ prefix: { address: "10.1.0.1" } }, {}] }].slice(0, 1),
  );
  t.match(JSON.stringify(inside), /"gateway":"10\.1\.0\.1"/);
  t.equal(statSync(join(node.varLib, "report.tar")).mode & 0o777, 0o600);
  const { "report.tar": _, ...files } = node.snapshot().files;
  t.strictSame(files, before.files, "nothing else is written");
});

t.test("a report is not written over a file, nor where its name promises a compressed one", needsRoot, async (t) => {
  const node = newHost(t);
  node.write("/var/lib/report.tar", "theirs");
  t.match(report(node, "/var/lib/report.tar"), { status: 1, stderr: /report.tar exists[\s\S]*To fix: remove it/ });
  t.match(report(node, "/var/lib/report.tar.gz"), {
    status: 1,
    stderr: /which is not compressed[\s\S]*gzip report.tar/,
  });
  t.match(report(node, "/var/lib/nowhere/report.tar"), { status: 1, stderr: /nowhere/ });
  t.notOk(existsSync(join(node.varLib, "nowhere")));
  t.match(readdirSync(node.varLib).sort(), ["cni", "report.tar"]);
});

t.test("what cannot be read is told in the report, which has the rest", needsRoot, async (t) => {
  const node = newHost(t);
  node.write("/var/lib/cni/twill/calls.log/x", "");
  const { status, stdout } = report(node, "/var/lib/report.tar");
  t.equal(status, 0);
  t.match(stdout, /^not known: calls\.json: .*EISDIR/m);
  t.match(tar(node, "-xO", "report/README.txt"), /Not known:\n {2}calls\.json: .*EISDIR/);
  t.match(tar(node, "-t"), "report/host/links.json");
});
