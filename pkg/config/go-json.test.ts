import t from "tap";
import { findKey, keyTable, memberOf, sameKey } from "./go-json.ts";

t.test("a key matches in any case", async (t) => {
  t.ok(sameKey("ipMasq", "IPMASQ"));
  t.ok(sameKey("\u212AEY", "key"), "K is the Kelvin sign");
  t.ok(sameKey("aliaſ", "alias"));
  t.notOk(sameKey("mtu", "mtus"));
});

t.test("of two keys that differ in case only, each is found as spelled", async (t) => {
  const table = keyTable([
    ["Address", 1],
    ["address", 2],
    ["gateway", 3],
  ]);
  const found = ["Address", "address", "ADDRESS", "GateWay", "gate"].map((spelling) => findKey(table, spelling));
  t.strictSame(found, [1, 2, 2, 3, undefined]);
});

t.test("of several spellings the last one that is not null counts", async (t) => {
  t.equal(memberOf({ VtepMAC: "a", vtepmac: "b" }, "VtepMAC"), "b");
  t.equal(memberOf({ vtepmac: "b", VtepMAC: "a", VTEPMAC: null }, "VtepMAC"), "a");
  t.equal(memberOf({ VtepMAC: null }, "VtepMAC"), undefined);
  t.equal(memberOf({ other: 1 }, "VtepMAC"), undefined);
});
