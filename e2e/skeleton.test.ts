// What every plugin of the executable has in common, as a runtime meets it: bad input is refused with an error object that
// says what to do, and leaves everything as it was.
import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, linkSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { type Call, newHost, type Verb } from "./lab/host.ts";
import { needsRoot } from "./lab/needs.ts";
import { ourBin, ourTools } from "./lab/project.ts";

const version = "1.1.0";
const loopback = { cniVersion: version, name: "net", type: "loopback" };
const ranges = [[{ subnet: "10.9.0.0/24" }]];
const hostLocal = { cniVersion: version, name: "net", type: "host-local", ipam: { type: "host-local", ranges } };
const bridge = {
  cniVersion: version,
  name: "net",
  type: "bridge",
  bridge: "br0",
  ipam: { type: "host-local", ranges },
};

const plugins = { loopback, "host-local": hostLocal, bridge };
type PluginName = keyof typeof plugins;

interface Refusal {
  what: string;
  /** Where it does not concern all of them. */
  only?: PluginName[];
  verb?: Verb | string;
  /** Laid over the plugin's configuration. */
  change?: object;
  /** Sent instead of a configuration. */
  stdin?: string | Uint8Array;
  call?: Call;
  code: number;
  /** The whole message. */
  msg: string | RegExp;
  details?: RegExp;
}

const set = (environment: Record<string, string | undefined>): { call: Call } => ({ call: { environment } });

