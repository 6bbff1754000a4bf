import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { fakePlugin } from "../cni/fake.testing.ts";
import { decode, encode } from "../sys/text.ts";
import {
  addNetwork,
  checkNetwork,
  collectGarbage,
  deleteNetwork,
  planGarbageCollection,
  type Runtime,
  type RuntimeAttachment,
  requestOf,
  setPortMappings,
  statusNetwork,
} from "./network.ts";
import { type NetworkList, parseList } from "./network-list.ts";
import { type CacheEntry, listNetworkCache } from "./result-cache.ts";

/**
 * The double of a plugin: appends what it is given to `log`. Fails with the object in `<name>.<verb>`, where there is such a
 * file; answers ADD with the object in `<name>.answer`.
 */
const double = `#!/bin/sh
if [ $CNI_COMMAND = VERSION ]; then echo '{"cniVersion":"1.1.0","supportedVersions":["0.3.1","0.4.0","1.1.0"]}'; exit; fi
printf '{"verb":"%s","type":"%s","id":"%s","netns":"%s","ifName":"%s","args":"%s","conf":%s}\\n' \
  "$CNI_COMMAND" "\${0##*/}" "$CNI_CONTAINERID" "$CNI_NETNS" "$CNI_IFNAME" "$CNI_ARGS" "$(cat)" >> "\${0%/*}/log"
cat "$0.$CNI_COMMAND" 2>/dev/null && exit 1
[ $CNI_COMMAND != ADD ] || cat "$0.answer"
`;

interface Noted {
  verb: string;
  type: string;
  id: string;
  netns: string;
  ifName: string;
  args: string;
  conf: Record<string, unknown>;
}

/** A node with two plugins, first and second, and a cache. */
interface Node extends Runtime {
  /** What the plugins were given since it was asked last. */
  noted(): Noted[];
  cached(): string[];
  /** From now on the plugin fails so. */
  fail(type: string, verb: string, error: object): void;
}

function node(t: { teardown(work: () => void): void }): Node {
  const root = mkdtempSync(join(tmpdir(), "twill-runtime-"));
  t.teardown(() => rmSync(root, { recursive: true }));
  const [bin, cacheRoot] = [join(root, "bin"), join(root, "cache")];
  mkdirSync(bin);
  for (const name of ["first", "second"]) {
    writeFileSync(join(bin, name), double, { mode: 0o755 });
    writeFileSync(join(bin, `${name}.answer`), JSON.stringify(answer));
  }
  return {
    path: [bin],
    cacheRoot,
    delegates: {},
    noted() {
      if (!existsSync(join(bin, "log"))) return [];
      const lines = readFileSync(join(bin, "log"), "utf8").trimEnd().split("\n");
      rmSync(join(bin, "log"));
      return lines.map((line) => JSON.parse(line) as Noted);
    },
    cached: () => (existsSync(cacheRoot) ? readdirSync(join(cacheRoot, "results")) : []),
    fail: (type, verb, error) => writeFileSync(join(bin, `${type}.${verb}`), JSON.stringify(error)),
  };
}

const answer = { cniVersion: "1.0.0", ips: [{ address: "10.1.2.3/24" }] };
const attachment: RuntimeAttachment = {
  containerId: "one",
  netns: "/run/netns/one",
  ifName: "eth0",
  args: [
    ["A", "1"],
    ["B", "2"],
  ],
  capabilityArgs: { portMappings: [{ hostPort: 80 }], bandwidth: {}, mac: "0a:58:0a:01:02:03" },
};

function list(first: object = {}, second: object = {}, keys: object = {}): NetworkList {
  const plugins = [
    { type: "first", capabilities: { portMappings: true, bandwidth: false, aliases: true }, ...first },
    { type: "second", ...second },
  ];
  return parseList(encode(JSON.stringify({ cniVersion: "0.4.0", name: "net", plugins, ...keys })), "net.conflist");
}
const converted = { cniVersion: "0.4.0", ips: [{ version: "4", address: "10.1.2.3/24" }], dns: {} };
const verbs = (noted: readonly Noted[]): string[] => noted.map(({ verb, type }) => `${verb} ${type}`);

