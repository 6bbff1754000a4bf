import t from "tap";
import { formatAddress, parseAddress, parsePrefix } from "../../../ip/address.ts";
import { IFA_F_PERMANENT } from "../../../netlink/rtnetlink/address.ts";
import type { ExternalInterface } from "../backend.ts";
import { sameExternal, selectFrom } from "./external-interface.ts";
import type { HostView, InterfaceSelector, Nic } from "./selector.ts";

const address = (text: string) => {
  const parsed = parseAddress(text);
  if (parsed === undefined) throw new Error(`${text} is no address`);
  return parsed;
};

/** Link-local IPv6 addresses included, as real ones have them. */
function nic(index: number, name: string, addresses: readonly string[], mtu = 1500): Nic {
  const prefixes = [...addresses, `fe80::${index}/64`].map(parsePrefix).filter((prefix) => prefix !== undefined);
  return {
    link: { index, name, mtu },
    addresses: prefixes.map((prefix) => ({ prefix, flags: IFA_F_PERMANENT, scope: 0 })),
  };
}

interface Described {
  nics?: readonly Nic[];
  /** Indexes. */
  ipv4Defaults?: readonly number[];
  ipv6Defaults?: readonly number[];
}

const host = ({ nics = two, ipv4Defaults = [], ipv6Defaults = [] }: Described = {}): HostView => ({
  nics,
  indexOf: (name) => nics.find(({ link }) => link.name === name)?.link.index,
  defaultRoutes: (family) => (family === "ipv4" ? ipv4Defaults : ipv6Defaults),
  wayTo: () => undefined,
});

const two = [nic(2, "eth0", ["10.0.0.5/24", "fd00::5/64"]), nic(3, "eth1", ["172.16.0.5/24", "fd01::5/64"])];
const dual = { ipv4: true, ipv6: true };
const onlyIPv4 = { ipv4: true, ipv6: false };
const nothing: InterfaceSelector = {
  ifaces: [],
  ifaceRegexes: [],
  canReach: undefined,
  publicIP: undefined,
  publicIPv6: undefined,
};

function shown({ name, ...external }: ExternalInterface): string {
  const texts = [external.ipv4, external.ipv6, external.publicIP, external.publicIPv6].map((one) =>
    one === undefined ? "-" : formatAddress(one),
  );
  return [name, ...texts].join(" ");
}

t.test("dual stack by an IPv6 address alone: the IPv4 address is the same interface's", async (t) => {
  t.equal(
    shown(selectFrom(host(), { ...nothing, ifaces: ["fd01::5"] }, dual, {})),
    "eth1 172.16.0.5 fd01::5 172.16.0.5 fd01::5",
  );
});

t.test("a regular expression on addresses never mixes interfaces", async (t) => {
  const nics = [
    nic(2, "10x", ["192.0.2.5/24"]),
    nic(3, "eth1", ["10.0.0.5/24"]),
    nic(4, "eth2", ["10.0.1.5/24", "fd00::5/64"]),
  ];
  t.equal(
    shown(selectFrom(host({ nics }), { ...nothing, ifaceRegexes: [/10/] }, dual, {})),
    "eth2 10.0.1.5 fd00::5 10.0.1.5 fd00::5",
    "the first that has both families, its link-local address is no match",
  );
});

t.test("a regular expression prefers an interface that matches in both families", async (t) => {
  const nics = [nic(2, "eth0", ["10.0.0.5/24", "fd01::5/64"]), nic(3, "eth1", ["10.0.1.5/24", "fd00::5/64"])];
  t.match(selectFrom(host({ nics }), { ...nothing, ifaceRegexes: [/^10\.|^fd00:/] }, dual, {}), { name: "eth1" });
});

t.test("our own devices are no match, though they have addresses of the cluster network", async (t) => {
  const nics = [
    nic(2, "flannel.1", ["10.244.0.0/32"]),
    nic(3, "flannel-v6.1", ["10.9.9.9/32"]),
    nic(4, "eth0", ["10.0.0.5/24"]),
  ];
  t.match(selectFrom(host({ nics }), { ...nothing, ifaceRegexes: [/^10\./] }, onlyIPv4, {}), { name: "eth0" });
});

t.test("default routes that lead over different interfaces: the one that has both families", async (t) => {
  const nics = [nic(2, "eth0", ["10.0.0.5/24"]), nic(3, "eth1", ["172.16.0.5/24", "fd01::5/64"])];
  t.equal(
    shown(selectFrom(host({ nics, ipv4Defaults: [2], ipv6Defaults: [3] }), nothing, dual, {})),
    "eth1 172.16.0.5 fd01::5 172.16.0.5 fd01::5",
  );
});

t.test("an interface without default route of a family gives its address of it", async (t) => {
  t.equal(shown(selectFrom(host({ ipv4Defaults: [2] }), nothing, dual, {})), "eth0 10.0.0.5 fd00::5 10.0.0.5 fd00::5");
});

t.test("a link-local address is the last resort", async (t) => {
  const nics = [nic(2, "eth0", ["10.0.0.5/24"])];
  t.equal(
    shown(selectFrom(host({ nics, ipv4Defaults: [2] }), nothing, dual, {})),
    "eth0 10.0.0.5 fe80::2 10.0.0.5 fe80::2",
  );
});

