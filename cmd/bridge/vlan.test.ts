import t from "tap";
import { rangesOf } from "./vlan.ts";

t.test("consecutive VLANs become one range on the wire", async (t) => {
  const shown = (ids: number[]) =>
    rangesOf(ids).map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`));
  t.strictSame(shown([]), []);
  t.strictSame(shown([10, 100, 101, 102, 4094]), ["10", "100-102", "4094"]);
});
