// Commands that call plugins for many attachments and networks in one process: they need no more descriptors than for a few.
import { join } from "node:path";
import t from "tap";
import { bridge, configure, environment } from "./doctor/lab.ts";
import { newHost } from "./lab/host.ts";
import { inFullRunOnly, needsRoot } from "./lab/needs.ts";
import { ourTools } from "./lab/project.ts";
import { newRunNode } from "./lab/run-node.ts";

const COUNT = 20;
const LIMIT = "ulimit -n 24; ";

t.test("many attachments with few descriptors", inFullRunOnly(needsRoot), async (t) => {
  const node = newHost(t);
  configure(node, [
    bridge({ macspoofchk: true }),
    { type: "portmap", backend: "nftables", capabilities: { portMappings: true } },
    { type: "firewall", backend: "nftables" },
  ]);
  const add = `
    for i in $(seq ${COUNT}); do
      CAP_ARGS='{"portMappings":[{"hostPort":'$((8000 + i))',"containerPort":80,"protocol":"udp"}]}' "$0" add --ifname eth$i net "$1" || exit 1
    done`;
  const added = ["sh", "-c", add, join(ourTools, "cnitool"), node.containers[0]?.path ?? ""];
  t.equal(node.runInside(added, environment).status, 0);
  const run = (tool: string, ...args: string[]) =>
    node.runInside(["sh", "-c", `${LIMIT} exec "$0" "$@"`, join(ourTools, tool), ...args], environment);
  node.sh("nft flush ruleset");
  t.match(run("twill", "reload"), { status: 0, stderr: "", stdout: new RegExp(`^${COUNT} attachments, `, "m") });
  t.match(run("cnitool", "check", "--all"), { status: 0, stderr: "" });
  for (const command of [["doctor"], ["metrics"], ["ping"], ["report", "/var/lib/report.tar"]]) {
    const { stdout, stderr } = run("twill", ...command);
    t.notMatch(stdout + stderr, "EMFILE", command.join(" "));
  }
});

t.test("many networks with few descriptors", inFullRunOnly(needsRoot), async (t) => {
  const node = newRunNode(t);
  const container = node.containers[0]?.name ?? "";
  const names = Array.from({ length: COUNT }, (_, i) => `net${i}`);
  names.forEach((name, i) => {
    node.networkSays(`create --subnet 10.5.${i}.0/24 ${name}`);
    node.networkSays(`connect ${name} ${container}`);
  });
  const limited = (args: string) => node.limited(`network ${args}`, LIMIT);
  t.match(limited(`inspect --check ${names.join(" ")}`), { status: 0, stderr: "" });
  t.match(limited(`inspect --picture ${names.join(" ")}`), { status: 0, stderr: "" });
  node.sh(`ip netns del ${container}`);
  t.match(limited("ls"), { status: 0, stderr: "" });
  t.match(limited(`rm ${names.join(" ")}`), { status: 0, stderr: "" });
  t.equal(node.sh("ip -o link show type veth; ip -o link show type bridge"), "");
});
