import t from "tap";
import { compareNaturally } from "./natural-order.ts";

t.test("texts are in the order of the numbers in them", async (t) => {
  for (const order of [
    ["", "1", "2", "10", "10a", "A", "a", "a1", "a01b", "a2", "a10", "b"],
    ["My_Net.1", "n", "n2", "n10", "none"],
    ["99999999999999999998", "99999999999999999999", "100000000000000000000"],
    ["01", "1", "02"],
  ])
    for (const [i, one] of order.entries())
      for (const [j, other] of order.entries())
        t.equal(Math.sign(compareNaturally(one, other)), Math.sign(i - j), `${one} and ${other}`);
});
