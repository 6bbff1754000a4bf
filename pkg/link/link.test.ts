// Links: what is sent is what `ip link set` sends; what is there is found by name or index, and what the kernel refuses is no absence.
import t from "tap";
import type { Connection } from "../netlink/connection.ts";
import { mac as macOf, requestsOfCommands, type SentByCommand } from "../netlink/golden.testing.ts";
import { IFF_PROMISC } from "../netlink/rtnetlink/link/interface.ts";
import { RTM_NEWLINK, RTM_SETLINK } from "../netlink/rtnetlink/link.ts";
import type { ErrnoName } from "../sys/errno.ts";
import {
  FORBIDDEN,
  failureBy,
  GONE,
  hosts,
  LACKING,
  namespaceWith,
  outcomeOf,
  refuse,
  UNEXPECTED,
} from "./cases.testing.ts";
import {
  addLink,
  deleteLink,
  deleteLinksOfGroup,
  entryOf,
  findLink,
  findLinkInfo,
  listLinks,
  moveLink,
  needLink,
  needLinks,
  setAlias,
  setDown,
  setGroup,
  setMac,
  setMaster,
  setMtu,
  setPromiscuous,
  setUp,
} from "./link.ts";

const mac = macOf("02:00:00:00:00:09");

const rows: Omit<SentByCommand, "type" | "flags">[] = [
  {
    command: "ip link set v0 up",
    ours: setUp(3),
    wire: "00000000 03000000 01000000 01000000",
  },
  {
    command: "ip link set v0 down",
    ours: setDown(3),
    wire: "00000000 03000000 00000000 01000000",
  },
  {
    command: "ip link set v0 promisc on",
    ours: setPromiscuous(3),
    wire: "00000000 03000000 00010000 00010000",
  },
  {
    command: "ip link set v0 address 02:00:00:00:00:09",
    ours: setMac(3, mac),
    wire: "00000000 03000000 00000000 00000000 0a000100 02000000 00090000",
  },
  {
    command: "ip link set v0 mtu 1400",
    ours: setMtu(3, 1400),
    wire: "00000000 03000000 00000000 00000000 08000400 78050000",
  },
  {
    command: "ip link set v0 alias hello",
    ours: setAlias(3, "hello"),
    wire: "00000000 03000000 00000000 00000000 09001400 68656c6c 6f000000",
  },
  {
    command: "ip link set v0 group 5",
    ours: setGroup(3, 5),
    wire: "00000000 03000000 00000000 00000000 08001b00 05000000",
  },
  {
    command: "ip link set v0 master cni0",
    ours: setMaster(3, 4),
    wire: "00000000 03000000 00000000 00000000 08000a00 04000000",
  },
  {
    command: "ip link set v0 nomaster",
    ours: setMaster(3, 0),
    wire: "00000000 03000000 00000000 00000000 08000a00 00000000",
  },
  {
    command: "ip link set v0 netns 1 name eth0 alias hello up",
    ours: moveLink(3, { netns: { fd: 7, path: "/run/netns/c" }, name: "eth0", alias: "hello", up: true }),
    wire: "00000000 03000000 01000000 01000000 08001300 01000000 09001400 68656c6c 6f000000 09000300 65746830 00000000",
    differs: {
      value: { netnsPid: undefined, netnsFd: 7 },
      because: "by its descriptor, as `ip link set … netns <name>`",
    },
  },
];

requestsOfCommands(
  rows.map((row) => ({
    ...row,
    type: RTM_NEWLINK,
    flags: 0x5,
    differs: { because: "of a link that is there, both messages do the same", ...row.differs, type: RTM_SETLINK },
  })),
);

const dummy = { kind: "dummy" } as const;

t.test("a link is read", async (t) => {
  const rtnl = namespaceWith(
    { ifName: "b0", linkInfo: { kind: "bridge" } },
    { ifName: "v0", mtu: 1400, address: mac, linkInfo: { kind: "veth", data: { peer: { ifName: "v1" } } } },
  ).connect();
  rtnl.requestAll([setMaster(4, 2), setAlias(4, "hello"), setUp(4), setPromiscuous(4)]);
  t.match(findLink(rtnl, "v0"), {
    index: 4,
    name: "v0",
    kind: "veth",
    mac: "02:00:00:00:00:09",
    mtu: 1400,
    up: true,
    promiscuous: true,
    master: 2,
    parent: 3,
    alias: "hello",
  });
  t.match(findLink(rtnl, 1), { name: "lo", kind: "", up: false, promiscuous: false, master: 0, parent: 0, alias: "" });
  t.equal(findLinkInfo(rtnl, 2)?.kind, "bridge");
  t.equal(findLinkInfo(rtnl, 9), undefined);
  t.strictSame(entryOf(needLink(rtnl, "v0")), { name: "v0", mac: "02:00:00:00:00:09" });
  t.match(entryOf(needLink(rtnl, "v0"), "/run/netns/c"), { sandbox: "/run/netns/c" });
});

