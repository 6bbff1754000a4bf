// cnitool, as people and scripts call it, with our plugins, with Go's, and with a double that writes down what it is given.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { cacheSamples } from "./lab/cache-samples.ts";
import { type Host, newHost, type Ran } from "./lab/host.ts";
import { needsRoot } from "./lab/needs.ts";
import { goBin, ourBin, ourTools } from "./lab/project.ts";

/** Appends what it is given to a log, then does as the script beside it says that is named after the verb: `double.ADD`. */
const double = `#!/bin/sh
verb=$CNI_COMMAND
[ $verb != VERSION ] || exec echo '{"cniVersion":"1.1.0","supportedVersions":["0.3.1","0.4.0","1.0.0","1.1.0"]}'
input=$(cat)
echo "$verb id=$CNI_CONTAINERID netns=$CNI_NETNS if=$CNI_IFNAME args=$CNI_ARGS" >> /var/lib/log
echo "$input" >> /var/lib/log
if [ -e "$0.$verb" ]; then . "$0.$verb"; elif [ $verb = ADD ]; then echo '{"cniVersion":"1.0.0"}'; fi
`;

interface Node extends Host {
  /** Runs cnitool where the network configurations are ours, and the plugins: the double, then ours, then Go's. */
  cnitool(args: string | readonly string[], environment?: Record<string, string>): Ran;
  /** What the double does from now on when it is called under that name with that verb. */
  behave(name: string, verb: string, script: string): void;
  /** What the double was given since it was asked last. */
  noted(): string[];
  /** Files of the cache, by name. */
  cached(): Record<string, string>;
}

const path = { CNI_PATH: `/var/lib/bin:${ourBin}:${goBin}`, NETCONFPATH: "/var/lib/net.d" };

function newNode(t: Parameters<typeof newHost>[0], configurations: Record<string, object | string> = {}): Node {
  const host = newHost(t, { containers: 2 });
  const bin = join(host.varLib, "bin");
  for (const name of ["double", "second"]) {
    host.write(`/var/lib/bin/${name}`, double);
    chmodSync(join(bin, name), 0o755);
  }
  for (const [name, content] of Object.entries(configurations)) {
    host.write(`/var/lib/net.d/${name}`, typeof content === "string" ? content : JSON.stringify(content));
  }
  const [log, results] = [join(host.varLib, "log"), join(host.varLib, "cni/results")];
  return {
    ...host,
    cnitool: (args, environment = {}) =>
      host.runInside([join(ourTools, "cnitool"), ...(typeof args === "string" ? args.split(" ") : args)], {
        ...path,
        ...environment,
      }),
    behave: (name, verb, script) => host.write(`/var/lib/bin/${name}.${verb}`, script),
    noted() {
      const lines = existsSync(log) ? readFileSync(log, "utf8").trimEnd().split("\n") : [];
      rmSync(log, { force: true });
      return lines;
    },
    cached: () => {
      const names = existsSync(results) ? readdirSync(results) : [];
      return Object.fromEntries(names.map((name) => [name, readFileSync(join(results, name), "utf8")]));
    },
  };
}

const lists = (plugins: object[], keys: object = {}) => ({ cniVersion: "1.0.0", name: "net", plugins, ...keys });
const chain = (keys: object = {}) => lists([{ type: "double" }, { type: "second" }], keys);
const verbs = (noted: readonly string[]) => noted.flatMap((line) => /^([A-Z]+) id=/.exec(line)?.[1] ?? []);
const said = ({ status, stdout, stderr }: Ran) => ({ status, stdout, stderr });
const silence = { status: 0, stdout: "", stderr: "" };

const bridged = lists([
  {
    type: "bridge",
    bridge: "br0",
    isDefaultGateway: true,
    ipam: { type: "host-local", ranges: [[{ subnet: "10.22.0.0/24" }]] },
  },
  { type: "double" },
]);

for (const [whose, CNI_PATH] of [
  ["our", path.CNI_PATH],
  ["Go's", `/var/lib/bin:${goBin}`],
] as const) {
  t.test(`add, check and del work a chain with ${whose} bridge, and leave nothing`, needsRoot, async (t) => {
    const node = newNode(t, { "10-net.conflist": bridged });
    const [{ path: netns } = { path: "" }, other] = node.containers;
    node.behave("double", "ADD", `echo "$input" | sed 's/.*"prevResult":\\(.*\\),"type":"double".*/\\1/'`);
    node.cnitool(["add", "net", other?.path ?? ""], { CNI_PATH });
    node.cnitool(["del", "net", other?.path ?? ""], { CNI_PATH }); // the bridge stays, and the store's own files
    node.noted();
    const before = node.snapshot();

    const added = node.cnitool(["add", "net", netns], { CNI_PATH });
    t.match(added, { status: 0, stderr: "" });
    t.match(JSON.parse(added.stdout), {
      cniVersion: "1.0.0",
      interfaces: [{ name: "br0" }, {}, { name: "eth0", sandbox: netns }],
      ips: [{ address: /^10\.22\.0\.\d+\/24$/, gateway: "10.22.0.1", interface: 2 }],
    });
    t.equal(node.containers[0]?.run("ping", "-c1", "-W2", "10.22.0.1").status, 0);
    t.strictSame(said(node.cnitool(["check", "net", netns], { CNI_PATH })), silence);

    node.containers[0]?.sh("ip link del eth0");
    t.match(node.cnitool(["check", "net", netns], { CNI_PATH }), { status: 1, stdout: "", stderr: /^cnitool: .*eth0/ });

    t.strictSame(said(node.cnitool(["del", "net", netns], { CNI_PATH })), silence);
    t.strictSame(said(node.cnitool(["del", "net", netns], { CNI_PATH })), silence, "twice does no harm");
    t.strictSame(verbs(node.noted()), ["ADD", "CHECK", "DEL", "DEL"]);
    const { files, ...after } = node.snapshot();
    const { log: _, "cni/networks/net/last_reserved_ip.0": __, ...left } = files;
    const { files: filesBefore, ...linksBefore } = before;
    const { "cni/networks/net/last_reserved_ip.0": ___, ...expected } = filesBefore;
    t.strictSame(after, linksBefore);
    t.strictSame(left, expected);
  });
}

