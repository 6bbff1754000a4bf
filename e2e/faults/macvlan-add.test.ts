// macvlan ADD, each system call of it failing or being its last.
import t from "tap";
import { needsKernel } from "../needs.ts";
import { failedAdds, killedAdds } from "./faults.ts";
import { isChange, macvlan } from "./macvlan.ts";

t.test("macvlan: an ADD in which any system call fails leaves nothing", needsKernel("macvlan"), async (t) => {
  t.strictSame(failedAdds(macvlan(t)), []);
});

t.test("macvlan: DEL removes what an ADD killed anywhere has made", needsKernel("macvlan"), async (t) => {
  t.strictSame(killedAdds(macvlan(t), { only: isChange }), []);
});
