// The debug plugin: what it writes down, and what its commands see.
import t from "tap";
import { type Host, newHost } from "./lab/host.ts";
import { needsRoot } from "./lab/needs.ts";

const file = "/var/lib/debug.log";
const network = (keys: object = {}) => ({ cniVersion: "1.1.0", name: "net", type: "debug", cniOutput: file, ...keys });
const written = (node: Host) => node.sh(`cat ${file}`);

t.test("debug: each call is written down, with what it was told", needsRoot, async (t) => {
  const node = newHost(t);
  for (const verb of ["ADD", "CHECK", "DEL"] as const) {
    const { status, stderr } = node.cni("debug", verb, network(), { args: "IgnoreUnknown=1;K8S_POD_NAME=web" });
    t.match({ status, stderr }, { status: 0, stderr: "" }, verb);
  }
  const calls = written(node).split("----------------------\n");
  t.equal(calls.pop(), "");
  t.strictSame(
    calls.map((call) => call.split("\n")[0]),
    ["CmdAdd", "CmdCheck", "CmdDel"],
  );
  const path = node.containers[0]?.path;
  const [add = ""] = calls;
  t.match(
    add,
    `CmdAdd\nContainerID: container-0\nNetns: ${path}\nIfName: eth0\nArgs: IgnoreUnknown=1;K8S_POD_NAME=web\nPath: `,
  );
  t.strictSame(JSON.parse(/^StdinData: (.*)$/m.exec(add)?.[1] ?? ""), network());
});

t.test("debug: the result is passed on; without one it is empty", needsRoot, async (t) => {
  const node = newHost(t);
  const prevResult = { cniVersion: "1.1.0", interfaces: [{ name: "eth0" }], ips: [{ address: "10.1.2.3/24" }] };
  t.strictSame(node.cni("debug", "ADD", network({ prevResult })).stdout, prevResult);
  t.strictSame(node.cni("debug", "ADD", network()).stdout, { cniVersion: "1.1.0" });
  t.match(node.cni("debug", "DEL", network({ cniVersion: "0.2.0" })), { status: 0, stdout: "" }, "of any version");
});

t.test("debug: commands run in the container, tell on stderr, and fail no call", needsRoot, async (t) => {
  const node = newHost(t);
  node.containers[0]?.sh("ip link add seen type veth peer name other");
  const hooks = [
    ["ip", "-br", "link", "show", "seen"],
    ["sh", "-c", "echo $CNI_IFNAME; exit 3"],
    ["no-such-command"],
    [],
  ];
  const { status, stderr } = node.cni("debug", "ADD", network({ addHooks: hooks, delHooks: [["false"]] }));
  t.equal(status, 0);
  t.match(stderr, /^debug: ip -br link show seen: exit status 0\nseen@other /);
  t.match(stderr, "debug: sh -c echo $CNI_IFNAME; exit 3: exit status 3\neth0\n");
  t.match(stderr, "debug: no-such-command: there is no such command in PATH\n");
  t.notMatch(stderr, "false", "DEL's are DEL's");
  const gone = node.cni("debug", "DEL", network({ delHooks: [["true"]] }), { environment: { CNI_NETNS: "" } });
  t.match(gone, { status: 0, stderr: "" }, "without a namespace they are left out");
});

t.test("debug: a file that cannot be written is told with its name", needsRoot, async (t) => {
  const node = newHost(t);
  const conf = network({ cniOutput: "/no/such/folder/debug.log" });
  t.match(node.cni("debug", "ADD", conf), { status: 1, stdout: { code: 5, msg: /\/no\/such\/folder\/debug\.log/ } });
  t.match(node.cni("debug", "DEL", conf), { status: 0, stderr: /\/no\/such\/folder\/debug\.log/ }, "DEL goes on");
});