t.test("check --all and --container check what the cache has, each as it was added", needsRoot, async (t) => {
  const node = newNode(t, {
    "10-net.conflist": chain(),
    "20-other.conflist": chain({ name: "other", cniVersion: "0.3.1" }),
  });
  const [one, two] = node.containers.map((container) => container.path);
  t.match(node.cnitool("check --all"), { status: 0, stdout: "no attachments\n", stderr: "" });
  node.behave(
    "double",
    "ADD",
    `echo "{\\"cniVersion\\":\\"$(echo "$input" | sed 's/.*"cniVersion":"\\([^"]*\\)".*/\\1/')\\"}"`,
  );
  node.behave("second", "ADD", `. /var/lib/bin/double.ADD`);
  t.equal(node.cnitool(["add", "net", one ?? ""], { CNI_ARGS: "KEY=of the add" }).status, 0);
  t.equal(node.cnitool(["add", "net", two ?? "", "-i", "eth1"]).status, 0);
  t.equal(node.cnitool(["add", "other", one ?? ""]).status, 0);
  const cached = JSON.parse(node.cnitool("list --json").stdout) as {
    network: string;
    containerId: string;
    ifName: string;
  }[];
  const idOf = (ifName: string) =>
    cached.find((one) => one.network === "net" && one.ifName === ifName)?.containerId ?? "";
  const [first, second] = [idOf("eth0"), idOf("eth1")];
  node.noted();
  rmSync(join(node.varLib, "net.d/10-net.conflist")); // the cache has the configuration

  const all = node.cnitool("check --all");
  t.strictSame(said(all).stderr, "");
  t.equal(all.status, 0);
  t.strictSame(all.stdout.split("\n").sort(), [
    "",
    "3 attachments: 2 ok, 0 failed, 1 not checked",
    ...[`net ${first} eth0: ok`, `net ${second} eth1: ok`].sort(),
    `other ${first} eth0: not checked: its version 0.3.1 has no CHECK`,
  ]);
  const noted = node.noted();
  t.strictSame(verbs(noted), ["CHECK", "CHECK", "CHECK", "CHECK"]);
  t.ok(noted.some((line) => line.includes(`id=${first} netns=${one} if=eth0 args=KEY=of the add`)));

  t.match(node.cnitool(["check", "--container", second.slice(0, -3)]), {
    status: 0,
    stdout: `net ${second} eth1: ok\n1 attachments: 1 ok, 0 failed, 0 not checked\n`,
  });
  t.match(node.cnitool("check --container cnitool-"), {
    status: 1,
    stderr: /^cnitool: the IDs of 2 containers begin with "cnitool-"\n/,
  });
  t.match(node.cnitool("check --container nobody"), {
    status: 1,
    stderr: /^cnitool: no runtime of this host remembers an attachment of container "nobody"\n {2}To fix: cnitool list/,
  });
  t.match(node.cnitool(["check", "--all", "net", one ?? ""]), { status: 1, stderr: /one argument too many/ });
  t.match(node.cnitool("check --all --container x"), { status: 1, stderr: /both --all and --container/ });
  t.match(node.cnitool(["check", "--json", "other", one ?? ""]), { status: 1, stderr: /--json is for --all/ });

  node.behave(
    "second",
    "CHECK",
    `[ "$CNI_IFNAME" != eth1 ] || { echo '{"cniVersion":"1.0.0","code":120,"msg":"no route"}'; exit 1; }`,
  );
  node.write("/var/lib/cni/results/net-broken-eth0", "{");
  const failed = node.cnitool("check --all net");
  t.equal(failed.status, 1);
  t.equal(failed.stdout, `net ${first} eth0: ok\n2 attachments: 1 ok, 1 failed, 0 not checked\n`);
  t.match(failed.stderr, new RegExp(`^net ${second} eth1: no route\n`));
  t.match(failed.stderr, /^cnitool: damaged \/var\/lib\/cni\/results\/net-broken-eth0: /m);
  t.match(node.cnitool("check --container broken"), {
    status: 1,
    stdout: "no attachments\n",
    stderr: /^cnitool: damaged \/var\/lib\/cni\/results\/net-broken-eth0: /,
  });
  t.match(node.cnitool("check --container nobody"), { status: 1, stderr: /no runtime of this host remembers/ });
  t.match(
    JSON.parse(node.cnitool("check --all --json net").stdout),
    [
      { network: "net", containerId: first, ifName: "eth0", result: "ok" },
      { network: "net", containerId: second, ifName: "eth1", result: "failed", message: /no route/ },
    ].sort((a, b) => (a.containerId < b.containerId ? -1 : 1)),
  );
});

t.test("our own plugins are not started: one executable does the whole add", needsRoot, async (t) => {
  const node = newNode(t, { "net.conflist": lists([bridged.plugins[0] ?? {}]) });
  const netns = node.containers[0]?.path ?? "";
  const traced = node.runInside(
    [
      "strace",
      "-f",
      "-qq",
      "-e",
      "trace=execve",
      "-o",
      "/var/lib/trace",
      join(ourTools, "cnitool"),
      "add",
      "net",
      netns,
    ],
    { ...path, CNI_PATH: ourBin },
  );
  t.match(traced, { status: 0 });
  t.equal(readFileSync(join(node.varLib, "trace"), "utf8").split("\n").filter(Boolean).length, 1);
});

// What cnitool 1.3.1 was seen to give its plugins and its cache for this network, these arguments and this double.
const golden = {
  list:
    '{"cniVersion":"1.0.0","name":"net","zeta":1, "plugins":[{"type":"double","x":{"b":1,"a":[1,2.50,1e3,12345678901234567890]},' +
    '"capabilities":{"portMappings":true,"mac":false,"dns":true}},{"type":"second","alpha":"<b>"}]}\n',
  environment: {
    CNI_ARGS: "A=1;B=2",
    CAP_ARGS: '{"portMappings":[{"hostPort":80,"x":"<"}],"mac":"0a:00:00:00:00:01","foo":1}',
  },
  answer:
    '{"cniVersion":"1.0.0","interfaces":[{"name":"eth0"}],"ips":[{"address":"10.1.2.3/24","interface":0}],"dns":{},"extra":1}',
  result: '{"cniVersion":"1.0.0","interfaces":[{"name":"eth0"}],"ips":[{"address":"10.1.2.3/24","interface":0}]}',
  first:
    '"name":"net","runtimeConfig":{"portMappings":[{"hostPort":80,"x":"\\u003c"}]},"type":"double","x":{"a":[1,2.5,1000,12345678901234567000],"b":1}}',
  parameters: "id=cnitool-77383ca0a0715733ca6f netns=/var/run/netns/testing if=eth0 args=A=1;B=2",
};

