import t from "tap";
import { JsonSyntaxError, parseJson, positionOf, printJson, readJson, showJson, showPath, sortKeys } from "./json.ts";

t.test("readJson reads what JSON.parse reads", async (t) => {
  const texts = [
    `{"a": [1, -2.5e3, 0, true, false, null, "x"], "b": {"c": {}}, "d": []}`,
    `"\\u00e4 \\ud83d\\ude00 \\" \\\\ \\/ \\b\\f\\n\\r\\t"`,
    " \t\r\n 1 \n",
    `{"__proto__": 1, "constructor": {"prototype": 2}}`,
    `[[[[]]]]`,
    "-0",
    "1E+2",
  ];
  for (const text of texts) t.equal(JSON.stringify(readJson(text).value), JSON.stringify(JSON.parse(text)), text);
});

t.test("half a pair of surrogates is U+FFFD, as in Go", async (t) => {
  const text = `{"a\\uDC00": ["\\ud800", "\\ud83d\\ude00", "\\ud83d\\u0041"]}`;
  const wanted = { "a\ufffd": ["\ufffd", "😀", "\ufffdA"] };
  t.strictSame(parseJson(text), wanted);
  t.strictSame(readJson(text).value, wanted);
});

const faults: [what: string, text: string, message: string, remedy: string | undefined][] = [
  ["nothing", "", "line 1, column 1: nothing where a value is expected", undefined],
  ["white space alone", " \n ", "line 2, column 2: nothing where a value is expected", undefined],
  ["the end too early", '{"a": 1', 'line 1, column 8: the end where "," or "}" is expected', undefined],
  ["a comma too many", '{"a": 1,\n}', 'line 2, column 1: "}" after a comma', "remove the comma before it"],
  ["a comma too many in a list", "[1,]", 'line 1, column 4: "]" after a comma', "remove the comma before it"],
  [
    "a comma too few",
    '{\n  "a": 1\n  "b": 2}',
    'line 3, column 3: "\\"" where "," or "}" is expected',
    "put a comma before it",
  ],
  ["a colon too few", '{"a" 1}', 'line 1, column 6: "1" where ":" is expected after "a"', undefined],
  ["single quotes", "{'a': 1}", `line 1, column 2: "'" where a key is expected`, "put the key in double quotes"],
  ["a bare key", "{a: 1}", 'line 1, column 2: "a" where a key is expected', "put the key in double quotes"],
  [
    "a bare text",
    '{"a": bridge}',
    'line 1, column 7: "bridge" where the value of "a" is expected',
    "put a text in double quotes",
  ],
  ["True", "[True]", 'line 1, column 2: "True" where a value is expected', "write true, false and null in lower case"],
  [
    "a comment",
    '// net\n{"a": 1}',
    'line 1, column 1: "/" where a value is expected',
    "remove the comment: JSON has none",
  ],
  ["a leading zero", "[01]", 'line 1, column 2: "01" where a value is expected', undefined],
  ["a plus", "[+1]", 'line 1, column 2: "+1" where a value is expected', undefined],
  [
    "a text over two lines",
    '["a\nb"]',
    "line 1, column 2: a string that does not end on its line",
    "close it with a double quote",
  ],
  ["a tab in a text", '["a\tb"]', 'line 1, column 4: "\\t" inside a string', "write it as an escape, as \\t"],
  ["a wrong escape", '["\\x"]', 'line 1, column 3: "\\\\x" inside a string', "write a backslash twice"],
  ["something after the end", '{"a": 1} {"b": 2}', 'line 1, column 10: "{" after the end of the value', undefined],
  [
    "a byte order mark",
    "\ufeff{}",
    "line 1, column 1: a byte order mark",
    "save the file as UTF-8 without a byte order mark",
  ],
];
for (const [what, text, message, remedy] of faults) {
  t.test(`parseJson says where the fault is: ${what}`, async (t) => {
    t.throws(() => parseJson(text), { name: "JsonSyntaxError", message, remedy });
  });
}

