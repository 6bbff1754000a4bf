// host-device DEL, each system call of it failing or being its last.
import t from "tap";
import { needsRoot } from "../needs.ts";
import { brokenDels } from "./faults.ts";
import { hostDevice } from "./host-device.ts";

t.test("host-device: a DEL in which any system call fails does all, or says that it did not", needsRoot, async (t) => {
  t.strictSame(brokenDels(hostDevice(t), { error: "EIO" }), []);
});

t.test("host-device: DEL does what a DEL killed anywhere has left", needsRoot, async (t) => {
  t.strictSame(brokenDels(hostDevice(t), { signal: "KILL" }), []);
});
