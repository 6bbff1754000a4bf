import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { NetlinkError } from "../netlink/connection.ts";
import { SystemError } from "../sys/errno.ts";
import { encode } from "../sys/text.ts";
import { CniError, ErrorCode, receivedError } from "./error.ts";
import { type FakePlugin, type FakeStreams, fakePlugin, fakeStreams, oneAddress } from "./fake.testing.ts";
import type { Result } from "./result.ts";
import { runPlugin } from "./skeleton.ts";
import { supportedVersions } from "./version.ts";

const environment = {
  CNI_CONTAINERID: "one",
  CNI_NETNS: "/run/netns/nobody-has-this-one",
  CNI_IFNAME: "eth0",
  CNI_ARGS: "IgnoreUnknown=1",
  CNI_PATH: "/opt/cni/bin:/usr/lib/cni",
};
const conf = { cniVersion: "1.1.0", name: "net", type: "fake" };
const gcConf = { ...conf, "cni.dev/valid-attachments": [] };

interface Ran {
  status: number;
  /** Parsed where something was printed. */
  stdout: unknown;
  stderr: string;
  streams: FakeStreams;
}

function run(
  plugin: FakePlugin,
  verb: string,
  stdin: object | string = conf,
  variables: Record<string, string> = {},
): Ran {
  const text = typeof stdin === "string" ? stdin : JSON.stringify(stdin);
  const streams = fakeStreams({ ...environment, ...(verb && { CNI_COMMAND: verb }), ...variables }, text);
  const status = runPlugin(plugin, { delegates: {}, version: "1.2.3", streams });
  const { stdout, stderr } = streams.written;
  return { status, stdout: stdout === "" ? "" : (JSON.parse(stdout) as unknown), stderr, streams };
}

t.test("ADD is told everything, and its result goes to stdout in the configuration's version", async (t) => {
  const plugin = fakePlugin();
  const document = { ...conf, cniVersion: "0.4.0", MTU: 1500 };
  const { status, stdout, stderr } = run(plugin, "ADD", document);
  t.equal(status, 0);
  t.equal(stderr, "");
  t.strictSame(stdout, {
    cniVersion: "0.4.0",
    interfaces: [{ name: "eth0", sandbox: "/run/netns/one" }],
    ips: [{ version: "4", interface: 0, address: "10.1.2.3/24", gateway: "10.1.2.1" }],
    routes: [{ dst: "0.0.0.0/0" }],
    dns: {},
  });
  t.strictSame(plugin.calls, [
    {
      verb: "ADD",
      given: {
        conf: { cniVersion: "0.4.0", name: "net", type: "fake", mtu: 1500 },
        cniVersion: "0.4.0",
        network: "net",
        stdin: encode(JSON.stringify(document)),
        path: ["/opt/cni/bin", "/usr/lib/cni"],
        delegates: {},
        host: undefined,
        containerId: "one",
        netns: "/run/netns/nobody-has-this-one",
        ifName: "eth0",
        args: "IgnoreUnknown=1",
        prevResult: undefined,
      },
    },
  ]);
});

for (const [verb, document] of [
  ["DEL", conf],
  ["CHECK", conf],
  ["GC", gcConf],
  ["STATUS", conf],
] as const) {
  t.test(`${verb} calls its handler and prints nothing`, async (t) => {
    const plugin = fakePlugin();
    const { status, stdout, stderr } = run(plugin, verb, document);
    t.strictSame({ status, stdout, stderr }, { status: 0, stdout: "", stderr: "" });
    t.match(plugin.calls, [{ verb, given: { network: "net", cniVersion: "1.1.0" } }]);
  });
}

t.test("VERSION answers compactly and leaves stdin unread", async (t) => {
  const plugin = fakePlugin({ versions: ["0.4.0", "1.0.0"] });
  const { status, streams } = run(plugin, "VERSION");
  t.equal(status, 0);
  t.equal(streams.written.stdout, '{"cniVersion":"1.1.0","supportedVersions":["0.4.0","1.0.0"]}\n');
  t.notOk(streams.stdinWasRead);
  t.strictSame(run(fakePlugin(), "VERSION").stdout, { cniVersion: "1.1.0", supportedVersions });
});