/** Requests of a verb: the first plugin's and the second's. */
function requests(verb: string, prevResults: [string, string]): [string[], string[]] {
  const [one, two] = prevResults.map((result) => (result === "" ? "" : `"prevResult":${result},`));
  const capabilities = '{"capabilities":{"dns":true,"mac":false,"portMappings":true},"cniVersion":"1.0.0",';
  return [
    [`${verb} ${golden.parameters}`, capabilities + golden.first.replace('"runtimeConfig"', `${one}"runtimeConfig"`)],
    [
      `${verb} ${golden.parameters}`,
      `{"alpha":"\\u003cb\\u003e","cniVersion":"1.0.0","name":"net",${two}"type":"second"}`,
    ],
  ];
}

t.test("plugins and the cache get the same bytes as from the Go tool", needsRoot, async (t) => {
  const node = newNode(t, { "net.conflist": golden.list });
  for (const name of ["double", "second"]) node.behave(name, "ADD", `echo '${golden.answer}'`);
  const run = (verb: string) => node.cnitool(`${verb} net /var/run/netns/testing`, golden.environment);

  t.match(run("add"), { status: 0, stderr: /^(cnitool: CAP_ARGS: "(mac|foo)" is a capability of no plugin .*\n){2}$/ });
  t.strictSame(node.noted(), requests("ADD", ["", golden.result]).flat());
  t.strictSame(node.cached(), {
    "net-cnitool-77383ca0a0715733ca6f-eth0":
      `{"kind":"cniCacheV1","containerId":"cnitool-77383ca0a0715733ca6f","config":"${Buffer.from(golden.list).toString("base64")}",` +
      '"ifName":"eth0","networkName":"net","netns":"/var/run/netns/testing","cniArgs":[["A","1"],["B","2"]],' +
      '"capabilityArgs":{"foo":1,"mac":"0a:00:00:00:00:01","portMappings":[{"hostPort":80,"x":"\\u003c"}]},' +
      `"result":${golden.result}}`,
  });

  t.strictSame(said(run("check")), silence);
  t.strictSame(node.noted(), requests("CHECK", [golden.result, golden.result]).flat());

  t.strictSame(said(run("del")), silence);
  t.strictSame(node.noted(), requests("DEL", [golden.result, golden.result]).reverse().flat());
  t.strictSame(node.cached(), {});

  run("del");
  t.strictSame(node.noted(), requests("DEL", ["", ""]).reverse().flat(), "a second del has no result to pass");
});

t.test("check and del without arguments give plugins those of the add", needsRoot, async (t) => {
  const node = newNode(t, { "net.conflist": golden.list });
  node.cnitool("add net /ns/one", golden.environment);
  node.noted();
  for (const verb of ["check", "del"]) {
    t.strictSame(said(node.cnitool(`${verb} net /ns/one`)), silence);
    const noted = node.noted().join("\n");
    t.match(noted, "args=A=1;B=2");
    t.match(noted, '"runtimeConfig":{"portMappings":[{"hostPort":80');
  }
});

t.test("a chain that fails stops, is told with what to do, and is not remembered", needsRoot, async (t) => {
  const node = newNode(t, { "net.conflist": chain() });
  node.behave("double", "ADD", `echo '{"code": 57, "msg": "broken", "details": "very"}'; exit 1`);
  t.strictSame(said(node.cnitool("add net /ns/one")), {
    status: 1,
    stdout: "",
    stderr: 'cnitool: plugin type="double" failed (add): broken\n  very\n',
  });
  t.strictSame(verbs(node.noted()), ["ADD"], "DEL of the first plugin may delete what was there before");
  t.strictSame(node.cached(), {});
  t.strictSame(said(node.cnitool("del net /ns/one")), silence);
  t.strictSame(verbs(node.noted()), ["DEL", "DEL"], "also plugins that were not added");
});

t.test("a chain that fails behind its first plugin is deleted again, as runtimes do it", needsRoot, async (t) => {
  const node = newNode(t, { "net.conflist": chain() });
  node.behave("second", "ADD", `echo '{"code": 57, "msg": "broken", "details": "very"}'; exit 1`);
  const stderr = 'cnitool: plugin type="second" failed (add): broken\n  very\n';
  t.strictSame(said(node.cnitool("add net /ns/one")), { status: 1, stdout: "", stderr });
  t.strictSame(verbs(node.noted()), ["ADD", "ADD", "DEL", "DEL"]);
  node.behave("second", "DEL", `echo '{"code": 11, "msg": "later"}'; exit 1`);
  t.match(node.cnitool("add net /ns/one"), {
    status: 1,
    stderr: `${stderr}  could not delete the attachment either: plugin type="second" failed (delete): later\n  To fix: delete the attachment before you add it again: cnitool del --ifname eth0 net /ns/one\n`,
  });
});

t.test("a del that fails stops and stays remembered", needsRoot, async (t) => {
  const node = newNode(t, { "net.conflist": chain() });
  node.cnitool("add net /ns/one");
  node.behave("second", "DEL", `echo '{"code": 11, "msg": "later"}'; exit 1`);
  const refused = 'cnitool: plugin type="second" failed (delete): later\n';
  t.strictSame(said(node.cnitool("del net /ns/one")), { status: 1, stdout: "", stderr: refused });
  t.strictSame(verbs(node.noted()), ["ADD", "ADD", "DEL"]);
  t.equal(Object.keys(node.cached()).length, 1);
});

const failures: [what: string, script: string, stderr: string | RegExp][] = [
  [
    "prints garbage",
    "echo 'no <JSON>'",
    /^cnitool: plugin type="double" failed \(add\): plugin "double" returned something that is not JSON on ADD: "no <JSON>\\n"\n/,
  ],
  ["prints nothing", ":", /^cnitool: plugin type="double" failed \(add\): plugin "double" returned nothing on ADD/],
  [
    "fails with a word on stderr only",
    "echo 'what now' >&2; exit 3",
    /^what now\ncnitool: plugin type="double" failed \(add\): plugin "double" exited with status 3 on ADD without an error message\n/,
  ],
  [
    "fails with garbage",
    "echo oops; exit 3",
    /^cnitool: plugin type="double" failed \(add\): plugin "double" exited with status 3 on ADD without an error message: "oops"\n/,
  ],
  [
    "is killed",
    "kill -9 $$",
    /^cnitool: plugin type="double" failed \(add\): plugin "double" was terminated by signal 9 on ADD without an error message\n/,
  ],
];
for (const [what, script, stderr] of failures) {
  t.test(`a plugin that ${what} is told`, needsRoot, async (t) => {
    const node = newNode(t, { "net.conflist": chain() });
    node.behave("double", "ADD", script);
    t.match(node.cnitool("add net /ns/one"), { status: 1, stdout: "", stderr });
  });
}

