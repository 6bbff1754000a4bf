// Imports point downwards, and never in a circle: the picture in docs/architecture.md as a test, so that it stays true.
// Reads every `from "..."`, type imports included, which a bundler's metafile does not list.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import t from "tap";
import { nodeOnly } from "../dev/node-only.ts";

/** What a folder may import of the others. A folder that is not named here fails the test. */
const mayImport: Record<string, readonly string[]> = {
  "pkg/bytes": [],
  "pkg/ip": [],
  "pkg/sys": [],
  "pkg/config": ["pkg/ip"],
  "pkg/command-line": ["pkg/cni", "pkg/config"],
  "pkg/dbus": ["pkg/sys"],
  "pkg/gorpc": ["pkg/sys"],
  "pkg/netlink": ["pkg/bytes", "pkg/sys"],
  "pkg/cni": ["pkg/bytes", "pkg/config", "pkg/ip", "pkg/netlink", "pkg/sys"],
  "pkg/runtime": ["pkg/bytes", "pkg/cni", "pkg/config", "pkg/sys"],
  "pkg/dhcp": ["pkg/bytes", "pkg/cni", "pkg/config", "pkg/ip", "pkg/sys"],
  "pkg/ipam": ["pkg/cni", "pkg/config", "pkg/ip", "pkg/runtime", "pkg/sys"],
  "pkg/link": ["pkg/bytes", "pkg/cni", "pkg/config", "pkg/ip", "pkg/netlink", "pkg/sys"],
  "pkg/firewall": ["pkg/bytes", "pkg/cni", "pkg/config", "pkg/dbus", "pkg/ip", "pkg/netlink", "pkg/runtime", "pkg/sys"],
  "pkg/network": [
    "pkg/bytes",
    "pkg/cni",
    "pkg/config",
    "pkg/firewall",
    "pkg/ip",
    "pkg/ipam",
    "pkg/link",
    "pkg/netlink",
    "pkg/runtime",
    "pkg/sys",
  ],
  "pkg/dns": ["pkg/bytes", "pkg/ip"],
  "pkg/resolver": [
    "pkg/bytes",
    "pkg/cni",
    "pkg/config",
    "pkg/dns",
    "pkg/ip",
    "pkg/link",
    "pkg/network",
    "pkg/runtime",
    "pkg/sys",
  ],
  "pkg/subnet-env": ["pkg/cni", "pkg/config", "pkg/ip", "pkg/sys"],
  "pkg/cluster": ["pkg/config", "pkg/ip", "pkg/netlink", "pkg/sys"],
  "pkg/flannel": [
    "pkg/bytes",
    "pkg/cluster",
    "pkg/cni",
    "pkg/config",
    "pkg/firewall",
    "pkg/ip",
    "pkg/link",
    "pkg/netlink",
    "pkg/sys",
  ],
};
/** Programs may import every package, but no other program: they meet in the executable that holds them all. */
const everyPackage = Object.keys(mayImport);
const holdsAll = "cmd/twill";

/** Where packages from npm are used: a file, or how its path begins. `import type` leaves nothing in the executable. */
const packageUsers: Record<string, readonly string[]> = {
  "json-schema-to-ts": ["pkg/config/schema.ts"],
  koffi: ["pkg/sys/native-node.ts", "pkg/cluster/event-loop/on-readable.ts", "pkg/flannel/udp-data-path/libc.ts"],
  etcd3: ["pkg/cluster/store/etcd"],
  commander: ["cmd/flanneld/options"],
  "prom-client": ["cmd/flanneld/metrics.ts"],
  ajv: ["pkg/cni/fake.testing.ts"],
  tap: ["pkg/netlink/golden.testing.ts", "pkg/netlink/fake/"],
};

/** What loops over bytes is the host's (UTF-8, the searches for attributes and for bytes), but touches nothing else. */
const LOOPS_OVER_BYTES = ["pkg/sys/text.ts", "pkg/sys/netlink-attributes.ts", "pkg/sys/find-bytes.ts"];

/** Names that were given up for the field's own terms (docs/glossary.md), as names of files and of exports. */
const GIVEN_UP_FILES =
  /^(member|place|standing|wish|told|said|mend|settle|doomed|rival|door|soon|lazily|closer|complaint-box|tenancy|ledger|survey|holder|keeper|journal|way|home|belongings|carry-out|neighbours|meaning|without-repeats|interface-wish|kept-\w+|kernel-state|entry-reconciler|peer-reconciler|registry|held|suggest|frame|del-steps|utils?|helpers?|types)$/;
const GIVEN_UP_EXPORTS =
  /^(settle\w*|\w*Wish|\w*Standing|Told|tell[A-Z]\w*|\w*Rival|judge|doomed|mend\w*|Door|door|soon|Soon|lazily|Ledger|\w+Ledger|Tenancy|tenant\w*|admit|dismiss\w*|Departure|Dismissal|takeLease|makeWay\w*|Occupied|Publication|publish|unpublish\w*|Belongings|carryOut|bringHome|stated|Place|Found|Frame|AT_ONCE|Held)$/;