t.test("called by hand it says what it is and what to try", async (t) => {
  for (const verb of ["", undefined]) {
    const { status, stdout, stderr } = run(
      fakePlugin(),
      verb ?? "",
      conf,
      verb === undefined ? {} : { CNI_COMMAND: "" },
    );
    t.strictSame({ status, stdout }, { status: 0, stdout: "" });
    t.equal(
      stderr,
      "CNI fake plugin v1.9.1+twill.1.2.3\n" +
        "CNI protocol versions supported: 0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0\n" +
        "About: does nothing\n" +
        "Container runtimes call it. By hand, try: CNI_COMMAND=VERSION /opt/cni/bin/fake\n",
    );
  }
});

const all = supportedVersions.join(" ");
const anyOf = supportedVersions.join(", ");

/** What is refused before any handler is called. */
const refusals: {
  what: string;
  verb?: string;
  stdin?: object | string;
  variables?: Record<string, string>;
  versions?: string[];
  error: { cniVersion?: string; code: number; msg: string; details?: string };
}[] = [
  {
    what: "a missing variable",
    variables: { CNI_PATH: "" },
    error: {
      code: 4,
      msg: "required env variables [CNI_PATH] missing",
      details: "CNI_COMMAND is ADD. To fix: set them, as CNI_PATH=/opt/cni/bin",
    },
  },
  {
    what: "stdin that is not JSON",
    stdin: "{",
    error: {
      code: 6,
      msg: "the configuration on stdin is not JSON: line 1, column 2: the end where a key is expected",
    },
  },
  {
    what: "no name",
    stdin: { cniVersion: "1.1.0" },
    error: {
      code: 7,
      msg: '"name" is missing: the name of the network',
      details: 'To fix: set a name that can be part of a file name, as "name": "podnet"',
    },
  },
  {
    what: "an unknown verb with a configuration that is no JSON: that comes first",
    verb: "FROB",
    stdin: "no",
    error: { code: 6, msg: 'the configuration on stdin is not JSON: line 1, column 1: "no" where a value is expected' },
  },
  {
    what: "an unknown verb",
    verb: "FROB",
    error: {
      code: 4,
      msg: "unknown CNI_COMMAND: FROB",
      details: "To fix: use one of ADD, DEL, CHECK, GC, STATUS, VERSION",
    },
  },
  {
    what: "a verb that is a name of JavaScript's own",
    verb: "constructor",
    error: { code: 4, msg: "unknown CNI_COMMAND: constructor" },
  },
  {
    what: "a verb in lower case",
    verb: "add",
    error: { code: 4, msg: "unknown CNI_COMMAND: add", details: "To fix: did you mean ADD?" },
  },
  {
    what: "CHECK before 0.4.0",
    verb: "CHECK",
    stdin: { ...conf, cniVersion: "0.3.1" },
    error: {
      code: 1,
      msg: "config version does not allow CHECK",
      details: `config is "0.3.1", CHECK exists since 0.4.0. To fix: set "cniVersion" to 0.4.0 or later in the network's configuration`,
    },
  },
  ...["GC", "STATUS"].map((verb) => ({
    what: `${verb} before 1.1.0`,
    verb,
    stdin: { ...conf, cniVersion: "1.0.0" },
    error: {
      code: 1,
      msg: `config version does not allow ${verb}`,
      details: `config is "1.0.0", ${verb} exists since 1.1.0. To fix: set "cniVersion" to 1.1.0 or later in the network's configuration`,
    },
  })),
  {
    what: "CHECK of a configuration that is newer than the plugin",
    verb: "CHECK",
    stdin: { ...conf, cniVersion: "1.0.0" },
    versions: ["0.4.0"],
    error: {
      code: 1,
      msg: "plugin version does not allow CHECK",
      details: `config is "1.0.0", plugin supports [0.4.0]. To fix: set "cniVersion" to one of 0.4.0 in the network's configuration`,
    },
  },
  {
    what: "ADD of a future version",
    stdin: { ...conf, cniVersion: "1.2.0" },
    error: {
      code: 1,
      msg: "incompatible CNI versions",
      details: `config is "1.2.0", plugin supports [${all}]. To fix: set "cniVersion" to one of ${anyOf} in the network's configuration`,
    },
  },
  {
    what: "a version that is equal but written otherwise",
    stdin: { ...conf, cniVersion: "1.0" },
    error: {
      code: 1,
      msg: "incompatible CNI versions",
      details: `config is "1.0", plugin supports [${all}]. To fix: set "cniVersion" to one of ${anyOf} in the network's configuration`,
    },
  },
  {
    what: "no version, which is 0.1.0, by a plugin that does not speak that",
    stdin: { name: "net", type: "fake" },
    versions: ["0.4.0", "1.0.0"],
    error: {
      code: 1,
      msg: "incompatible CNI versions",
      details: `config is "0.1.0", plugin supports [0.4.0 1.0.0]. To fix: set "cniVersion" to one of 0.4.0, 1.0.0 in the network's configuration`,
    },
  },
  {
    what: "a version that is none",
    stdin: { ...conf, cniVersion: "one" },
    error: {
      code: 6,
      msg: '"cniVersion" is "one", must be one to three numbers separated by dots',
      details: `To fix: use one of ${anyOf}`,
    },
  },
  {
    what: "a version that is a number",
    stdin: { ...conf, cniVersion: 1 },
    error: {
      code: 7,
      msg: '"cniVersion" is 1, must be a string',
      details: `To fix: set "cniVersion" to one of ${anyOf} in the network's configuration`,
    },
  },
  {
    what: "the plugin's own namespace, on ADD",
    variables: { CNI_NETNS: "/proc/self/ns/net" },
    error: {
      code: 8,
      msg: 'CNI_NETNS "/proc/self/ns/net" is the network namespace that the plugin itself runs in',
      details: "To fix: pass the container's namespace, or set CNI_NETNS_OVERRIDE=1 if this one is intended",
    },
  },
  {
    what: "the plugin's own namespace, on DEL",
    verb: "DEL",
    variables: { CNI_NETNS: "/proc/self/ns/net" },
    error: { code: 8, msg: 'CNI_NETNS "/proc/self/ns/net" is the network namespace that the plugin itself runs in' },
  },
  {
    what: "a configuration that does not fit the schema",
    stdin: { ...conf, mtu: "1500" },
    error: {
      code: 7,
      msg: '"mtu" is "1500", must be a whole number',
      details: 'in the configuration of network "net". To fix: write it without quotes: "mtu": 1500',
    },
  },
  {
    what: "a prevResult of another family",
    verb: "CHECK",
    stdin: { ...conf, prevResult: { cniVersion: "0.4.0" } },
    error: { code: 1, msg: 'prevResult has "cniVersion" "0.4.0", the configuration has "1.1.0"' },
  },
  {
    what: "a prevResult that is none",
    stdin: { ...conf, prevResult: { ips: [{}] } },
    error: { code: 6, msg: '"prevResult.ips[0].address" is missing' },
  },
];
for (const { what, verb = "ADD", stdin, variables, versions, error } of refusals) {
  t.test(`refused before the plugin is called: ${what}`, async (t) => {
    const plugin = fakePlugin(versions && { versions });
    const ran = run(plugin, verb, stdin, variables);
    t.equal(ran.status, 1);
    const { code, msg, details } = ran.stdout as Record<string, unknown>;
    t.strictSame({ code, msg, details: error.details && details }, { details: undefined, ...error });
    t.strictSame(Object.keys(ran.stdout as object).slice(0, 3), ["cniVersion", "code", "msg"]);
    t.strictSame(plugin.calls, []);
  });
}