/** Bad input of all kinds. */
const refusals: Refusal[] = [
  {
    what: "empty stdin",
    stdin: "",
    code: 6,
    msg: "the configuration on stdin is not JSON: line 1, column 1: nothing where a value is expected",
  },
  {
    what: "text",
    stdin: "hello",
    code: 6,
    msg: 'the configuration on stdin is not JSON: line 1, column 1: "hello" where a value is expected',
  },
  {
    what: "half a configuration",
    stdin: '{"cniVersion": "1.1.0",\n "name": "net"',
    code: 6,
    msg: 'the configuration on stdin is not JSON: line 2, column 15: the end where "," or "}" is expected',
  },
  {
    what: "bytes that are no text",
    stdin: new Uint8Array([0, 255, 254, 123]),
    code: 6,
    msg: /^the configuration on stdin is not JSON: line 1, column 1: /,
  },
  { what: "a list", stdin: "[]", code: 6, msg: "the configuration on stdin is [], must be a JSON object" },
  {
    what: "10 MB of JSON",
    stdin: JSON.stringify({ ...loopback, x: "y".repeat(10_000_000) }),
    code: 6,
    msg: "the configuration on stdin has more than 8 MiB",
  },
  {
    what: "5 MB of lists in lists",
    stdin: `{"x":${"[".repeat(5_000_000)}`,
    code: 6,
    msg: "the configuration on stdin is not JSON: too many levels of nesting",
  },
  {
    what: "2000 lists in lists that never end",
    stdin: `{"x":${"[".repeat(2_000)}`,
    code: 6,
    msg: "the configuration on stdin is not JSON: line 1, column 261: more than 256 levels of nesting",
  },
  {
    what: "a whole list",
    stdin: JSON.stringify({ cniVersion: version, name: "net", plugins: [{ type: "bridge" }] }),
    code: 7,
    msg: '"plugins" makes this a list of plugins, must be the configuration of one plugin',
  },
  {
    what: "no name",
    change: { name: undefined },
    code: 7,
    msg: '"name" is missing: the name of the network',
  },
  {
    what: "a name with a path in it",
    change: { name: "../../etc" },
    code: 7,
    msg: /^"name" is "\.\.\/\.\.\/etc": it must begin with a letter/,
  },
  {
    what: "a name that is a number",
    change: { name: 5 },
    code: 7,
    msg: /^"name" is 5: it must begin with a letter/,
  },
  {
    what: "an unknown version",
    change: { cniVersion: "1.9.0" },
    code: 1,
    msg: "incompatible CNI versions",
  },
  {
    what: "no version",
    change: { cniVersion: "one" },
    code: 6,
    msg: '"cniVersion" is "one", must be one to three numbers separated by dots',
  },
  {
    what: "a version that is a number",
    change: { cniVersion: 1.1 },
    code: 7,
    msg: '"cniVersion" is 1.1, must be a string',
  },
  {
    what: "CHECK before 0.4.0",
    verb: "CHECK",
    change: { cniVersion: "0.3.1" },
    code: 1,
    msg: "config version does not allow CHECK",
  },
  {
    what: "GC before 1.1.0",
    verb: "GC",
    change: { cniVersion: "1.0.0" },
    code: 1,
    msg: "config version does not allow GC",
  },
  {
    what: "STATUS before 1.1.0",
    verb: "STATUS",
    change: { cniVersion: "1.0.0" },
    code: 1,
    msg: "config version does not allow STATUS",
  },
  { what: "an unknown verb", ...set({ CNI_COMMAND: "FROB" }), code: 4, msg: "unknown CNI_COMMAND: FROB" },
  {
    what: "no container ID",
    ...set({ CNI_CONTAINERID: undefined }),
    code: 4,
    msg: "required env variables [CNI_CONTAINERID] missing",
  },
  {
    what: "no namespace",
    ...set({ CNI_NETNS: undefined }),
    code: 4,
    msg: "required env variables [CNI_NETNS] missing",
  },
  {
    what: "no interface name",
    ...set({ CNI_IFNAME: "" }),
    code: 4,
    msg: "required env variables [CNI_IFNAME] missing",
  },
  { what: "an empty CNI_PATH", ...set({ CNI_PATH: "" }), code: 4, msg: "required env variables [CNI_PATH] missing" },
  {
    what: "nothing but the verb",
    ...set({ CNI_CONTAINERID: undefined, CNI_NETNS: undefined, CNI_IFNAME: undefined, CNI_PATH: undefined }),
    code: 4,
    msg: "required env variables [CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH] missing",
  },
  {
    what: "a container ID with a path in it",
    ...set({ CNI_CONTAINERID: "../x" }),
    code: 4,
    msg: /^invalid characters in CNI_CONTAINERID "\.\.\/x": /,
  },
  {
    what: "a long interface name",
    ...set({ CNI_IFNAME: "sixteen-letters-" }),
    code: 4,
    msg: /^CNI_IFNAME is "sixteen-letters-", must be an interface name: 1 to 15 bytes/,
  },
  {
    what: "an interface name of 15 letters and 16 bytes",
    ...set({ CNI_IFNAME: "fifteen-letter-ä" }),
    code: 4,
    msg: /^CNI_IFNAME is "fifteen-letter-ä", /,
  },
  {
    what: "an interface name with a slash",
    ...set({ CNI_IFNAME: "a/b" }),
    code: 4,
    msg: /^CNI_IFNAME is "a\/b", must be /,
  },
  {
    what: "an interface name with a space",
    ...set({ CNI_IFNAME: "a b" }),
    code: 4,
    msg: /^CNI_IFNAME is "a b", must be /,
  },
  {
    what: "the plugin's own namespace",
    ...set({ CNI_NETNS: "/proc/self/ns/net" }),
    code: 8,
    msg: 'CNI_NETNS "/proc/self/ns/net" is the network namespace that the plugin itself runs in',
  },
  {
    what: "the plugin's own namespace, on DEL",
    verb: "DEL",
    ...set({ CNI_NETNS: "/proc/self/ns/net" }),
    code: 8,
    msg: 'CNI_NETNS "/proc/self/ns/net" is the network namespace that the plugin itself runs in',
  },
  {
    what: "a prevResult of another time",
    change: { prevResult: { cniVersion: "0.4.0" } },
    code: 1,
    msg: 'prevResult has "cniVersion" "0.4.0", the configuration has "1.1.0"',
  },
  {
    what: "a prevResult that is a text",
    change: { prevResult: "x" },
    code: 7,
    msg: '"prevResult" is "x", must be an object',
  },
  {
    what: "dns that is a text",
    change: { dns: "1.1.1.1" },
    code: 7,
    msg: '"dns" is "1.1.1.1", must be an object',
  },
  {
    what: "a capability that is a text",
    change: { capabilities: { mac: "true" } },
    code: 7,
    msg: '"capabilities.mac" is "true", must be true or false',
  },
  {
    what: "a namespace that is not there",
    only: ["loopback", "bridge"],
    ...set({ CNI_NETNS: "/run/netns/nobody" }),
    code: 4,
    msg: 'CNI_NETNS: failed to open netns "/run/netns/nobody": it does not exist',
  },
  {
    what: "a namespace that is a file",
    only: ["loopback", "bridge"],
    ...set({ CNI_NETNS: "/etc/hostname" }),
    code: 4,
    msg: 'CNI_NETNS: failed to open netns "/etc/hostname": it is not a network namespace',
  },
  {
    what: "a namespace of another kind",
    only: ["loopback", "bridge"],
    ...set({ CNI_NETNS: "/proc/self/ns/uts" }),
    code: 4,
    msg: 'CNI_NETNS: failed to open netns "/proc/self/ns/uts": it is not a network namespace',
    details: /shared propagation/,
  },
  {
    what: "a namespace's name",
    only: ["loopback", "bridge"],
    ...set({ CNI_NETNS: "twill-example" }),
    code: 4,
    msg: 'CNI_NETNS: failed to open netns "twill-example": it does not exist',
    details: /it must be a path: CNI_NETNS=\/run\/netns\/twill-example/,
  },
  {
    what: "a namespace that is gone",
    only: ["loopback", "bridge"],
    ...set({ CNI_NETNS: "/run/netns/twill-gone" }),
    code: 4,
    msg: 'CNI_NETNS: failed to open netns "/run/netns/twill-gone": it does not exist',
    details: /^To fix: the container has ended, or the path is wrong/,
  },
];

