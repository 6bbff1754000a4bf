/**
 * The interface that leads to the other hosts: named, matched, or found by a route.
 *
 * Unlike flannel, each family is looked for on its own: a wish that settles one family leaves the other one to the interface's own
 * addresses, whether or not it has a default route of that family. Regular expressions are JavaScript's, not RE2.
 */
import { nearest } from "../cni/suggest.ts";
import { type Address, compareAddresses, formatAddress, isIPv4, parseAddress } from "../ip/address.ts";
import { type LinkAddress, listAddresses } from "../link/address.ts";
import { type Link, listLinks } from "../link/link.ts";
import { listRoutes, lookupRoute } from "../link/route.ts";
import type { Connection } from "../netlink/connection.ts";
import {
  IFA_F_DADFAILED,
  IFA_F_DEPRECATED,
  IFA_F_PERMANENT,
  IFA_F_SECONDARY,
  IFA_F_TENTATIVE,
} from "../netlink/rtnetlink/address.ts";
import { AF_INET, AF_INET6 } from "../netlink/rtnetlink/family.ts";
import { type RouteMessage, RTN_UNICAST } from "../netlink/rtnetlink/route.ts";
import type { ExternalInterface } from "./backend.ts";

export interface InterfaceWish {
  /** Names or addresses; the first that fits is taken. */
  ifaces: readonly string[];
  /** Tried after them: on addresses, then on names. */
  ifaceRegexes: readonly RegExp[];
  /** Tried last. With none of the three, the address of publicIP or publicIPv6; without these, the default route. */
  canReach: Address | undefined;
  /** What the other hosts are told, instead of the interface's own address. */
  publicIP: Address | undefined;
  publicIPv6: Address | undefined;
}

/** What the network has. */
export interface FamiliesWanted {
  ipv4: boolean;
  ipv6: boolean;
}

export interface Selection {
  /** Of two addresses that are as good, this one's is kept. */
  current?: ExternalInterface;
  /** Told why a wish was passed over for a later one. */
  passedOver?: (why: string) => void;
}

/** No interface fits. `message` says why, what there is, and which flag to use. */
export class NoExternalInterface extends Error {
  override name = "NoExternalInterface";
}

/** @throws NoExternalInterface */
export function selectExternalInterface(
  route: Connection,
  wish: InterfaceWish,
  wanted: FamiliesWanted,
  selection: Selection = {},
): ExternalInterface {
  return selectFrom(hostOf(route), wish, wanted, selection);
}

/** False: the daemon has to tell the other hosts, or to make its device anew. */
export function sameExternal(one: ExternalInterface, other: ExternalInterface): boolean {
  return (
    one.index === other.index &&
    one.name === other.name &&
    one.mtu === other.mtu &&
    addressKeys.every((key) => sameAddress(one[key], other[key]))
  );
}

const addressKeys = ["ipv4", "ipv6", "publicIP", "publicIPv6"] as const;

function sameAddress(one: Address | undefined, other: Address | undefined): boolean {
  return one === undefined || other === undefined ? one === other : compareAddresses(one, other) === 0;
}

/** A link with its addresses. */
export interface Nic {
  link: Pick<Link, "index" | "name" | "mtu">;
  addresses: readonly LinkAddress[];
}

/** What a choice is made from. */
export interface HostView {
  /** In the kernel's order. */
  nics: readonly Nic[];
  /** Indexes of links with a default route, the best first. */
  defaultRoutes(family: FamilyName): readonly number[];
  /** Where the kernel would send; undefined: nowhere. */
  wayTo(address: Address): { index: number | undefined; source: Address | undefined } | undefined;
}

type FamilyName = "ipv4" | "ipv6";

function hostOf(route: Connection): HostView {
  const addresses = listAddresses(route);
  return {
    nics: listLinks(route).map((link) => ({ link, addresses: addresses.get(link.index) ?? [] })),
    defaultRoutes: (family) =>
      listRoutes(route, family === "ipv4" ? AF_INET : AF_INET6)
        .filter(({ destinationLength, type }) => destinationLength === 0 && type === RTN_UNICAST)
        .sort((one, other) => (one.priority ?? 0) - (other.priority ?? 0))
        .map(outputOf)
        .filter((index) => index !== undefined),
    wayTo(address) {
      const way = lookupRoute(route, address);
      return way && { index: way.outputIndex, source: way.preferredSource };
    },
  };
}

const outputOf = ({ outputIndex, multipath }: RouteMessage): number | undefined => outputIndex ?? multipath?.[0]?.index;

/** One wish and what it comes to. */
interface Attempt {
  /** `--iface ens3` */
  asked: string;
  /** The best first. */
  choices: readonly Choice[];
  /** Why there are no choices. */
  none: string;
}

