import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { encode } from "../sys/text.ts";
import {
  attachmentsNamedBy,
  type CacheContent,
  type CacheEntry,
  listCache,
  listNetworkCache,
  readCache,
  readCachedResult,
  removeCache,
  writeCache,
} from "./result-cache.ts";

const root = mkdtempSync(join(tmpdir(), "twill-cache-"));
t.teardown(() => rmSync(root, { recursive: true }));
const results = join(root, "results");

const key = { networkName: "net", containerId: "one", ifName: "eth0" };
const entry: CacheEntry = {
  ...key,
  config: encode('{"name":"net"}'),
  netns: "/run/netns/one",
  cniArgs: [
    ["IP", "10.1.2.3"],
    ["A", "<b>"],
  ],
  capabilityArgs: { portMappings: [{ hostPort: 80, containerPort: 8080 }], bandwidth: {} },
  result: { cniVersion: "0.4.0", ips: [{ version: "4", address: "10.1.2.3/24" }], dns: {} },
};

t.test("an entry is written letter by letter as the reference library writes it", async (t) => {
  writeCache(root, entry);
  const file = join(results, "net-one-eth0");
  t.equal(
    readFileSync(file, "utf8"),
    '{"kind":"cniCacheV1","containerId":"one","config":"eyJuYW1lIjoibmV0In0=","ifName":"eth0","networkName":"net",' +
      '"netns":"/run/netns/one","cniArgs":[["IP","10.1.2.3"],["A","\\u003cb\\u003e"]],' +
      '"capabilityArgs":{"bandwidth":{},"portMappings":[{"containerPort":8080,"hostPort":80}]},' +
      '"result":{"cniVersion":"0.4.0","dns":{},"ips":[{"address":"10.1.2.3/24","version":"4"}]}}',
  );
  t.equal(statSync(file).mode & 0o777, 0o600);
  t.equal(statSync(results).mode & 0o777, 0o700);
});

t.test("an entry comes back as it was", async (t) => {
  t.strictSame(readCache(root, key), entry);
  t.strictSame(readCachedResult(root, key), {
    interfaces: [],
    ips: [{ address: "10.1.2.3/24" }],
    routes: [],
    dns: {},
  });
});

t.test("what is empty is not written, and read as empty", async (t) => {
  const small = { ...entry, ifName: "eth1", netns: undefined, cniArgs: [], capabilityArgs: {}, result: {} };
  writeCache(root, small);
  t.equal(
    readFileSync(join(results, "net-one-eth1"), "utf8"),
    '{"kind":"cniCacheV1","containerId":"one","config":"eyJuYW1lIjoibmV0In0=","ifName":"eth1","networkName":"net"}',
  );
  t.strictSame(readCache(root, small), small);
});

t.test("there is one file for each interface, and removing one leaves the others", async (t) => {
  t.ok(removeCache(root, { ...key, ifName: "eth1" }));
  t.notOk(removeCache(root, { ...key, ifName: "eth1" }), "the second time there is nothing");
  t.ok(existsSync(join(results, "net-one-eth0")));
});

t.test("a file of the form before cniCacheV1 is a bare result", async (t) => {
  writeFileSync(join(results, "net-old-eth0"), '{"cniVersion":"0.2.0","ip4":{"ip":"10.1.2.9/24"},"dns":{}}');
  const old = { ...key, containerId: "old" };
  t.match(readCachedResult(root, old), { ips: [{ address: "10.1.2.9/24" }] });
  t.throws(() => readCache(root, old), { code: 6 });
  t.match(listCache(root, "old").damaged, [{ reason: 'it has no "kind", as before libcni 0.8' }]);
  rmSync(join(results, "net-old-eth0"));
});

const whole = { kind: "cniCacheV1", ...key, containerId: "bad", config: "", result: {} };
const damages: [what: string, content: string | Buffer, reason: string][] = [
  ["an empty file, as a power failure leaves it", "", "it is empty"],
  ["a truncated file", '{"kind":"cniCacheV1","conf', "it is not a JSON object"],
  ["another kind of JSON", "[1]", "it is not a JSON object"],
  ["a file of another kind", '{"kind":"other"}', 'its "kind" is not "cniCacheV1"'],
  [
    "a file that is not UTF-8",
    Buffer.concat([Buffer.from('{"a":"'), Buffer.of(0xff), Buffer.from('"}')]),
    "it is not UTF-8",
  ],
  ["a number for a text", JSON.stringify({ ...whole, netns: 5 }), "a key is missing, or its value has the wrong type"],
  [
    "text for the result",
    JSON.stringify({ ...whole, result: "" }),
    "a key is missing, or its value has the wrong type",
  ],
  [
    "arguments that are no pairs",
    JSON.stringify({ ...whole, cniArgs: ["IP"] }),
    "a key is missing, or its value has the wrong type",
  ],
  ["no container", JSON.stringify({ ...whole, containerId: "" }), "a key is missing, or its value has the wrong type"],
  [
    "a config that is not base64",
    JSON.stringify({ ...whole, config: "?" }),
    "a key is missing, or its value has the wrong type",
  ],
  ["another's entry", JSON.stringify({ ...whole, containerId: "other" }), "it is the entry of net-other-eth0"],
];
for (const [what, content, reason] of damages) {
  t.test(`${what} is damaged: neither an attachment nor none`, async (t) => {
    const name = "net-bad-eth0";
    const path = join(results, name);
    writeFileSync(path, content);
    const bad = { ...key, containerId: "bad" };
    const error = {
      code: 6,
      msg: `cached result ${path} is damaged: ${reason}`,
      details: "To fix: delete the attachment (this ignores and removes the file), then add it again",
    };
    t.throws(() => readCachedResult(root, bad), error);
    t.throws(() => readCache(root, bad), error);
    t.strictSame(listCache(root, "bad"), { entries: [], damaged: [{ path, name, reason }] });
    t.strictSame(listCache(root).damaged, [{ path, name, reason }], "beside others");
    rmSync(path);
  });
}