t.test("add goes forward, converts results to the list's version, and remembers the last one", async (t) => {
  const runtime = node(t);
  const result = addNetwork(list(), attachment, runtime);
  t.strictSame(result.ips, [{ address: "10.1.2.3/24" }]);

  const [first, second] = runtime.noted();
  t.match(first, { verb: "ADD", type: "first", id: "one", netns: "/run/netns/one", ifName: "eth0", args: "A=1;B=2" });
  t.strictSame(first?.conf, {
    capabilities: { aliases: true, bandwidth: false, portMappings: true },
    cniVersion: "0.4.0",
    name: "net",
    runtimeConfig: { portMappings: [{ hostPort: 80 }] },
    type: "first",
  });
  t.strictSame(second?.conf, { cniVersion: "0.4.0", name: "net", prevResult: converted, type: "second" });

  t.strictSame(runtime.cached(), ["net-one-eth0"]);
  const cached = JSON.parse(readFileSync(join(runtime.cacheRoot, "results/net-one-eth0"), "utf8")) as {
    result: object;
  };
  t.strictSame(cached.result, converted);
});

t.test("every verb after add gets the remembered result; delete goes backwards and forgets", async (t) => {
  const runtime = node(t);
  addNetwork(list(), attachment, runtime);
  addNetwork(list(), { ...attachment, ifName: "eth1" }, runtime);
  runtime.noted();

  checkNetwork(list(), attachment, runtime);
  const checked = runtime.noted();
  t.strictSame(verbs(checked), ["CHECK first", "CHECK second"]);
  for (const { conf } of checked) t.strictSame(conf["prevResult"], converted);

  deleteNetwork(list(), attachment, runtime);
  const deleted = runtime.noted();
  t.strictSame(verbs(deleted), ["DEL second", "DEL first"]);
  for (const { conf } of deleted) t.strictSame(conf["prevResult"], converted);
  t.strictSame(runtime.cached(), ["net-one-eth1"], "one file for each interface");

  deleteNetwork(list(), attachment, runtime);
  t.strictSame(
    runtime.noted().map(({ conf }) => conf["prevResult"]),
    [undefined, undefined],
    "the second delete is fine",
  );
});

t.test("delete below 0.4.0 passes no prevResult", async (t) => {
  const runtime = node(t);
  const old = list({}, {}, { cniVersion: "0.3.1" });
  addNetwork(old, attachment, runtime);
  runtime.noted();
  deleteNetwork(old, attachment, runtime);
  t.notOk(runtime.noted().some(({ conf }) => "prevResult" in conf));
});

t.test("a chain that fails stops, names the plugin, keeps the code, and remembers nothing", async (t) => {
  const runtime = node(t);
  runtime.fail("first", "ADD", { code: 11, msg: "later", details: "locked" });
  t.throws(() => addNetwork(list(), attachment, runtime), {
    code: 11,
    msg: 'plugin type="first" failed (add): later',
    details: "locked",
  });
  t.strictSame(verbs(runtime.noted()), ["ADD first"], "which may be in the way of another network's interface");
  t.strictSame(runtime.cached(), []);
});

t.test("what succeeded before a failure is deleted; what then fails too is told", async (t) => {
  const failure = { code: 57, msg: "broken", details: "very" };
  const runtime = node(t);
  runtime.fail("second", "ADD", failure);
  t.throws(() => addNetwork(list(), attachment, runtime), { code: 57, msg: /broken$/, details: "very" });
  t.strictSame(verbs(runtime.noted()), ["ADD first", "ADD second", "DEL second", "DEL first"]);
  runtime.fail("first", "DEL", { code: 11, msg: "later", details: "" });
  t.throws(() => addNetwork(list(), attachment, runtime), {
    code: 57,
    details:
      'very; could not delete the attachment either: plugin type="first" failed (delete): later. To fix: delete the attachment before you add it again: cnitool del --ifname eth0 net /run/netns/one',
  });
});

t.test("no plugin is run when one of the chain is missing", async (t) => {
  const runtime = node(t);
  t.throws(() => addNetwork(list({}, { type: "third" }), attachment, runtime), {
    code: 999,
    msg: `plugin type="third" failed (add): failed to find plugin "third" in path [${runtime.path[0]}]`,
  });
  t.strictSame(runtime.noted(), []);
});

