// Runs on Node and, through e2e/engine, on the plugins' engine, where every ill-formed sequence is held against TextDecoder as well.
import t from "tap";
import { fromHex, hexLines } from "../netlink/golden.testing.ts";
import { decode, encode, encodeInto } from "./text.ts";

const illFormed = [
  { title: "a lone byte", bytes: "61 ff 62", text: "a\ufffdb" },
  { title: "an encoded lone surrogate", bytes: "ed a0 80 0d 0a", text: "\ufffd\ufffd\ufffd\r\n" },
  { title: "an encoded pair of surrogates", bytes: "ed a0 bd ed b8 80", text: "\ufffd".repeat(6) },
  { title: "an overlong NUL", bytes: "c0 80", text: "\ufffd\ufffd" },
  { title: "an overlong slash of three bytes", bytes: "e0 80 af", text: "\ufffd\ufffd\ufffd" },
  { title: "an overlong form of four bytes", bytes: "f0 82 82 ac", text: "\ufffd".repeat(4) },
  { title: "a sequence cut off by the end", bytes: "61 e2 82", text: "a\ufffd" },
  { title: "a sequence cut off by another", bytes: "f0 9f 98 c3 bc", text: "\ufffdü" },
  { title: "above U+10FFFF", bytes: "f4 90 80 80", text: "\ufffd".repeat(4) },
  { title: "a continuation alone", bytes: "80 41", text: "\ufffdA" },
];

for (const { title, bytes, text } of illFormed) {
  t.test(`${title} is read as U+FFFD, as WHATWG's decoder does`, (t) => {
    t.equal(decode(fromHex(bytes)), text);
    t.equal(encodeURIComponent(decode(fromHex(bytes))), encodeURIComponent(text), "is well-formed");
    t.end();
  });
}

t.test("well-formed text is read as it is", (t) => {
  for (const text of ["", "eth0", "größer", "€ 10", "😀", "\ud7ff\ue000\uffff\u{10ffff}", "\ufeffmark", "a\0b"]) {
    t.equal(decode(encode(text)), text);
  }
  t.end();
});

t.test("a sequence that the given end cuts is ill-formed", (t) => {
  t.equal(decode(encode("a😀b"), 0, 4), "a\ufffd");
  t.equal(decode(encode("a😀b"), 2), "\ufffd\ufffd\ufffdb");
  t.end();
});

t.test("a lone surrogate is written as U+FFFD", (t) => {
  t.equal(hexLines(encode("a\ud800")), "61 ef bf bd");
  t.equal(hexLines(encode("\udc00")), "ef bf bd");
  t.equal(hexLines(encode("\ud83d\ude00")), "f0 9f 98 80", "a pair is a character");
  t.end();
});

t.test("text is encoded into a buffer from an offset, and the end is returned", (t) => {
  for (const { text, bytes } of [
    { text: "eth0", bytes: "65 74 68 30" },
    { text: "größer", bytes: "67 72 c3 b6 c39f 65 72" },
    { text: "𐍈", bytes: "f0 90 8d 88" },
    { text: "a\0b", bytes: "61 00 62" },
    { text: "\ud800", bytes: "ef bf bd" },
    { text: "", bytes: "" },
  ]) {
    const buffer = new Uint8Array(20).fill(0x55);
    const end = encodeInto(buffer, 2, text);
    t.equal(hexLines(buffer.slice(2, end)), hexLines(fromHex(bytes)), text);
    t.ok(buffer.subarray(0, 2).every((byte) => byte === 0x55) && buffer.subarray(end).every((byte) => byte === 0x55));
  }
  t.end();
});

t.test("text that does not fit into a buffer is refused, and nothing is written", (t) => {
  const buffer = new Uint8Array(8);
  const part = buffer.subarray(2, 5);
  for (const [at, text] of [
    [0, "four"],
    [3, "a"],
    [4, ""],
    [-1, "a"],
    [2, "ö"],
  ] as const) {
    t.throws(() => encodeInto(part, at, text), RangeError, `${text} at ${at}`);
  }
  t.ok(buffer.every((byte) => byte === 0));
  t.equal(encodeInto(part, 3, ""), 3);
  t.end();
});