t.test(
  "an error is printed as the reference skeleton prints it, with the version the specification wants",
  async (t) => {
    const { streams } = run(fakePlugin(), "DEL", { ...conf, cniVersion: "0.4.0" }, { CNI_NETNS: "/proc/self/ns/net" });
    t.equal(
      streams.written.stdout,
      `{
    "cniVersion": "0.4.0",
    "code": 8,
    "msg": "CNI_NETNS \\"/proc/self/ns/net\\" is the network namespace that the plugin itself runs in",
    "details": "To fix: pass the container's namespace, or set CNI_NETNS_OVERRIDE=1 if this one is intended"
}`,
    );
  },
);

t.test("stdin that cannot be read is code 5", async (t) => {
  const streams = fakeStreams({ ...environment, CNI_COMMAND: "ADD" }, () => {
    throw new SystemError("read", 5, "stdin");
  });
  t.equal(runPlugin(fakePlugin(), { delegates: {}, version: "0", streams }), 1);
  t.match(JSON.parse(streams.written.stdout), { code: 5, msg: "read stdin: EIO" });
});

t.test("an empty CNI_NETNS reaches DEL as none", async (t) => {
  const plugin = fakePlugin();
  run(plugin, "DEL", conf, { CNI_NETNS: "" });
  t.equal(plugin.calls[0]?.given["netns"], undefined);
});