t.test("a delete that fails stops and keeps the cache", async (t) => {
  const runtime = node(t);
  addNetwork(list(), attachment, runtime);
  runtime.noted();
  runtime.fail("second", "DEL", { code: 100, msg: "stuck" });
  t.throws(() => deleteNetwork(list(), attachment, runtime), {
    code: 100,
    msg: 'plugin type="second" failed (delete): stuck',
  });
  t.strictSame(verbs(runtime.noted()), ["DEL second"]);
  t.strictSame(runtime.cached(), ["net-one-eth0"]);
});

t.test("ports whose ADD fails are not in the cache, and are published by the next try", async (t) => {
  const runtime = node(t);
  addNetwork(list(), { ...attachment, capabilityArgs: {} }, runtime);
  runtime.noted();
  const cached = () => listNetworkCache(runtime.cacheRoot, "net").entries[0] as CacheEntry;
  runtime.fail("first", "ADD", { code: 100, msg: "taken" });
  t.throws(() => setPortMappings(cached(), [{ hostPort: 80 }], runtime), { code: 100, msg: /taken$/ });
  t.strictSame(cached().capabilityArgs, {});
  rmSync(join(runtime.path[0] ?? "", "first.ADD"));
  runtime.noted();
  setPortMappings(cached(), [{ hostPort: 80 }], runtime);
  t.strictSame(cached().capabilityArgs, { portMappings: [{ hostPort: 80 }] });
  const noted = runtime.noted();
  t.strictSame(verbs(noted), ["DEL first", "ADD first"], "of the plugin with the capability alone");
  t.strictSame(noted[1]?.conf["runtimeConfig"], { portMappings: [{ hostPort: 80 }] });
  setPortMappings(cached(), [], runtime);
  t.strictSame(cached().capabilityArgs, {});
});

t.test("a check that fails is told as it is", async (t) => {
  const runtime = node(t);
  runtime.fail("first", "CHECK", { code: 100, msg: "gone" });
  t.throws(() => checkNetwork(list(), attachment, runtime), { code: 100, msg: "gone" });
});

t.test("check below 0.4.0 is refused, disableCheck makes it a success", async (t) => {
  const runtime = node(t);
  t.throws(() => checkNetwork(list({}, {}, { cniVersion: "0.3.1" }), attachment, runtime), {
    code: 1,
    msg: 'configuration version "0.3.1" does not support the CHECK command',
  });
  checkNetwork(list({}, {}, { disableCheck: true }), attachment, runtime);
  t.strictSame(runtime.noted(), []);
});

for (const [what, content] of [
  ["damaged", "{"],
  [
    "of no known version",
    '{"kind":"cniCacheV1","containerId":"one","config":"","ifName":"eth0","networkName":"net","result":{"cniVersion":"9"}}',
  ],
] as const) {
  t.test(`a cache entry that is ${what} is fatal for check, and goes with delete`, async (t) => {
    const runtime = node(t);
    addNetwork(list(), attachment, runtime);
    runtime.noted();
    writeFileSync(join(runtime.cacheRoot, "results/net-one-eth0"), content);
    t.throws(() => checkNetwork(list(), attachment, runtime), { name: "CniError" });
    t.strictSame(runtime.noted(), []);
    deleteNetwork(list(), attachment, runtime);
    t.strictSame(verbs(runtime.noted()), ["DEL second", "DEL first"]);
    t.strictSame(runtime.cached(), []);
  });
}

t.test("a cache that cannot be written fails add", async (t) => {
  const runtime = { ...node(t), cacheRoot: "/dev/null" };
  t.throws(() => addNetwork(list(), attachment, runtime), { name: "SystemError", code: "ENOTDIR" });
});

t.test("parameters are checked before any plugin is run", async (t) => {
  const runtime = node(t);
  t.throws(() => addNetwork(list(), { ...attachment, containerId: "a b" }, runtime), { code: 4 });
  t.throws(() => addNetwork(list(), { ...attachment, ifName: "a/b" }, runtime), { code: 4 });
  t.strictSame(runtime.noted(), []);
});

const v11 = (first: object = {}, second: object = {}, keys: object = {}) =>
  list(first, second, { cniVersion: "1.1.0", ...keys });

/** @returns containers whose attachments were deleted */
function gc(list: NetworkList, runtime: Runtime, isValid: (entry: CacheEntry) => boolean = () => false): string[] {
  const deleted: string[] = [];
  const plan = planGarbageCollection(list, isValid, runtime);
  collectGarbage(list, plan, runtime, ({ containerId }) => deleted.push(containerId));
  return deleted;
}

