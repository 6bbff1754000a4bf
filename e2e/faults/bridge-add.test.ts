// bridge ADD, each system call of it failing or being its last.
import t from "tap";
import { needsRoot } from "../needs.ts";
import { bridge } from "./bridge.ts";
import { failedAdds, killedAdds } from "./faults.ts";

t.test("bridge: an ADD in which any system call fails leaves nothing", needsRoot, async (t) => {
  t.strictSame(failedAdds(bridge(t)), []);
});

t.test("bridge: DEL removes what an ADD killed anywhere has made", needsRoot, async (t) => {
  t.strictSame(killedAdds(bridge(t)), []);
});
