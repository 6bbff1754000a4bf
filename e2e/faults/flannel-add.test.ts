// flannel ADD, each system call of it failing or being its last.
import t from "tap";
import { needsRoot } from "../needs.ts";
import { failedAdds, killedAdds } from "./faults.ts";
import { flannel } from "./flannel.ts";

t.test("flannel: an ADD in which any system call fails leaves nothing", needsRoot, async (t) => {
  t.strictSame(failedAdds(flannel(t)), []);
});

t.test("flannel: DEL removes what an ADD killed anywhere has made", needsRoot, async (t) => {
  t.strictSame(killedAdds(flannel(t)), []);
});
