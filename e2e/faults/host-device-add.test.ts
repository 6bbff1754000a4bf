// host-device ADD, each system call of it failing or being its last.
import t from "tap";
import { needsRoot } from "../needs.ts";
import { failedAdds, killedAdds } from "./faults.ts";
import { hostDevice } from "./host-device.ts";

t.test("host-device: an ADD in which any system call fails leaves nothing", needsRoot, async (t) => {
  t.strictSame(failedAdds(hostDevice(t)), []);
});

t.test("host-device: DEL brings back what an ADD killed anywhere has taken", needsRoot, async (t) => {
  t.strictSame(killedAdds(hostDevice(t)), []);
});
