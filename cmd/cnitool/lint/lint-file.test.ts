import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import t from "tap";
import { validate as validateHostLocal } from "#validate/host-local";
import { CniError } from "../../../pkg/cni/error.ts";
import { fakePlugin } from "../../../pkg/cni/fake.testing.ts";
import { loadOrderNotes, networkConflicts } from "./conflicts.ts";
import { type Finding, printFinding } from "./finding.ts";
import { type LintContext, lintFile, type Network } from "./lint-file.ts";

const versions: Readonly<Record<string, readonly string[]>> = {
  fake: ["0.4.0", "1.0.0", "1.1.0"],
  bridge: ["0.1.0", "1.0.0", "1.1.0"],
  flannel: ["0.4.0", "1.0.0"],
  "host-local": ["0.1.0", "0.4.0", "1.0.0", "1.1.0"],
  old: ["0.1.0", "0.2.0"],
  portmap: ["1.0.0"],
  bandwidth: ["1.0.0"],
  ptp: ["1.0.0"],
  static: ["1.0.0"],
};

const surroundings: LintContext = {
  plugins: { fake: fakePlugin(), "host-local": { ...fakePlugin(), validate: validateHostLocal, isIpam: true } },
  versionsOf(type) {
    const known = versions[type];
    if (known === undefined) throw new CniError({ code: 999, msg: `no "${type}"`, remedy: "install it" });
    return known;
  },
};

const root = mkdtempSync(join(tmpdir(), "twill-examine-"));
t.teardown(() => rmSync(root, { recursive: true }));

function write(name: string, content: string): string {
  const file = join(root, name);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, content);
  return file;
}

/** Without the directory. */
const told = (findings: readonly Finding[]): string[] =>
  findings.map((finding) => printFinding(finding).replaceAll(`${root}/`, "").trimEnd());

const flannelConf = (keys: object) =>
  JSON.stringify({ cniVersion: "1.0.0", name: "net", plugins: [{ type: "flannel", ...keys }] });

const chainOf = (...plugins: object[]) => JSON.stringify({ cniVersion: "1.0.0", name: "net", plugins });

const hostLocalWith = (keys: object) => ({ type: "host-local", subnet: "10.1.0.0/24", ...keys });

