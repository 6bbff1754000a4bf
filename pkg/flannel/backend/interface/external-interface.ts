/**
 * Selects the external interface, the one that leads to the other hosts: by name, by a regular expression, or by a route.
 *
 * Unlike flannel, each family is selected separately: if an option determines the address of one family, that of the other one comes
 * from the interface's own addresses, whether or not it has a default route of that family.
 */
import { type Address, formatAddress } from "../../../ip/address.ts";
import { type FamilyName, familyNames, familyWords } from "../../../ip/family.ts";
import { listAddresses } from "../../../link/address.ts";
import { findLink, listLinks } from "../../../link/link.ts";
import { listRoutes, lookupRoute } from "../../../link/route.ts";
import type { Connection } from "../../../netlink/connection.ts";
import { AF_INET, AF_INET6 } from "../../../netlink/rtnetlink/family.ts";
import { type RouteMessage, RTN_UNICAST } from "../../../netlink/rtnetlink/route.ts";
import type { ExternalInterface } from "../backend.ts";
import { bestAddress, isLinkLocal, isUnicast, sameAddress } from "./address.ts";
import { attempts, type Choice, type HostView, type InterfaceSelector, type RequestedFamilies } from "./selector.ts";

export type { InterfaceSelector, RequestedFamilies };

export interface Selection {
  /** The selection until now: its address is kept when another one is only equally good. */
  current?: ExternalInterface;
  /** Called with the reason when an option matches nothing usable and a later one is used. */
  passedOver?: (why: string) => void;
}

/** No interface fits. `message` says why, lists the host's interfaces, and names the flag to use. */
export class NoExternalInterface extends Error {
  override name = "NoExternalInterface";
}

/** @throws NoExternalInterface */
export function selectExternalInterface(
  rtnl: Connection,
  selector: InterfaceSelector,
  wanted: RequestedFamilies,
  selection: Selection = {},
): ExternalInterface {
  return selectFrom(hostOf(rtnl), selector, wanted, selection);
}

/** Reports whether nothing relevant differs; if not, the lease must be published again or the device be created anew. */
export function sameExternal(one: ExternalInterface, other: ExternalInterface): boolean {
  return (
    one.index === other.index &&
    one.name === other.name &&
    one.mtu === other.mtu &&
    addressKeys.every((key) => sameAddress(one[key], other[key]))
  );
}

const addressKeys = ["ipv4", "ipv6", "publicIP", "publicIPv6"] as const;

/** @throws NoExternalInterface */
export function selectFrom(
  host: HostView,
  selector: InterfaceSelector,
  wanted: RequestedFamilies,
  { current, passedOver }: Selection,
): ExternalInterface {
  const reasons: string[] = [];
  for (const attempt of attempts(host, selector, wanted)) {
    const outcomes = attempt.choices.map((choice) => completed(choice, selector, wanted, current));
    const external = outcomes.filter((outcome) => typeof outcome !== "string");
    const best = external.find((one) => !isByLinkLocal(one)) ?? external[0];
    if (best !== undefined) {
      for (const reason of reasons) passedOver?.(reason);
      return best;
    }
    reasons.push(`${attempt.asked}: ${outcomes.length > 0 ? outcomes.join(", ") : attempt.none}`);
  }
  throw new NoExternalInterface(`no external interface found: ${reasons.join("; ")}; ${whatThereIs(host)}`);
}

const isByLinkLocal = ({ ipv4, ipv6 }: ExternalInterface): boolean =>
  [ipv4, ipv6].some((address) => address !== undefined && isLinkLocal(address));

/** Adds the addresses that the option does not determine. @returns a text: why the interface is unusable */
function completed(
  { nic, ...settled }: Choice,
  { publicIP, publicIPv6 }: InterfaceSelector,
  wanted: RequestedFamilies,
  current: ExternalInterface | undefined,
): ExternalInterface | string {
  const { index, name, mtu } = nic.link;
  if (mtu === 0) return `${name} has no MTU`;
  const own = (family: FamilyName, advertised: Address | undefined) => {
    if (!wanted[family]) return undefined;
    const isOnIt = nic.addresses.some(({ prefix }) => sameAddress(prefix.address, advertised));
    return settled[family] ?? (isOnIt ? advertised : bestAddress(nic.addresses, family, current?.[family]));
  };
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

function hostOf(rtnl: Connection): HostView {
  const addresses = listAddresses(rtnl);
  return {
    nics: listLinks(rtnl).map((link) => ({ link, addresses: addresses.get(link.index) ?? [] })),
    indexOf: (name) => findLink(rtnl, name)?.index,
    defaultRoutes: (family) =>
      listRoutes(rtnl, family === "ipv4" ? AF_INET : AF_INET6)
        .filter(({ destinationLength, type }) => destinationLength === 0 && type === RTN_UNICAST)
        .sort((one, other) => (one.priority ?? 0) - (other.priority ?? 0))
        .map(outputOf)
        .filter((index) => index !== undefined),
    wayTo(address) {
      const way = lookupRoute(rtnl, address);
      return way && { index: way.outputIndex, source: way.preferredSource };
    },
  };
}

const outputOf = ({ outputIndex, multipath }: RouteMessage): number | undefined => outputIndex ?? multipath?.[0]?.index;
