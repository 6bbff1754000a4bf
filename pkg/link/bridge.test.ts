// Bridges and their ports: what is sent is what `bridge` sends; what is made of what is there, and what is said of what the kernel refuses.
import t from "tap";
import { formats } from "../config/formats.ts";
import type { Request } from "../netlink/connection.ts";
import { requestsOfCommands } from "../netlink/golden.testing.ts";
import { BRIDGE_VLAN_INFO_PVID, BRIDGE_VLAN_INFO_UNTAGGED } from "../netlink/rtnetlink/bridge-link.ts";
import { IFF_UP } from "../netlink/rtnetlink/link/interface.ts";
import { type LinkRequest, RTM_DELLINK, RTM_SETLINK } from "../netlink/rtnetlink/link.ts";
import type { ErrnoName } from "../sys/errno.ts";
import {
  accessVlan,
  addVlans,
  type BridgeOptions,
  deleteVlans,
  ensureBridge,
  needVlanFiltering,
  setPort,
  taggedVlans,
  vlansOf,
} from "./bridge.ts";
import { failureBy, GONE, LACKING, namespaceWith, outcomeOf, refuse, UNEXPECTED } from "./cases.testing.ts";
import { addLink, deleteLink, setMaster } from "./link.ts";

requestsOfCommands([
  {
    command: "bridge link set dev v0 hairpin on isolated on",
    ours: setPort(3, { hairpin: true, isolated: true }),
    type: RTM_SETLINK,
    flags: 0x5,
    wire: "07000000 03000000 00000000 00000000 14000c80 05000400 01000000 05002100 01000000",
  },
  {
    command: "bridge link set dev v0 hairpin off",
    ours: setPort(3, { hairpin: false }),
    type: RTM_SETLINK,
    flags: 0x5,
    wire: "07000000 03000000 00000000 00000000 0c000c80 05000400 00000000",
  },
  {
    command: "bridge vlan add dev v0 vid 10 pvid untagged",
    ours: addVlans(3, [accessVlan(10)]),
    type: RTM_SETLINK,
    flags: 0x5,
    wire: "07000000 03000000 00000000 00000000 0c001a00 08000200 06000a00",
  },
  {
    command: "bridge vlan add dev v0 vid 100-105",
    ours: addVlans(3, [taggedVlans(100, 105)]),
    type: RTM_SETLINK,
    flags: 0x5,
    wire: "07000000 03000000 00000000 00000000 14001a00 08000200 08006400 08000200 10006900",
  },
  {
    command: "bridge vlan del dev v0 vid 100-105",
    ours: deleteVlans(3, [taggedVlans(100, 105)]),
    type: RTM_DELLINK,
    flags: 0x5,
    wire: "07000000 03000000 00000000 00000000 14001a00 08000200 08006400 08000200 10006900",
  },
]);

// no machine has a link of this name, whose sysctls are written
const options: BridgeOptions = { name: "fake-br0", mtu: 0, vlanFiltering: false, promiscuous: false };
const bridge: LinkRequest = { ifName: "fake-br0", linkInfo: { kind: "bridge" } };
const isUp = { flags: IFF_UP, change: IFF_UP };
const [LOOK, MAKE] = ["RTM_GETLINK", "RTM_NEWLINK"];