const rows: { claim: string; file?: string; text: string; findings: string[] }[] = [
  {
    claim: "a good list",
    text: '{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"fake","mtu":1400}]}',
    findings: [],
  },
  {
    claim: "a single plugin in a list's file",
    file: "s.conflist",
    text: '{"cniVersion":"1.0.0","name":"net","type":"fake"}',
    findings: [
      's.conflist:1:36: error: the configuration of a single plugin, which has no "plugins", in a file that ends in .conflist\n    put it into a list: {"cniVersion": …, "name": …, "plugins": [{"type": …}]}; or rename the file to s.conf',
    ],
  },
  {
    claim: "chained plugins that ask for what they need",
    text: chainOf(
      { type: "fake" },
      { type: "portmap", capabilities: { portMappings: true } },
      { type: "bandwidth", ingressRate: 1 },
    ),
    findings: [],
  },
  {
    claim: "a chained plugin without one before it",
    text: chainOf({ type: "portmap", capabilities: { portMappings: true } }, { type: "fake" }),
    findings: [
      `net.conflist:1:48: error: plugin "portmap" works on the interface of another plugin, but is the first one
    put a plugin that creates an interface first, as "bridge"`,
    ],
  },
  {
    claim: "chained plugins that runtimes give nothing to",
    text: chainOf({ type: "fake" }, { type: "portmap" }, { type: "bandwidth", capabilities: { bandwidth: false } }),
    findings: [
      `net.conflist:1:64: warning: plugin "portmap" does not request the capability "portMappings", so it never maps a port
    add "capabilities": {"portMappings": true}`,
      `net.conflist:1:83: warning: plugin "bandwidth" does not request the capability "bandwidth", so it never sets a limit
    add "capabilities": {"bandwidth": true}`,
    ],
  },
  {
    claim: "a good single plugin",
    file: "net.conf",
    text: '{"cniVersion":"1.0.0","name":"net","type":"fake"}',
    findings: [],
  },
  {
    claim: "flannel, which gives host-local its ranges",
    text: flannelConf({ ipam: { type: "host-local", dataDir: "/x" }, delegate: { type: "fake", mtu: 1400 } }),
    findings: [],
  },
  {
    claim: "flannel's delegate, with a key misspelled and a wrong value",
    text: flannelConf({ delegate: { type: "fake", isGatway: true, mtu: "1400" } }),
    findings: [
      'net.conflist:1:91: error: unknown key "isGatway"\n    did you mean "isGateway"?',
      'net.conflist:1:107: error: "mtu" is "1400", must be a whole number\n    write it without quotes: "mtu": 1400',
    ],
  },
  ...["flannel", "host-local"].map((type) => ({
    claim: `flannel with ${type} as its delegate`,
    text: flannelConf({ delegate: { type } }),
    findings: [
      `net.conflist:1:77: error: "delegate.type" is "${type}", which makes no interface\n` +
        '    use a plugin that makes one, as bridge, or leave it out; IPAM plugins belong in "ipam.type"',
    ],
  })),
  {
    claim: "flannel without the bridge plugin",
    text: flannelConf({}).replaceAll("1.0.0", "0.4.0"),
    findings: [
      'net.conflist:1:47: error: plugin "bridge" does not support CNI 0.4.0, it supports 0.1.0, 1.0.0, 1.1.0\n' +
        '    set "cniVersion" of the network to one that all its plugins support',
    ],
  },
  { claim: "nothing", text: "", findings: ["net.conflist:1:1: error: not JSON: nothing where a value is expected"] },
  {
    claim: "JSON with a comma too many",
    text: '{\n  "name": "net",\n}',
    findings: ['net.conflist:3:1: error: not JSON: "}" after a comma\n    remove the comma before it'],
  },
  {
    claim: "another value",
    text: "[1]",
    findings: ["net.conflist:1:1: error: [1] is not a network configuration, must be an object"],
  },
  {
    claim: "a key of the list misspelled, and one of another program",
    text: '{"cniVersion":"1.0.0","name":"net",\n"disableChek":true,\n"nerdctlID":"x","plugins":[{"type":"fake"}]}',
    findings: [
      'net.conflist:2:1: error: unknown key "disableChek"\n    did you mean "disableCheck"?',
      'net.conflist:3:1: warning: unknown key "nerdctlID"\n    plugins ignore it',
    ],
  },
  {
    claim: "a key of the list in another case, which runtimes do not recognise",
    text: '{"cniVersion":"1.0.0","name":"net","Plugins":[{"type":"fake"}]}',
    findings: ['net.conflist:1:36: error: key "Plugins" is not recognised here\n    write it as "plugins"'],
  },
  {
    claim: "keys of a plugin in another case, which are fine",
    text: '{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"fake","MTU":1400}]}',
    findings: [],
  },
  {
    claim: "a key twice",
    text: '{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"fake","mtu":1,\n"mtu":2}]}',
    findings: ['net.conflist:2:1: warning: key "mtu" occurs more than once, the last one is used'],
  },
  {
    claim: "wrong types and values of the list",
    text: '{"cniVersion":1,"name":"a/b",\n"disableGC":3,"plugins":[]}',
    findings: [
      'net.conflist:1:2: error: "cniVersion" is 1, must be a string\n    write it with quotes: "cniVersion": "1"',
      'net.conflist:1:17: error: "name" is "a/b", must be a letter or digit, then letters, digits, "_", "." and "-" (matching ^[a-zA-Z0-9][a-zA-Z0-9_.-]*$)',
      'net.conflist:2:1: error: "disableGC" is 3, must be true or false or a string\n    write it with quotes: "disableGC": "3"',
      'net.conflist:2:15: error: "plugins" is [], must be a list of at least 1',
    ],
  },
  {
    claim: "a name that is missing",
    text: '{"cniVersion":"1.0.0","plugins":[{"type":"fake"}]}',
    findings: [
      'net.conflist:1:1: error: "name" is missing\n    add it: a letter or digit, then letters, digits, "_", "." and "-"',
    ],
  },
  {
    claim: "a text for a flag that is none",
    text: '{"cniVersion":"1.0.0","name":"net","disableGC":"yes","plugins":[{"type":"fake"}]}',
    findings: ['net.conflist:1:1: error: "disableGC" is "yes", must be true or false\n    write "disableGC": true'],
  },
  {
    claim: "no version",
    text: '{"name":"net","plugins":[{"type":"old"}]}',
    findings: ['net.conflist:1:1: warning: "cniVersion" is missing: plugins use 0.1.0\n    add "cniVersion": "1.1.0"'],
  },
  {
    claim: "a version that is none",
    text: '{"cniVersion":"1.0.0-rc1","name":"net","cniVersions":["1.x"],"plugins":[{"type":"old"}]}',
    findings: [
      'net.conflist:1:40: error: "cniVersion" is "1.x", must be one to three numbers separated by dots\n    use one of 0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0',
      'net.conflist:1:74: error: plugin "old" does not support CNI 1.0.0-rc1, it supports 0.1.0, 0.2.0\n    set "cniVersion" of the network to one that all its plugins support',
    ],
  },
  {
    claim: "a version of the future",
    text: '{"cniVersion":"2.0.0","name":"net","plugins":[{"type":"fake"}]}',
    findings: [
      'net.conflist:1:2: warning: "cniVersion" is "2.0.0", the newest version that cnitool supports is 1.1.0',
      'net.conflist:1:48: error: plugin "fake" does not support CNI 2.0.0, it supports 0.4.0, 1.0.0, 1.1.0\n    set "cniVersion" of the network to one that all its plugins support',
    ],
  },
  ...["2", "1.2.0"].map((version) => ({
    claim: `a version of the future beside versions: ${version}`,
    text: `{"cniVersion":"${version}","cniVersions":["0.4.0","1.0.0","9.0.0"],"name":"net","plugins":[{"type":"fake"}]}`,
    findings: [
      `net.conflist:1:2: warning: "cniVersion" is "${version}", the newest version that cnitool supports is 1.1.0
    runtimes that do not read "cniVersions" use this one: set it to "1.0.0"`,
    ],
  })),
  {
    claim: "the highest of several versions counts",
    text: '{"cniVersions":["0.2.0","1.0.0"],"name":"net","plugins":[{"type":"fake"}]}',
    findings: [],
  },
  {
    claim: "a plugin that is missing, and an IPAM plugin that is missing",
    text: '{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"fakke"},\n{"type":"fake","ipam":{"type":"host-locl"}}]}',
    findings: [
      'net.conflist:1:48: error: no "fakke"\n    install it',
      'net.conflist:2:24: error: no "host-locl"\n    install it',
    ],
  },
  {
    claim: "wrong values and unknown keys of a plugin",
    text: '{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"fake","mtu":"1400","macc":"x","isGateway":1}]}',
    findings: [
      'net.conflist:1:62: error: "mtu" is "1400", must be a whole number\n    write it without quotes: "mtu": 1400',
      'net.conflist:1:75: error: unknown key "macc"\n    did you mean "mac"?',
      'net.conflist:1:86: error: "isGateway" is 1, must be true or false',
    ],
  },
  {
    claim: "wrong values and unknown keys deep in the IPAM plugin's part",
    text: '{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"fake","ipam":{"type":"host-local",\n"ranges":[[{"subnet":"10.1.0.0/33","gatway":"10.1.0.1"}]]}}]}',
    findings: [
      'net.conflist:2:13: error: "ipam.ranges[0][0].subnet" is "10.1.0.0/33", must be an IP address with its prefix length, as "10.1.0.0/16" or "fd00::/64"',
      'net.conflist:2:36: error: unknown key "gatway"\n    did you mean "gateway"?',
    ],
  },
  {
    claim: "ranges that contradict themselves",
    text: '{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"fake","ipam":{"type":"host-local","subnet":"10.1.0.0/24","rangeStart":"10.2.0.1"}}]}',
    findings: [
      'net.conflist:1:62: error: invalid range set 0: RangeStart 10.2.0.1 not in network 10.1.0.0/24\n    "rangeStart" must be an address of 10.1.0.0/24, with rangeStart not after rangeEnd',
    ],
  },
  {
    claim: "bounds and gateways that no host can have",
    text: chainOf(
      {
        type: "fake",
        ipam: { type: "host-local", subnet: "10.1.0.0/24", rangeStart: "10.1.0.0", rangeEnd: "10.1.0.255" },
      },
      {
        type: "fake",
        ipam: {
          type: "host-local",
          ranges: [
            [{ subnet: "10.2.0.0/24", rangeEnd: "10.2.0.9", gateway: "10.2.0.255" }],
            [{ subnet: "fd00::/64", rangeStart: "fd00::", rangeEnd: "fd00::ffff:ffff:ffff:ffff" }],
          ],
        },
      },
    ),
    findings: [
      `net.conflist:1:113: warning: "rangeStart" is 10.1.0.0, the network address of 10.1.0.0/24
    a container that gets it cannot be reached: leave it out of the range`,
      `net.conflist:1:137: warning: "rangeEnd" is 10.1.0.255, the broadcast address of 10.1.0.0/24
    a container that gets it cannot be reached: leave it out of the range`,
      `net.conflist:1:263: warning: "gateway" is 10.2.0.255, the broadcast address of 10.2.0.0/24
    no interface can have it: use another address of the subnet`,
      `net.conflist:1:311: warning: "rangeStart" is fd00::, the subnet-router anycast address of fd00::/64
    a container that gets it cannot be reached: leave it out of the range`,
    ],
  },
  {
    claim: "a gateway outside the subnet that a default route leads through",
    text: chainOf(
      { type: "bridge", isDefaultGateway: true, ipam: hostLocalWith({ gateway: "10.2.0.1" }) },
      {
        type: "fake",
        ipam: {
          ...{ type: "static", addresses: [{ address: "10.1.0.5/24", gateway: "10.2.0.1" }] },
          routes: [{ dst: "0.0.0.0/0" }],
        },
      },
    ),
    findings: [
      `net.conflist:1:139: error: gateway 10.2.0.1 is not in 10.1.0.0/24, so the kernel refuses the route through it, and every ADD fails
    set "gateway" to an address of 10.1.0.0/24`,
      `net.conflist:1:239: error: gateway 10.2.0.1 is not in 10.1.0.0/24, so the kernel refuses the route through it, and every ADD fails
    set "gateway" to an address of 10.1.0.0/24`,
    ],
  },
  {
    claim: "a gateway outside the subnet that is reached in another way, or needed by no route",
    text: chainOf(
      { type: "bridge", isGateway: true, ipam: hostLocalWith({ gateway: "10.2.0.1" }) },
      { type: "ptp", ipam: hostLocalWith({ gateway: "10.2.0.1", routes: [{ dst: "0.0.0.0/0" }] }) },
      {
        type: "fake",
        ipam: hostLocalWith({
          gateway: "10.2.0.1",
          routes: [{ dst: "10.2.0.1/32", scope: 253 }, { dst: "0.0.0.0/0" }],
        }),
      },
      {
        ...{ type: "bridge", isDefaultGateway: true },
        ipam: hostLocalWith({ gateway: "10.2.0.1", routes: [{ dst: "0.0.0.0/0", gw: "10.1.0.9" }, { dst: "::/0" }] }),
      },
      {
        ...{ type: "bridge", isDefaultGateway: true },
        ipam: {
          type: "host-local",
          ranges: [[{ subnet: "10.1.0.0/24", gateway: "10.2.0.1" }], [{ subnet: "10.2.0.0/24" }]],
        },
      },
    ),
    findings: [],
  },
  {
    claim: "ipam without the plugin's name",
    text: chainOf(
      { type: "bridge", isGateway: true, ipam: { subnet: "10.1.0.0/24" } },
      { type: "fake", ipam: { type: "", addresses: [] } },
      { type: "fake", ipam: {} },
    ),
    findings: [
      `net.conflist:1:81: error: "ipam" has no "type", so no plugin reads it, and containers get no addresses
    add "type": "host-local", or remove "ipam"`,
      `net.conflist:1:129: error: "ipam" has no "type", so no plugin reads it, and containers get no addresses
    add "type": "static", or remove "ipam"`,
    ],
  },
  {
    claim: "keys about addresses where there are none",
    text: chainOf({ type: "bridge", isGateway: true, isDefaultGateway: false, ipMasq: true }),
    findings: [
      `net.conflist:1:64: warning: "isGateway" has no effect without "ipam": containers get no addresses
    add "ipam", or remove "isGateway"`,
      `net.conflist:1:106: warning: "ipMasq" has no effect without "ipam": containers get no addresses
    add "ipam", or remove "ipMasq"`,
    ],
  },
  {
    claim: "keys that are the runtime's",
    text: '{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"fake","runtimeConfig":{},"cni.dev/attachments":[]}]}',
    findings: [
      'net.conflist:1:62: warning: key "runtimeConfig" is set by runtimes, and must not be in the file',
      'net.conflist:1:81: warning: key "cni.dev/attachments" is set by runtimes, and must not be in the file',
    ],
  },
  {
    claim: "a plugin without a type",
    text: '{"cniVersion":"1.0.0","name":"net","plugins":[{"mtu":1}]}',
    findings: ['net.conflist:1:47: error: "plugins[0].type" is missing\n    add it: the plugin\'s executable'],
  },
  {
    claim: "a single plugin without a type",
    file: "net.conf",
    text: '{"cniVersion":"1.0.0","name":"net","mtu":1}',
    findings: ['net.conf:1:1: error: "type" is missing, must be the name of a plugin\n    add it, as "type": "bridge"'],
  },
  {
    claim: "a list in a file for single plugins",
    file: "net.conf",
    text: '{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"fake"}]}',
    findings: ['net.conf:1:1: error: has "plugins", so it is a list\n    rename it to net.conflist'],
  },
  {
    claim: "a list without plugins, and no folder of the network's name",
    text: '{"cniVersion":"1.0.0","name":"nofolder"}',
    findings: ['net.conflist:1:1: error: no plugin configs found\n    add "plugins": [{"type": …}]'],
  },
];

