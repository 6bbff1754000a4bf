import t from "tap";
import { columns, printable, printableLines, table } from "./table.ts";

const names: [name: string, printed: string][] = [
  ["/usr/lib/cni", "/usr/lib/cni"],
  ["größe-1.2_3:%", "größe-1.2_3:%"],
  ["", '""'],
  ["a b", '"a b"'],
  ['a"b', '"a\\"b"'],
  ["$(reboot)`", '"$(reboot)`"'],
  ["a\u001b[2Jb\n", '"a\\u001b[2Jb\\n"'],
  ["\u202egnp.exe", '"\\u202egnp.exe"'],
  ["a\u009bb\u007f", '"a\\u009bb\\u007f"'],
  ["a\u{e0001}", '"a\\udb40\\udc01"'],
];
for (const [name, printed] of names) {
  t.test(`${JSON.stringify(name)} is printed as ${printed}`, async (t) => t.equal(printable(name), printed));
}

t.test("what a terminal would obey is escaped in tables and messages", async (t) => {
  t.equal(table([["NAME"], ["a\u001b[2Jb\nc"]]), "NAME\na\\u001b[2Jb\\u000ac\n");
  t.equal(printableLines("damaged a\u001b[2Jb\n  To fix: \u202eit\n"), "damaged a\\u001b[2Jb\n  To fix: \\u202eit\n");
});

t.test("columns are as wide as their widest cell, the last one without blanks", async (t) => {
  t.equal(
    table([
      ["A", "B"],
      ["long", ""],
      ["x", "y"],
    ]),
    "A     B\nlong\nx     y\n",
  );
  t.strictSame(
    columns([
      ["a", "one"],
      ["bcd", "two"],
    ]),
    ["  a    one", "  bcd  two"],
  );
});

t.test("a table, and columns, of more rows than a call takes arguments", async (t) => {
  const count = 200_000; // Node takes about 120,000, QuickJS 65,535
  const rows = Array.from({ length: count }, () => ["a", "b"] as const);
  t.equal(table(rows).length, count * "a  b\n".length);
  t.equal(columns(rows).length, count);
});
