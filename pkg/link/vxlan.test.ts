// VXLAN devices: what is sent is what `ip link … type vxlan` sends, and what is read of them.
import t from "tap";
import { ip, mac, requestsOfCommands } from "../netlink/golden.testing.ts";
import { type LinkRequest, RTM_NEWLINK } from "../netlink/rtnetlink/link.ts";
import { namespaceWith, outcomeOf, UNEXPECTED } from "./cases.testing.ts";
import { addVxlan, changeVxlan, findVxlan, listVxlans, type VxlanLink, type VxlanSettings } from "./vxlan.ts";

const settings: VxlanSettings = { vni: 7, parent: 3, local: ip("10.0.0.1"), port: 4789, learning: false, gbp: false };
const link = { name: "vx1", mac: mac("02:00:00:00:00:09"), mtu: 1450 };

requestsOfCommands([
  {
    command:
      "ip link add vx1 address 02:00:00:00:00:09 mtu 1450 type vxlan id 7 dev v0 local 10.0.0.1 nolearning dstport 4789",
    ours: addVxlan(settings, link),
    type: RTM_NEWLINK,
    flags: 0x605,
    wire: "00000000 00000000 00000000 00000000 0a000100 02000000 00090000 08000400 aa050000 08000300 76783100 3c001200 09000100 76786c61 6e000000 2c000200 08000300 03000000 08000100 07000000 08000400 0a000001 05000700 00000000 06000f00 12b50000",
  },
  {
    command:
      "ip link add vx1 address 02:00:00:00:00:09 mtu 1450 type vxlan id 7 dev v0 local fd01::1 learning dstport 4789 gbp",
    ours: addVxlan({ ...settings, local: ip("fd01::1"), learning: true, gbp: true }, link),
    type: RTM_NEWLINK,
    flags: 0x605,
    wire: "00000000 00000000 00000000 00000000 0a000100 02000000 00090000 08000400 aa050000 08000300 76783100 4c001200 09000100 76786c61 6e000000 3c000200 08000300 03000000 04001700 08000100 07000000 14001100 fd010000 00000000 00000000 00000001 05000700 01000000 06000f00 12b50000",
  },
  {
    command: "ip link set dev vx0 type vxlan dev v0 local 10.0.0.2 nolearning",
    ours: changeVxlan(4, { ...settings, local: ip("10.0.0.2") }),
    type: RTM_NEWLINK,
    flags: 0x5,
    wire: "00000000 04000000 00000000 00000000 2c001200 09000100 76786c61 6e000000 1c000200 08000300 03000000 08000400 0a000002 05000700 00000000",
  },
]);

t.test("a device is read with the settings that it was given", async (t) => {
  const cases: [string, Partial<VxlanSettings>][] = [
    ["IPv4", {}],
    ["IPv6", { local: ip("fd00::1") }],
    ["learning, group policy", { learning: true, gbp: true }],
    ["another port and VNI", { port: 8472, vni: 1 }],
  ];
  for (const [what, changed] of cases) {
    const wanted = { ...settings, ...changed };
    const rtnl = namespaceWith().connect();
    rtnl.request(addVxlan(wanted, link));
    const { vxlan, ...found } = findVxlan(rtnl, "vx1") as VxlanLink;
    t.strictSame(found, { index: 2, ...link, isUp: false }, what);
    t.strictSame(vxlan, { ...wanted, hasGroup: false, l2Miss: false }, what);
  }
});

t.test("the default port is the kernel's to choose", async (t) => {
  const { value } = addVxlan({ ...settings, port: 0 }, link) as { value: LinkRequest };
  t.notOk("port" in (value.linkInfo?.data ?? { port: 0 }));
});

t.test("only source address, parent and learning are changed", async (t) => {
  const host = namespaceWith();
  const rtnl = host.connect();
  rtnl.request(addVxlan(settings, link));
  rtnl.request(changeVxlan(2, { vni: 8, parent: 4, local: ip("10.0.0.2"), port: 1, learning: true, gbp: true }));
  t.match(findVxlan(rtnl, "vx1")?.vxlan, {
    vni: 7,
    parent: 4,
    local: ip("10.0.0.2"),
    port: 4789,
    learning: true,
    gbp: false,
  });
});

t.test("what others made: other kinds, a group, misses that are told", async (t) => {
  const rtnl = namespaceWith(
    { ifName: "b0", linkInfo: { kind: "bridge" } },
    { ifName: "vx0", linkInfo: { kind: "vxlan", data: { id: 1, port: 4789, group: ip("239.1.1.1"), l2Miss: true } } },
    { ifName: "vx6", linkInfo: { kind: "vxlan", data: { id: 2, port: 4789, group6: ip("ff05::1") } } },
  ).connect();
  t.strictSame(findVxlan(rtnl, "none"), undefined);
  t.match(findVxlan(rtnl, "b0"), { name: "b0", vxlan: undefined });
  t.match(findVxlan(rtnl, "vx0")?.vxlan, { hasGroup: true, l2Miss: true, learning: false, local: undefined });
  t.strictSame(
    listVxlans(rtnl).map(({ name, vxlan }) => [name, vxlan?.hasGroup]),
    [
      ["vx0", true],
      ["vx6", true],
    ],
  );
});

t.test("a device that cannot be made", async (t) => {
  const cases: [string, Partial<typeof link>, string][] = [
    ["its name is in use", { name: "lo" }, `999: RTM_NEWLINK: EEXIST; ${UNEXPECTED}`],
    [
      "a MAC that is none of an interface",
      { mac: mac("01:00:00:00:00:09") },
      `999: RTM_NEWLINK: EADDRNOTAVAIL; ${UNEXPECTED}`,
    ],
    ["too small an MTU", { mtu: 20 }, `999: RTM_NEWLINK: EINVAL; ${UNEXPECTED}`],
  ];
  for (const [what, changed, failure] of cases) {
    const host = namespaceWith();
    t.equal(
      outcomeOf(host, () => host.connect().request(addVxlan(settings, { ...link, ...changed }))),
      failure,
      what,
    );
  }
});