t.test("what plugins write to stderr comes through as they write it", needsRoot, async (t) => {
  const node = newNode(t, { "net.conflist": chain() });
  for (const name of ["double", "second"]) node.behave(name, "STATUS", `echo "${name} was here" >&2`);
  node.write("/var/lib/net.d/net.conflist", JSON.stringify(chain({ cniVersion: "1.1.0" })));
  t.strictSame(said(node.cnitool("status net /ns/one")), {
    ...silence,
    stderr: "double was here\nsecond was here\n",
  });
});

t.test("a plugin that hangs ends with cnitool", needsRoot, async (t) => {
  const node = newNode(t, { "net.conflist": chain() });
  const seconds = `600.${process.pid}`; // by which the process is known
  node.behave("double", "ADD", `exec sleep ${seconds}`);
  const running = () => node.run("sh", "-c", `grep -ls '[6]${seconds.slice(1)}' /proc/[0-9]*/cmdline`).stdout;
  t.equal(running(), "");
  const killed = node.runInside(["timeout", "-s", "KILL", "0.5", join(ourTools, "cnitool"), "add", "net", "/ns"], path);
  t.not(killed.status, 0);
  const deadline = Date.now() + 5000;
  while (running() !== "" && Date.now() < deadline);
  t.equal(running(), "");
});

t.test("a missing plugin is found out before the first one runs", needsRoot, async (t) => {
  const node = newNode(t, { "net.conflist": lists([{ type: "double" }, { type: "secnd" }]) });
  t.strictSame(said(node.cnitool("add net /ns/one", { CNI_PATH: "/var/lib/bin" })), {
    status: 1,
    stdout: "",
    stderr:
      'cnitool: plugin type="secnd" failed (add): failed to find plugin "secnd" in path [/var/lib/bin]\n' +
      '  To fix: did you mean "second"? Otherwise install "secnd" into /var/lib/bin\n',
  });
  t.strictSame(node.noted(), []);
  t.match(node.cnitool("add net /ns/one", { CNI_PATH: "" }), { status: 1, stderr: /CNI_PATH is empty/ });
});

t.test("gc after add deletes it, is content with nothing, and del after it too", needsRoot, async (t) => {
  const node = newNode(t, {
    "net.conflist": chain({ cniVersion: "1.1.0" }),
    "other.conflist": chain({ name: "other" }),
  });
  node.cnitool("add net /ns/one");
  node.cnitool("add net /ns/two", { CNI_IFNAME: "net7" });
  node.cnitool("add other /ns/one");
  node.noted();

  const id = "cnitool-[0-9a-f]{20}";
  t.match(said(node.cnitool("gc --dry-run net /ns/none")), {
    status: 0,
    stdout: new RegExp(`^net ${id} eth0: to be deleted\nnet ${id} net7: to be deleted\n$`),
    stderr: "",
  });
  t.strictSame(node.noted(), [], "--dry-run runs no plugin");
  t.equal(Object.keys(node.cached()).length, 3);
  t.match(said(node.cnitool("gc net /ns/none")), {
    status: 0,
    stdout: new RegExp(`^net ${id} eth0: deleted\nnet ${id} net7: deleted\n$`),
    stderr: "",
  });
  const noted = node.noted();
  t.strictSame(verbs(noted), ["DEL", "DEL", "DEL", "DEL", "GC", "GC"]);
  t.equal(noted.filter((line) => /^DEL .* netns=\/ns\/two if=net7 /.test(line)).length, 2);
  t.match(noted.at(-4), /^GC id= netns= if= args=$/);
  t.match(noted.at(-3), '"cni.dev/attachments":[],"cni.dev/valid-attachments":[]');
  t.match(Object.keys(node.cached()), [/^other-cnitool-/]);

  t.strictSame(said(node.cnitool("del net /ns/one")), silence);
  t.strictSame(said(node.cnitool("gc net /ns/none")), silence);
});

t.test("gc goes on after failures and tells all of them", needsRoot, async (t) => {
  const node = newNode(t, { "net.conflist": chain({ cniVersion: "1.1.0" }) });
  node.cnitool("add net /ns/one");
  const id = "cnitool-[0-9a-f]{20}";
  node.behave("second", "DEL", `echo '{"code": 100, "msg": "stuck"}'; exit 1`);
  node.behave("double", "GC", `echo '{"code": 101, "msg": "full"}'; exit 1`);
  const { status, stderr } = node.cnitool("gc net /ns/none");
  t.equal(status, 1);
  t.match(
    stderr,
    new RegExp(
      `^cnitool: failed to delete stale attachment ${id} eth0: plugin type="second" failed \\(delete\\): stuck\n` +
        "  could not collect garbage either: failed to GC plugin double: full\n$",
    ),
  );
  t.strictSame(verbs(node.noted()).slice(-3), ["DEL", "GC", "GC"]);
});

t.test("gc --dead spares what may be alive", needsRoot, async (t) => {
  const node = newNode(t, { "net.conflist": chain({ cniVersion: "1.1.0" }) });
  const alive = node.containers[0]?.path ?? "";
  node.cnitool(["add", "net", alive]);
  node.cnitool("add net /run/netns/gone");
  node.noted();
  t.match(said(node.cnitool("gc --dead net /ns/none")), { status: 0, stdout: /^net \S+ eth0: deleted\n$/, stderr: "" });
  const noted = node.noted();
  t.strictSame(verbs(noted), ["DEL", "DEL", "GC", "GC"]);
  t.match(noted[0], "netns=/run/netns/gone");
  t.match(noted.at(-1), /"cni.dev\/valid-attachments":\[{"containerID":"cnitool-[0-9a-f]{20}","ifname":"eth0"}\]/);
  t.equal(Object.keys(node.cached()).length, 1);
});

t.test("status stops at the first plugin that is not ready", needsRoot, async (t) => {
  const node = newNode(t, { "net.conflist": chain({ cniVersion: "1.1.0" }), "old.conflist": chain({ name: "old" }) });
  node.behave("double", "STATUS", `echo '{"code": 50, "msg": "no addresses left"}'; exit 1`);
  const refused = "cnitool: no addresses left\n";
  t.strictSame(said(node.cnitool("status net /ns/one")), { status: 1, stdout: "", stderr: refused });
  t.strictSame(verbs(node.noted()), ["STATUS"]);
  t.strictSame(said(node.cnitool("status old /ns/one")), silence);
  t.strictSame(node.noted(), [], "below 1.1.0 nobody is asked");
});

t.test("what a network switches off is a success", needsRoot, async (t) => {
  const node = newNode(t, { "net.conflist": chain({ disableCheck: "True", disableGC: true }) });
  node.cnitool("add net /ns/one");
  node.noted();
  for (const verb of ["check", "gc"]) t.strictSame(said(node.cnitool(`${verb} net /ns/one`)), silence);
  t.strictSame(node.noted(), []);
  t.equal(Object.keys(node.cached()).length, 1);
});