t.test("CNI_NETNS_OVERRIDE lets a plugin work in its own namespace", async (t) => {
  for (const value of ["1", "true", "TRUE"]) {
    const plugin = fakePlugin();
    run(plugin, "ADD", conf, { CNI_NETNS: "/proc/self/ns/net", CNI_NETNS_OVERRIDE: value });
    t.equal(plugin.calls.length, 1);
  }
  const plugin = fakePlugin();
  run(plugin, "ADD", conf, { CNI_NETNS: "/proc/self/ns/net", CNI_NETNS_OVERRIDE: "0" });
  t.equal(plugin.calls.length, 0);
});

t.test("CHECK, GC and STATUS have no own-namespace guard", async (t) => {
  for (const [verb, document] of [
    ["CHECK", conf],
    ["GC", gcConf],
    ["STATUS", conf],
  ] as const) {
    t.equal(run(fakePlugin(), verb, document, { CNI_NETNS: "/proc/self/ns/net" }).status, 0, verb);
  }
});

t.test("typed errors pass, also from below; the rest becomes 999", async (t) => {
  const typed = new CniError({ code: 11, msg: "later", details: "locked", remedy: "wait" });
  const answer = { cniVersion: "1.1.0", code: 11, msg: "later", details: "locked. To fix: wait" };
  t.strictSame(run(fakePlugin({ failure: typed }), "ADD").stdout, answer);
  t.strictSame(run(fakePlugin({ failure: new Error("wrapped", { cause: typed }) }), "ADD").stdout, answer);

  const untyped = run(fakePlugin({ failure: new TypeError("x is not a function") }), "STATUS");
  t.match(untyped.stdout, {
    code: 999,
    msg: "x is not a function",
    details: /^TypeError\n.*skeleton\.test\.ts.*please report it/s,
  });
  t.equal(untyped.status, 1);
  t.match(run(fakePlugin({ failure: "a text" }), "ADD").stdout, { code: 999, msg: "a text" });
});

t.test("refusals of the kernel say what to do", async (t) => {
  for (const [errno, remedy] of [
    [1, /run it as root/],
    [28, /free space/],
    [27, /LimitFSIZE/],
    [30, /read-only/],
    [24, /open files/],
    [12, /out of memory/],
    [2, /correct the path/],
    [20, /a file is where a directory is needed/],
    [21, /a directory is where a file is needed/],
    [36, /shorten the path/],
    [6, /a socket, or a device/],
    [40, /symbolic links/],
  ] as const) {
    const { stdout } = run(fakePlugin({ failure: new SystemError("openat", errno, "/x") }), "ADD");
    t.match(stdout, { code: 5, msg: /^openat \/x: E/, details: remedy });
  }
  const { stdout } = run(fakePlugin({ failure: new SystemError("openat", 22, "/a\0b") }), "ADD");
  t.match(stdout, { code: 5, msg: "openat /a\\u0000b: EINVAL", details: /^To fix: remove the NUL character/ });
  const gone = new NetlinkError("RTM_SETLINK", { errno: 19 });
  t.match(run(fakePlugin({ failure: gone }), "ADD").stdout, { code: 11, msg: /ENODEV/, details: /try again$/ });
});

