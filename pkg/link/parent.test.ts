// Parents of links, on a fake kernel: which one a configuration means, and what is said of what the kernel refuses.
import t from "tap";
import type { Connection } from "../netlink/connection.ts";
import { request } from "../netlink/connection.ts";
import { ip } from "../netlink/golden.testing.ts";
import { NLM_F_CREATE } from "../netlink/nlmsg.ts";
import { AF_INET } from "../netlink/rtnetlink/family.ts";
import { RT_TABLE_MAIN, RTM_NEWROUTE, RTN_UNREACHABLE, routeMessage } from "../netlink/rtnetlink/route.ts";
import type { ErrnoName } from "../sys/errno.ts";
import { addAddress } from "./address.ts";
import { failureBy, type Hosts, hosts, owner, prefix, refuse } from "./cases.testing.ts";
import { addLink, needLink, setUp } from "./link.ts";
import {
  announceSysctls,
  type ChildLink,
  checkParent,
  createChild,
  needParent,
  type ParentSelector,
} from "./parent.ts";
import { addRoute } from "./route.ts";

/** A host with ens3 (2) and ens4 (3), a container with net0 (2), all up. */
function withLinks(): Hosts {
  const all = hosts();
  const add = (rtnl: Connection, ifName: string, index: number, mtu: number) =>
    rtnl.requestAll([addLink({ ifName, mtu, linkInfo: { kind: "dummy" } }), setUp(index)]);
  add(all.host.connect(), "ens3", 2, 1500);
  add(all.host.connect(), "ens4", 3, 1400);
  add(all.container.connect(), "net0", 2, 1300);
  return all;
}

const gateway4 = [
  addAddress(3, prefix("10.4.0.5/24")),
  addRoute(3, { destination: prefix("0.0.0.0/0"), gateway: ip("10.4.0.1") }),
];
const default6 = addRoute(2, { destination: prefix("::/0") });
const unreachable = request({
  name: "RTM_NEWROUTE",
  type: RTM_NEWROUTE,
  flags: NLM_F_CREATE,
  table: routeMessage,
  value: { family: AF_INET, destinationLength: 0, table: RT_TABLE_MAIN, type: RTN_UNREACHABLE },
});

t.test("the parent is the one that is named, or that of the default route", async (t) => {
  const remedy = `To fix: set "master" to the interface that leads to the network`;
  const cases: [string, ParentSelector, (all: Hosts) => unknown, string][] = [
    ["named", { master: "ens3" }, () => {}, "ens3"],
    ["named, in the container", { master: "net0", linkInContainer: true }, () => {}, "net0"],
    [
      "named, but in the container",
      { master: "net0" },
      () => {},
      `999: failed to lookup master "net0": there is no such link on the host; To fix: set "master" to an existing link (ip link), or "linkInContainer" according to the namespace that it is in`,
    ],
    [
      "named, but on the host",
      { master: "ens3", linkInContainer: true },
      () => {},
      `999: failed to lookup master "ens3": there is no such link in the container; To fix: set "master" to an existing link (ip link), or "linkInContainer" according to the namespace that it is in`,
    ],
    ["by default, IPv4", {}, ({ host }) => host.connect().requestAll([...gateway4, default6]), "ens4"],
    ["by default, IPv6", {}, ({ host }) => host.connect().request(default6), "ens3"],
    [
      "by default, an unreachable one first",
      {},
      ({ host }) => host.connect().requestAll([unreachable, default6]),
      "ens3",
    ],
    [
      "by default, a route in another table",
      {},
      ({ host }) => host.connect().request(addRoute(2, { destination: prefix("0.0.0.0/0"), table: 100 })),
      `999: no default route interface found; "master" is not set, and there is no default route on the host. ${remedy}`,
    ],
    [
      "by default, in the container",
      { linkInContainer: true },
      ({ host }) => host.connect().request(default6),
      `999: no default route interface found; "master" is not set, and there is no default route in the container. ${remedy}`,
    ],
  ];
  for (const [what, selector, make, outcome] of cases) {
    const all = withLinks();
    make(all);
    let name = "";
    const failure = failureBy(() => {
      name = needParent(selector, all.container.connect(), () => all.host.connect()).link.name;
    });
    t.equal(failure ?? name, outcome, what);
  }
});

