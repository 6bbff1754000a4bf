// bandwidth ADD with each of its system calls failing.
import t from "tap";
import { bandwidth, needed } from "./bandwidth.ts";
import { failedAdds } from "./faults.ts";

t.test("bandwidth: an ADD in which any system call fails leaves nothing", needed, async (t) => {
  t.strictSame(failedAdds(bandwidth(t)), []);
});
