import t from "tap";
import { parseSettings } from "./netconf.ts";

t.test("parseSettings: a name, and a table that 0 leaves open", async (t) => {
  t.strictSame(parseSettings({ type: "vrf", vrfname: "blue", table: 7 }), { vrf: "blue", table: 7 });
  t.strictSame(parseSettings({ type: "vrf", vrfname: "blue", table: 0 }), { vrf: "blue", table: undefined });
  t.throws(() => parseSettings({ type: "vrf" }), {
    code: 7,
    msg: "configuration is expected to have a valid vrf name",
  });
});
