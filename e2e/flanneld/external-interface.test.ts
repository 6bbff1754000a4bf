// The interface to the other hosts, found in real namespaces by every flag, in each family, among one and two of them.
import t from "tap";
import type { ExternalInterface } from "../../pkg/flannel/backend/backend.ts";
import {
  type Selection,
  sameExternal,
  selectExternalInterface,
} from "../../pkg/flannel/backend/interface/external-interface.ts";
import type { InterfaceSelector, RequestedFamilies } from "../../pkg/flannel/backend/interface/selector.ts";
import { type Address, formatAddress, parseAddress } from "../../pkg/ip/address.ts";
import { openRtnetlink } from "../../pkg/link/link.ts";
import { openNamespace } from "../../pkg/sys/namespace.ts";
import { type Host, newHost } from "../lab/host.ts";
import { needsRoot } from "../lab/needs.ts";

type Test = Parameters<typeof newHost>[0];

const nothing: InterfaceSelector = {
  ifaces: [],
  ifaceRegexes: [],
  canReach: undefined,
  publicIP: undefined,
  publicIPv6: undefined,
};
const dual: RequestedFamilies = { ipv4: true, ipv6: true };
const onlyIPv4: RequestedFamilies = { ipv4: true, ipv6: false };
const onlyIPv6: RequestedFamilies = { ipv4: false, ipv6: true };

function address(text: string): Address {
  const parsed = parseAddress(text);
  if (parsed === undefined) throw new Error(`${text} is no address`);
  return parsed;
}

/** `nic1` has 10.1.0.5 and fd00:1::5, and so on; default routes lead over the first. Their other ends are in the container. */
function hostWith(t: Test, nics: number): Host {
  const host = newHost(t);
  for (let n = 1; n <= nics; n++) {
    host.sh(`ip link add nic${n} mtu ${1300 + 100 * n} type veth peer name nic${n} netns ${host.containers[0]?.name}
             ip address add 10.${n}.0.5/24 dev nic${n}
             ip address add fd00:${n}::5/64 dev nic${n}
             ip link set nic${n} up
             ip link property add dev nic${n} altname uplink-of-${n} altname a-name-of-more-than-15-bytes-${n}`);
    host.containers[0]?.sh(`ip link set nic${n} up`);
  }
  host.sh("ip route add default via 10.1.0.1; ip route add default via fd00:1::1");
  return host;
}

function select(host: Host, wish: Partial<InterfaceSelector>, wanted: RequestedFamilies, selection?: Selection) {
  const rtnl = openRtnetlink(openNamespace(host.path));
  try {
    return selectExternalInterface(rtnl, { ...nothing, ...wish }, wanted, selection);
  } finally {
    rtnl.close();
  }
}

const asText = (one: Address | undefined): string | undefined => one && formatAddress(one);

const shown = ({ ipv4, ipv6, publicIP, publicIPv6, ...link }: ExternalInterface) => ({
  ...link,
  ipv4: asText(ipv4),
  ipv6: asText(ipv6),
  publicIP: asText(publicIP),
  publicIPv6: asText(publicIPv6),
});

/** The witness is the kernel's own tool. */
function expected(host: Host, name: string, { ipv4, ipv6 }: { ipv4?: string | undefined; ipv6?: string | undefined }) {
  const [link] = host.json("ip", "-j", "link", "show", name) as { ifindex: number; ifname: string; mtu: number }[];
  return { index: link?.ifindex, name: link?.ifname, mtu: link?.mtu, ipv4, ipv6, publicIP: ipv4, publicIPv6: ipv6 };
}

const wishes: Record<string, (n: number) => Partial<InterfaceSelector>> = {
  "by name": (n) => ({ ifaces: [`nic${n}`] }),
  "by a short alternative name": (n) => ({ ifaces: [`uplink-of-${n}`] }),
  "by a long alternative name": (n) => ({ ifaces: [`a-name-of-more-than-15-bytes-${n}`] }),
  "by IPv4 address": (n) => ({ ifaces: [`10.${n}.0.5`] }),
  "by IPv6 address": (n) => ({ ifaces: [`fd00:${n}::5`] }),
  "by regular expression on IPv4 addresses": (n) => ({ ifaceRegexes: [new RegExp(`^10\\.${n}\\.`)] }),
  "by regular expression on IPv6 addresses": (n) => ({ ifaceRegexes: [new RegExp(`^fd00:${n}:`)] }),
  "by regular expression on names": (n) => ({ ifaceRegexes: [new RegExp(`^nic${n}$`)] }),
  "by an IPv4 address that it reaches": (n) => ({ canReach: address(`10.${n}.0.9`) }),
  "by an IPv6 address that it reaches": (n) => ({ canReach: address(`fd00:${n}::9`) }),
  "by its own public IPv4 address": (n) => ({ publicIP: address(`10.${n}.0.5`) }),
  "by its own public IPv6 address": (n) => ({ publicIPv6: address(`fd00:${n}::5`) }),
};
const families = { IPv4: onlyIPv4, IPv6: onlyIPv6, "dual stack": dual };