t.test("parseJson refuses what is nested too deeply, without hurting itself", async (t) => {
  for (const open of ["[", '{"a":']) {
    t.throws(() => readJson(open.repeat(1_000_000)), {
      message: /^line 1, column \d+: more than 256 levels of nesting$/,
    });
  }
});

t.test("parseJson explains a text of ten times the size in some ten times the CPU time", async (t) => {
  const cpuOf = (elements: number): number => {
    const started = process.cpuUsage();
    t.throws(() => parseJson(`[${"1,".repeat(elements)}`), JsonSyntaxError);
    const { user, system } = process.cpuUsage(started);
    return user + system;
  };
  cpuOf(100_000); // compiles it
  const small = cpuOf(100_000);
  const large = cpuOf(1_000_000);
  t.ok(large < 50 * small, `${large} over ${small} us`); // a hundred times if each element looked at all before it
});

t.test("of duplicate keys the last one counts and takes the last one's place", async (t) => {
  const { value } = readJson('{"a": 1, "b": 2, "a": 3}');
  t.strictSame(Object.entries(value as object), [
    ["b", 2],
    ["a", 3],
  ]);
});

t.test("positionOf: where keys and values stand", async (t) => {
  const node = readJson('{\n  "ipam": {\n    "Ranges": [[{"subnet": "x"}],\n      7]\n  }\n}');
  t.strictSame(positionOf(node, []), { line: 1, column: 1 });
  t.strictSame(positionOf(node, ["ipam"]), { line: 2, column: 3 });
  t.strictSame(positionOf(node, ["ipam", "ranges", 0, 0, "subnet"]), { line: 3, column: 18 }, "in any spelling");
  t.strictSame(positionOf(node, ["ipam", "ranges", 1]), { line: 4, column: 7 });
  t.equal(positionOf(node, ["ipam", "gone"]), undefined);
  t.equal(positionOf(node, ["ipam", "ranges", 2]), undefined);
});

t.test("printJson writes what Go writes", async (t) => {
  t.equal(
    printJson({ b: "<a> & 'b' \u2028", a: [], c: {} }, "    "),
    `{\n    "b": "\\u003ca\\u003e \\u0026 'b' \\u2028",\n    "a": [],\n    "c": {}\n}`,
  );
  t.equal(printJson(sortKeys({ b: [{ d: 1, c: 2 }], a: null }), ""), '{"a":null,"b":[{"c":2,"d":1}]}');
});

t.test("showJson cuts, showPath reads as in JavaScript", async (t) => {
  t.equal(showJson({ a: 1 }), '{"a":1}');
  t.equal(showJson("x".repeat(100)), `"${"x".repeat(59)}…`);
  t.equal(showPath(["ipam", "ranges", 0, 1, "subnet"]), "ipam.ranges[0][1].subnet");
});

t.test("readJson accepts what JSON.parse accepts, and nothing else: every truncation and many mutations", async (t) => {
  const text = '{"a\\u00e4": [1, -2.5e+3, 0.5, true, false, null], "b": {"c": {}, "": []}, "d": "\\"x\\\\/\\n"}';
  const letters = [...'{}[]",:0123456789.eE+-truefalsn \t\n\\u\u0001x'];
  let state = 12345;
  const below = (limit: number): number => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return (state >> 8) % limit;
  };
  const mutated = (): string => {
    const at = below(text.length);
    return text.slice(0, at) + (letters[below(letters.length)] ?? "") + text.slice(at + below(3));
  };
  const candidates = [
    ...Array.from({ length: text.length }, (_, length) => text.slice(0, length)),
    ...Array.from({ length: 3000 }, mutated),
  ];
  const differing = candidates.filter((candidate) => outcome(readJson, candidate) !== outcome(readEngine, candidate));
  t.strictSame(differing, []);
});

const readEngine = (text: string): { value: unknown } => ({ value: JSON.parse(text) as unknown });

/** The value as text, or "refused"; anything else that is thrown gets through. */
function outcome(read: (text: string) => { value: unknown }, text: string): string {
  try {
    return JSON.stringify(read(text).value);
  } catch (error) {
    if (error instanceof JsonSyntaxError || error instanceof SyntaxError) return "refused";
    throw error;
  }
}
