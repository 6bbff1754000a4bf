// Imports point downwards: the architecture picture of docs/architecture.md as a test, so that it cannot go stale.
// Reads every `from "..."`, type imports included, which a bundler's metafile does not list.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import t from "tap";

/** A folder that is not named here fails the test. */
const mayImport: Record<string, readonly string[]> = {
  "pkg/sys": [],
  "pkg/ip": [],
  "pkg/dbus": ["pkg/sys"],
  "pkg/netlink": ["pkg/sys"],
  "pkg/cni": ["pkg/ip", "pkg/sys"],
  "pkg/runtime": ["pkg/cni", "pkg/sys"],
  "pkg/gorpc": ["pkg/sys"],
  "pkg/dhcp": ["pkg/cni", "pkg/ip", "pkg/sys"],
  "pkg/ipam": ["pkg/cni", "pkg/ip", "pkg/sys"],
  "pkg/link": ["pkg/cni", "pkg/netlink", "pkg/ip", "pkg/sys"],
  "pkg/firewall": ["pkg/cni", "pkg/dbus", "pkg/netlink", "pkg/ip", "pkg/sys"],
  "pkg/observe": [],
  "pkg/subnet": ["pkg/cni", "pkg/ip", "pkg/observe", "pkg/sys"],
  "pkg/traffic": ["pkg/cni", "pkg/firewall", "pkg/ip", "pkg/link", "pkg/netlink", "pkg/observe", "pkg/sys"],
  "pkg/backend": ["pkg/cni", "pkg/ip", "pkg/link", "pkg/netlink", "pkg/observe", "pkg/subnet", "pkg/sys"],
};
/** Plugins do not know each other: they meet in the executable that holds them all. */
const everyPackage = Object.keys(mayImport);
const holdsAll = "cmd/twill";

/** What only the daemon has may use Node's own modules. */
const onNode = ["cmd/flanneld", "pkg/observe", "pkg/subnet", "pkg/traffic", "pkg/backend"];
/** Where packages are used: `import type` leaves nothing in the executable, koffi is the door's other side. A file, or how files begin. */
const foreign: Record<string, readonly string[]> = {
  "json-schema-to-ts": ["pkg/cni/schema.ts"],
  koffi: ["pkg/sys/node.ts", "pkg/sys/readiness.ts"],
  etcd3: ["pkg/subnet/etcd"],
  commander: ["cmd/flanneld/options"],
  "prom-client": ["cmd/flanneld/metrics.ts"],
  ajv: ["pkg/cni/fake.ts"], // for tests
  tap: ["pkg/netlink/golden.ts"], // for tests
};

const sources = ["cmd", "pkg"]
  .flatMap((top) => readdirSync(top, { recursive: true, encoding: "utf8" }).map((name) => join(top, name)))
  .filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts"));
const imports = sources.flatMap((file) =>
  [...readFileSync(file, "utf8").matchAll(/(?:\bfrom|\bimport) "([^"]+)"/g)].map(([, name = ""]) => ({ file, name })),
);
const inside = imports
  .filter(({ name }) => name.startsWith("."))
  .map(({ file, name }) => ({ file, target: normalize(join(dirname(file), name)) }));

t.ok(sources.length > 10 && inside.length > 10, "sees the sources");

t.test("imports point downwards through the layers", async (t) => {
  const upwards = inside.filter(({ file, target }) => {
    const [from, to] = [folderOf(file), folderOf(target)];
    return from !== to && !(mayImport[from] ?? (isPlugin(from) ? everyPackage : [])).includes(to);
  });
  t.strictSame(
    upwards.filter(({ file }) => folderOf(file) !== holdsAll),
    [],
  );
});

t.test("every folder has its place in the layers", async (t) => {
  const unknown = new Set(sources.map(folderOf).filter((folder) => !mayImport[folder] && !isPlugin(folder)));
  t.strictSame([...unknown], []);
});

t.test("netlink codecs are pure: they import nothing from outside their folder", async (t) => {
  const codecs = inside.filter(({ file }) =>
    /^pkg\/netlink\/((rtnetlink|nftables|conntrack)\/|(wire|message)\.ts)/.test(file),
  );
  t.ok(codecs.length > 10, "sees the codecs");
  const impure = codecs.filter(
    ({ target }) => folderOf(target) !== "pkg/netlink" || target === "pkg/netlink/connection.ts",
  );
  t.strictSame(impure, []);
});

t.test("nothing comes from Node or a package, but where it is said to", async (t) => {
  const packages = imports.filter(({ name }) => !/^[.#]/.test(name));
  const isAllowed = ({ file, name }: { file: string; name: string }) =>
    name.startsWith("node:") ? onNode.includes(folderOf(file)) : foreign[name]?.some((place) => file.startsWith(place));
  t.strictSame(
    packages.filter((one) => !isAllowed(one)),
    [],
  );
});

/** "pkg/netlink/rtnetlink/link.ts" is in "pkg/netlink". */
function folderOf(file: string): string {
  return file.split("/").slice(0, 2).join("/");
}

function isPlugin(folder: string): boolean {
  return folder.startsWith("cmd/");
}