for (const { claim, file = "net.conflist", text, findings } of rows) {
  t.test(`in a file: ${claim}`, async (t) => {
    t.strictSame(told(lintFile(write(file, text), surroundings).findings), findings);
  });
}

t.test("plugins in the folder of the network's name are told at their own places", async (t) => {
  const file = write("added.conflist", '{"cniVersion":"1.0.0","name":"added"}');
  write("added/10-good.conf", '{"type":"fake"}');
  write("added/20-bad.conf", '{\n"type":"fake","mtu":-1}');
  write("added/30-worse.conf", "{");
  const { findings, network } = lintFile(file, surroundings);
  t.strictSame(told(findings), [
    'added/20-bad.conf:2:15: error: "mtu" is -1, must be from 0 to 65535',
    "added/30-worse.conf:1:2: error: not JSON: the end where a key is expected",
  ]);
  t.strictSame(
    network?.plugins.map(({ type }) => type),
    ["fake", "fake"],
  );
});

t.test("a file with ten times the unknown keys is examined in some ten times the CPU time", async (t) => {
  const cpuOf = (keys: number): number => {
    const unknown = Object.fromEntries(Array.from({ length: keys }, (_, i) => [`k${i}`, 1]));
    const file = write("many-keys.conflist", chainOf({ type: "fake", ipam: hostLocalWith(unknown) }));
    const started = process.cpuUsage();
    t.equal(lintFile(file, surroundings).findings.length, keys);
    const { user, system } = process.cpuUsage(started);
    return user + system;
  };
  cpuOf(1_000); // compiles it
  const small = cpuOf(1_000);
  const large = cpuOf(10_000);
  t.ok(large < 35 * small, `${large} over ${small} us`); // a hundred times if each key looked at all others
});