for (const [plugin, conf] of Object.entries(plugins)) {
  t.test(`${plugin} refuses bad input with an error object that says what to do`, needsRoot, async (t) => {
    const node = newHost(t);
    const before = node.snapshot();
    for (const { what, only, verb = "ADD", change, stdin, call, code, msg, details = /To fix: ./ } of refusals) {
      if (only !== undefined && !only.includes(plugin as PluginName)) continue;
      const { status, stdout } = await node.cniAtOnce(plugin, verb as Verb, stdin ?? { ...conf, ...change }, {
        ...call,
        timeoutMs: 5000,
      });
      const error = stdout as { code: number; msg: string; details: string };
      t.match({ status, code: error.code, msg: error.msg }, { status: 1, code, msg }, what);
      if (typeof msg === "string") t.equal(error.msg, msg, `${what}: the whole message`);
      t.match(error.details, details, `${what}: a remedy`);
    }
    t.strictSame(node.snapshot(), before, "and leaves everything as it was");
  });
}

/** Paths of configurations where something else lies, with what is said of them. Laid out below /var/lib. */
const paths: [what: string, path: string, details: RegExp][] = [
  ["a file in the path", "/var/lib/file/x", /^To fix: a file is where a directory is needed/],
  ["a directory of 300 bytes", `/var/lib/${"a".repeat(300)}`, /^To fix: shorten the path/],
  ["a NUL", "/var/lib/a\0b", /^To fix: remove the NUL character/],
  ["a link to itself", "/var/lib/loop/x", /^To fix: symbolic links of the path lead to each other/],
];

t.test("a path that cannot be used is told with what to do", needsRoot, async (t) => {
  const node = newHost(t);
  node.sh("touch /var/lib/file; ln -s loop /var/lib/loop; mkdir /var/lib/net");
  const refused = (plugin: string, keys: object, what: string, details: RegExp) =>
    t.match(
      node.cni(plugin, "ADD", {
        cniVersion: version,
        name: "net",
        type: plugin,
        prevResult: { cniVersion: version },
        ...keys,
      }),
      { status: 1, stdout: { code: 5, msg: /: E/, details } },
      `${plugin}: ${what}`,
    );
  for (const [what, path, details] of paths) {
    refused("host-local", { ipam: { type: "host-local", ranges, dataDir: path } }, what, details);
    refused("debug", { cniOutput: `${path}/x` }, what, details);
  }
  refused("debug", { cniOutput: "/var/lib/none/x" }, "no directory", /^To fix: create it, or correct the path/);
  refused("debug", { cniOutput: "/var/lib/net" }, "a directory", /^To fix: a directory is where a file is needed/);
  node.containers[0]?.sh("ip link add eth0 type veth peer name other");
  refused(
    "tuning",
    { mtu: 1400, dataDir: "/var/lib/file" },
    "a file",
    /^To fix: a file is where a directory is needed/,
  );
  const socket = `require("node:net").createServer().listen("/var/lib/net/lock", () => process.kill(process.pid, "SIGKILL"))`;
  node.run(process.execPath, "-e", socket);
  const dataDir = "/var/lib";
  refused("host-local", { ipam: { type: "host-local", ranges, dataDir } }, "a socket as lock", /^To fix: a socket, or/);
  node.sh("rm /var/lib/net/lock");
  t.match(node.cni("host-local", "ADD", { ...hostLocal, ipam: { type: "host-local", ranges, dataDir } }), {
    status: 0,
  });
});