t.test("check needs 0.4.0", needsRoot, async (t) => {
  const node = newNode(t, { "net.conflist": chain({ cniVersion: "0.3.1" }) });
  t.strictSame(said(node.cnitool("check net /ns/one")), {
    status: 1,
    stdout: "",
    stderr:
      'cnitool: configuration version "0.3.1" does not support the CHECK command\n' +
      '  To fix: set "cniVersion" of network "net" to 0.4.0 or later\n',
  });
});

t.test("a cache entry that is damaged stops check, and goes with del", needsRoot, async (t) => {
  const node = newNode(t, { "net.conflist": chain() });
  node.cnitool("add net /ns/one");
  const [name = ""] = Object.keys(node.cached());
  node.write(`/var/lib/cni/results/${name}`, '{"kind":');
  t.match(node.cnitool("check net /ns/one"), { status: 1, stderr: /is damaged/ });
  t.match(said(node.cnitool("del net /ns/one")), {
    status: 0,
    stdout: "",
    stderr:
      /^cnitool: cached result \S+ is damaged: it is not a JSON object: plugins get the present CNI_ARGS and CAP_ARGS/,
  });
  t.strictSame(node.cached(), {});
});

t.test("a cache that cannot be written fails add, which is undone", needsRoot, async (t) => {
  const node = newNode(t, { "net.conflist": chain() });
  node.write("/var/lib/cni/results", "a file");
  t.match(node.cnitool("add net /ns/one"), { status: 1, stdout: "", stderr: /^cnitool: .*\/var\/lib\/cni\/results/ });
  t.strictSame(verbs(node.noted()), ["ADD", "ADD", "DEL", "DEL"], "nothing is left that no list shows");
});

t.test("an add whose result cannot be printed is undone", needsRoot, async (t) => {
  const node = newNode(t, { "net.conflist": bridged });
  const netns = node.containers[0]?.path ?? "";
  for (const [redirection, says] of [
    ["> /dev/full", /^cnitool: write stdout: ENOSPC\n {2}To fix: free space/],
    [">&-", /^cnitool: write stdout: EBADF\n {2}To fix: start it with standard output open\n$/],
  ] as const) {
    const command = ["sh", "-c", `exec "$0" "$@" ${redirection}`, join(ourTools, "cnitool"), "add", "net", netns];
    t.match(node.runInside(command, path), { status: 1, stderr: says }, redirection);
    t.equal(node.cnitool("list").stdout, "no attachments\n");
    t.notMatch(node.containers[0]?.sh("ip -o link"), /eth0/);
  }
});

t.test("our plugin refuses the namespace that cnitool itself runs in", needsRoot, async (t) => {
  const node = newNode(t, { "net.conflist": lists([{ type: "loopback" }]) });
  t.match(node.cnitool("add net /proc/self/ns/net"), {
    status: 1,
    stderr:
      /^cnitool: plugin type="loopback" failed \(add\): CNI_NETNS "\/proc\/self\/ns\/net" is the network namespace/,
  });
});

t.test("fast deletion works inside cnitool too", needsRoot, async (t) => {
  const node = newNode(t, { "net.conflist": bridged });
  const netns = node.containers[0]?.path ?? "";
  t.match(node.cnitool(["add", "net", netns]), { status: 0 });
  t.strictSame(said(node.cnitool(["del", "net", netns], { TWILL_FAST_DEL: "1" })), silence);
  t.notMatch(node.containers[0]?.sh("ip link"), "eth0");
});

// What podman or containerd leave: cnitool knows nothing of the container but this file.
const foreign = (netns: string) =>
  `{"kind":"cniCacheV1","containerId":"3f2a","config":"${Buffer.from(JSON.stringify(bridged)).toString("base64")}","ifName":"eth0",` +
  `"networkName":"net","netns":"${netns}","cniArgs":[["IgnoreUnknown","1"],["K8S_POD_NAME","web"]],` +
  '"result":{"cniVersion":"1.0.0","interfaces":[{"name":"eth0"}],"ips":[{"address":"10.22.0.5/24","interface":0}]}}';

t.test("attachments of other runtimes are listed, and garbage of theirs is collected", needsRoot, async (t) => {
  const node = newNode(t, { "net.conflist": chain({ cniVersion: "1.1.0" }) });
  const alive = node.containers[0]?.path ?? "";
  node.write("/var/lib/cni/results/net-3f2a-eth0", foreign(alive));
  node.write("/var/lib/cni/results/net-dead-eth0", foreign("/run/netns/gone").replace("3f2a", "dead"));
  node.write("/var/lib/cni/results/net-lost-eth0", foreign("").replace("3f2a", "lost"));
  node.write("/var/lib/cni/results/README", "no attachment");
  const entry = { network: "net", ifName: "eth0", addresses: ["10.22.0.5/24"] };
  t.strictSame(JSON.parse(node.cnitool("list --json").stdout), [
    { ...entry, containerId: "3f2a", netns: alive, namespace: "alive" },
    { ...entry, containerId: "dead", netns: "/run/netns/gone", namespace: "dead" },
    { ...entry, containerId: "lost", namespace: "unknown" },
  ]);
  const width = alive.length;
  t.equal(
    node.cnitool("list net").stdout,
    [
      "NETWORK  CONTAINER  INTERFACE  ADDRESSES     NAMESPACE",
      `net      3f2a       eth0       10.22.0.5/24  ${alive}  alive`,
      `net      dead       eth0       10.22.0.5/24  ${"/run/netns/gone".padEnd(width)}  dead`,
      `net      lost       eth0       10.22.0.5/24  ${"-".padEnd(width)}  unknown`,
      "",
    ].join("\n"),
  );
  t.equal(node.cnitool("list other").stdout, 'no attachments to network "other"\n');

  t.strictSame(said(node.cnitool("gc --dead net /ns/none")), { ...silence, stdout: "net dead eth0: deleted\n" });
  t.match(node.noted()[0], "DEL id=dead netns=/run/netns/gone if=eth0 args=IgnoreUnknown=1;K8S_POD_NAME=web");
  t.strictSame(Object.keys(node.cached()), ["README", "net-3f2a-eth0", "net-lost-eth0"]);
});

