// ptp DEL, each system call of it failing or being its last.
import t from "tap";
import { needsRoot } from "../needs.ts";
import { brokenDels } from "./faults.ts";
import { ptp } from "./ptp.ts";

t.test("ptp: a DEL in which any system call fails deletes all, or says that it did not", needsRoot, async (t) => {
  t.strictSame(brokenDels(ptp(t), { error: "EIO" }), []);
});

t.test("ptp: DEL does what a DEL killed anywhere has left", needsRoot, async (t) => {
  t.strictSame(brokenDels(ptp(t), { signal: "KILL" }), []);
});
