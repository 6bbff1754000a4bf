// Addresses: what is sent is what `ip address` sends; what a fake kernel makes of it, and what is read of it.
import t from "tap";
import { formatPrefix } from "../ip/address.ts";
import type { Request } from "../netlink/connection.ts";
import { requestsOfCommands } from "../netlink/golden.testing.ts";
import {
  type AddressMessage,
  IFA_F_DADFAILED,
  IFA_F_NODAD,
  IFA_F_TENTATIVE,
  RTM_DELADDR,
  RTM_NEWADDR,
} from "../netlink/rtnetlink/address.ts";
import {
  addAddress,
  addListedAddress,
  addressesOf,
  deleteAddress,
  type LinkAddress,
  listAddresses,
  listIPv6Addresses,
} from "./address.ts";
import { GONE, namespaceWith, outcomeOf, prefix, UNEXPECTED } from "./cases.testing.ts";
import { setUp } from "./link.ts";

requestsOfCommands([
  {
    command: "ip address add 10.22.0.5/16 broadcast + dev v0",
    ours: addAddress(3, prefix("10.22.0.5/16")),
    type: RTM_NEWADDR,
    flags: 0x605,
    wire: "02100000 03000000 08000200 0a160005 08000100 0a160005 08000400 0a16ffff",
  },
  {
    command: "ip address add 10.22.0.5/31 dev v0",
    ours: addAddress(3, prefix("10.22.0.5/31")),
    type: RTM_NEWADDR,
    flags: 0x605,
    wire: "021f0000 03000000 08000200 0a160005 08000100 0a160005",
  },
  {
    command: "ip address add 10.22.0.5/32 dev v0",
    ours: addAddress(3, prefix("10.22.0.5/32"), { withoutDetection: true }),
    type: RTM_NEWADDR,
    flags: 0x605,
    wire: "02200000 03000000 08000200 0a160005 08000100 0a160005",
  },
  {
    command: "ip address add fd00::5/64 dev v0",
    ours: addAddress(3, prefix("fd00::5/64")),
    type: RTM_NEWADDR,
    flags: 0x605,
    wire: "0a400000 03000000 14000200 fd000000 00000000 00000000 00000005 14000100 fd000000 00000000 00000000 00000005",
  },
  {
    command: "ip address add fd00::5/64 dev v0 nodad",
    ours: addAddress(3, prefix("fd00::5/64"), { withoutDetection: true }),
    type: RTM_NEWADDR,
    flags: 0x605,
    wire: "0a400200 03000000 14000200 fd000000 00000000 00000000 00000005 14000100 fd000000 00000000 00000000 00000005",
  },
  {
    command: "ip address del 10.0.0.1/24 dev v0",
    ours: deleteAddress(3, prefix("10.0.0.1/24")),
    type: RTM_DELADDR,
    flags: 0x5,
    wire: "02180000 03000000 08000200 0a000001 08000100 0a000001",
  },
  {
    command: "ip address del fd01::1/64 dev v0",
    ours: deleteAddress(3, prefix("fd01::1/64")),
    type: RTM_DELADDR,
    flags: 0x5,
    wire: "0a400000 03000000 14000200 fd010000 00000000 00000000 00000001 14000100 fd010000 00000000 00000000 00000001",
  },
]);

/** A link that is up, index 2, with an address, and one beside it. */
function withAddress() {
  const linkInfo = { kind: "dummy" } as const;
  const host = namespaceWith({ ifName: "v0", linkInfo }, { ifName: "other", linkInfo });
  host.connect().requestAll([setUp(2), addAddress(2, prefix("10.22.0.5/16")), addAddress(3, prefix("10.23.0.5/24"))]);
  return host;
}

t.test("what an address changes, beside 10.22.0.5/16", async (t) => {
  const cases: [string, Request, string[] | string][] = [
    [
      "of another subnet",
      addAddress(2, prefix("10.24.0.5/24")),
      ["+ address 10.24.0.5/24", "+ route 10.24.0.0/24 dev v0 scope link src 10.24.0.5"],
    ],
    ["of the same subnet", addAddress(2, prefix("10.22.0.6/16")), ["+ address 10.22.0.6/16"]],
    ["the same", addAddress(2, prefix("10.22.0.5/16")), `999: RTM_NEWADDR: EEXIST; ${UNEXPECTED}`],
    ["of IPv6", addAddress(2, prefix("fd00::5/64")), ["+ address fd00::5/64", "+ route fd00::/64 dev v0 metric 256"]],
    ["on no link", addAddress(9, prefix("10.24.0.5/24")), `11: RTM_NEWADDR: ENODEV; ${GONE}`],
    [
      "deleted",
      deleteAddress(2, prefix("10.22.0.5/16")),
      ["- address 10.22.0.5/16", "- route 10.22.0.0/16 dev v0 scope link src 10.22.0.5"],
    ],
    [
      "deleted, with another prefix length",
      deleteAddress(2, prefix("10.22.0.5/24")),
      `999: RTM_DELADDR: EADDRNOTAVAIL; ${UNEXPECTED}`,
    ],
  ];
  for (const [what, request, outcome] of cases) {
    const host = withAddress();
    t.strictSame(
      outcomeOf(host, () => host.connect().request(request)),
      outcome,
      what,
    );
  }
});

t.test("addresses are listed by their link", async (t) => {
  const host = withAddress();
  const rtnl = host.connect();
  const textsOf = (all: readonly LinkAddress[] = []) => all.map(({ prefix }) => formatPrefix(prefix));
  for (const filters of [true, false]) {
    host.filtersDumps = filters;
    t.strictSame(textsOf(addressesOf(rtnl, 2)), ["10.22.0.5/16"]);
    t.strictSame(textsOf(addressesOf(rtnl, 1)), []);
    t.strictSame(listIPv6Addresses(rtnl, 2), []);
  }
  const byLink = listAddresses(rtnl);
  t.strictSame([...byLink.keys()], [2, 3]);
  t.strictSame(textsOf(byLink.get(3)), ["10.23.0.5/24"]);
});

t.test("a listed address is added again with its flags, but for those that the kernel sets", async (t) => {
  const host = withAddress();
  const rtnl = host.connect();
  rtnl.request(addAddress(2, prefix("fd00::5/64"), { withoutDetection: true }));
  const [listed, ...others] = listIPv6Addresses(rtnl, 2);
  t.strictSame(others, []);
  const tentative = { ...(listed as AddressMessage), longFlags: IFA_F_NODAD | IFA_F_TENTATIVE | IFA_F_DADFAILED };
  t.match(addListedAddress(tentative).value, {
    index: 2,
    prefixLength: 64,
    flags: IFA_F_NODAD,
    longFlags: IFA_F_NODAD,
  });
  const before = host.text();
  rtnl.request(deleteAddress(2, prefix("fd00::5/64")));
  rtnl.request(addListedAddress(listed as AddressMessage));
  t.equal(host.text(), before);
});