t.test("who is dead is known from every runtime's cache", needsRoot, async (t) => {
  const node = newNode(t, { "net.conflist": chain({ cniVersion: "1.1.0" }) });
  const alive = node.containers[0]?.path ?? "";
  for (const { writer, write, hasNamespace } of cacheSamples) {
    write(node, { id: "one", netns: alive });
    write(node, { id: "two", netns: "/run/netns/gone" });
    const states = hasNamespace ? ["alive", "dead"] : ["unknown", "unknown"];
    const listed = JSON.parse(node.cnitool("list --json").stdout) as { namespace: string; netns?: string }[];
    t.strictSame(
      listed.map(({ namespace }) => namespace),
      states,
      writer,
    );
    t.strictSame(
      listed.map(({ netns }) => netns),
      hasNamespace ? [alive, "/run/netns/gone"] : [undefined, undefined],
      writer,
    );
    const stdout = hasNamespace ? "net two eth0: deleted\n" : "";
    t.strictSame(said(node.cnitool("gc --dead net /ns/none")), { ...silence, stdout }, writer);
    const left = hasNamespace ? ["net-one-eth0"] : ["net-one-eth0", "net-two-eth0"];
    t.strictSame(Object.keys(node.cached()), left, writer);
  }
});

const damages = {
  empty: "",
  truncated: '{"kind":"cniCacheV1","containerId":"cni',
  "not UTF-8": Buffer.of(0xff),
  "of another kind": "[]",
};
for (const [what, content] of Object.entries(damages)) {
  t.test(`a living container keeps its interface and address when its cache entry is ${what}`, needsRoot, async (t) => {
    const bridge = { ...bridged.plugins[0], bridge: "br-gc" };
    const node = newNode(t, { "net.conflist": lists([bridge], { cniVersion: "1.1.0" }) });
    const [living, dead] = node.containers;
    for (const container of [living, dead]) t.match(node.cnitool(["add", "net", container?.path ?? ""]), { status: 0 });
    node.sh(`ip netns del ${dead?.name}`);
    const states = JSON.parse(node.cnitool("list --json").stdout) as { namespace: string; containerId: string }[];
    const id = states.find(({ namespace }) => namespace === "alive")?.containerId;
    const deadId = states.find(({ namespace }) => namespace === "dead")?.containerId;
    const file = `/var/lib/cni/results/net-${id}-eth0`;
    writeFileSync(join(node.varLib, file.slice("/var/lib/".length)), content);

    const listed = node.cnitool("list");
    t.equal(listed.status, 1);
    t.match(listed.stderr, `cnitool: damaged ${file}: it is `);
    t.match(listed.stdout, new RegExp(`net +${deadId} .* dead\n$`), "others are shown");
    t.match(node.cnitool("list --json net"), { status: 1, stderr: `cnitool: damaged ${file}: ` });
    t.match(node.cnitool("list other"), { status: 0, stderr: "" }, "not of this network");

    for (const flags of ["--dead", "--dead --dry-run", ""]) {
      const collected = node.cnitool(`gc ${flags} net /ns/none`.replace("  ", " "));
      t.equal(collected.status, 1, flags);
      t.match(
        collected.stderr,
        new RegExp(
          `^cnitool: damaged ${file}: it is .*; kept the attachments that it may belong to: .*${id} eth0\n  To fix: `,
        ),
      );
      t.equal(collected.stdout, flags === "--dead" ? `net ${deadId} eth0: deleted\n` : "", flags);
    }
    t.match(living?.sh("ip -4 addr show eth0"), "inet 10.22.0.2/24");
    t.ok(existsSync(join(node.varLib, "cni/networks/net/10.22.0.2")));
    t.notOk(existsSync(join(node.varLib, "cni/networks/net/10.22.0.3")), "the dead one's is given back");

    node.sh(`rm ${file}`);
    t.match(node.cnitool("gc net /ns/none"), { status: 0, stdout: "", stderr: "" }, "the remedy");
    t.notOk(existsSync(join(node.varLib, "cni/networks/net/10.22.0.2")));
  });
}

t.test("a cache that cannot be read is told by list and gc, which deletes nothing", needsRoot, async (t) => {
  const node = newNode(t, { "net.conflist": chain({ cniVersion: "1.1.0" }) });
  node.write("/var/lib/cni/results", "a file");
  const told =
    /^cnitool: \/var\/lib\/cni\/results cannot be read: openat \/var\/lib\/cni\/results: ENOTDIR\n {2}To fix: /;
  for (const command of ["list", "gc net /ns/none", "gc --dead net /ns/none"])
    t.match(node.cnitool(command), { status: 1, stdout: "", stderr: told }, command);
  t.strictSame(node.noted(), []);
});

t.test("a namespace is alive where only its runtime's mount namespace shows it", needsRoot, async (t) => {
  const node = newNode(t, { "net.conflist": chain({ cniVersion: "1.1.0" }) });
  const netns = `${node.containers[0]?.path}-private`;
  const mounted = `touch ${netns}; mount --bind /proc/self/ns/net ${netns}; echo mounted; exec sleep 1000`;
  const runtime = spawn("unshare", ["-m", "--propagation", "private", "unshare", "-n", "sh", "-c", mounted]);
  t.teardown(() => {
    runtime.kill("SIGKILL");
    rmSync(netns, { force: true });
  });
  await once(runtime.stdout, "data");
  node.write("/var/lib/cni/results/net-3f2a-eth0", foreign(netns));
  t.match(node.cnitool("list").stdout, /alive\n$/);
  t.strictSame(said(node.cnitool("gc --dead net /ns/none")), silence);
  t.strictSame(Object.keys(node.cached()), ["net-3f2a-eth0"]);

  runtime.kill("SIGKILL");
  await once(runtime, "exit");
  const seesAll = readlinkSync("/proc/self/ns/pid") === "pid:[4026531836]";
  t.match(node.cnitool("list").stdout, seesAll ? /dead\n$/ : /unknown\n$/);
});

t.test("networks are found as the reference library finds them", needsRoot, async (t) => {
  const node = newNode(t, {
    "00-net.conf": { cniVersion: "1.0.0", name: "net", type: "missing" },
    "10-net.conflist": chain(),
    "20-single.json": { cniVersion: "1.0.0", name: "single", type: "double", key: 1 },
    "30-old.conf": { name: "old", type: "double" },
    "40-best.conflist": chain({ name: "best", cniVersion: "0.3.1", cniVersions: ["0.4.0", "1.1.0", "9.0.0"] }),
    "50-folder.conflist": { cniVersion: "1.0.0", name: "folder", plugins: [{ type: "double" }] },
    "60-inline.conflist": {
      cniVersion: "1.0.0",
      name: "inline",
      plugins: [{ type: "double" }],
      loadOnlyInlinedPlugins: "TRUE",
    },
    "folder/10.conf": { type: "second", added: true },
    "inline/10.conf": { type: "second", added: true },
    "deeper/10-deep.conflist": chain({ name: "deep" }),
  });
  const requestsOf = (network: string) => {
    node.cnitool(`add ${network} /ns/one`);
    return node.noted().filter((line) => line.startsWith("{"));
  };
  t.equal(requestsOf("net").length, 2, "a list comes before a single plugin");
  t.strictSame(requestsOf("single"), ['{"cniVersion":"1.0.0","key":1,"name":"single","type":"double"}']);
  t.match(requestsOf("best"), [/"cniVersion":"1.1.0"/, /"cniVersion":"1.1.0"/]);
  t.match(requestsOf("folder"), [/"type":"double"/, /"added":true,.*"type":"second"/]);
  t.match(requestsOf("inline"), [/"type":"double"/]);
  t.match(node.cnitool("add deep /ns/one"), { status: 1, stderr: /^cnitool: no net configuration with name "deep"/ });
  t.match(node.cnitool("add nett /ns/one"), { status: 1, stderr: /To fix: did you mean "net"\?/ });
});

