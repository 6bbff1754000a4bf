import t from "tap";
import { findAttributes } from "./netlink-attributes.ts";

const [NESTED, ORDER] = [0x80, 0x40]; // the upper bytes of NLA_F_NESTED and NLA_F_NET_BYTEORDER

/** Attributes of types 1 (5 bytes and padding), 3 (nested, empty), 1 (8 bytes) and 0x101 (4 bytes). */
const some = Uint8Array.of(5, 0, 1, 0, 7, 0, 0, 0, 4, 0, 3, NESTED | ORDER, 8, 0, 1, 0, 1, 2, 3, 4, 4, 0, 1, 1);

t.test("attributes of the wanted types are found, whatever their flags", (t) => {
  const cases: { wanted: number[]; found: number[] }[] = [
    { wanted: [], found: [] },
    { wanted: [0, 1], found: [0, 12] },
    { wanted: [0, 0, 0, 1], found: [8] },
    { wanted: [1, 1, 1, 255], found: [0, 8, 12] },
    { wanted: [...new Array(0x101).fill(0), 1], found: [20] },
  ];
  for (const { wanted, found } of cases)
    t.strictSame(findAttributes(some, 0, some.length, Uint8Array.from(wanted)), found, `${wanted}`);
  t.strictSame(findAttributes(some, 8, 20, Uint8Array.of(0, 1)), [12], "within a part");
  t.strictSame(findAttributes(some, 24, 24, Uint8Array.of(0, 1)), [], "where there is nothing");
  t.strictSame(findAttributes(some.subarray(8), 0, 12, Uint8Array.of(0, 1)), [4], "in a part of a buffer");
  t.end();
});

t.test("the search ends with an attribute that is too short or too long, and at less than a header", (t) => {
  const wanted = Uint8Array.of(0, 1);
  t.strictSame(findAttributes(some, 0, 18, wanted), [0, 12], "too long for the part");
  for (const length of [0, 3, 9, 0xff]) {
    const broken = Uint8Array.of(4, 0, 1, 0, length, 0, 9, 0, 4, 0, 1, 0);
    t.strictSame(findAttributes(broken, 0, broken.length, wanted), [0, 4], `${length} bytes`);
  }
  for (const rest of [1, 2, 3]) t.strictSame(findAttributes(some, 0, 8 + rest, wanted), [0], `${rest} bytes are left`);
  t.end();
});

t.test("a part that is not of the bytes is refused", (t) => {
  const wanted = Uint8Array.of(0, 1);
  t.throws(() => findAttributes(some, -1, 8, wanted), { name: "RangeError" });
  t.throws(() => findAttributes(some, 0, some.length + 1, wanted), { name: "RangeError" });
  t.throws(() => findAttributes(some, 9, 8, wanted), { name: "RangeError" });
  t.end();
});
