// The entries of cache-entries/, as the real writers wrote them.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { cachedNamespace } from "./cached-namespace.ts";
import { type CacheEntry, listCache } from "./result-cache.ts";

const samples = join(import.meta.dirname, "cache-entries");
const writers = readdirSync(samples).filter((name) => name !== "README.md");

t.test("the samples of all writers are there", async (t) => {
  t.equal(writers.length, 17);
});

for (const writer of writers) {
  t.test(`${writer}: entries are read whole, with the namespace if it is in there`, async (t) => {
    const { entries, damaged } = listCache(join(samples, writer));
    t.strictSame(damaged, []);
    t.not(entries.length, 0);
    for (const entry of entries) t.equal(cachedNamespace(entry).path, expected(writer), entry.networkName);
  });
}

function expected(writer: string): string | undefined {
  if (writer.startsWith("podman")) return "/run/netns/netns-0496d2f8-89c6-6b1f-b463-df468a1d8bb2";
  if (writer.startsWith("containerd")) return "/var/run/netns/cni-76eab7a4-295a-e7c6-083b-6d1282d542a5";
  if (writer.startsWith("ctr")) return "/proc/523/ns/net";
  return /libcni-1\.[01].*cni-0\.2\.0/.test(writer) ? undefined : "/run/netns/fixture";
}

const eth0 = { ifName: "eth0", netns: undefined };
const results: [what: string, entry: Parameters<typeof cachedNamespace>[0], namespace: object][] = [
  ["netns comes before the result", { ...eth0, netns: "/no/netns", result: sandbox("/no/other") }, dead("/no/netns")],
  ["the result has it", { ...eth0, result: sandbox("/no/netns") }, dead("/no/netns")],
  [
    "the sandbox of another interface is not asked",
    { ...eth0, ifName: "eth1", result: sandbox("/no/netns") },
    unknown(),
  ],
  ["a sandbox that is no path is unknown", { ...eth0, result: sandbox("vm-3f2a") }, unknown("vm-3f2a")],
  ["an empty sandbox is none", { ...eth0, result: sandbox("") }, unknown()],
  ["no interfaces", { ...eth0, result: { cniVersion: "1.0.0" } }, unknown()],
  ["interfaces of a wrong type", { ...eth0, result: { interfaces: [5, { name: "eth0", sandbox: 5 }] } }, unknown()],
];
for (const [what, entry, namespace] of results) {
  t.test(`${what}`, async (t) => {
    t.strictSame(cachedNamespace(entry), namespace);
  });
}

function sandbox(path: string): CacheEntry["result"] {
  return { interfaces: [{ name: "eth0" }, { name: "eth0", sandbox: path }] };
}
function dead(path: string): object {
  return { path, state: "dead" };
}
function unknown(path?: string): object {
  return { path, state: "unknown" };
}
