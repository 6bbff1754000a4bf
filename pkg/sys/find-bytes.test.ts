import t from "tap";
import { findBytes } from "./find-bytes.ts";

const some = Uint8Array.of(1, 2, 1, 2, 3, 255, 0, 1, 2, 3);

t.test("bytes are found where they begin for the first time", (t) => {
  const cases: { wanted: number[]; from?: number; to?: number; found: number }[] = [
    { wanted: [1, 2, 3], found: 2 },
    { wanted: [1, 2, 3], from: 3, found: 7 },
    { wanted: [1, 2, 3], from: 3, to: 9, found: -1 },
    { wanted: [255, 0], found: 5 },
    { wanted: [2, 3, 4], found: -1 },
    { wanted: [1], from: 10, found: -1 },
    { wanted: [], from: 4, found: 4 },
    { wanted: [...some, 0], found: -1 },
  ];
  for (const { wanted, from, to, found } of cases)
    t.equal(findBytes(some, Uint8Array.from(wanted), from, to), found, `${wanted} in ${from}..${to}`);
  t.equal(findBytes(some.subarray(2), Uint8Array.of(1, 2, 3)), 0, "in a part of a buffer");
  t.end();
});

t.test("a part that is not of the bytes is refused", (t) => {
  const wanted = Uint8Array.of(1);
  t.throws(() => findBytes(some, wanted, -1), { name: "RangeError" });
  t.throws(() => findBytes(some, wanted, 0, some.length + 1), { name: "RangeError" });
  t.throws(() => findBytes(some, wanted, 4, 3), { name: "RangeError" });
  t.end();
});
