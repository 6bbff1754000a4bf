// Asked of the real kernel, in a network namespace of its own.
import t from "tap";
import { readText } from "../sys/file.ts";
import { unshareNetwork } from "../sys/namespace.ts";
import { createOwnedLink } from "./create.ts";
import { findLink, listLinks, openRtnetlink } from "./link.ts";
import { unusedIndex } from "./unused-index.ts";

const needsRoot = /^Uid:\s+0\s/m.test(readText("/proc/self/status")) ? {} : { skip: "needs root" };
const owner = { network: "net", containerId: "c", ifName: "eth0" };
const pair = (ifName: string, peer: string) =>
  ({ ifName, linkInfo: { kind: "veth", data: { peer: { ifName: peer } } } }) as const;

t.test("a link and its alias are one, and a refused creation writes on nobody's link", needsRoot, (t) => {
  unshareNetwork();
  const rtnl = openRtnetlink();
  const made = createOwnedLink(rtnl, pair("v0", "v1"), owner);
  t.match(made, { name: "v0", alias: "cni net c eth0" });
  t.ok(made.index >= 2 ** 30);

  const other = { ...owner, containerId: "other" };
  t.throws(() => createOwnedLink(rtnl, pair("v0", "v2"), other), { message: /^RTM_NEWLINK: EEXIST/ });
  t.throws(() => createOwnedLink(rtnl, pair("v3", "v1"), other), { message: /^RTM_NEWLINK: EEXIST/ });
  t.strictSame(
    listLinks(rtnl).map(({ name, alias }) => [name, alias]),
    [
      ["lo", ""],
      ["v1", ""],
      ["v0", "cni net c eth0"],
    ],
  );
  t.end();
});

t.test("an index that is unused is one that no link has", needsRoot, (t) => {
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
