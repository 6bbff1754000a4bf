import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import t from "tap";
import { decode, encode } from "../sys/text.ts";
import { loadList, loadNetwork, type NetworkList, parseList } from "./network-list.ts";

/** A directory of configurations that goes with the test. */
function directory(t: { teardown(work: () => void): void }, files: Record<string, object | string>): string {
  const root = mkdtempSync(join(tmpdir(), "twill-list-"));
  t.teardown(() => rmSync(root, { recursive: true }));
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), typeof content === "string" ? content : JSON.stringify(content));
  }
  return root;
}

const load = (root: string, name: string, warnings: string[] = []): NetworkList =>
  loadNetwork(root, name, (text) => warnings.push(text));
const types = ({ plugins }: NetworkList): string[] => plugins.map(({ type }) => type);
const parse = (document: object): NetworkList => parseList(encode(JSON.stringify(document)), "x.conflist");

t.test("a list keeps its plugins as they are, in order", async (t) => {
  const document = {
    cniVersion: "1.0.0",
    name: "net",
    plugins: [
      { type: "bridge", extra: { deep: [1] } },
      { type: "portmap", capabilities: { portMappings: true } },
    ],
  };
  const root = directory(t, { "10-net.conflist": document });
  t.strictSame(load(root, "net"), {
    name: "net",
    cniVersion: "1.0.0",
    disableCheck: false,
    disableGC: false,
    plugins: document.plugins,
    bytes: new Uint8Array(encode(JSON.stringify(document))),
  });
});

t.test("a list is preferred to a single plugin, the first in the order of names to the others", async (t) => {
  const root = directory(t, {
    "00-net.conf": { name: "net", type: "single" },
    "20-net.conflist": { name: "net", plugins: [{ type: "second" }] },
    "10-net.conflist": { name: "net", plugins: [{ type: "first" }] },
    "05-other.conflist": { name: "other", plugins: [{ type: "other" }] },
  });
  t.strictSame(types(load(root, "net")), ["first"]);
  t.strictSame(types(load(root, "other")), ["other"]);
});

for (const ending of ["conf", "json"]) {
  t.test(`a single plugin in a .${ending} is a list of one`, async (t) => {
    const root = directory(t, { [`net.${ending}`]: { type: "bridge", name: "net", cniVersion: "0.4.0", mtu: 1400 } });
    const list = load(root, "net");
    t.match(list, { name: "net", cniVersion: "0.4.0", plugins: [{ type: "bridge", mtu: 1400 }] });
    t.equal(
      decode(list.bytes),
      '{"cniVersion":"0.4.0","name":"net","plugins":[{"cniVersion":"0.4.0","mtu":1400,"name":"net","type":"bridge"}]}',
      "as the reference library caches it",
    );
  });
}

t.test("directories and other files are passed over", async (t) => {
  const root = directory(t, {
    "sub/net.conflist": { name: "net", plugins: [{ type: "nested" }] },
    "dir.conflist/x": "",
    "net.conflist.bak": { name: "net", plugins: [{ type: "backup" }] },
    "README.md": "no",
  });
  t.throws(() => load(root, "net"), { code: 7, msg: `no net configurations found in ${root}` });
});

t.test("what is not found is told, with what there is", async (t) => {
  t.throws(() => load("/nowhere", "net"), {
    code: 7,
    msg: "no net configurations found in /nowhere",
    details:
      "To fix: put a configuration there, as /nowhere/10-net.conflist, or set NETCONFPATH to the directory of the configurations",
  });
  const root = directory(t, {
    "a.conflist": { name: "podnet", plugins: [{ type: "x" }] },
    "b.conf": { name: "other", type: "x" },
  });
  t.throws(() => load(root, "podnte"), {
    code: 7,
    msg: `no net configuration with name "podnte" in ${root}`,
    details: 'there are "podnet", "other". To fix: did you mean "podnet"?',
  });
  t.throws(() => load(root, "../../etc"), { code: 7 }, "a name is checked before it becomes part of a path");
});

t.test("a damaged file before the wanted one is told, but does not end the search", async (t) => {
  const root = directory(t, { "00-bad.conflist": "{", "10-net.conflist": { name: "net", plugins: [{ type: "x" }] } });
  const warnings: string[] = [];
  t.strictSame(types(load(root, "net", warnings)), ["x"]);
  t.strictSame(warnings, [
    `${root}/00-bad.conflist: line 1, column 2: the end where a key is expected; To fix: correct the file`,
  ]);
  t.throws(() => load(root, "another"), {
    code: 6,
    msg: `${root}/00-bad.conflist: line 1, column 2: the end where a key is expected`,
  });
});

