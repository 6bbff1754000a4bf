/** Checks whether a plugin's keys about addresses fit together: they are right each by itself, and ADD fails or does less than expected. Pure. */
import { isObject, type JsonObject } from "../../../pkg/config/json.ts";
import {
  type Address,
  contains,
  formatAddress,
  formatPrefix,
  networkOf,
  type Prefix,
  parseGateway,
  parsePrefix,
} from "../../../pkg/ip/address.ts";
import { familyOf } from "../../../pkg/ip/family.ts";
import { RT_SCOPE_LINK } from "../../../pkg/netlink/rtnetlink/route.ts";
import { type Finding, findingAt, inside, type Location } from "./finding.ts";
import type { LocatedRange } from "./ranges.ts";

interface Member {
  type: string;
  conf: JsonObject;
  place: Location;
  ranges: readonly LocatedRange[];
}

/** @param member must fit its schemas; not of the flannel plugin, which completes the addresses of its delegate */
export function addressingFindings(member: Member): Finding[] {
  const { conf, place } = member;
  const ipam = isObject(conf["ipam"]) ? conf["ipam"] : {};
  if (ipam["type"] !== undefined && ipam["type"] !== "") return unreachableGateways(member, ipam);
  const keys = Object.keys(ipam).filter((key) => key !== "type");
  if (keys.length === 0) return withoutAddresses(member);
  const text = `"ipam" has no "type", so no plugin reads it, and containers get no addresses`;
  return [findingAt(inside(place, "ipam"), "error", text, `add "type": "${meantType(keys)}", or remove "ipam"`)];
}

const meantType = (keys: readonly string[]): string => (keys.includes("addresses") ? "static" : "host-local");

/** The bridge plugin's keys that say what is done with the addresses. */
const aboutAddresses = ["isGateway", "isDefaultGateway", "ipMasq"] as const;

function withoutAddresses({ type, conf, place }: Member): Finding[] {
  if (type !== "bridge") return [];
  return aboutAddresses
    .filter((key) => conf[key] === true)
    .map((key) => {
      const text = `"${key}" has no effect without "ipam": containers get no addresses`;
      return findingAt(inside(place, key), "warning", text, `add "ipam", or remove "${key}"`);
    });
}

interface Gateway {
  address: Address;
  subnet: Prefix;
  place: Location;
}

/** Finds gateways that no address of the container reaches though a route leads through them. ptp has a route to each gateway. */
function unreachableGateways({ type, conf, place, ranges }: Member, ipam: JsonObject): Finding[] {
  if (type === "ptp") return [];
  const at = inside(place, "ipam");
  const ofRanges = ranges.map(({ subnet, gateway, place: own }) => ({
    address: gateway,
    subnet,
    place: { ...own, path: [...own.path.slice(0, -1), "gateway"] },
  }));
  const gateways = [...ofRanges, ...(ipam["type"] === "static" ? gatewaysOfStatic(at, ipam) : [])];
  const routes = Array.isArray(ipam["routes"]) ? ipam["routes"].filter(isObject) : [];
  const reached = [...gateways.map(({ subnet }) => subnet), ...linkRoutes(routes)];
  return gateways
    .filter(({ address }) => !reached.some((subnet) => contains(subnet, address)))
    .filter(({ address }) => leadsThrough(routes, address) || isDefaultGateway({ type, conf }, routes, address))
    .map(({ address, subnet, place: own }) => {
      const text = `gateway ${formatAddress(address)} is not in ${formatPrefix(subnet)}, so the kernel refuses the route through it, and every ADD fails`;
      return findingAt(own, "error", text, `set "gateway" to an address of ${formatPrefix(subnet)}`);
    });
}

function gatewaysOfStatic(ipam: Location, { addresses }: JsonObject): Gateway[] {
  return (Array.isArray(addresses) ? addresses.filter(isObject) : []).flatMap((one, i) => {
    const prefix = typeof one["address"] === "string" ? parsePrefix(one["address"]) : undefined;
    const address = typeof one["gateway"] === "string" ? parseGateway(one["gateway"]) : undefined;
    if (prefix === undefined || address === undefined) return [];
    return [{ address, subnet: networkOf(prefix), place: inside(ipam, "addresses", i, "gateway") }];
  });
}

/** Returns the destinations that the container reaches without a gateway. */
const linkRoutes = (routes: readonly JsonObject[]): Prefix[] =>
  routes.flatMap(({ dst, scope }) => (scope === RT_SCOPE_LINK && typeof dst === "string" && parsePrefix(dst)) || []);

/** Whether one of the routes has no gateway of its own, so that it gets this one. */
const leadsThrough = (routes: readonly JsonObject[], gateway: Address): boolean =>
  routes.some((route) => route["gw"] === undefined && route["scope"] !== RT_SCOPE_LINK && isOfFamily(route, gateway));

/** Whether the bridge plugin makes a default route through the gateway; it does not where there is one with another gateway. */
const isDefaultGateway = (
  { type, conf }: Pick<Member, "type" | "conf">,
  routes: readonly JsonObject[],
  gateway: Address,
): boolean =>
  type === "bridge" &&
  conf["isDefaultGateway"] === true &&
  !routes.some((route) => /\/0$/.test(String(route["dst"])) && isOfFamily(route, gateway));

function isOfFamily({ dst }: JsonObject, address: Address): boolean {
  const destination = typeof dst === "string" ? parsePrefix(dst) : undefined;
  return destination !== undefined && familyOf(destination.address) === familyOf(address);
}
