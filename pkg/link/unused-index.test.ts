// Asked of the real kernel, in a network namespace of its own.
import t from "tap";
import { readText } from "../sys/file.ts";
import { unshareNetwork } from "../sys/namespace.ts";
import { findLink, openRtnetlink } from "./link.ts";
import { unusedIndex } from "./unused-index.ts";

const needsRoot = /^Uid:\s+0\s/m.test(readText("/proc/self/status")) ? {} : { skip: "needs root" };

t.test("an index that is unused is one that no link has", needsRoot, (t) => {
  unshareNetwork();
  const rtnl = openRtnetlink();
  const indexes = Array.from({ length: 100 }, () => unusedIndex(rtnl));
  t.equal(new Set(indexes).size, indexes.length);
  t.ok(indexes.every((index) => index >= 2 ** 30 && index < 2 ** 31));
  t.strictSame(
    indexes.map((index) => findLink(rtnl, index)),
    indexes.map(() => undefined),
  );
  t.end();
});
