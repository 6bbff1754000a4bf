import t from "tap";
import { parseToml, TomlError } from "./toml.ts";

const understood: [what: string, text: string, value: unknown][] = [
  ["nothing", "", {}],
  ["comments and empty lines", "\n# one\n  # two\r\n\n", {}],
  ["keys", "a = 1\nb-2_ = 2 # why\n'c d' = 3\n\"e\\tf\" = 4\n1 = 5", { a: 1, "b-2_": 2, "c d": 3, "e\tf": 4, "1": 5 }],
  ["dotted keys", 'a.b."c.d" = 1\na . e = 2', { a: { b: { "c.d": 1 }, e: 2 } }],
  ["tables", "[a]\nx = 1\n[a.b]\ny = 2\n[\"a\".'c']", { a: { x: 1, b: { y: 2 }, c: {} } }],
  ["lists of tables", "[[a]]\nx = 1\n[[a]]\nx = 2\n[a.b]\ny = 3", { a: [{ x: 1 }, { x: 2, b: { y: 3 } }] }],
  ["texts", `a = "x\\"\\u00e9\\U0001F600#"\nb = 'C:\\n'\nc = ""`, { a: 'x"é😀#', b: "C:\\n", c: "" }],
  ["long texts", `a = """\none \\\n   two"x"""\nb = '''\n\\'q'\n'''`, { a: 'one two"x', b: "\\'q'\n" }],
  ["numbers", "a = 1_000\nb = -0.5\nc = 1e3\nd = 0x1F\ne = inf", { a: 1000, b: -0.5, c: 1000, d: "0x1F", e: "inf" }],
  ["dates as texts", "a = 1979-05-27 07:32:00Z\nb = 07:32:00", { a: "1979-05-27 07:32:00Z", b: "07:32:00" }],
  ["lists", 'a = [ "x", # first\n "y",\n]\nb = [[1, 2], []]', { a: ["x", "y"], b: [[1, 2], []] }],
  ["tables in a line", "a = { x = 1, y.z = [true, false] }\nb = {}", { a: { x: 1, y: { z: [true, false] } }, b: {} }],
  [
    "containerd's configuration of Debian 12",
    'version = 2\n\n[plugins]\n  [plugins."io.containerd.grpc.v1.cri"]\n    [plugins."io.containerd.grpc.v1.cri".cni]\n      bin_dir = "/usr/lib/cni"\n',
    { version: 2, plugins: { "io.containerd.grpc.v1.cri": { cni: { bin_dir: "/usr/lib/cni" } } } },
  ],
];
for (const [what, text, value] of understood) {
  t.test(`TOML has ${what}`, async (t) => t.strictSame(parseToml(text), value));
}

t.test("names of JavaScript's own are keys like others", async (t) => {
  const entries = Object.entries(parseToml("constructor = 1\n[__proto__]\nx = 2"));
  t.strictSame(entries, [
    ["constructor", 1],
    ["__proto__", { x: 2 }],
  ]);
});

const refused: [text: string, message: string][] = [
  ["a = 1\nb", 'line 2: the end of the file where "=" should be'],
  ["a = x", 'line 1: "x" is not a value: texts need quotes'],
  ["\n\na = 1 b = 2", 'line 3: "b = 2" where the line should end'],
  ["a = 1\na = 2", 'line 2: key "a" is there twice'],
  ['a = "x', 'line 1: "\\"x" where a text with both its quotes should be'],
  ['a = "\\q"', 'line 1: "\\\\q" is not an escape'],
  ["a = [1 2]", 'line 1: "2]" where "," or "]" should be'],
  ["a = 1\n[a.b]", 'line 2: "a" is a value, not a table'],
  ["a = 1\n[[a]]", 'line 2: "a" is not a list of tables'],
  ["[a", 'line 1: the end of the file where "]" should be'],
  ["= 1", 'line 1: "= 1" where a key should be'],
  ["a =", "line 1: the end of the file where a value should be"],
];
for (const [text, message] of refused) {
  t.test(`${JSON.stringify(text)} is refused`, async (t) => {
    t.throws(() => parseToml(text), { constructor: TomlError, message });
  });
}
