// ptp ADD, each system call of it failing or being its last.
import t from "tap";
import { needsRoot } from "../needs.ts";
import { failedAdds, killedAdds } from "./faults.ts";
import { ptp } from "./ptp.ts";

t.test("ptp: an ADD in which any system call fails leaves nothing", needsRoot, async (t) => {
  t.strictSame(failedAdds(ptp(t)), []);
});

t.test("ptp: DEL removes what an ADD killed anywhere has made", needsRoot, async (t) => {
  t.strictSame(killedAdds(ptp(t)), []);
});
