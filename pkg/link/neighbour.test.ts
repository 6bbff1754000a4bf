// Neighbours and forwarding entries: what is sent is what `ip neighbour` and `bridge fdb` send, and what is read of them.
import t from "tap";
import { type Request, request } from "../netlink/connection.ts";
import { ip, mac as macOf, requestsOfCommands } from "../netlink/golden.testing.ts";
import { NLM_F_CREATE } from "../netlink/nlmsg.ts";
import { AF_INET } from "../netlink/rtnetlink/family.ts";
import {
  NUD_PERMANENT,
  NUD_REACHABLE,
  neighbourMessage,
  RTM_DELNEIGH,
  RTM_NEWNEIGH,
} from "../netlink/rtnetlink/neighbour.ts";
import { GONE, namespaceWith, outcomeOf, UNEXPECTED } from "./cases.testing.ts";
import { setUp } from "./link.ts";
import {
  deleteForwarding,
  deleteNeighbour,
  listForwarding,
  listNeighbours,
  proxyNeighbour,
  replaceForwarding,
  replaceNeighbour,
} from "./neighbour.ts";

const mac = macOf("02:00:00:00:00:09");
const UNREAD = "the kernel does not read the state of what is deleted";

requestsOfCommands([
  {
    command: "ip neighbour replace 10.0.0.9 lladdr 02:00:00:00:00:09 nud permanent dev v0",
    ours: replaceNeighbour(3, { address: ip("10.0.0.9"), mac }),
    type: RTM_NEWNEIGH,
    flags: 0x505,
    wire: "02000000 03000000 80000000 08000100 0a000009 0a000200 02000000 00090000",
  },
  {
    command: "ip -6 neighbour replace fd01::9 lladdr 02:00:00:00:00:09 nud permanent dev v0",
    ours: replaceNeighbour(3, { address: ip("fd01::9"), mac }),
    type: RTM_NEWNEIGH,
    flags: 0x505,
    wire: "0a000000 03000000 80000000 14000100 fd010000 00000000 00000000 00000009 0a000200 02000000 00090000",
  },
  {
    command: "ip neighbour del 10.0.0.9 dev v0",
    ours: deleteNeighbour(3, ip("10.0.0.9")),
    type: RTM_DELNEIGH,
    flags: 0x5,
    wire: "02000000 03000000 80000000 08000100 0a000009",
    differs: { value: { state: 0 }, because: UNREAD },
  },
  {
    command: "ip neighbour replace proxy 10.0.0.9 dev v0",
    ours: proxyNeighbour(3, ip("10.0.0.9")),
    type: RTM_NEWNEIGH,
    flags: 0x505,
    wire: "02000000 03000000 80000800 08000100 0a000009",
  },
  {
    command: "bridge fdb replace 02:00:00:00:00:09 dst 192.0.2.1 self permanent dev vx0",
    ours: replaceForwarding(4, { address: ip("192.0.2.1"), mac }),
    type: RTM_NEWNEIGH,
    flags: 0x505,
    wire: "07000000 04000000 c0000200 0a000200 02000000 00090000 08000100 c0000201",
    differs: {
      value: { state: NUD_PERMANENT },
      because: "NUD_NOARP, which the command adds, is implied by NUD_PERMANENT",
    },
  },
  {
    command: "bridge fdb del 02:00:00:00:00:09 dst 192.0.2.1 self dev vx0",
    ours: deleteForwarding(4, { address: ip("192.0.2.1"), mac }),
    type: RTM_DELNEIGH,
    flags: 0x5,
    wire: "07000000 04000000 c0000200 0a000200 02000000 00090000 08000100 c0000201",
    differs: { value: { state: 0 }, because: UNREAD },
  },
]);

/** A VXLAN device, index 2, that is up, and another link. */
function withDevice() {
  const host = namespaceWith(
    { ifName: "vx0", linkInfo: { kind: "vxlan", data: { id: 1, port: 4789 } } },
    { ifName: "v0", linkInfo: { kind: "dummy" } },
  );
  host.connect().requestAll([setUp(2), setUp(3)]);
  return host;
}