/** An address of a family is looked for in that family only. */
const meansNothing = (title: string, family: string): boolean =>
  (title.includes("on IPv4") && family === "IPv6") ||
  (title.includes("on IPv6") && family === "IPv4") ||
  (title.includes("public IPv4") && family === "IPv6") ||
  (title.includes("public IPv6") && family === "IPv4");

t.test("each family, by each flag, among one and two interfaces", needsRoot, async (t) => {
  for (const nics of [1, 2]) {
    const host = hostWith(t, nics);
    for (const [family, wanted] of Object.entries(families)) {
      const addresses = (n: number) => ({
        ipv4: wanted.ipv4 ? `10.${n}.0.5` : undefined,
        ipv6: wanted.ipv6 ? `fd00:${n}::5` : undefined,
      });
      for (const [title, wish] of Object.entries(wishes).filter(([title]) => !meansNothing(title, family))) {
        const found = shown(select(host, wish(nics), wanted));
        t.strictSame(found, expected(host, `nic${nics}`, addresses(nics)), `${family}, ${title}, among ${nics}`);
      }
      const byDefault = shown(select(host, {}, wanted));
      t.strictSame(byDefault, expected(host, "nic1", addresses(1)), `${family}, default route, among ${nics}`);
    }
  }
});

t.test("a public address of a NAT is told to others, the interface keeps its own", needsRoot, async (t) => {
  const host = hostWith(t, 2);
  const wish = { ifaces: ["nic2"], publicIP: address("203.0.113.9"), publicIPv6: address("2001:db8::9") };
  t.strictSame(shown(select(host, wish, dual)), {
    ...expected(host, "nic2", { ipv4: "10.2.0.5", ipv6: "fd00:2::5" }),
    publicIP: "203.0.113.9",
    publicIPv6: "2001:db8::9",
  });
});

t.test("of several default routes the one with the lowest metric counts", needsRoot, async (t) => {
  const host = hostWith(t, 2);
  host.sh("ip route del default; ip route add default via 10.1.0.1 metric 200");
  t.match(select(host, {}, onlyIPv4), { name: "nic1" });
  host.sh("ip route add default via 10.2.0.1 metric 100");
  t.match(select(host, {}, onlyIPv4), { name: "nic2" });
});

t.test("a default route with several ways leads over the first", needsRoot, async (t) => {
  const host = hostWith(t, 2);
  host.sh("ip route replace default nexthop via 10.2.0.1 nexthop via 10.1.0.1");
  t.match(select(host, {}, onlyIPv4), { name: "nic2" });
});

t.test(
  "default routes of the families over different interfaces: one of them with both families",
  needsRoot,
  async (t) => {
    const host = hostWith(t, 2);
    host.sh("ip -6 route del default; ip route add default via fd00:2::1; ip address del fd00:1::5/64 dev nic1");
    const found = shown(select(host, {}, dual));
    t.strictSame(found, expected(host, "nic2", { ipv4: "10.2.0.5", ipv6: "fd00:2::5" }));
  },
);

t.test("stable IPv6 addresses come before temporary and deprecated ones", needsRoot, async (t) => {
  const host = hostWith(t, 1);
  host.sh(`ip address del fd00:1::5/64 dev nic1
           echo 2 > /proc/sys/net/ipv6/conf/nic1/use_tempaddr
           ip address add fd00:1::7/64 dev nic1 mngtmpaddr valid_lft 86400 preferred_lft 14400
           ip address add fd00:1::6/64 dev nic1 valid_lft 86400 preferred_lft 0`);
  const [link] = host.json("ip", "-j", "-6", "address", "show", "nic1") as { addr_info: Record<string, unknown>[] }[];
  const kinds = link?.addr_info.flatMap(({ temporary, deprecated }) => [
    temporary && "temporary",
    deprecated && "deprecated",
  ]);
  t.strictSame(kinds?.filter(Boolean).sort(), ["deprecated", "temporary"], "the interface has one of each");
  t.match(shown(select(host, {}, dual)), { name: "nic1", ipv6: "fd00:1::7" });
});