for (const [what, content] of [
  ["empty", ""],
  ["truncated", '{"kind":"cniCacheV1","con'],
] as const) {
  t.test(`gc keeps what a cache entry that is ${what} may be about`, async (t) => {
    const runtime = node(t);
    addNetwork(v11(), attachment, runtime);
    addNetwork(v11(), { ...attachment, containerId: "two-three" }, runtime);
    runtime.noted();
    const file = join(runtime.cacheRoot, "results/net-two-three-eth0");
    writeFileSync(file, content);

    t.match(planGarbageCollection(v11(), () => false, runtime).damaged, [{ path: file }]);
    t.strictSame(gc(v11(), runtime), ["one"]);
    const noted = runtime.noted();
    t.strictSame(verbs(noted), ["DEL second", "DEL first", "GC first", "GC second"]);
    t.strictSame(noted.at(-1)?.conf["cni.dev/valid-attachments"], [
      { containerID: "two", ifname: "three-eth0" },
      { containerID: "two-three", ifname: "eth0" },
    ]);
    t.strictSame(runtime.cached(), ["net-two-three-eth0"]);
    t.strictSame(planGarbageCollection(v11({}, {}, { name: "other" }), () => false, runtime).damaged, []);
  });
}

t.test("gc tells DEL the namespace also of an entry of libcni before 1.2, by its result", async (t) => {
  const runtime = node(t);
  const entry = readFileSync("pkg/runtime/cache-entries/libcni-1.1.2-cni-1.0.0/results/net-container-0-eth0");
  mkdirSync(join(runtime.cacheRoot, "results"), { recursive: true });
  writeFileSync(join(runtime.cacheRoot, "results/net-container-0-eth0"), entry);
  t.strictSame(gc(v11(), runtime), ["container-0"]);
  t.match(runtime.noted()[0], { verb: "DEL", id: "container-0", netns: "/run/netns/fixture" });
});

t.test("gc is refused when the cache cannot be read", async (t) => {
  const runtime = node(t);
  mkdirSync(runtime.cacheRoot);
  writeFileSync(join(runtime.cacheRoot, "results"), "");
  t.throws(() => gc(v11(), runtime), { code: 5 });
  t.strictSame(runtime.noted(), []);
});

t.test("a delete that fails keeps a damaged cache entry", async (t) => {
  const runtime = node(t);
  addNetwork(list(), attachment, runtime);
  writeFileSync(join(runtime.cacheRoot, "results/net-one-eth0"), "");
  runtime.fail("second", "DEL", { code: 100, msg: "stuck" });
  t.throws(() => deleteNetwork(list(), attachment, runtime), { code: 100 });
  t.strictSame(runtime.cached(), ["net-one-eth0"]);
});

t.test("gc deletes what is not valid, with its own parameters, then asks the plugins", async (t) => {
  const runtime = node(t);
  addNetwork(v11(), attachment, runtime);
  addNetwork(v11(), { ...attachment, containerId: "two", netns: "/run/netns/two", args: [] }, runtime);
  addNetwork(v11({}, {}, { name: "other" }), attachment, runtime);
  runtime.noted();

  gc(v11(), runtime, ({ containerId }) => containerId === "two");
  const noted = runtime.noted();
  t.strictSame(verbs(noted), ["DEL second", "DEL first", "GC first", "GC second"]);
  t.match(noted[0], { id: "one", netns: "/run/netns/one", args: "A=1;B=2" });
  t.strictSame(noted[1]?.conf["runtimeConfig"], { portMappings: [{ hostPort: 80 }] });
  const valid = [{ containerID: "two", ifname: "eth0" }];
  t.match(noted[2], { id: "", netns: "", ifName: "" });
  t.strictSame(noted[2]?.conf["cni.dev/valid-attachments"], valid);
  t.strictSame(noted[2]?.conf["cni.dev/attachments"], valid);
  t.notOk("runtimeConfig" in (noted[2]?.conf ?? {}));
  t.strictSame(runtime.cached().sort(), ["net-two-eth0", "other-one-eth0"]);

  deleteNetwork(v11(), { ...attachment, containerId: "two" }, runtime);
  gc(v11(), runtime);
  t.strictSame(verbs(runtime.noted()), ["DEL second", "DEL first", "GC first", "GC second"]);
});