t.test("a bridge is made, or set up where it is there", async (t) => {
  const cases: [string, LinkRequest[], Partial<BridgeOptions>, string[] | string, string[]][] = [
    ["nothing", [], {}, ["+ 2: fake-br0 bridge up mtu 1500"], [LOOK, MAKE, LOOK]],
    ["nothing, an MTU", [], { mtu: 1400 }, ["+ 2: fake-br0 bridge up mtu 1400"], [LOOK, MAKE, LOOK]],
    [
      "nothing, VLAN filtering",
      [],
      { vlanFiltering: true },
      ["+ 2: fake-br0 bridge up mtu 1500 bridge.vlanFiltering true"],
      [LOOK, MAKE, LOOK],
    ],
    [
      "nothing, promiscuous",
      [],
      { promiscuous: true },
      ["+ 2: fake-br0 bridge up mtu 1500 promisc"],
      [LOOK, MAKE, LOOK, "RTM_SETLINK"],
    ],
    ["a bridge that is up", [{ ...bridge, ...isUp }], {}, [], [LOOK]],
    [
      "a bridge that is down",
      [bridge],
      {},
      ["- 2: fake-br0 bridge down mtu 1500", "+ 2: fake-br0 bridge up mtu 1500"],
      [LOOK, "RTM_SETLINK"],
    ],
    ["a bridge with another MTU", [{ ...bridge, ...isUp, mtu: 1300 }], { mtu: 1400 }, [], [LOOK]],
    ["a bridge without VLAN filtering", [{ ...bridge, ...isUp }], { vlanFiltering: true }, [], [LOOK]],
    [
      "a bridge that is down, promiscuous",
      [bridge],
      { promiscuous: true },
      ["- 2: fake-br0 bridge down mtu 1500", "+ 2: fake-br0 bridge up mtu 1500 promisc"],
      [LOOK, "RTM_SETLINK", "RTM_SETLINK"],
    ],
    [
      "a link of another kind",
      [{ ifName: "fake-br0", linkInfo: { kind: "dummy" } }],
      {},
      `999: "fake-br0" already exists but is not a bridge (it is of kind dummy); To fix: set "bridge" to another name, or remove that link: ip link delete fake-br0`,
      [LOOK],
    ],
    [
      "a link without a kind",
      [],
      { name: "lo" },
      `999: "lo" already exists but is not a bridge; To fix: set "bridge" to another name, or remove that link: ip link delete lo`,
      [LOOK],
    ],
    [
      "no link of a name that only an alternative name can be",
      [],
      { name: "a-name-of-more-than-15-characters" },
      `7: "bridge" is "a-name-of-more-than-15-characters", must be ${formats.ifname.allowed}; To fix: no bridge has it as an alternative name either: correct it, or make that bridge first`,
      [LOOK],
    ],
  ];
  for (const [what, there, wanted, outcome, requests] of cases) {
    const host = namespaceWith(...there);
    t.strictSame(
      outcomeOf(host, () => ensureBridge(host.connect(), { ...options, ...wanted })),
      outcome,
      what,
    );
    t.strictSame(
      host.sent.map(({ name }) => name),
      requests,
      `${what}: requests`,
    );
  }
});

t.test("a new bridge has a MAC of its own, which does not change with its ports", async (t) => {
  const host = namespaceWith();
  ensureBridge(host.connect(), options);
  const made = host.sent.find(({ name }) => name === MAKE)?.value as { address: Uint8Array };
  t.equal((made.address[0] ?? 0) & 3, 2, "locally administered, unicast");
});

t.test("what is said of a bridge that the kernel refuses", async (t) => {
  const asRoot = `run as root with CAP_NET_ADMIN, and check "mtu" of the network`;
  const cases: [ErrnoName, Partial<BridgeOptions>, string][] = [
    ["EPERM", {}, `999: the kernel refuses to create bridge "fake-br0"; RTM_NEWLINK: EPERM. To fix: ${asRoot}`],
    [
      "EINVAL",
      { mtu: 9 },
      `999: the kernel refuses to create bridge "fake-br0"; RTM_NEWLINK: EINVAL. To fix: ${asRoot}`,
    ],
    [
      "EOPNOTSUPP",
      {},
      `999: this kernel cannot create bridge "fake-br0"; RTM_NEWLINK: EOPNOTSUPP. To fix: load the module (\`modprobe bridge\`)`,
    ],
    [
      "EOPNOTSUPP",
      { vlanFiltering: true },
      `999: this kernel cannot create bridge "fake-br0" with VLAN filtering; RTM_NEWLINK: EOPNOTSUPP. To fix: load the module (\`modprobe bridge\`) or use a kernel with CONFIG_BRIDGE_VLAN_FILTERING`,
    ],
  ];
  for (const [errno, wanted, failure] of cases) {
    const host = namespaceWith();
    refuse(host, MAKE, errno);
    t.equal(
      outcomeOf(host, () => ensureBridge(host.connect(), { ...options, ...wanted })),
      failure,
      `${errno} ${JSON.stringify(wanted)}`,
    );
  }
});

t.test("others who make or delete a link of the name meanwhile", async (t) => {
  const cases: [string, Request, string, string[] | string][] = [
    ["made by another container", addLink({ ...bridge, mtu: 1300 }), MAKE, ["+ 2: fake-br0 bridge up mtu 1300"]],
    [
      "made, of another kind",
      addLink({ ifName: "fake-br0", linkInfo: { kind: "dummy" } }),
      MAKE,
      `999: "fake-br0" already exists but is not a bridge (it is of kind dummy); To fix: set "bridge" to another name, or remove that link: ip link delete fake-br0`,
    ],
  ];
  for (const [what, change, moment, outcome] of cases) {
    const host = namespaceWith();
    host.before = ([request]) => {
      if (request?.name !== moment) return;
      host.before = undefined;
      host.connect().request(change);
    };
    t.strictSame(
      outcomeOf(host, () => ensureBridge(host.connect(), options)),
      outcome,
      what,
    );
  }
  const host = namespaceWith();
  let looks = 0;
  host.before = ([request]) => {
    if (request?.name !== LOOK || looks++ === 0) return;
    host.before = undefined;
    deleteLink(host.connect(), "fake-br0");
  };
  t.equal(
    failureBy(() => ensureBridge(host.connect(), options)),
    '999: link "fake-br0" does not exist; To fix: find out what deleted it (`ip monitor link`), then try again',
    "deleted as soon as it is made",
  );
});