for (const [what, program, ...words] of [
  ["a FIFO that nobody writes", "mkfifo"],
  ["a device that does not end", "ln", "-s", "/dev/zero"],
] as const) {
  t.test(`${what} is damaged, and not read`, async (t) => {
    const name = "net-bad-eth0";
    const path = join(results, name);
    execFileSync(program, [...words, path]);
    const reason = "it is a FIFO or a device";
    t.throws(() => readCache(root, { ...key, containerId: "bad" }), { code: 6, msg: new RegExp(reason) });
    t.strictSame(listCache(root).damaged, [{ path, name, reason }]);
    rmSync(path);
  });
}

t.test("a missing file is no attachment", async (t) => {
  t.equal(readCachedResult(root, { ...key, containerId: "gone" }), undefined);
  t.equal(readCache(root, { ...key, containerId: "gone" }), undefined);
  t.strictSame(listCache(root, "gone"), { entries: [], damaged: [] });
});

t.test("a file or directory that cannot be read is told, with the kernel's word", async (t) => {
  const broken = mkdtempSync(join(tmpdir(), "twill-cache-"));
  t.teardown(() => rmSync(broken, { recursive: true }));
  writeFileSync(join(broken, "results"), "");
  t.throws(() => listCache(broken), {
    code: 5,
    msg: `${broken}/results cannot be read: openat ${broken}/results: ENOTDIR`,
  });
  rmSync(join(broken, "results"));
  mkdirSync(join(broken, "results"));
  const path = join(broken, "results/net-one-eth0");
  symlinkSync("net-one-eth0", path);
  const reason = `statx ${path}: ELOOP`;
  t.throws(() => readCache(broken, key), { code: 5, msg: `${path} cannot be read: ${reason}` });
  t.throws(() => readCachedResult(broken, key), { code: 5, msg: `${path} cannot be read: ${reason}` });
  t.strictSame(listCache(broken), { entries: [], damaged: [{ path, name: "net-one-eth0", reason }] });
});

const names: [file: string, network: string, attachments: string[]][] = [
  ["net-one-eth0", "net", ["one eth0"]],
  ["net-a-b-eth0", "net", ["a b-eth0", "a-b eth0"]],
  ["net-a-b-eth0", "net-a", ["b eth0"]],
  ["net-a-b-eth0", "net-a-b", []],
  ["net-a-b-eth0", "ne", []],
  [
    "net-one-an-interface-of-more-than-15",
    "net",
    [
      "one-an-interface of-more-than-15",
      "one-an-interface-of more-than-15",
      "one-an-interface-of-more than-15",
      "one-an-interface-of-more-than 15",
    ],
  ],
];
for (const [name, network, attachments] of names) {
  t.test(`${name} may be about ${attachments.length} attachments to ${network}`, async (t) => {
    const told = attachmentsNamedBy({ path: "", name, reason: "" }, network);
    t.strictSame(
      told.map(({ containerId, ifName }) => `${containerId} ${ifName}`),
      attachments,
    );
  });
}

t.test("every part of the name is needed", async (t) => {
  t.throws(() => writeCache(root, { ...entry, ifName: "" }), {
    code: 999,
    msg: 'cache file path requires network name ("net"), container ID ("one"), and interface name ("")',
  });
});

t.test(
  "listCache tells attachments sorted by file, and passes over what has no name of an entry, and folders",
  async (t) => {
    writeCache(root, { ...entry, networkName: "another", containerId: "two" });
    writeCache(root, { ...entry, containerId: "one-and-more" });
    mkdirSync(join(results, "net-directory-eth0"));
    writeFileSync(join(results, "README"), "");
    writeFileSync(join(results, "net-x"), "");
    const told = (content: CacheContent) => [
      ...content.entries.map(({ networkName, containerId }) => `${networkName} ${containerId}`),
      ...content.damaged,
    ];
    t.strictSame(told(listCache(root)), ["another two", "net one-and-more", "net one"]);
    t.strictSame(told(listCache(root, "one")), ["net one"], "also when another ID begins so");
    t.strictSame(told(listCache(root, "net")), [], "an ID is in the middle of the name");
    t.strictSame(told(listCache(join(root, "nowhere"))), []);
  },
);

t.test("of one network the attachments are listed by their files' names, and those of others not read", async (t) => {
  const root = mkdtempSync(join(tmpdir(), "twill-cache-"));
  t.teardown(() => rmSync(root, { recursive: true }));
  writeCache(root, entry);
  writeCache(root, { ...entry, networkName: "net-1" });
  const path = join(root, "results", "other-one-eth0");
  writeFileSync(path, "damaged");
  t.match(listCache(root), { entries: [{ networkName: "net-1" }, { networkName: "net" }], damaged: [{ path }] });
  const own = listNetworkCache(root, "net");
  t.match(own, { entries: [{ networkName: "net" }], damaged: [] });
  t.equal(own.entries.length, 1, "not net-1, whose files begin so");
});