t.test("a damaged file is told, but does not keep another network from being used", needsRoot, async (t) => {
  const node = newNode(t, { "00-damaged.conflist": '{"name":', "10-net.conflist": chain() });
  t.match(node.cnitool("add net /ns/one"), { status: 0, stderr: /^cnitool: \/var\/lib\/net.d\/00-damaged.conflist: / });
});

t.test("without configurations cnitool says where it looked", needsRoot, async (t) => {
  const node = newNode(t);
  t.match(node.cnitool("add net /ns/one"), {
    status: 1,
    stderr: /^cnitool: no net configurations found in \/var\/lib\/net.d/,
  });
  t.match(node.cnitool("validate"), {
    status: 1,
    stderr: /^cnitool: no net configurations found in \/var\/lib\/net.d/,
  });
});

t.test("a wrong command line is answered with the nearest right one", needsRoot, async (t) => {
  const node = newNode(t);
  const wrong = (args: string, stderr: string) =>
    t.strictSame(said(node.cnitool(args)), { status: 1, stdout: "", stderr });
  wrong("ad net /ns", 'cnitool: unknown command "ad" for "cnitool"\n  To fix: did you mean add?\n');
  wrong("add net /ns --ifnam x", "cnitool: unknown flag: --ifnam\n  To fix: did you mean --ifname?\n");
  wrong(
    "check net",
    "cnitool: cnitool check requires at least 2 arg(s), only received 1\n" +
      "  To fix: write cnitool check <network-name> <netns-path>; cnitool help check has an example\n",
  );
  for (const args of [
    "add net /ns eth1",
    "check net /ns eth1",
    "del net /ns eth1",
    "gc net /ns eth1",
    "status net /ns eth1",
  ])
    t.match(node.cnitool(args), {
      status: 1,
      stderr: /^cnitool: "eth1" is one argument too many .*\n.*--ifname eth1\n$/,
    });
  for (const args of ["list net more", "version bridge more", "help add more", "completion bash more"])
    t.match(
      node.cnitool(args),
      { status: 1, stderr: /^cnitool: "more" is one argument too many for cnitool \w+\n/ },
      args,
    );
  wrong("help chekc", 'cnitool: unknown command "chekc" for "cnitool"\n  To fix: did you mean check?\n');
  wrong("completion tcsh", 'cnitool: there is no completion for "tcsh"\n  To fix: use one of bash, zsh, fish\n');
});

/** The lines below "Examples:". */
const examplesIn = (help: string) => help.slice(help.indexOf("Examples:\n") + 10).split("\n\n")[0] ?? "";

t.test("the examples of every help text work when pasted, one after the other", needsRoot, async (t) => {
  const node = newNode(t);
  const help = node.cnitool([]);
  t.match(help, { status: 0, stderr: "" });
  t.equal(node.cnitool("help").stdout, help.stdout);
  t.equal(node.cnitool("--help").stdout, help.stdout);
  const commands = [...help.stdout.matchAll(/^ {2}(\w+) {2,}\w/gm)].map(([, name = ""]) => name).slice(0, 10);
  const helps = commands.map((name) => node.cnitool(`help ${name}`).stdout);
  t.equal(node.cnitool("-h add").stdout, helps[0]);

  const script = [help.stdout, ...helps]
    .map(examplesIn)
    .join("\n")
    .replaceAll("/opt/cni/bin", ourBin)
    .replaceAll("/etc/cni/net.d", "/var/lib/net.d")
    .replaceAll("/etc/bash_completion.d", "/var/lib")
    .replaceAll("/run/netns/example", node.containers[0]?.path ?? "")
    .replaceAll("ip netns add example", "true"); // the test's own namespace instead
  t.ok(script.split("\n").length > 20, "sees the examples");
  node.sh("mkdir -p /var/lib/net.d");
  const ran = node.runInside(["sh", "-ec", script], { ...path, PATH: `${ourTools}:/usr/sbin:/usr/bin:/sbin:/bin` });
  t.match(ran, { status: 0, stderr: "" });
  t.match(ran.stdout, /127\.0\.0\.1\/8/);
});

t.test("bash completes commands, flags, networks and namespaces, and files", needsRoot, async (t) => {
  const node = newNode(t, { "10-net.conflist": chain() });
  const ownNamespaces = "mount -t tmpfs twill /run/netns; touch /run/netns/one '/run/netns/$(touch evil)'"; // others' are there
  const completed = (...words: string[]) =>
    node
      .runInside(
        [
          "unshare",
          "-m",
          "bash",
          "-c",
          `${ownNamespaces}; eval "$('${ourTools}/cnitool' completion bash)"; COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _cnitool; echo "\${COMPREPLY[@]}"`,
          "bash",
          join(ourTools, "cnitool"),
          ...words,
        ],
        path,
      )
      .stdout.trim();
  t.equal(completed("va"), "validate");
  t.equal(completed(""), "add check del gc status validate list version help completion");
  t.equal(completed("validate", "--s"), "--strict");
  t.equal(completed("validate", "/etc/ho"), "");
  t.equal(completed("add", ""), "net");
  t.equal(completed("add", "net", ""), "/run/netns/one", "a name that the shell would run is left out");
  t.equal(completed("add", "net", "--ifname", ""), "");
});

