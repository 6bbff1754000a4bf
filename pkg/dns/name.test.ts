import t from "tap";
import { formatAddress } from "../ip/address.ts";
import { randomFrom, testSeed } from "../sys/random.testing.ts";
import { addressOfReverseName, encodeName, readName } from "./name.ts";

const bytesOf = (text: string) => Uint8Array.from(text, (char) => char.charCodeAt(0));

t.test("names are read, in lower case", async (t) => {
  t.strictSame(readName(bytesOf("\x03WWW\x07Example\x00"), 0), { name: "www.example", end: 13 });
  t.strictSame(readName(bytesOf("\x00"), 0), { name: "", end: 1 });
  t.strictSame(readName(bytesOf("\x01a\x00\x01b\xc0\x00"), 3), { name: "b.a", end: 7 }, "with a pointer");
  t.strictSame(readName(bytesOf("\x03a.b\x00"), 0)?.name, "a\\046b", "a dot in a label is none between labels");
  t.not(readName(bytesOf("\x03a.b\x00"), 0)?.name, readName(bytesOf("\x01a\x01b\x00"), 0)?.name);
});

for (const [what, text, at] of [
  ["that is cut off in a label", "\x03ab", 0],
  ["without an end", "\x01a", 0],
  ["that points to itself", "\xc0\x00", 0],
  ["that points forward", "\xc0\x02\x00", 0],
  ["that points back into itself", "\x01a\xc0\x00", 0],
  ["whose pointer is cut off", "\x01a\xc0", 0],
  ["with a reserved kind of label", "\x41a\x00", 0],
] as const)
  t.test(`a name ${what} is malformed`, async (t) => t.equal(readName(bytesOf(text), at), undefined));

t.test("names are encoded, and read as they were", async (t) => {
  const random = randomFrom(testSeed());
  const label = () =>
    Array.from({ length: 1 + Math.floor(random() * 10) }, () => String.fromCharCode(97 + Math.floor(random() * 26)));
  for (let i = 0; i < 200; i++) {
    const name = Array.from({ length: 1 + (i % 5) }, () => label().join("")).join(".");
    t.equal(readName(encodeName(name) ?? new Uint8Array(0), 0)?.name, name);
  }
  t.strictSame(encodeName("a\\046b"), bytesOf("\x03a.b\x00"));
  for (const name of ["a..b", "x".repeat(64), Array(70).fill("abc").join("."), "ü\u{4e00}"])
    t.equal(encodeName(name), undefined, name);
});

t.test("reverse names stand for addresses", async (t) => {
  const text = (name: string) => {
    const address = addressOfReverseName(name);
    return address === undefined ? undefined : formatAddress(address);
  };
  t.equal(text("3.0.18.172.in-addr.arpa"), "172.18.0.3");
  t.equal(text(`3${".0".repeat(27)}.0.0.d.f.ip6.arpa`), "fd00::3");
  for (const name of [
    "0.18.172.in-addr.arpa",
    "a.0.18.172.in-addr.arpa",
    "in-addr.arpa",
    "256.0.0.1.in-addr.arpa",
    "web",
  ])
    t.equal(text(name), undefined, name);
});