/** plugins in the list × loadOnlyInlinedPlugins × a folder of the network's name: the types that come out, or what is said. */
const inline = [{ type: "inline" }];
const folders: [
  plugins: object[] | undefined,
  only: boolean | undefined,
  hasFolder: boolean,
  outcome: string[] | RegExp,
][] = [
  [inline, undefined, false, ["inline"]],
  [inline, undefined, true, ["inline", "a", "b"]],
  [inline, false, true, ["inline", "a", "b"]],
  [inline, true, true, ["inline"]],
  [inline, true, false, ["inline"]],
  [undefined, undefined, true, ["a", "b"]],
  [undefined, undefined, false, /no plugin configs found/],
  [undefined, true, true, /"loadOnlyInlinedPlugins" is true, but "plugins" is missing/],
  [[], undefined, true, /"plugins" is empty/],
  [[], true, false, /"plugins" is empty/],
];
for (const [plugins, only, hasFolder, outcome] of folders) {
  const what = `plugins ${JSON.stringify(plugins)}, loadOnlyInlinedPlugins ${only}, ${hasFolder ? "a" : "no"} folder`;
  t.test(`a list with ${what}`, async (t) => {
    const root = directory(t, {
      "net.conflist": {
        name: "net",
        ...(plugins && { plugins }),
        ...(only !== undefined && { loadOnlyInlinedPlugins: only }),
      },
      ...(hasFolder && {
        "net/20-b.conf": { type: "b" },
        "net/10-a.conf": { type: "a" },
        "net/x.json": { type: "passed over" },
        "other/10.conf": { type: "of another network" },
      }),
    });
    if (outcome instanceof RegExp) t.throws(() => loadList(`${root}/net.conflist`), { code: 7, msg: outcome });
    else t.strictSame(types(loadList(`${root}/net.conflist`)), outcome);
  });
}

t.test("bytes alone may lack plugins, for the caller to fill in", async (t) => {
  t.strictSame(parse({ name: "net" }).plugins, []);
});

t.test("booleans may be texts in any case", async (t) => {
  for (const value of [true, "true", "TRUE", "True"])
    t.match(parse({ name: "n", plugins: inline, disableCheck: value, disableGC: value }), {
      disableCheck: true,
      disableGC: true,
    });
  for (const value of [false, "false", "FALSE", undefined])
    t.match(parse({ name: "n", plugins: inline, disableCheck: value }), { disableCheck: false });
});

t.test("the version is chosen from cniVersions", async (t) => {
  const version = (keys: object) => parse({ name: "n", plugins: inline, ...keys }).cniVersion;
  t.equal(version({}), "");
  t.equal(version({ cniVersion: "7.7" }), "7.7");
  t.equal(version({ cniVersion: "0.4.0", cniVersions: ["1.0.0", "0.3.1", "1.9.0"] }), "1.0.0");
});

const refusals: [what: string, document: object, code: number, msg: string][] = [
  ["no name", { plugins: inline }, 7, '"name" is missing: the name of the network'],
  [
    "a name that is no file name",
    { name: "a/b" },
    7,
    '"name" is "a/b": it must begin with a letter or digit, and have only letters, digits, "_", "." and "-"',
  ],
  ["a wrong boolean", { name: "n", disableCheck: "yes" }, 7, '"disableCheck" is "yes", must be true or false'],
  ["a number for a boolean", { name: "n", disableGC: 1 }, 7, '"disableGC" is 1, must be true or false'],
  ["plugins that are no list", { name: "n", plugins: { type: "x" } }, 7, '"plugins" is {"type":"x"}, must be a list'],
  ["a plugin that is no object", { name: "n", plugins: ["x"] }, 7, '"plugins[0]" is "x", must be an object'],
  [
    "a plugin without type",
    { name: "n", plugins: [{ type: "x" }, {}] },
    7,
    '"plugins[1].type" is missing, must be the name of a plugin',
  ],
  [
    "a type that is a number",
    { name: "n", plugins: [{ type: 5 }] },
    7,
    '"plugins[0].type" is 5, must be the name of a plugin',
  ],
  [
    "a wrong capability",
    { name: "n", plugins: [{ type: "x", capabilities: { mac: "true" } }] },
    7,
    '"plugins[0].capabilities.mac" is "true", must be true or false',
  ],
  [
    "wrong capabilities",
    { name: "n", plugins: [{ type: "x", capabilities: ["mac"] }] },
    7,
    '"plugins[0].capabilities" is ["mac"], must be an object',
  ],
  ["a version that is a number", { name: "n", cniVersion: 1 }, 7, '"cniVersion" is 1, must be a string'],
  [
    "versions that are a text",
    { name: "n", cniVersions: "1.0.0" },
    7,
    '"cniVersions" is "1.0.0", must be a list of strings',
  ],
  [
    "versions with a number",
    { name: "n", cniVersions: ["1.0.0", 1] },
    7,
    '"cniVersions" is ["1.0.0",1], must be a list of strings',
  ],
  [
    "versions with something else",
    { name: "n", cniVersions: ["1.0.0", "x"] },
    6,
    '"cniVersion" is "x", must be one to three numbers separated by dots',
  ],
  ["a list of lists", [1], 7, "[1] is not a network configuration, must be an object"],
];
for (const [what, document, code, msg] of refusals) {
  t.test(`a list is refused: ${what}`, async (t) => {
    t.throws(() => parse(document), { code, msg: `x.conflist: ${msg}` });
  });
}

t.test("a list in a .conf is told to be renamed", async (t) => {
  const root = directory(t, { "net.conf": { name: "net", plugins: inline } });
  t.throws(() => load(root, "net"), {
    code: 7,
    msg: `${root}/net.conf: has "plugins", so it is a list`,
    details: `To fix: rename it to ${root}/net.conflist`,
  });
});