const files = ["cmd", "pkg"]
  .flatMap((top) => readdirSync(top, { recursive: true, encoding: "utf8" }).map((name) => join(top, name)))
  .filter((file) => file.endsWith(".ts"));
const isTest = (file: string) => file.endsWith(".test.ts");
const isTestSupport = (file: string) => file.endsWith(".testing.ts");
const sources = files.filter((file) => !isTest(file));

interface Import {
  file: string;
  name: string;
}
const importsOf = (file: string): Import[] =>
  [...readFileSync(file, "utf8").matchAll(/(?:\bfrom|\bimport) "([^"$]+)"/g)].map(([, name = ""]) => ({ file, name }));
const imports = sources.flatMap(importsOf);
const inside = imports
  .filter(({ name }) => name.startsWith("."))
  .map(({ file, name }) => ({ file, target: normalize(join(dirname(file), name)) }));

t.ok(sources.length > 10 && inside.length > 10, "sees the sources");

t.test("imports point downwards through the layers", async (t) => {
  const upwards = inside.filter(({ file, target }) => {
    const [from, to] = [folderOf(file), folderOf(target)];
    return from !== to && !(mayImport[from] ?? (isProgram(from) ? everyPackage : [])).includes(to);
  });
  t.strictSame(
    upwards.filter(({ file }) => folderOf(file) !== holdsAll && !isTestSupport(file)),
    [],
  );
});

t.test("no files import each other in a circle", async (t) => {
  t.strictSame(circles(inside), []);
});

t.test("every folder has its layer", async (t) => {
  const unknown = new Set(sources.map(folderOf).filter((folder) => !mayImport[folder] && !isProgram(folder)));
  t.strictSame([...unknown], []);
});

t.test("test support is imported by tests only", async (t) => {
  const wrong = inside.filter(({ file, target }) => isTestSupport(target) && !isTestSupport(file));
  t.strictSame(wrong, []);
});

t.test("netlink codecs are pure: they import nothing that touches the machine", async (t) => {
  const codecs = inside.filter(({ file }) =>
    /^pkg\/netlink\/((rtnetlink|nftables|conntrack)\/|(wire|message)\.ts)/.test(file),
  );
  t.ok(codecs.length > 10, "sees the codecs");
  const impure = codecs.filter(
    ({ target }) =>
      !LOOPS_OVER_BYTES.includes(target) &&
      (!["pkg/netlink", "pkg/bytes"].includes(folderOf(target)) || target === "pkg/netlink/connection.ts"),
  );
  t.strictSame(impure, []);
});

t.test("Node's modules and packages are imported only where they are allowed", async (t) => {
  const packages = imports.filter(({ name }) => !/^[.#]/.test(name));
  const isAllowed = ({ file, name }: Import) =>
    name.startsWith("node:")
      ? nodeOnly.some((path) => file.startsWith(path))
      : packageUsers[name]?.some((user) => file.startsWith(user));
  t.strictSame(
    packages.filter((one) => !isAllowed(one)),
    [],
  );
});

t.test("names that were given up do not come back", async (t) => {
  const named = files.filter((file) => GIVEN_UP_FILES.test(baseOf(file)));
  t.strictSame(named, [], "files");
  const exported = sources.flatMap((file) =>
    [
      ...readFileSync(file, "utf8").matchAll(/^export (?:async )?(?:function\*?|const|class|interface|type) (\w+)/gm),
    ].flatMap(([, name = ""]) => (GIVEN_UP_EXPORTS.test(name) ? [`${file}: ${name}`] : [])),
  );
  t.strictSame(exported, [], "exports");
});

/** Circles of imports, each named once by the path that closes it. */
function circles(edges: readonly { file: string; target: string }[]): string[] {
  const targets = new Map<string, string[]>();
  for (const { file, target } of edges) targets.set(file, [...(targets.get(file) ?? []), target]);
  const done = new Set<string>();
  const path: string[] = [];
  const found: string[] = [];
  const visit = (file: string) => {
    if (done.has(file)) return;
    const start = path.indexOf(file);
    if (start >= 0) {
      found.push([...path.slice(start), file].join(" -> "));
      return;
    }
    path.push(file);
    for (const target of targets.get(file) ?? []) visit(target);
    path.pop();
    done.add(file);
  };
  for (const file of targets.keys()) visit(file);
  return found;
}

/** "pkg/netlink/rtnetlink/link.ts" is in "pkg/netlink". */
function folderOf(file: string): string {
  return file.split("/").slice(0, 2).join("/");
}

/** "pkg/cni/rollback.test.ts" is named "rollback". */
function baseOf(file: string): string {
  return (file.split("/").at(-1) ?? "").replace(/(\.test|\.testing)?\.ts$/, "");
}

function isProgram(folder: string): boolean {
  return folder.startsWith("cmd/");
}
