import t from "tap";
import { namespaceWith, outcomeOf } from "./cases.testing.ts";
import { setUpLoopback } from "./loopback.ts";

t.test("the loopback is set up, unless it is up", async (t) => {
  const host = namespaceWith();
  const work = () => setUpLoopback(host.connect());
  t.strictSame(outcomeOf(host, work), ["- 1: lo down mtu 65536", "+ 1: lo up mtu 65536"]);
  host.sent.length = 0;
  t.strictSame(outcomeOf(host, work), []);
  t.strictSame(
    host.sent.map(({ name }) => name),
    ["RTM_GETLINK"],
  );
});