t.test("gc goes on after failures and tells all", async (t) => {
  const runtime = node(t);
  runtime.fail("first", "GC", { code: 100, msg: "one", details: "x" });
  runtime.fail("second", "GC", { code: 101, msg: "two" });
  runtime.fail("second", "DEL", { code: 102, msg: "three" });
  addNetwork(v11(), attachment, runtime);
  runtime.noted();
  t.throws(() => gc(v11(), runtime), {
    code: 102,
    msg: 'failed to delete stale attachment one eth0: plugin type="second" failed (delete): three',
    details:
      "could not collect garbage either: failed to GC plugin first: one; x; " +
      "could not collect garbage either: failed to GC plugin second: two",
  });
  t.strictSame(verbs(runtime.noted()), ["DEL second", "GC first", "GC second"]);
});

t.test("gc below 1.1.0 deletes but does not ask; with disableGC it does nothing", async (t) => {
  const runtime = node(t);
  addNetwork(list(), attachment, runtime);
  runtime.noted();
  gc(list({}, {}, { disableGC: true }), runtime);
  t.strictSame(runtime.noted(), []);
  gc(list(), runtime);
  t.strictSame(verbs(runtime.noted()), ["DEL second", "DEL first"]);
});

t.test("status stops at the first plugin that is not ready, and keeps its code", async (t) => {
  const runtime = node(t);
  statusNetwork(v11(), runtime);
  t.strictSame(verbs(runtime.noted()), ["STATUS first", "STATUS second"]);
  runtime.fail("first", "STATUS", { code: 50, msg: "pool is used up" });
  t.throws(() => statusNetwork(v11(), runtime), { code: 50, msg: "pool is used up" });
  t.strictSame(verbs(runtime.noted()), ["STATUS first"]);
  statusNetwork(list(), runtime);
  t.strictSame(runtime.noted(), [], "below 1.1.0 there is none");
});

t.test("a runtimeConfig of hand is kept when nothing of it is asked for, else replaced", async (t) => {
  const own = { runtimeConfig: { mine: 1 } };
  const config = (plugin: object) =>
    (
      JSON.parse(decode(requestOf(list(plugin), list(plugin).plugins[0] ?? { type: "" }, attachment))) as Record<
        string,
        unknown
      >
    )["runtimeConfig"];
  t.strictSame(config({ ...own, capabilities: {} }), { mine: 1 });
  t.strictSame(config(own), { portMappings: [{ hostPort: 80 }] });
});

/** The same node, where "fake" is a plugin of the executable that runs. */
function nodeWithOwn(t: { teardown(work: () => void): void }) {
  const runtime = node(t);
  symlinkSync(process.execPath, join(runtime.path[0] ?? "", "fake"));
  const fake = fakePlugin();
  return { runtime: { ...runtime, delegates: { fake } }, fake };
}

t.test("a plugin of this executable is called in this process, between others that are executed", async (t) => {
  const { runtime, fake } = nodeWithOwn(t);
  const mixed = list({ type: "fake" });
  addNetwork(mixed, attachment, runtime);
  checkNetwork(mixed, attachment, runtime);
  deleteNetwork(mixed, attachment, runtime);
  t.strictSame(
    fake.calls.map(({ verb }) => verb),
    ["ADD", "CHECK", "DEL"],
  );
  t.match(fake.calls[0]?.given, { containerId: "one", netns: "/run/netns/one", ifName: "eth0", args: "A=1;B=2" });
  const noted = runtime.noted();
  t.strictSame(verbs(noted), ["ADD second", "CHECK second", "DEL second"]);
  t.match(noted[0]?.conf["prevResult"], { cniVersion: "0.4.0", ips: [{ address: "10.1.2.3/24" }] });
});

t.test("in this process too a plugin's variables are checked, and its own namespace is guarded", async (t) => {
  const { runtime, fake } = nodeWithOwn(t);
  const own = list({ type: "fake" });
  const guarded = { ...attachment, netns: "/proc/thread-self/ns/net" };
  t.throws(() => addNetwork(own, guarded, runtime), {
    code: 8,
    msg: 'plugin type="fake" failed (add): CNI_NETNS "/proc/thread-self/ns/net" is the network namespace that the plugin itself runs in',
  });
  t.throws(() => deleteNetwork(own, { ...attachment, ifName: "a b" }, runtime), { code: 4 });
  t.strictSame(fake.calls, []);
});