t.test("a message is one line, whatever it quotes; another program's is passed on as it is", async (t) => {
  const failure = new CniError({ code: 7, msg: 'no "a\nb\x7f"', remedy: "correct it" });
  t.match(run(fakePlugin({ failure }), "ADD").stdout, { msg: 'no "a\\nb\x7f"' });
  t.match(run(fakePlugin({ failure: receivedError({ code: 7, msg: "two\nlines" }) }), "ADD").stdout, {
    msg: "two\nlines",
  });
});

t.test("a result that cannot be told is undone", async (t) => {
  const plugin = fakePlugin({ result: { interfaces: [], ips: [], routes: [] } });
  const { status, stdout } = run(plugin, "ADD", { ...conf, cniVersion: "0.2.0" });
  t.equal(status, 1);
  t.match(stdout, { cniVersion: "0.2.0", code: 1, msg: "cannot convert: no valid IP addresses" });
  t.strictSame(
    plugin.calls.map(({ verb }) => verb),
    ["ADD", "DEL"],
  );
});

t.test("an ADD whose result cannot be written is undone, other verbs are not", async (t) => {
  for (const [verb, verbs] of [
    ["ADD", ["ADD", "DEL"]],
    ["DEL", ["DEL"]],
    ["VERSION", []],
  ] as const) {
    const plugin = fakePlugin();
    const streams = fakeStreams({ ...environment, CNI_COMMAND: verb }, JSON.stringify(conf));
    streams.stdout = () => {
      throw new SystemError("write", 28, "stdout");
    };
    t.equal(runPlugin(plugin, { delegates: {}, version: "1.2.3", streams }), 1);
    t.strictSame(
      plugin.calls.map((call) => call.verb),
      verbs,
    );
    const outcome = verb === "ADD" ? "; the ADD was undone" : "";
    t.equal(streams.written.stderr, `fake: the answer to ${verb} cannot be written: write stdout: ENOSPC${outcome}\n`);
  }
});

t.test("prevResult reaches the plugin in the newest shape", async (t) => {
  for (const verb of ["ADD", "CHECK", "DEL"]) {
    const plugin = fakePlugin();
    const prevResult = { cniVersion: "0.4.0", ips: [{ version: "4", address: "10.1.2.3/24" }], dns: {} };
    run(plugin, verb, { ...conf, cniVersion: "0.4.0", prevResult });
    const expected: Result = { interfaces: [], ips: [{ address: "10.1.2.3/24" }], routes: [], dns: {} };
    t.strictSame(plugin.calls[0]?.given["prevResult"], expected, verb);
  }
});

t.test("GC without the attachments that exist removes nothing, and says so", async (t) => {
  const plugin = fakePlugin();
  const { status, stdout, stderr } = run(plugin, "GC", conf);
  t.match({ status, stdout }, { status: 0, stdout: "" });
  t.strictSame(plugin.calls, []);
  t.equal(
    stderr,
    'fake: network "net": GC removes nothing: "cni.dev/valid-attachments" is missing, the list of what must stay\n',
  );
});

t.test("a prevResult that cannot be read does not keep DEL from removing", async (t) => {
  const plugin = fakePlugin();
  const { status, stderr } = run(plugin, "DEL", { ...conf, prevResult: { cniVersion: "0.4.0" } });
  t.equal(status, 0);
  t.match(plugin.calls, [{ verb: "DEL", given: { prevResult: undefined } }]);
  t.match(stderr, /^fake: network "net": continues without prevResult: prevResult has "cniVersion" "0\.4\.0"/);
});

