// What containers are called, from cache entries as the real runtimes wrote them.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { containerIdOf } from "../runtime/container-id.ts";
import { type CacheEntry, listCache } from "../runtime/result-cache.ts";
import { aliasesOf, containerNameOf, podOf } from "./container-name.ts";

const samples = join(import.meta.dirname, "../runtime/cache-entries");
const firstOf = (writer: string): CacheEntry | undefined => listCache(join(samples, writer)).entries[0];

const entry: CacheEntry = {
  containerId: "",
  networkName: "front",
  ifName: "eth0",
  config: new Uint8Array(0),
  netns: "/run/netns/web",
  cniArgs: [],
  capabilityArgs: {},
  result: {},
};

t.test(
  "podman's container and containerd's pod have their name in the arguments, and podman's its aliases",
  async (t) => {
    const [podman, pod] = [firstOf("podman-4.3.1") ?? entry, firstOf("containerd-1.6.20") ?? entry];
    t.strictSame(
      [podman, pod].map((one) => containerNameOf(one)),
      ["web", "p1"],
    );
    t.strictSame(aliasesOf({ ...podman, capabilityArgs: { aliases: { net: ["www", 7], other: ["no"] } } }), ["www"]);
    t.strictSame([podman, pod].map(podOf), [undefined, "ns1/p1"]);
    t.strictSame([podman, pod].map(aliasesOf), [["04fdba9f54e8"], []]);
    t.strictSame(aliasesOf({ ...podman, capabilityArgs: { aliases: ["www"] } }), [], "not of another form");
  },
);

t.test("a container of nerdctl or ctr is named by containerd's files, one of cnitool by its namespace", async (t) => {
  const root = mkdtempSync(join(tmpdir(), "twill-names-"));
  t.teardown(() => rmSync(root, { recursive: true }));
  for (const [path, annotations] of [
    ["k8s.io/c1", {}],
    ["default/f00d", { "nerdctl/name": "shop" }],
  ] as const) {
    const folder = join(root, "run/containerd/io.containerd.runtime.v2.task", path);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "config.json"), JSON.stringify({ annotations }));
  }
  const named = (one: Partial<CacheEntry>) => containerNameOf({ ...entry, ...one }, root);
  t.equal(named(firstOf("ctr-1.6.20") ?? {}), "c1");
  t.equal(named({ containerId: "default-f00d" }), "shop");
  t.equal(named({ containerId: containerIdOf("/run/netns/web") }), "web");
  t.equal(named({ containerId: "other" }), undefined);
});
