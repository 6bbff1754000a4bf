// flannel DEL, each system call of it failing or being its last.
import t from "tap";
import { needsRoot } from "../needs.ts";
import { brokenDels } from "./faults.ts";
import { flannel } from "./flannel.ts";

t.test("flannel: a DEL in which any system call fails deletes all, or says that it did not", needsRoot, async (t) => {
  t.strictSame(brokenDels(flannel(t), { error: "EIO" }), []);
});

t.test("flannel: DEL does what a DEL killed anywhere has left", needsRoot, async (t) => {
  t.strictSame(brokenDels(flannel(t), { signal: "KILL" }), []);
});