/** An interface, with the addresses that the wish itself settles. */
interface Choice {
  nic: Nic;
  ipv4?: Address | undefined;
  ipv6?: Address | undefined;
}

/** @throws NoExternalInterface */
export function selectFrom(
  host: HostView,
  wish: InterfaceWish,
  wanted: FamiliesWanted,
  { current, passedOver }: Selection,
): ExternalInterface {
  const reasons: string[] = [];
  for (const attempt of attempts(host, wish, wanted)) {
    const outcomes = attempt.choices.map((choice) => completed(choice, wish, wanted, current));
    const external = outcomes.filter((outcome) => typeof outcome !== "string");
    const best = external.find((one) => !hasLinkLocal(one)) ?? external[0];
    if (best !== undefined) {
      for (const reason of reasons) passedOver?.(reason);
      return best;
    }
    reasons.push(`${attempt.asked}: ${outcomes.length > 0 ? outcomes.join(", ") : attempt.none}`);
  }
  throw new NoExternalInterface(`no interface to the other hosts: ${reasons.join("; ")}; ${whatThereIs(host)}`);
}

function attempts(host: HostView, wish: InterfaceWish, wanted: FamiliesWanted): Attempt[] {
  const { ifaces, ifaceRegexes, canReach, publicIP, publicIPv6 } = wish;
  const asked = [
    ...ifaces.map((iface) => named(host, iface)),
    ...ifaceRegexes.map((regex) => matching(host, regex, wanted)),
    ...(canReach === undefined ? [] : [reaching(host, canReach)]),
  ];
  if (asked.length > 0) return asked;
  if (wanted.ipv4 && publicIP !== undefined) return [advertised(host, "--public-ip", publicIP)];
  if (publicIPv6 !== undefined) return [advertised(host, "--public-ipv6", publicIPv6)];
  return [byDefaultRoute(host, wanted)];
}

function named(host: HostView, iface: string): Attempt {
  const asked = `--iface ${iface}`;
  const address = parseAddress(iface);
  if (address !== undefined) return { asked, choices: carriers(host, address), none: "no interface has that address" };
  const names = host.nics.map(({ link }) => link.name);
  const meant = nearest(iface, names);
  return {
    asked,
    choices: host.nics.filter(({ link }) => link.name === iface).map((nic) => ({ nic })),
    none: `there is no interface of that name${meant === undefined ? "" : `, did you mean ${meant}?`}`,
  };
}

function advertised(host: HostView, flag: string, address: Address): Attempt {
  return {
    asked: `${flag} ${formatAddress(address)}`,
    choices: carriers(host, address),
    none: "no interface has that address; where it is that of a NAT before this host, --iface is needed as well",
  };
}

const carriers = ({ nics }: HostView, address: Address): Choice[] =>
  nics
    .filter(({ addresses }) => addresses.some(({ prefix }) => sameAddress(prefix.address, address)))
    .map((nic) => ({ nic, [isIPv4(address) ? "ipv4" : "ipv6"]: address }));

/** Our own devices have addresses of the cluster network, which `10\..*` may match. */
const isOwnDevice = ({ link }: Nic): boolean => /^flannel(-v6)?\.\d+$/.test(link.name);

/** Interfaces whose addresses match in each family, then those in one, then those by name. */
function matching({ nics }: HostView, regex: RegExp, wanted: FamiliesWanted): Attempt {
  const choices = nics
    .filter((nic) => !isOwnDevice(nic))
    .map((nic) => {
      const match = (family: FamilyName) => usable(nic, family).find((address) => regex.test(formatAddress(address)));
      return { nic, ipv4: wanted.ipv4 ? match("ipv4") : undefined, ipv6: wanted.ipv6 ? match("ipv6") : undefined };
    });
  const matches = ({ ipv4, ipv6 }: Choice) => Number(ipv4 !== undefined) + Number(ipv6 !== undefined);
  return {
    asked: `--iface-regex ${regex.source}`,
    choices: [
      ...choices.filter((choice) => matches(choice) > 0).sort((one, other) => matches(other) - matches(one)),
      ...choices.filter(({ nic }) => regex.test(nic.link.name)).map(({ nic }) => ({ nic })),
    ],
    none: "no address and no name matches",
  };
}

function reaching(host: HostView, address: Address): Attempt {
  const asked = `--iface-can-reach ${formatAddress(address)}`;
  if (carriers(host, address).length > 0) return { asked, choices: [], none: "that is an address of this host" };
  const way = host.wayTo(address);
  const nic = host.nics.find(({ link }) => link.index === way?.index);
  return {
    asked,
    choices: nic === undefined ? [] : [{ nic, [isIPv4(address) ? "ipv4" : "ipv6"]: way?.source }],
    none: "there is no route to it",
  };
}

