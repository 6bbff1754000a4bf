import t from "tap";
import type { Link } from "./link.ts";
import { aliasOf, ownerOf } from "./owner.ts";

const link = (alias: string) => ({ alias }) as Link;

t.test("an owner is read back from the mark it left", async (t) => {
  const owner = { network: "pod-net_1.2", containerId: "3f2a4c".repeat(11), ifName: "eth0" };
  t.strictSame(ownerOf(link(aliasOf(owner) ?? "")), owner);
});

t.test("other people's aliases name no owner", async (t) => {
  for (const alias of ["", "uplink", "cni", "cni a b", "cni a b c d", "CNI a b c"]) {
    t.equal(ownerOf(link(alias)), undefined, JSON.stringify(alias));
  }
});

t.test("a mark that does not fit into an alias is left out", async (t) => {
  t.equal(aliasOf({ network: "n".repeat(200), containerId: "c".repeat(64), ifName: "eth0" }), undefined);
});