t.test("STATUS: whether a bridge with VLAN filtering can be made", async (t) => {
  const lacking = `50: this kernel cannot create bridge "fake-br0" with VLAN filtering; RTM_NEWLINK: EOPNOTSUPP. To fix: load the module (\`modprobe bridge\`) or use a kernel with CONFIG_BRIDGE_VLAN_FILTERING`;
  const cases: [string, LinkRequest[], boolean, string[] | string][] = [
    ["a kernel with it", [], true, []],
    ["a kernel without it", [], false, lacking],
    ["a kernel without it, but the bridge is there", [bridge], false, []],
  ];
  for (const [what, there, hasVlanFiltering, outcome] of cases) {
    const host = namespaceWith(...there);
    host.network.hasVlanFiltering = hasVlanFiltering;
    t.strictSame(
      outcomeOf(host, () => needVlanFiltering(host.connect(), "fake-br0")),
      outcome,
      what,
    );
  }
});

/** A bridge, index 2, and its port, index 4. */
function withPort() {
  const host = namespaceWith(bridge, {
    ifName: "fake-v0",
    linkInfo: { kind: "veth", data: { peer: { ifName: "fake-v1" } } },
  });
  host.connect().request(setMaster(PORT, 2));
  return host;
}
const PORT = 4;
const port = "4: fake-v0 veth down mtu 1500 link fake-v1 master fake-br0";

t.test("settings and VLANs of a port", async (t) => {
  const cases: [string, Request[], string[] | string][] = [
    ["hairpin", [setPort(PORT, { hairpin: true })], [`- ${port}`, `+ ${port} hairpin true`]],
    ["isolated", [setPort(PORT, { isolated: true })], [`- ${port}`, `+ ${port} isolated true`]],
    ["of no port", [setPort(3, { hairpin: true })], `999: RTM_SETLINK: EOPNOTSUPP; ${LACKING}`],
    ["of no link", [setPort(9, { hairpin: true })], `11: RTM_SETLINK: ENODEV; ${GONE}`],
    ["an access VLAN", [addVlans(PORT, [accessVlan(10)])], [`- ${port}`, `+ ${port} vlan 1 untagged 10 pvid untagged`]],
    [
      "an access VLAN, and no other",
      [addVlans(PORT, [accessVlan(10)]), deleteVlans(PORT, [accessVlan(1)])],
      [`- ${port}`, `+ ${port} vlan 10 pvid untagged`],
    ],
    [
      "ranges",
      [addVlans(PORT, [taggedVlans(20, 22), taggedVlans(30, 30)])],
      [`- ${port}`, `+ ${port} vlan 1 pvid untagged 20 21 22 30`],
    ],
    ["none", [deleteVlans(PORT, [accessVlan(1)])], [`- ${port}`, `+ ${port} vlan none`]],
    ["one that is not there, removed", [deleteVlans(PORT, [taggedVlans(20, 22)])], []],
    ["one that is no VLAN", [addVlans(PORT, [taggedVlans(4095, 4095)])], `999: RTM_SETLINK: EINVAL; ${UNEXPECTED}`],
    ["VLANs of no port", [addVlans(3, [accessVlan(10)])], `999: RTM_SETLINK: EOPNOTSUPP; ${LACKING}`],
  ];
  for (const [what, requests, outcome] of cases) {
    const host = withPort();
    t.strictSame(
      outcomeOf(host, () => host.connect().requestAll(requests)),
      outcome,
      what,
    );
  }
});

t.test("the VLANs of a port are listed, those of others and of a kernel without filtering are not", async (t) => {
  const host = withPort();
  const rtnl = host.connect();
  const first = { first: 1, last: 1, flags: BRIDGE_VLAN_INFO_PVID | BRIDGE_VLAN_INFO_UNTAGGED };
  rtnl.request(addVlans(PORT, [taggedVlans(20, 21)]));
  t.strictSame(vlansOf(rtnl, PORT), [first, taggedVlans(20, 20), taggedVlans(21, 21)]);
  t.strictSame(vlansOf(rtnl, 3), []);
  host.network.hasVlanFiltering = false;
  t.strictSame(vlansOf(rtnl, PORT), []);
});