t.test("the MTU is at most the parent's", async (t) => {
  const remedy = (mtu: number) =>
    `To fix: lower "mtu", remove it to use the master's, or raise the master's MTU (ip link set ens3 mtu ${mtu}) where the network carries it`;
  const cases: [number | undefined, number | string][] = [
    [undefined, 0],
    [0, 0],
    [1500, 1500],
    [1501, `7: invalid MTU 1501, must be [0, master MTU(1500)]; ${remedy(1501)}`],
    [-1, `7: invalid MTU -1, must be [0, master MTU(1500)]; ${remedy(-1)}`],
  ];
  for (const [mtu, outcome] of cases) {
    const { host, container } = withLinks();
    let found = -1;
    const failure = failureBy(() => {
      found = needParent({ master: "ens3", mtu }, container.connect(), () => host.connect()).mtu;
    });
    t.equal(failure ?? found, outcome, `${mtu}`);
  }
});

t.test("what is said of a link that the parent cannot carry", async (t) => {
  const macvlan: ChildLink = { linkInfo: { kind: "macvlan" } };
  const vlan: ChildLink = { linkInfo: { kind: "vlan", data: { id: 5 } } };
  const cases: [ErrnoName, ChildLink, string][] = [
    [
      "EBUSY",
      macvlan,
      `999: master "ens3" cannot carry macvlan links, because it is already used in another way; RTM_NEWLINK: EBUSY. To fix: it can carry either macvlan or ipvlan links, and neither while it is a port of a bridge, bond or team: use another master, or the kind that it already carries (ip -d link show dev ens3; ip -d link show type macvlan, here and in the containers)`,
    ],
    [
      "EINVAL",
      macvlan,
      `999: master "ens3" cannot carry another macvlan link; RTM_NEWLINK: EINVAL. To fix: a link of mode passthru must be the only one of its master (ip -d link show type macvlan, here and in each namespace of ip netns list), and lo cannot have any: delete the existing link, or use another master`,
    ],
    [
      "EINVAL",
      vlan,
      `999: the kernel refuses a vlan link "eth0" in /container; RTM_NEWLINK: EINVAL. To fix: compare the network's configuration with the kernel's message`,
    ],
    [
      "EEXIST",
      vlan,
      `999: VLAN 5 of master "ens3" already exists; RTM_NEWLINK: EEXIST. To fix: a master can have each VLAN only once in all namespaces: find it (ip -d link show type vlan, here and in each namespace of ip netns list), delete that attachment or link, or use another "vlanId"`,
    ],
    [
      "EPERM",
      vlan,
      `999: the kernel refuses a vlan link "eth0" in /container; RTM_NEWLINK: EPERM. To fix: run as root with CAP_NET_ADMIN`,
    ],
  ];
  for (const [errno, child, failure] of cases) {
    const { host, container } = withLinks();
    const place = { netns: container.netns, container: container.connect(), ifName: "eth0", owner: owner("a") };
    const parent = needParent({ master: "ens3" }, place.container, () => host.connect());
    refuse(host, "RTM_NEWLINK", errno);
    t.equal(
      failureBy(() => createChild(place, parent, child)),
      failure,
      `${errno} ${child.linkInfo.kind}`,
    );
  }
});

t.test("CHECK: the link's parent is the configured one", async (t) => {
  const make = () => {
    const all = withLinks();
    const place = { netns: all.container.netns, container: all.container.connect(), ifName: "eth0", owner: owner("a") };
    const parent = needParent({ master: "ens3" }, place.container, () => all.host.connect());
    createChild(place, parent, { linkInfo: { kind: "macvlan" } });
    return all;
  };
  const repair =
    "found by CHECK. To fix: delete the attachment and add it again (DEL, then ADD with the same container ID and interface name)";
  const cases: [string, ParentSelector, string | undefined][] = [
    ["the same", { master: "ens3" }, undefined],
    ["found by the default route", {}, undefined],
    ["another one", { master: "ens4" }, `999: "eth0" has another parent than master "ens4"; ${repair}`],
    ["one that is gone", { master: "ens5" }, `999: master "ens5" is missing; ${repair}`],
  ];
  for (const [what, selector, failure] of cases) {
    const { host, container } = make();
    const checked = { container: container.connect(), link: needLink(container.connect(), "eth0") };
    t.equal(
      failureBy(() => checkParent(selector, checked, () => host.connect())),
      failure,
      what,
    );
    const untold = { ...checked, link: { ...checked.link, parent: 0, index: 2 } };
    t.equal(
      failureBy(() => checkParent(selector, untold, () => host.connect())),
      failure,
      `${what}, its index not told since it is the link's own`,
    );
  }
});

t.test("a link with addresses announces them", async (t) => {
  t.strictSame(announceSysctls("eth0", { ips: [] } as unknown as Parameters<typeof announceSysctls>[1]), {});
  const ips = [{ address: "10.1.0.5/24" }];
  t.strictSame(announceSysctls("eth0", { ips } as unknown as Parameters<typeof announceSysctls>[1]), {
    "ipv4/conf/eth0/arp_notify": "1",
    "ipv6/conf/eth0/ndisc_notify": "1",
  });
});