t.test("of thousands of unknown keys the first are told", async (t) => {
  const many = Object.fromEntries(Array.from({ length: 30_000 }, (_, i) => [`key${i}`, i]));
  const lines = run(fakePlugin(), "ADD", { ...conf, ...many })
    .stderr.split("\n")
    .filter(Boolean);
  t.equal(lines.length, 21);
  t.equal(lines.at(-1), 'fake: network "net": 29980 more unknown keys are ignored');
});

t.test("unknown keys are told on stderr, never on stdout", async (t) => {
  const { status, stdout, stderr } = run(fakePlugin(), "DEL", { ...conf, isGatway: true });
  t.strictSame({ status, stdout }, { status: 0, stdout: "" });
  t.equal(stderr, 'fake: network "net": unknown key "isGatway" is ignored; did you mean "isGateway"?\n');
});

/** Who is alive, by what the runtime sends. */
const attachment = { containerID: "a", ifname: "eth0" };
const other = { containerID: "b", ifname: "eth1" };
const valid: [what: string, keys: object, ids: string[]][] = [
  ["the specification's key", { "cni.dev/valid-attachments": [attachment, other] }, ["a eth0", "b eth1"]],
  ["the reference library's other key", { "cni.dev/attachments": [attachment] }, ["a eth0"]],
  [
    "both, which are put together",
    { "cni.dev/valid-attachments": [attachment], "cni.dev/attachments": [other] },
    ["a eth0", "b eth1"],
  ],
  ["an empty list", { "cni.dev/valid-attachments": [] }, []],
  ["null, which is an empty list", { "cni.dev/valid-attachments": null, "cni.dev/attachments": null }, []],
];
for (const [what, keys, ids] of valid) {
  t.test(`GC reads ${what}`, async (t) => {
    const plugin = fakePlugin();
    run(plugin, "GC", { ...conf, ...keys });
    const given = plugin.calls[0]?.given["validAttachments"] as { containerId: string; ifName: string }[];
    t.strictSame(
      given.map(({ containerId, ifName }) => `${containerId} ${ifName}`),
      ids,
    );
  });
}

t.test("TWILL_LOG gets a line for every call", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "twill-log-"));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const log = join(directory, "log");
  run(fakePlugin(), "ADD", conf, { TWILL_LOG: log });
  run(fakePlugin(), "GC", { ...conf, mtu: -1 }, { TWILL_LOG: log });
  run(fakePlugin(), "STATUS", "{", { TWILL_LOG: log });
  run(fakePlugin(), "DEL", conf, { TWILL_LOG: log, CNI_PATH: "" });
  run(fakePlugin(), "VERSION", conf, { TWILL_LOG: log });

  const lines = readFileSync(log, "utf8").split("\n");
  t.equal(lines.pop(), "", "each ends with a newline");
  const [add, gc, status, del, version] = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  t.match(add, {
    time: /^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/,
    plugin: "fake",
    verb: "ADD",
    network: "net",
    container: "one",
    ifname: "eth0",
    ms: Number,
    result: { cniVersion: "1.1.0", ips: [{ address: oneAddress.ips[0]?.address }] },
  });
  t.match(gc, { verb: "GC", network: "net", error: { code: 7 } });
  t.notOk("result" in (gc ?? {}));
  t.match(status, { verb: "STATUS", error: { code: 6 } });
  t.notOk("network" in (status ?? {}));
  t.match(del, { verb: "DEL", error: { code: 4 } });
  t.match(version, { verb: "VERSION", plugin: "fake" });
  t.equal(statSync(log).mode & 0o777, 0o600);
});

t.test("a log that cannot be written does not fail the call", async (t) => {
  const { status, stderr } = run(fakePlugin(), "ADD", conf, { TWILL_LOG: "/nowhere/log" });
  t.equal(status, 0);
  t.equal(stderr, "fake: cannot write TWILL_LOG: SystemError: openat /nowhere/log: ENOENT\n");
});

t.test("every code of the specification has a name", async (t) => {
  t.strictSame(Object.values(ErrorCode), [0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 50, 51, 999]);
});
