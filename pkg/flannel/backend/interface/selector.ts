/** The options that select the external interface, and the interfaces of the host that they match. Pure. */
import { nearest } from "../../../config/edit-distance.ts";
import { type Address, formatAddress, isIPv4, parseAddress } from "../../../ip/address.ts";
import { type FamilyName, familyNames, familyWords } from "../../../ip/family.ts";
import type { LinkAddress } from "../../../link/address.ts";
import type { Link } from "../../../link/link.ts";
import { sameAddress, usableAddresses } from "./address.ts";
import type { InterfaceRegexp } from "./go-regexp.ts";

export interface InterfaceSelector {
  /** Names or addresses; the first that fits is used. */
  ifaces: readonly string[];
  /** Tried after `ifaces`, on addresses, then on names. */
  ifaceRegexes: readonly InterfaceRegexp[];
  /** Tried last. Without these three: the interface with publicIP or publicIPv6; without those, that of the default route. */
  canReach: Address | undefined;
  /** The address to publish instead of the interface's own. */
  publicIP: Address | undefined;
  publicIPv6: Address | undefined;
}

/** The address families of the cluster network. */
export interface RequestedFamilies {
  ipv4: boolean;
  ipv6: boolean;
}

/** A link with its addresses. */
export interface Nic {
  link: Pick<Link, "index" | "name" | "mtu">;
  addresses: readonly LinkAddress[];
}

/** The state of the host that the selection depends on. */
export interface HostView {
  /** The host's links, in the kernel's order. */
  nics: readonly Nic[];
  /** Returns the index of the link with that name or alternative name. */
  indexOf(name: string): number | undefined;
  /** Returns the indexes of links with a default route, the best first. */
  defaultRoutes(family: FamilyName): readonly number[];
  /** Looks up the kernel's route to an address; undefined: there is none. */
  wayTo(address: Address): { index: number | undefined; source: Address | undefined } | undefined;
}

/** One selection option and the interfaces that it matches. */
export interface Attempt {
  /** The option, as `--iface ens3`. */
  asked: string;
  /** The matching interfaces, the best first. */
  choices: readonly Choice[];
  /** The reason if there are no choices. */
  none: string;
}

/** An interface, with the addresses that the option itself determines. */
export interface Choice {
  nic: Nic;
  ipv4?: Address | undefined;
  ipv6?: Address | undefined;
}

/** Returns the attempts in the order in which they are tried; at least one. */
export function attempts(host: HostView, selector: InterfaceSelector, wanted: RequestedFamilies): Attempt[] {
  const { ifaces, ifaceRegexes, canReach, publicIP, publicIPv6 } = selector;
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
  const index = host.indexOf(iface);
  const names = host.nics.map(({ link }) => link.name);
  const meant = nearest(iface, names);
  return {
    asked,
    choices: host.nics.filter(({ link }) => link.index === index).map((nic) => ({ nic })),
    none: `there is no interface with that name${meant === undefined ? "" : `, did you mean ${meant}?`}`,
  };
}

function advertised(host: HostView, flag: string, address: Address): Attempt {
  return {
    asked: `${flag} ${formatAddress(address)}`,
    choices: carriers(host, address),
    none: "no interface has that address; if it is the address of a NAT in front of this host, --iface is needed as well",
  };
}

const carriers = ({ nics }: HostView, address: Address): Choice[] =>
  nics
    .filter(({ addresses }) => addresses.some(({ prefix }) => sameAddress(prefix.address, address)))
    .map((nic) => ({ nic, [isIPv4(address) ? "ipv4" : "ipv6"]: address }));

/** Reports whether it is a device of flannel or ours: these have addresses of the cluster network, which `10\..*` may match. */
const isOwnDevice = ({ link }: Nic): boolean => /^flannel(-v6)?\.\d+$/.test(link.name);

/** Lists interfaces whose addresses match in both families, then those that match in one, then those whose name matches. */
function matching({ nics }: HostView, regex: InterfaceRegexp, wanted: RequestedFamilies): Attempt {
  const choices = nics
    .filter((nic) => !isOwnDevice(nic))
    .map((nic) => {
      const match = (family: FamilyName) =>
        usableAddresses(nic.addresses, family).find((address) => regex.test(formatAddress(address)));
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
    none: "there is no route to that address",
  };
}

function byDefaultRoute(host: HostView, wanted: RequestedFamilies): Attempt {
  const families = familyNames.filter((family) => wanted[family]);
  const indexes = new Set(families.flatMap((family) => host.defaultRoutes(family)));
  const nics = [...indexes].map((index) => host.nics.find(({ link }) => link.index === index));
  return {
    asked: "default route",
    choices: nics.filter((nic) => nic !== undefined).map((nic) => ({ nic })),
    none: `there is none for ${families.map((family) => familyWords[family]).join(" or ")}`,
  };
}
