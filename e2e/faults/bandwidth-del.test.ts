// bandwidth ADD and DEL, each killed at each of its system calls.
import t from "tap";
import { bandwidth, needed } from "./bandwidth.ts";
import { brokenDels, killedAdds } from "./faults.ts";

t.test("bandwidth: DEL removes what an ADD killed anywhere has made", needed, async (t) => {
  t.strictSame(killedAdds(bandwidth(t)), []);
});

t.test("bandwidth: DEL does what a DEL killed anywhere has left", needed, async (t) => {
  t.strictSame(brokenDels(bandwidth(t), { signal: "KILL" }), []);
});
