import t from "tap";
import { settle } from "./netconf.ts";

t.test("settle: a name, and a table that 0 leaves open", async (t) => {
  t.strictSame(settle({ type: "vrf", vrfname: "blue", table: 7 }), { vrf: "blue", table: 7 });
  t.strictSame(settle({ type: "vrf", vrfname: "blue", table: 0 }), { vrf: "blue", table: undefined });
  t.throws(() => settle({ type: "vrf" }), { code: 7, msg: "configuration is expected to have a valid vrf name" });
});