t.test("version tells ours from foreign ones, and what is hidden", needsRoot, async (t) => {
  const node = newNode(t);
  const shown = JSON.parse(node.cnitool("version --json").stdout) as { plugins: Record<string, unknown>[] };
  const row = (type: string, origin: string) =>
    shown.plugins.find((plugin) => plugin["type"] === type && plugin["origin"] === origin);
  t.match(row("double", "foreign"), {
    path: "/var/lib/bin/double",
    supportedVersions: ["0.3.1", "0.4.0", "1.0.0", "1.1.0"],
  });
  t.match(row("loopback", "ours"), { path: join(ourBin, "loopback"), about: "sets up the container's lo" });
  t.match(row("loopback", "foreign"), {
    path: join(goBin, "loopback"),
    hiddenBy: join(ourBin, "loopback"),
    about: /^CNI loopback plugin /,
  });
  t.notOk(shown.plugins.some(({ type }) => type === "cnitool" || type === "twill"));
  t.match(
    node.cnitool("version portmap").stdout,
    /^cnitool [^\n]+\n\nTYPE .*\nportmap {2}ours .*\nportmap {2}foreign {2}0.1.0 to 1.0.0 .* never used: .*\n$/,
  );

  node.write("/var/lib/bin/flanneld", "#!/bin/sh\ntouch /var/lib/started\n");
  chmodSync(join(node.varLib, "bin/flanneld"), 0o755);
  t.match(
    node.cnitool("version flanneld").stdout,
    /flanneld +tool +- +\/var\/lib\/bin\/flanneld +not a plugin: move it/,
  );
  t.notOk(existsSync(join(node.varLib, "started")), "it is not called");

  node.write("/var/lib/bin/liar", "#!/bin/sh\necho hello\n");
  chmodSync(join(node.varLib, "bin/liar"), 0o755);
  t.match(
    node.cnitool("version liar").stdout,
    /liar +foreign +- +\/var\/lib\/bin\/liar +plugin "liar" returned something that is not JSON on VERSION/,
  );

  const injected = ["-e", "trace=pidfd_open", "-e", "inject=pidfd_open:error=ENOSYS"]; // as before Linux 5.3
  t.match(
    node.runInside(
      ["strace", "-f", "-qq", "-o", "/dev/null", ...injected, join(ourTools, "cnitool"), "version", "double"],
      path,
    ).stdout,
    /^double +foreign +0\.3\.1 to 1\.1\.0 /m,
  );
});

t.test("validate asks the plugins that are there", needsRoot, async (t) => {
  const vlan = { type: "vlan", master: "eth0" };
  const node = newNode(t, {
    "10-net.conflist": lists([...bridged.plugins, vlan]),
    "20-new.conflist": lists([vlan, { type: "portmapp" }], { name: "new", cniVersion: "1.1.0" }),
  });
  t.strictSame(said(node.cnitool("validate net")), {
    ...silence,
    stdout: '/var/lib/net.d/10-net.conflist: ok: network "net", CNI 1.0.0: bridge with host-local, double, vlan\n',
  });
  t.strictSame(said(node.cnitool("validate new", { CNI_PATH: goBin })), {
    status: 1,
    stdout: [
      '/var/lib/net.d/20-new.conflist:1:48: error: plugin "vlan" does not support CNI 1.1.0, ' +
        "it supports 0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0",
      '    set "cniVersion" of the network to one that all its plugins support',
      `/var/lib/net.d/20-new.conflist:1:80: error: failed to find plugin "portmapp" in path [${goBin}]`,
      `    did you mean "portmap"? Otherwise install "portmapp" into ${goBin}`,
      "",
    ].join("\n"),
    stderr: "cnitool: 2 mistakes in 1 of 1 file\n",
  });
  t.match(node.cnitool("validate /var/lib/net.d"), { status: 1, stdout: /10-net.conflist:1:1: note: sorts first/ });
  const both = node.cnitool("validate /var/lib/net.d/10-net.conflist new");
  t.match(both, { status: 1, stdout: /10-net.conflist: ok: /, stderr: "cnitool: 1 mistake in 1 of 2 files\n" }, "many");
  t.match(both.stdout, /20-new.conflist:1:80: error: failed to find plugin "portmapp"/);
  t.match(node.cnitool("validate nett"), { status: 1, stderr: /did you mean "net"\?/ });
  t.match(node.cnitool("validate /no/such/file"), { status: 1, stderr: "cnitool: there is no file /no/such/file\n" });
});

t.test("validate --strict: two good networks have no mistake", needsRoot, async (t) => {
  const other = lists([{ type: "ptp", ipam: { type: "static", addresses: [{ address: "10.1.0.2/24" }] } }], {
    name: "b",
  });
  const node = newNode(t, { "10-net.conflist": bridged, "20-b.conflist": other });
  const { status, stdout, stderr } = node.cnitool("validate --strict");
  t.match({ status, stderr }, { status: 0, stderr: "" });
  t.match(stdout, /10-net.conflist:1:1: note: sorts first: .* use "net", not "b"\n/);
  t.equal(stdout.match(/: ok: /g)?.length, 2);
});

t.test("gc and status need no namespace", needsRoot, async (t) => {
  const node = newNode(t, { "net.conflist": chain({ cniVersion: "1.1.0" }) });
  t.match(node.cnitool("status net"), silence);
  t.match(node.cnitool("gc net"), silence);
  t.strictSame(verbs(node.noted()), ["STATUS", "STATUS", "GC", "GC"]);
});

t.test("a capability that no plugin of the network has is told", needsRoot, async (t) => {
  const node = newNode(t, { "net.conflist": lists([{ type: "double", capabilities: { portMappings: true } }]) });
  t.match(node.cnitool("add net /ns/one", { CAP_ARGS: '{"portMapping": []}' }), {
    status: 0,
    stderr:
      'cnitool: CAP_ARGS: "portMapping" is a capability of no plugin of network "net": did you mean "portMappings"?\n',
  });
  t.match(node.cnitool("del net /ns/one", { CAP_ARGS: '{"portMappings": []}' }), { status: 0, stderr: "" });
});

t.test("a file that is to replace another is not held against it", needsRoot, async (t) => {
  const node = newNode(t, { "10-net.conflist": bridged });
  node.write("/var/lib/draft.conflist", JSON.stringify(bridged));
  t.match(node.cnitool("validate --strict /var/lib/draft.conflist"), { status: 0, stdout: /: ok: / });
  node.write("/var/lib/draft.conflist", JSON.stringify({ ...bridged, name: "other" }));
  const held = node.cnitool("validate --strict --json /var/lib/draft.conflist");
  t.equal(held.status, 1);
  t.match(JSON.parse(held.stdout), {
    networks: [
      { name: "other", cniVersion: "1.0.0", plugins: [{ type: "bridge", ipam: "host-local" }, { type: "double" }] },
    ],
    findings: [
      { severity: "warning", text: /^bridge "br0" is also the gateway of network "net"/ },
      { severity: "warning", text: /^subnet 10.22.0.0\/24 overlaps with 10.22.0.0\/24 of network "net"/ },
    ],
  });
});
