import t from "tap";
import { goRegexp } from "./go-regexp.ts";

const subjects = [
  ...[
    "eth0",
    "eth12",
    "ETH0",
    "ens3",
    "br-a.b",
    "br-aXb",
    "wlp2s0",
    "a]b",
    "x{,2}",
    "x{2",
    "a_b",
    "a-b",
    "AA",
    "aaa",
    "é",
    "Ω",
  ],
  ...["192.0.2.1", "10.1.2.3", "fd00::1", "eth0\n", "\u0007"],
];

const withMoreThanLetters = [
  "eth0",
  "eth12",
  "ETH0",
  "ens3",
  "br-a.b",
  "br-aXb",
  "wlp2s0",
  "a]b",
  "x{,2}",
  "x{2",
  "a_b",
  "a-b",
  "192.0.2.1",
  "10.1.2.3",
  "fd00::1",
  "eth0\n",
  "\u0007",
];

/** What Go 1.26's package regexp finds in `subjects`. */
const expressions: Record<string, string[]> = {
  "^eth[[:digit:]]$": ["eth0"],
  "^eth[[:digit:]]+$": ["eth0", "eth12"],
  "(?i)^eth[[:digit:]]$": ["eth0", "ETH0"],
  "^[[:alpha:]]+$": ["AA", "aaa"],
  "[[:^alnum:]]": [
    "br-a.b",
    "br-aXb",
    "a]b",
    "x{,2}",
    "x{2",
    "a_b",
    "a-b",
    "é",
    "Ω",
    "192.0.2.1",
    "10.1.2.3",
    "fd00::1",
    "eth0\n",
    "\u0007",
  ],
  "[^[:^digit:]]": [
    "eth0",
    "eth12",
    "ETH0",
    "ens3",
    "wlp2s0",
    "x{,2}",
    "x{2",
    "192.0.2.1",
    "10.1.2.3",
    "fd00::1",
    "eth0\n",
  ],
  "^br-\\Qa.b\\E$": ["br-a.b"],
  "^\\Qbr-a.b": ["br-a.b"],
  "^\\Q10.\\E[0-9]": ["10.1.2.3"],
  "\\Aeth": ["eth0", "eth12", "eth0\n"],
  "\\d\\z": ["eth0", "eth12", "ETH0", "ens3", "wlp2s0", "x{2", "192.0.2.1", "10.1.2.3", "fd00::1"],
  "(?m)^eth0$": ["eth0", "eth0\n"],
  "(?m)\\Aeth0\\z": ["eth0"],
  "^(?P<name>eth|ens)\\d": ["eth0", "eth12", "ens3", "eth0\n"],
  "^[]a]+": ["a]b", "a_b", "a-b", "aaa"],
  "[^]a-z0-9]b": ["br-a.b", "br-aXb", "a_b", "a-b"],
  "x{,2}": ["x{,2}"],
  "x{2": ["x{2"],
  "^a{3}$": ["aaa"],
  "^a{2,}$": ["aaa"],
  "a\\_b": ["a_b"],
  "a\\-b": ["a-b"],
  "[\\-_]": ["br-a.b", "br-aXb", "a_b", "a-b"],
  "\\x65th": ["eth0", "eth12", "eth0\n"],
  "\\x{65}th": ["eth0", "eth12", "eth0\n"],
  "\\101": ["AA"],
  "\\pL\\pN": ["eth0", "eth12", "ETH0", "ens3", "wlp2s0", "fd00::1", "eth0\n"],
  "\\p{Greek}": ["Ω"],
  "\\p{^L}": withMoreThanLetters,
  "\\PL": withMoreThanLetters,
  "^\\p{Lu}+$": ["AA", "Ω"],
  "\\a": ["\u0007"],
  "[\\a]": ["\u0007"],
  "(?s)h0.": ["eth0\n"],
  "h0.": [],
  "^(?:10|192)\\.": ["192.0.2.1", "10.1.2.3"],
  "[[:word:]]-": ["br-a.b", "br-aXb", "a-b"],
  "[[:xdigit:]]+::": ["fd00::1"],
  "[[:punct:]]": ["br-a.b", "br-aXb", "a]b", "x{,2}", "x{2", "a_b", "a-b", "192.0.2.1", "10.1.2.3", "fd00::1"],
  "[\\]]": ["a]b"],
  "[\\d.]{9}": ["192.0.2.1"],
  "}": ["x{,2}"],
  "]": ["a]b"],
  "^\\w+\\b$": ["eth0", "eth12", "ETH0", "ens3", "wlp2s0", "a_b", "AA", "aaa"],
  "[[]|é": ["é"],
};

for (const [expression, found] of Object.entries(expressions)) {
  t.test(`${expression} finds what it finds in Go`, async (t) => {
    const regexp = goRegexp(expression);
    t.strictSame(
      subjects.filter((subject) => regexp.test(subject)),
      found,
    );
  });
}

for (const [expression, message] of [
  ["(?U)a+", "(?U) is only understood as (?i), (?m) or (?s) in front"],
  ["eth(?i:x)", "(?i: is only understood as (?i), (?m) or (?s) in front"],
  ["\\C", "\\C is not understood"],
  ["\\K", "\\K is not understood"],
  ["[\\z]", "\\z is not understood in a class"],
  ["[[:digits:]]", "there is no class [:digits:]"],
  ["[a", "[a has no ] at its end"],
] as const) {
  t.test(`${expression} is refused by name`, async (t) => {
    t.throws(() => goRegexp(expression), { message });
  });
}