t.test("every plugin answers VERSION without reading stdin", async (t) => {
  for (const plugin of Object.keys(plugins)) {
    const { status, stdout, stderr } = spawnSync(join(ourBin, plugin), {
      env: { CNI_COMMAND: "VERSION" },
      stdio: ["ignore", "pipe", "pipe"],
      encoding: "utf8",
    });
    t.strictSame(
      { status, stdout, stderr },
      {
        status: 0,
        stdout:
          '{"cniVersion":"1.1.0","supportedVersions":["0.1.0","0.2.0","0.3.0","0.3.1","0.4.0","1.0.0","1.1.0"]}\n',
        stderr: "",
      },
    );
  }
});

t.test("called by hand, a plugin says what it is and what to try", async (t) => {
  const file = join(ourBin, "loopback");
  const { status, stdout, stderr } = spawnSync(file, { env: {}, encoding: "utf8" });
  t.strictSame({ status, stdout }, { status: 0, stdout: "" });
  const [first, versions, about, hint] = stderr.split("\n");
  t.match(first, /^CNI loopback plugin v1\.9\.1\+twill\.\d+\.\d+\.\d+$/);
  t.equal(versions, "CNI protocol versions supported: 0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0");
  t.equal(about, "About: sets up the container's lo");
  const command = /try: (.*)$/.exec(hint ?? "")?.[1] ?? "";
  t.match(spawnSync("sh", ["-c", command], { encoding: "utf8" }), { status: 0, stdout: /^\{"cniVersion"/ }, command);
});

t.test(
  "the name decides which plugin it is: of a hard link, a copy, a symbolic link; and the first argument of twill",
  async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "twill-names-"));
    t.teardown(() => rmSync(folder, { recursive: true }));
    const twill = join(ourTools, "twill");
    linkSync(copied(twill, join(folder, "copy")), join(folder, "host-local"));
    copied(twill, join(folder, "loopback"));
    symlinkSync(twill, join(folder, "bridge"));
    symlinkSync(twill, join(folder, "ptpp"));
    const about = (file: string, ...args: string[]) =>
      spawnSync(join(folder, file), args, { env: {}, encoding: "utf8" }).stderr;
    for (const name of ["host-local", "loopback", "bridge"]) t.match(about(name), new RegExp(`^CNI ${name} plugin `));
    t.match(spawnSync(twill, ["loopback"], { env: {}, encoding: "utf8" }).stderr, /^CNI loopback plugin /);
    t.match(about("ptpp"), /^twill: "ptpp" is not a plugin of this executable/);
    const called = spawnSync(join(folder, "ptpp"), { env: { CNI_COMMAND: "ADD" }, encoding: "utf8" });
    t.match(JSON.parse(called.stdout), {
      code: 7,
      msg: '"ptpp" is not a plugin of this executable',
      details: /To fix: correct "type"/,
    });
  },
);

function copied(from: string, to: string): string {
  copyFileSync(from, to);
  chmodSync(to, 0o755);
  return to;
}

t.test("twill says what it holds", async (t) => {
  const { status, stdout, stderr } = spawnSync(join(ourTools, "twill"), { env: {}, encoding: "utf8" });
  t.strictSame({ status, stderr }, { status: 0, stderr: "" });
  for (const name of Object.keys(plugins)) t.match(stdout, new RegExp(`^  ${name} `, "m"));
});

const nested = (levels: number) => `${"[".repeat(levels)}${"]".repeat(levels)}`;

