import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { encode } from "../sys/text.ts";
import { type CacheEntry, listCache, readCache, readCachedResult, removeCache, writeCache } from "./cache.ts";

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
});

t.test("a damaged file is told, a missing one is none", async (t) => {
  writeFileSync(join(results, "net-bad-eth0"), '{"kind":"cniCacheV1","conf');
  const bad = { ...key, containerId: "bad" };
  const file = join(results, "net-bad-eth0");
  const told = {
    code: 6,
    msg: `cached result ${file} is damaged: it is neither an entry of the cache nor a result`,
    details: "To fix: delete the attachment, which ignores and removes the file, then add it again",
  };
  t.throws(() => readCachedResult(root, bad), told);
  t.throws(() => readCache(root, bad), told);
  t.equal(readCachedResult(root, { ...key, containerId: "gone" }), undefined);
  t.equal(readCache(root, { ...key, containerId: "gone" }), undefined);
});

t.test("every part of the name is needed", async (t) => {
  t.throws(() => writeCache(root, { ...entry, ifName: "" }), {
    code: 999,
    msg: 'cache file path requires network name ("net"), container ID ("one"), and interface name ("")',
  });
});

t.test("listCache tells attachments sorted by file, and passes over what is none", async (t) => {
  writeCache(root, { ...entry, networkName: "another", containerId: "two" });
  writeCache(root, { ...entry, containerId: "one-and-more" });
  mkdirSync(join(results, "net-directory-eth0"));
  writeFileSync(join(results, "net-foreign-eth0"), '{"kind":"other"}');
  writeFileSync(join(results, "net-half-eth0"), '{"kind":"cniCacheV1","containerId":"half","config":""}');
  const told = (entries: CacheEntry[]) =>
    entries.map(({ networkName, containerId }) => `${networkName} ${containerId}`);
  t.strictSame(told(listCache(root)), ["another two", "net one-and-more", "net one"]);
  t.strictSame(told(listCache(root, "one")), ["net one"], "also when another ID begins so");
  t.strictSame(told(listCache(root, "net")), [], "an ID is in the middle of the name");
  t.strictSame(listCache(join(root, "nowhere")), []);
});