t.test("what is no file is told like a mistake in one", async (t) => {
  mkdirSync(join(root, "directory.conflist"));
  symlinkSync("nowhere", join(root, "link.conflist"));
  execFileSync("mkfifo", [join(root, "fifo.conflist")]);
  for (const [name, problem] of [
    ["directory", "is a directory"],
    ["link", "does not exist, or is a dangling link"],
    ["fifo", "is a FIFO or a device"],
  ])
    t.strictSame(told(lintFile(join(root, `${name}.conflist`), surroundings).findings), [
      `${name}.conflist:1:1: error: ${problem}, must be a readable file\n    remove it, or rename it with another extension`,
    ]);
});

const network = (file: string, name: string, plugin: object): Network => {
  const text = JSON.stringify({ cniVersion: "1.0.0", name, plugins: [plugin] });
  const found = lintFile(write(file, text), surroundings).network;
  if (found === undefined) throw new Error(`no network in ${text}`);
  return found;
};
const hostLocal = (ipam: object, type = "fake") => ({ type, ipam: { type: "host-local", ...ipam } });

t.test("networks that hand out the same addresses clash", async (t) => {
  const one = network("1.conflist", "one", hostLocal({ subnet: "10.1.0.0/16", rangeEnd: "10.1.2.9" }));
  const two = network(
    "2.conflist",
    "two",
    hostLocal({ ranges: [[{ subnet: "10.9.0.0/24" }], [{ subnet: "fd00::/64" }]] }),
  );
  const three = network(
    "3.conflist",
    "three",
    hostLocal({ ranges: [[{ subnet: "10.1.2.0/24" }], [{ subnet: "fd01::/64" }]] }),
  );
  t.strictSame(told(networkConflicts(two, [one])), []);
  t.strictSame(told(networkConflicts(three, [one, two])), [
    '3.conflist:1:104: warning: subnet 10.1.2.0/24 overlaps with 10.1.0.0/16 of network "one" (1.conflist:1:90)\n' +
      "    both allocate 10.1.2.1 to 10.1.2.9, so two containers may get the same address",
  ]);
});

