// The fake netfilter is like the kernel's (e2e/fakes.test.ts runs the same claims there), and does what the kernel does not do on demand.
import t from "tap";
import { FakeNetfilter } from "./netfilter.testing.ts";
import { netfilterClaims } from "./netfilter-claims.testing.ts";

for (const { claim, holds } of netfilterClaims) {
  t.test(claim, async (t) => {
    const kernel = new FakeNetfilter();
    holds(t, () => kernel.connect());
  });
}