t.test("public addresses are told to others, and are our own where the interface has them", async (t) => {
  const selector = {
    ...nothing,
    ifaces: ["eth0"],
    publicIP: address("203.0.113.9"),
    publicIPv6: address("2001:db8::9"),
  };
  t.equal(shown(selectFrom(host(), selector, dual, {})), "eth0 10.0.0.5 fd00::5 203.0.113.9 2001:db8::9");
  const nics = [nic(2, "eth0", ["10.0.0.5/24", "10.0.0.6/24"])];
  const onIt = { ...nothing, ifaces: ["eth0"], publicIP: address("10.0.0.6") };
  t.equal(shown(selectFrom(host({ nics }), onIt, onlyIPv4, {})), "eth0 10.0.0.6 - 10.0.0.6 -");
});

t.test("a wish that comes to nothing is passed over, and told", async (t) => {
  const told: string[] = [];
  const selector = { ...nothing, ifaces: ["eth7", "192.0.2.1", "eth1"] };
  const passedOver = (why: string) => told.push(why);
  t.match(selectFrom(host(), selector, dual, { passedOver }), { name: "eth1" });
  t.strictSame(told, [
    "--iface eth7: there is no interface with that name, did you mean eth0?",
    "--iface 192.0.2.1: no interface has that address",
  ]);
});

t.test("names come first, then regular expressions, then what can be reached", async (t) => {
  const view: HostView = { ...host(), wayTo: () => ({ index: 3, source: address("172.16.0.5") }) };
  const canReach = address("172.16.0.9");
  const names: [string, Partial<InterfaceSelector>][] = [
    ["eth0", { ifaces: ["eth0"], ifaceRegexes: [/^eth1$/], canReach }],
    ["eth0", { ifaces: ["eth7"], ifaceRegexes: [/^ens/, /^eth0$/], canReach }],
    ["eth1", { ifaces: ["eth7"], ifaceRegexes: [/^ens/], canReach }],
  ];
  for (const [name, selector] of names) t.match(selectFrom(view, { ...nothing, ...selector }, dual, {}), { name });
});

const others = "this host has eth0 (10.0.0.5, fd00::5), eth1 (172.16.0.5, fd01::5); choose one with --iface";
const failures: { title: string; view?: Described; selector?: Partial<InterfaceSelector>; message: string }[] = [
  {
    title: "no default route",
    message: `no external interface found: default route: there is none for IPv4 or IPv6; ${others}`,
  },
  {
    title: "every wish fails",
    selector: { ifaces: ["ens3"], ifaceRegexes: [/^192\./], canReach: address("192.0.2.1") },
    message: `no external interface found: --iface ens3: there is no interface with that name; --iface-regex ^192\\.: no address and no name matches; --iface-can-reach 192.0.2.1: there is no route to that address; ${others}`,
  },
  {
    title: "an own address to be reached",
    selector: { canReach: address("10.0.0.5") },
    message: `no external interface found: --iface-can-reach 10.0.0.5: that is an address of this host; ${others}`,
  },
  {
    title: "a public address of a NAT, without --iface",
    selector: { publicIP: address("203.0.113.9") },
    message: `no external interface found: --public-ip 203.0.113.9: no interface has that address; if it is the address of a NAT in front of this host, --iface is needed as well; ${others}`,
  },
  {
    title: "an interface without a family",
    view: { nics: [nic(2, "eth0", ["fd00::5/64"])] },
    selector: { ifaces: ["eth0"] },
    message:
      "no external interface found: --iface eth0: eth0 has no IPv4 address; this host has eth0 (fd00::5); choose one with --iface",
  },
  {
    title: "an interface without MTU",
    view: { nics: [nic(2, "eth0", ["10.0.0.5/24"], 0)] },
    selector: { ifaces: ["eth0"] },
    message:
      "no external interface found: --iface eth0: eth0 has no MTU; this host has eth0 (10.0.0.5); choose one with --iface",
  },
  {
    title: "a host without addresses",
    view: { nics: [] },
    message:
      "no external interface found: default route: there is none for IPv4 or IPv6; no interface of this host has an address; give one to the interface that leads to the other hosts",
  },
];
for (const { title, view, selector, message } of failures) {
  t.test(`${title}: an error that says what there is`, async (t) => {
    t.throws(() => selectFrom(host(view), { ...nothing, ...selector }, dual, {}), {
      name: "NoExternalInterface",
      message,
    });
  });
}

t.test("what others see of the interface makes it another one", async (t) => {
  const one = selectFrom(host(), { ...nothing, ifaces: ["eth0"] }, dual, {});
  t.ok(sameExternal(one, selectFrom(host(), { ...nothing, ifaces: ["10.0.0.5"] }, dual, {})));
  for (const change of [
    { index: 9 },
    { name: "x" },
    { mtu: 1400 },
    { ipv6: address("fd00::6") },
    { publicIP: address("10.0.0.6") },
  ]) {
    t.notOk(sameExternal(one, { ...one, ...change }), Object.keys(change).join());
  }
  const { ipv6, publicIPv6, ...rest } = one;
  t.notOk(sameExternal(one, rest));
});
