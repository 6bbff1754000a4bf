// Asked of the real kernel, in a network namespace of its own.
import t from "tap";
import { readText } from "../sys/file.ts";
import { unshareNetwork } from "../sys/namespace.ts";
import { addLink, openRtnetlink } from "./link.ts";
import { macInUse } from "./mac-holder.ts";

const needsRoot = /^Uid:\s+0\s/m.test(readText("/proc/self/status")) ? {} : { skip: "needs root" };

t.test("the links that have a MAC are named, or where to look", needsRoot, async (t) => {
  unshareNetwork();
  const rtnl = openRtnetlink();
  const address = Uint8Array.of(2, 0xfe, 0xed, 0, 0, 8);
  const advice = (who: string) =>
    `a master carries each MAC once, its own included: ${who}; take another "mac", or delete that one`;
  const unknown = advice("look who has it (ip -d link show type macvlan, in each container)");
  t.equal(macInUse("02:fe:ed:00:00:08"), unknown);
  rtnl.request(addLink({ ifName: "b0", address, linkInfo: { kind: "bridge" } }));
  t.equal(macInUse("02:fe:ed:00:00:08"), advice('"b0" on the host has it'));
  rtnl.request(addLink({ ifName: "b1", address, linkInfo: { kind: "bridge" } }));
  t.equal(macInUse("02:fe:ed:00:00:08"), advice('"b0" on the host and "b1" on the host have it'));
  t.equal(macInUse("02:fe:ed:00:00:07"), unknown);
});
