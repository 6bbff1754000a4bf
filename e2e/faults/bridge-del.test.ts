// bridge DEL, each system call of it failing or being its last.
import t from "tap";
import { needsRoot } from "../needs.ts";
import { bridge } from "./bridge.ts";
import { brokenDels } from "./faults.ts";

t.test("bridge: a DEL in which any system call fails deletes all, or says that it did not", needsRoot, async (t) => {
  t.strictSame(brokenDels(bridge(t), { error: "EIO" }), []);
});

t.test("bridge: DEL does what a DEL killed anywhere has left", needsRoot, async (t) => {
  t.strictSame(brokenDels(bridge(t), { signal: "KILL" }), []);
});