t.test("a link that is missing, and a look that is refused", async (t) => {
  const host = namespaceWith();
  const rtnl = host.connect();
  const gone = (name: string) =>
    `999: link ${name} does not exist; To fix: find out what deleted it (\`ip monitor link\`), then try again`;
  for (const name of ["none", 9, "a name that no link can have", ""]) t.equal(findLink(rtnl, name), undefined);
  t.equal(
    failureBy(() => needLink(rtnl, "none")),
    gone('"none"'),
  );
  t.equal(
    failureBy(() => needLinks(rtnl, [1, 9])),
    gone("9"),
  );
  t.strictSame(
    needLinks(rtnl, [1, 1]).map(({ name }) => name),
    ["lo", "lo"],
  );
  const cases: [ErrnoName, string | undefined][] = [
    ["ENODEV", undefined],
    ["EPERM", `999: RTM_GETLINK: EPERM; ${FORBIDDEN}`],
    ["ENOBUFS", `999: RTM_GETLINK: ENOBUFS; ${UNEXPECTED}`],
    ["EBUSY", `999: RTM_GETLINK: EBUSY; ${UNEXPECTED}`],
  ];
  for (const [errno, failure] of cases) {
    refuse(host, "RTM_GETLINK", errno);
    t.equal(
      failureBy(() => findLink(rtnl, "none")),
      failure,
      `found: ${errno}`,
    );
  }
});

t.test("a list that changes while it is read is read again, and one that always changes is an error", async (t) => {
  const host = namespaceWith({ ifName: "v0", linkInfo: dummy });
  let attempts = 0;
  host.refuse = () => (attempts++ < 3 ? "EINTR" : undefined);
  t.strictSame(
    listLinks(host.connect()).map(({ name }) => name),
    ["lo", "v0"],
  );
  host.refuse = () => "EINTR";
  t.match(
    failureBy(() => listLinks(host.connect())),
    /^999: RTM_GETLINK: EAGAIN \(changed during each of 20 dumps\)/,
  );
});

t.test("what is deleted, and what was gone", async (t) => {
  const there = () => {
    const host = namespaceWith({ ifName: "v0", linkInfo: dummy }, { ifName: "v1", linkInfo: dummy });
    host.connect().requestAll([setGroup(2, 5), setGroup(3, 5)]);
    return host;
  };
  const both = ["- 2: v0 dummy down mtu 1500", "- 3: v1 dummy down mtu 1500"];
  const cases: [string, (rtnl: Connection) => boolean, boolean, string[]][] = [
    ["by name", (rtnl) => deleteLink(rtnl, "v0"), true, both.slice(0, 1)],
    ["by index", (rtnl) => deleteLink(rtnl, 3), true, both.slice(1)],
    ["by group", (rtnl) => deleteLinksOfGroup(rtnl, 5), true, both],
    ["by name, gone", (rtnl) => deleteLink(rtnl, "none"), false, []],
    ["by index, gone", (rtnl) => deleteLink(rtnl, 9), false, []],
    ["by group, gone", (rtnl) => deleteLinksOfGroup(rtnl, 6), false, []],
  ];
  for (const [what, remove, was, outcome] of cases) {
    const host = there();
    let answer: boolean | undefined;
    t.strictSame(
      outcomeOf(host, () => {
        answer = remove(host.connect());
      }),
      outcome,
      what,
    );
    t.equal(answer, was, `${what}: whether it was there`);
  }
  const refused: [ErrnoName, string][] = [
    ["EPERM", `999: RTM_DELLINK: EPERM; ${FORBIDDEN}`],
    ["EBUSY", `999: RTM_DELLINK: EBUSY; ${UNEXPECTED}`],
    ["EOPNOTSUPP", `999: RTM_DELLINK: EOPNOTSUPP; ${LACKING}`],
  ];
  for (const [errno, failure] of refused) {
    const host = there();
    refuse(host, "RTM_DELLINK", errno);
    t.equal(
      outcomeOf(host, () => deleteLink(host.connect(), "v0")),
      failure,
    );
  }
});

t.test("a move: name, alias and state there, and what is in the way", async (t) => {
  const cases: [string, Partial<Parameters<typeof moveLink>[1]>, string][] = [
    ["with its name", {}, "2: v0 dummy down mtu 1500"],
    [
      "another name, up, with an alias",
      { name: "eth0", alias: "v0", up: true },
      '2: eth0 dummy up mtu 1500 alias "v0"',
    ],
  ];
  for (const [what, destination, line] of cases) {
    const all = hosts();
    all.host.connect().request(addLink({ ifName: "v0", linkInfo: dummy }));
    const move = moveLink(2, { netns: all.container.netns, name: "v0", ...destination });
    t.strictSame(
      outcomeOf(all.container, () => all.host.connect().request(move)),
      [`+ ${line}`],
      what,
    );
    t.equal(findLink(all.host.connect(), "v0"), undefined, what);
    t.equal(
      failureBy(() => all.host.connect().request(move)),
      `11: RTM_SETLINK: ENODEV; ${GONE}`,
      `${what}: again`,
    );
  }
});

t.test("flags that are not named stay", async (t) => {
  const host = namespaceWith({ ifName: "v0", flags: IFF_PROMISC, change: IFF_PROMISC, linkInfo: dummy });
  host.connect().requestAll([setUp(2), setDown(2), setMtu(2, 1400), setMac(2, mac)]);
  t.match(needLink(host.connect(), "v0"), { promiscuous: true, up: false, mtu: 1400, mac: "02:00:00:00:00:09" });
});