t.test("what an entry changes, beside one of the same address or MAC", async (t) => {
  const mac2 = macOf("02:00:00:00:00:08");
  const [peer, other, remote] = [ip("10.1.0.9"), ip("10.1.0.8"), ip("192.0.2.1")];
  const cases: [string, Request, string[] | string][] = [
    ["neighbour", replaceNeighbour(2, { address: other, mac }), ["+ neighbour 10.1.0.8 02:00:00:00:00:09"]],
    [
      "neighbour with another MAC",
      replaceNeighbour(2, { address: peer, mac: mac2 }),
      ["- neighbour 10.1.0.9 02:00:00:00:00:09", "+ neighbour 10.1.0.9 02:00:00:00:00:08"],
    ],
    ["neighbour, deleted", deleteNeighbour(2, peer), ["- neighbour 10.1.0.9 02:00:00:00:00:09"]],
    ["no such neighbour, deleted", deleteNeighbour(2, other), `999: RTM_DELNEIGH: ENOENT; ${UNEXPECTED}`],
    ["proxy entry", proxyNeighbour(2, peer), ["+ proxy 10.1.0.9"]],
    [
      "forwarding entry to another endpoint",
      replaceForwarding(2, { address: ip("192.0.2.2"), mac }),
      ["- fdb 192.0.2.1 02:00:00:00:00:09", "+ fdb 192.0.2.2 02:00:00:00:00:09"],
    ],
    [
      "forwarding entry of another MAC",
      replaceForwarding(2, { address: remote, mac: mac2 }),
      ["+ fdb 192.0.2.1 02:00:00:00:00:08"],
    ],
    ["forwarding entry, deleted", deleteForwarding(2, { address: remote, mac }), ["- fdb 192.0.2.1 02:00:00:00:00:09"]],
    [
      "forwarding entry to another endpoint, deleted",
      deleteForwarding(2, { address: ip("192.0.2.2"), mac }),
      `999: RTM_DELNEIGH: ENOENT; ${UNEXPECTED}`,
    ],
    ["neighbour on no link", replaceNeighbour(9, { address: peer, mac }), `11: RTM_NEWNEIGH: ENODEV; ${GONE}`],
  ];
  for (const [what, request, outcome] of cases) {
    const host = withDevice();
    host
      .connect()
      .requestAll([replaceNeighbour(2, { address: peer, mac }), replaceForwarding(2, { address: remote, mac })]);
    t.strictSame(
      outcomeOf(host, () => host.connect().request(request)),
      outcome,
      what,
    );
  }
});

t.test("the permanent entries of one link and one family are listed", async (t) => {
  const rtnl = withDevice().connect();
  const peer = { address: ip("10.1.0.9"), mac };
  const peer6 = { address: ip("fd00::9"), mac };
  const learned = request({
    name: "RTM_NEWNEIGH",
    type: RTM_NEWNEIGH,
    flags: NLM_F_CREATE,
    table: neighbourMessage,
    value: { family: AF_INET, index: 2, state: NUD_REACHABLE, destination: ip("10.1.0.7"), linkAddress: mac },
  });
  rtnl.requestAll([
    replaceNeighbour(2, peer),
    replaceNeighbour(2, peer6),
    replaceNeighbour(3, { ...peer, address: ip("10.1.0.8") }),
    proxyNeighbour(2, ip("10.1.0.6")),
    replaceForwarding(2, { address: ip("192.0.2.1"), mac }),
    learned,
  ]);
  t.strictSame(listNeighbours(rtnl, 2, "ipv4"), [peer]);
  t.strictSame(listNeighbours(rtnl, 2, "ipv6"), [peer6]);
  t.strictSame(listForwarding(rtnl, 2), [{ address: ip("192.0.2.1"), mac }]);
  t.strictSame(listForwarding(rtnl, 3), []);
});