t.test("a change of the interface is another one, a further address is not", needsRoot, async (t) => {
  const host = hostWith(t, 1);
  let current = select(host, {}, dual);
  const changes: { command: string; isSame: boolean }[] = [
    { command: "true", isSame: true },
    { command: "ip address add 10.1.0.99/24 dev nic1; ip address add fd00:1::99/64 dev nic1", isSame: true },
    { command: "ip link set nic1 mtu 1300", isSame: false },
    { command: "ip address del fd00:1::5/64 dev nic1", isSame: false },
    {
      command:
        "echo 1 > /proc/sys/net/ipv6/conf/nic1/keep_addr_on_down; ip link set nic1 down; ip link set nic1 name other; ip link set other up; ip route add default via 10.1.0.1",
      isSame: false,
    },
  ];
  for (const { command, isSame } of changes) {
    host.sh(command);
    const now = select(host, {}, dual, { current });
    t.equal(sameExternal(current, now), isSame, command);
    current = now;
  }
  t.match(shown(current), { name: "other", mtu: 1300, ipv4: "10.1.0.5", ipv6: "fd00:1::99" });
});

const both = "this host has nic1 (10.1.0.5, fd00:1::5); choose one with --iface";
const failures: { title: string; before?: string; wish?: Partial<InterfaceSelector>; message: string }[] = [
  {
    title: "a name that nothing has",
    wish: { ifaces: ["nic7"] },
    message: `--iface nic7: there is no interface with that name, did you mean nic1?; ${both}`,
  },
  {
    title: "an address that nothing has",
    wish: { ifaces: ["10.7.0.5"] },
    message: `--iface 10.7.0.5: no interface has that address; ${both}`,
  },
  {
    title: "a regular expression that nothing matches",
    wish: { ifaceRegexes: [/^192\./] },
    message: `--iface-regex ^192\\.: no address and no name matches; ${both}`,
  },
  {
    title: "no way to an address",
    before: "ip route del default",
    wish: { canReach: address("192.0.2.1") },
    message: `--iface-can-reach 192.0.2.1: there is no route to that address; ${both}`,
  },
  ...["unreachable", "prohibit", "blackhole"].flatMap((type) =>
    ["192.0.2.1", "2001:db8::1"].map((to) => ({
      title: `a way to ${to} that is ${type}`,
      before: `ip route add ${type} ${to}`,
      wish: { canReach: address(to) },
      message: `--iface-can-reach ${to}: there is no route to that address; ${both}`,
    })),
  ),
  {
    title: "an address of this host, to be reached",
    wish: { canReach: address("fd00:1::5") },
    message: `--iface-can-reach fd00:1::5: that is an address of this host; ${both}`,
  },
  {
    title: "a public address of nobody, alone",
    wish: { publicIP: address("203.0.113.9") },
    message: `--public-ip 203.0.113.9: no interface has that address; if it is the address of a NAT in front of this host, --iface is needed as well; ${both}`,
  },
  {
    title: "no default route",
    before: "ip route del default; ip -6 route del default",
    message: `default route: there is none for IPv4 or IPv6; ${both}`,
  },
  {
    title: "an unreachable default route",
    before:
      "ip route del default; ip -6 route del default; ip route add unreachable default; ip -6 route add unreachable default",
    message: `default route: there is none for IPv4 or IPv6; ${both}`,
  },
  {
    title: "an interface without IPv4 address",
    before: "ip address del 10.1.0.5/24 dev nic1",
    wish: { ifaces: ["nic1"] },
    message: "--iface nic1: nic1 has no IPv4 address; this host has nic1 (fd00:1::5); choose one with --iface",
  },
  {
    title: "an interface without IPv6 address",
    before: "ip -6 address flush dev nic1",
    wish: { ifaces: ["nic1"] },
    message: "--iface nic1: nic1 has no IPv6 address; this host has nic1 (10.1.0.5); choose one with --iface",
  },
  {
    title: "a host without addresses",
    before: "ip address flush dev nic1",
    message:
      "default route: nic1 has no IPv4 address; no interface of this host has an address; give one to the interface that leads to the other hosts",
  },
];
t.test("what fails says why, what there is, and what to do", needsRoot, async (t) => {
  for (const { title, before = "true", wish = {}, message } of failures) {
    const host = hostWith(t, 1);
    host.sh(before);
    t.throws(
      () => select(host, wish, dual),
      { name: "NoExternalInterface", message: `no external interface found: ${message}` },
      title,
    );
  }
});
