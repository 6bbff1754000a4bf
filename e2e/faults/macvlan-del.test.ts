// macvlan DEL, each system call of it failing or being its last.
import t from "tap";
import { needsKernel } from "../needs.ts";
import { brokenDels } from "./faults.ts";
import { isChange, macvlan } from "./macvlan.ts";

const needs = needsKernel("macvlan");

t.test("macvlan: a DEL in which any system call fails deletes all, or says that it did not", needs, async (t) => {
  t.strictSame(brokenDels(macvlan(t), { error: "EIO" }), []);
});

t.test("macvlan: DEL does what a DEL killed anywhere has left", needs, async (t) => {
  t.strictSame(brokenDels(macvlan(t), { signal: "KILL" }, { only: isChange }), []);
});