t.test("networks that share a subnet but no address clash too, since the host cannot route to both", async (t) => {
  const one = network("1.conflist", "one", hostLocal({ subnet: "10.1.0.0/24", rangeEnd: "10.1.0.99" }));
  const two = network("2.conflist", "two", hostLocal({ subnet: "10.1.0.0/24", rangeStart: "10.1.0.100" }));
  t.match(told(networkConflicts(two, [one])), [
    /they allocate different addresses, but the host cannot route to both$/,
  ]);
});

t.test("networks of one name clash, and the one that is used is named", async (t) => {
  const single = lintFile(write("1.conf", '{"cniVersion":"1.0.0","name":"net","type":"fake"}'), surroundings).network;
  const list = network("2.conflist", "net", { type: "fake" });
  t.strictSame(told(networkConflicts(list, single === undefined ? [] : [single])), [
    '2.conflist:1:23: error: network "net" is also in 1.conf\n    rename one of the two; runtimes that look for the name use 2.conflist',
  ]);
});

t.test("two networks cannot both be gateway on one bridge", async (t) => {
  const gateway = { type: "bridge", isGateway: true };
  const one = network("1.conflist", "one", { ...gateway, bridge: "cni0" });
  const two = network("2.conflist", "two", { type: "bridge", isDefaultGateway: true });
  t.strictSame(told(networkConflicts(two, [one])), [
    '2.conflist:1:47: warning: bridge "cni0" is also the gateway of network "one" (1.conflist)\n    set "bridge" to a name that no other network uses',
  ]);
  t.strictSame(networkConflicts(network("3.conflist", "three", { ...gateway, bridge: "cni1" }), [one]), []);
  t.strictSame(networkConflicts(network("3.conflist", "three", { type: "bridge" }), [one]), []);
});

t.test("the file that sorts first is told, with those that it keeps from being used", async (t) => {
  const [one, two] = [network("1.conflist", "one", { type: "fake" }), network("2.conflist", "two", { type: "fake" })];
  t.strictSame(told(loadOrderNotes([two, one])), [
    '1.conflist:1:1: note: sorts first: runtimes that use one network (containerd, CRI-O) use "one", not "two"\n' +
      "    rename the file of the intended network so that it sorts first; podman and nerdctl select networks by name",
  ]);
  t.strictSame(loadOrderNotes([one]), []);
  t.strictSame(
    loadOrderNotes([one, network("3.conflist", "one", { type: "fake" })]),
    [],
    "the other has the same name",
  );
});
