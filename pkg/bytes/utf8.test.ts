import t from "tap";
import { fromHex, hexLines } from "../netlink/golden.testing.ts";
import { readUtf8, writeUtf8 } from "./utf8.ts";

const cases = [
  { text: "eth0", bytes: "65 74 68 30" },
  { text: "größer", bytes: "67 72 c3 b6 c39f 65 72" },
  { text: "€ 10", bytes: "e2 82 ac 20 31 30" },
  { text: "𐍈", bytes: "f0 90 8d 88" },
  { text: "", bytes: "" },
];

for (const { text, bytes } of cases) {
  t.test(`"${text}" is written and read`, (t) => {
    const buffer = new Uint8Array(3 * text.length);
    const end = writeUtf8(buffer, 0, text);
    t.equal(hexLines(buffer.slice(0, end)), hexLines(fromHex(bytes)));
    t.equal(readUtf8(buffer, 0, end), text);
    t.end();
  });
}

t.test("what is not UTF-8 is read as U+FFFD", (t) => {
  const read = (hex: string) => readUtf8(fromHex(hex), 0, hex.length / 2);
  t.equal(read("61ff62"), "a\ufffdb");
  t.equal(read("c3"), "\ufffd", "cut off");
  t.equal(read("c080"), "\ufffd\ufffd", "a long form of NUL");
  t.equal(read("eda080"), "\ufffd\ufffd\ufffd", "half a surrogate pair");
  t.equal(read("e28261"), "\ufffda", "cut off by another character");
  t.equal(read("f4908080"), "\ufffd\ufffd\ufffd\ufffd", "beyond U+10FFFF");
  t.end();
});

t.test("half a surrogate pair is written as U+FFFD", (t) => {
  const buffer = new Uint8Array(3);
  t.equal(hexLines(buffer.slice(0, writeUtf8(buffer, 0, "\ud800"))), "ef bf bd");
  t.end();
});