t.test("lists in lists are read or refused, however small the stack may be", needsRoot, async (t) => {
  const node = newHost(t);
  const conf = `{"cniVersion": "1.1.0", "name": "net", "x": ${nested(15_000)}}`;
  for (const kilobytes of ["128", "512", "1024", "4096", "8192", "16384", "unlimited"]) {
    const under = ["sh", "-c", `ulimit -s ${kilobytes}; exec "$0"`];
    const { status, signal, stdout } = node.cni("loopback", "ADD", conf, { ifName: "lo", under });
    t.equal(signal, null, `ulimit -s ${kilobytes}`);
    if (status === 0) t.match(stdout, { interfaces: [{ name: "lo" }] });
    else t.match(stdout, { code: 6, msg: /: too many levels of nesting$/ }, `ulimit -s ${kilobytes}`);
    t.match(
      node.cni("loopback", "ADD", loopback, { ifName: "lo", under }),
      { status: 0 },
      "a usual configuration is read",
    );
  }
});

t.test("an ADD that may write no file undoes what it has done, and says why", needsRoot, async (t) => {
  const node = newHost(t);
  const ipam = { type: "host-local", ranges: [[{ subnet: "10.3.0.0/24" }]] };
  const conf = { cniVersion: "1.1.0", name: "net", type: "bridge", bridge: "net0", ipam };
  for (const verb of ["ADD", "DEL"] as const) t.match(node.cni("bridge", verb, conf), { status: 0 });
  const before = node.snapshot();
  const { status, signal, stdout } = node.cni("bridge", "ADD", conf, { under: ["sh", "-c", 'ulimit -f 0; exec "$0"'] });
  t.strictSame({ status, signal }, { status: 1, signal: null });
  t.match(stdout, { msg: /EFBIG/, details: /LimitFSIZE/ });
  t.strictSame(node.snapshot(), before);
});

t.test("programs that twill starts have the signals of its caller", needsRoot, async (t) => {
  const node = newHost(t);
  node.write(
    "/var/lib/bin/signals",
    `#!/bin/sh\ngrep -E '^Sig(Blk|Ign)' /proc/self/status >&2; echo '{"cniVersion": "1.1.0", "ips": []}'\n`,
  );
  node.sh("chmod +x /var/lib/bin/signals");
  const conf = { cniVersion: "1.1.0", name: "net", type: "bridge", bridge: "net0", ipam: { type: "signals" } };
  const { stderr } = node.cni("bridge", "DEL", conf, { path: "/var/lib/bin" });
  t.match(stderr, /^SigBlk:\s0{16}\nSigIgn:\s0{16}$/m);
});

t.test("what explains a mistake in JSON says so where the stack is too small for it", needsRoot, async (t) => {
  const node = newHost(t);
  const conf = `{"cniVersion": "1.1.0", "name": "net", "x": ${nested(200)}} x`;
  const mistake = `line 1, column ${conf.length}: "x" after the end of the value`;
  node.write("/var/lib/deep.conflist", conf);
  for (const kilobytes of ["128", "512", "1024", "8192"]) {
    const under = ["sh", "-c", `ulimit -s ${kilobytes}; exec "$0"`];
    const { status, signal, stdout } = node.cni("loopback", "ADD", conf, { ifName: "lo", under });
    t.strictSame({ status, signal }, { status: 1, signal: null }, `ulimit -s ${kilobytes}`);
    t.match(stdout, { code: 6, msg: kilobytes === "8192" ? mistake : /: too many levels of nesting$/ });
    const validate = `ulimit -s ${kilobytes}; exec ${ourTools}/cnitool validate /var/lib/deep.conflist`;
    t.match(node.run("sh", "-c", validate), {
      status: 1,
      stdout: kilobytes === "8192" ? /"x" after the end of the value/ : /error: not JSON: too many levels of nesting/,
    });
  }
});

t.test(
  "tuning's look for duplicate sysctls is refused in words where lists are nested too deeply",
  needsRoot,
  async (t) => {
    const node = newHost(t);
    const conf = `{"cniVersion": "1.1.0", "name": "net", "sysctl": {"net.core.somaxconn": "500"}, "x": ${nested(300)}}`;
    t.match(node.cni("tuning", "ADD", conf, { ifName: "lo" }), {
      status: 1,
      stdout: { code: 6, msg: /more than 256 levels of nesting$/, details: /^To fix: correct the configuration file/ },
    });
  },
);