function byDefaultRoute(host: HostView, wanted: FamiliesWanted): Attempt {
  const families = familyNames.filter((family) => wanted[family]);
  const indexes = new Set(families.flatMap((family) => host.defaultRoutes(family)));
  const nics = [...indexes].map((index) => host.nics.find(({ link }) => link.index === index));
  return {
    asked: "default route",
    choices: nics.filter((nic) => nic !== undefined).map((nic) => ({ nic })),
    none: `there is none for ${families.map((family) => familyWords[family]).join(" or ")}`,
  };
}

const familyNames = ["ipv4", "ipv6"] as const;
const familyWords = { ipv4: "IPv4", ipv6: "IPv6" } as const;

/** With the addresses that the wish leaves open. @returns a text: why it does not do */
function completed(
  { nic, ...settled }: Choice,
  { publicIP, publicIPv6 }: InterfaceWish,
  wanted: FamiliesWanted,
  current: ExternalInterface | undefined,
): ExternalInterface | string {
  const { index, name, mtu } = nic.link;
  if (mtu === 0) return `${name} has no MTU`;
  const own = (family: FamilyName, advertised: Address | undefined) =>
    wanted[family] ? (settled[family] ?? best(nic, family, [advertised, current?.[family]])) : undefined;
  const ipv4 = own("ipv4", publicIP);
  const ipv6 = own("ipv6", publicIPv6);
  const lacking = familyNames.find((family) => wanted[family] && { ipv4, ipv6 }[family] === undefined);
  if (lacking !== undefined) return `${name} has no ${familyWords[lacking]} address`;
  return {
    index,
    name,
    mtu,
    ...(ipv4 && { ipv4, publicIP: publicIP ?? ipv4 }),
    ...(ipv6 && { ipv6, publicIPv6: publicIPv6 ?? ipv6 }),
  };
}

/** @param preferred Taken when it is among those as good as the best. */
function best(nic: Nic, family: FamilyName, preferred: readonly (Address | undefined)[]): Address | undefined {
  const addresses = nic.addresses.filter(isUsable(family));
  const least = Math.min(...addresses.map(drawbacks));
  const equals = addresses.filter((address) => drawbacks(address) === least).map(({ prefix }) => prefix.address);
  return preferred.find((wish) => equals.some((address) => sameAddress(address, wish))) ?? equals[0];
}

/** The best first. */
const usable = ({ addresses }: Nic, family: FamilyName): Address[] =>
  addresses
    .filter(isUsable(family))
    .toSorted((one, other) => drawbacks(one) - drawbacks(other))
    .map(({ prefix }) => prefix.address);

const isUsable =
  (family: FamilyName) =>
  ({ prefix: { address }, flags }: LinkAddress): boolean =>
    isIPv4(address) === (family === "ipv4") && isUnicast(address) && (flags & IFA_F_DADFAILED) === 0;

/** As Go's IsGlobalUnicast and IsLinkLocalUnicast together: no loopback, multicast, broadcast, unspecified. */
function isUnicast(address: Address): boolean {
  const [first = 0] = address;
  if (isIPv4(address)) return first !== 127 && first < 224 && address.some((byte) => byte !== 0);
  return (
    first !== 0xff && address.some((byte, at) => byte !== (at === 15 ? 1 : 0)) && address.some((byte) => byte !== 0)
  );
}

const isLinkLocal = (address: Address): boolean => {
  const [first = 0, second = 0] = address;
  return isIPv4(address) ? first === 169 && second === 254 : first === 0xfe && (second & 0xc0) === 0x80;
};

const hasLinkLocal = ({ ipv4, ipv6 }: ExternalInterface): boolean =>
  (ipv4 !== undefined && isLinkLocal(ipv4)) || (ipv6 !== undefined && isLinkLocal(ipv6));

/** The fewer the better; each outweighs those behind it. */
const drawbacks = ({ prefix, flags }: LinkAddress): number =>
  [
    isLinkLocal(prefix.address),
    (flags & IFA_F_DEPRECATED) !== 0,
    (flags & IFA_F_TENTATIVE) !== 0,
    (flags & IFA_F_PERMANENT) === 0,
    (flags & IFA_F_SECONDARY) !== 0, // IPv6: temporary, RFC 4941: gone within a day
  ].reduce((sum, isSo) => sum * 2 + Number(isSo), 0);

function whatThereIs({ nics }: HostView): string {
  const shown = nics
    .map(({ link, addresses }) => ({
      name: link.name,
      addresses: addresses.map(({ prefix }) => prefix.address).filter((one) => isUnicast(one) && !isLinkLocal(one)),
    }))
    .filter(({ addresses }) => addresses.length > 0)
    .map(({ name, addresses }) => `${name} (${addresses.map(formatAddress).join(", ")})`);
  if (shown.length === 0)
    return "no interface of this host has an address; give one to the interface that leads to the other hosts";
  return `this host has ${shown.join(", ")}; choose one with --iface`;
}