t.test("no plugin demands a type, which none reads", needsRoot, async (t) => {
  const node = newHost(t);
  const conf = { cniVersion: version, name: "net" };
  const { stdout } = spawnSync(join(ourTools, "twill"), ["--plugins"], { encoding: "utf8" });
  const names = stdout.split("\n").filter(Boolean);
  t.ok(names.length >= 20, `sees the plugins: ${names}`);
  for (const name of names) {
    const given = name === "host-local" ? { ...conf, ipam: { ranges } } : conf;
    t.match(node.cni(name, "DEL", given), { status: 0, stdout: "" }, name);
  }
  t.match(node.cni("loopback", "ADD", conf, { ifName: "lo" }), { status: 0, stdout: { interfaces: [{ name: "lo" }] } });
});

t.test("an unknown key is told on stderr, and the call goes on", needsRoot, async (t) => {
  const node = newHost(t);
  const { status, stdout, stderr } = node.cni("loopback", "ADD", { ...loopback, captabilities: {} });
  t.match({ status, stdout }, { status: 0, stdout: { interfaces: [{ name: "lo" }] } });
  t.equal(stderr, 'loopback: network "net": unknown key "captabilities" is ignored; did you mean "capabilities"?\n');
});

t.test("a stderr that takes nothing does not fail the call", needsRoot, async (t) => {
  const node = newHost(t);
  const under = ["sh", "-c", 'exec "$0" 2> /dev/full'];
  t.match(node.cni("loopback", "ADD", { ...loopback, captabilities: {} }, { under }), { status: 0, stderr: "" });
  const environment = { TWILL_TRACE: "1" };
  t.match(
    node.cni("loopback", "CHECK", loopback, { environment }).stderr,
    /RTM_GETLINK/,
    "there is a trace to be written",
  );
  t.match(node.cni("loopback", "CHECK", loopback, { environment, under }), { status: 0, stderr: "" });
});

t.test("a stderr whose reader has gone does not end the call", needsRoot, async (t) => {
  const node = newHost(t);
  const under = ["bash", "--norc", "-c", `exec 2> >(exec true); while test -d /proc/$!; do :; done; exec "$0"`];
  t.match(node.cni("bridge", "ADD", { ...bridge, captabilities: {} }, { under }), { status: 0, stderr: "" });
  t.match(node.cni("bridge", "DEL", { ...bridge, captabilities: {} }, { under }), { status: 0, stderr: "" });
});

t.test("an ADD whose result cannot be written is undone", needsRoot, async (t) => {
  const node = newHost(t);
  const noReader = `exec > >(exec true); while test -d /proc/$!; do :; done; exec "$0"`;
  for (const [stdout, errno] of [
    ['exec "$0" > /dev/full', "ENOSPC"],
    [noReader, "EPIPE"],
    ['exec "$0" >&-', "EBADF"],
  ] as const) {
    const { status, stderr } = node.cni("bridge", "ADD", bridge, { under: ["bash", "--norc", "-c", stdout] });
    t.equal(status, 1);
    t.match(stderr, `bridge: the answer to ADD cannot be written: write stdout: ${errno}; the ADD was undone\n`);
    t.notMatch(node.sh("ip -o link"), /veth/);
    t.strictSame(node.sh("find /var/lib/cni/networks/net -name '10.*'"), "", "no reservation");
  }
});

t.test("TWILL_LOG says in one line what a call did", needsRoot, async (t) => {
  const node = newHost(t);
  const environment = { TWILL_LOG: "/var/lib/twill.log" };
  node.cni("loopback", "ADD", loopback, { environment });
  node.cni("loopback", "GC", { ...loopback, "cni.dev/valid-attachments": 7 }, { environment });
  const [add, gc] = readFileSync(join(node.varLib, "twill.log"), "utf8")
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  t.match(add, {
    plugin: "loopback",
    verb: "ADD",
    network: "net",
    container: "container-0",
    ifname: "eth0",
    ms: Number,
  });
  t.match(add, { result: { cniVersion: version, ips: [{ address: "127.0.0.1/8" }, { address: "::1/128" }] } });
  t.match(gc, { plugin: "loopback", verb: "GC", error: { code: 7 } });
});

t.test("a plugin may work in its own namespace when it is told to", needsRoot, async (t) => {
  const node = newHost(t);
  const environment = { CNI_NETNS: "/proc/self/ns/net", CNI_NETNS_OVERRIDE: "1" };
  t.match(node.cni("loopback", "ADD", loopback, { environment }), { status: 0 });
});
