/** Finds the ranges that host-local allocates from for a plugin, with their places in the configuration. Pure. */
import { CniError } from "../../../pkg/cni/error.ts";
import type { JsonObject } from "../../../pkg/config/json.ts";
import { compareAddresses, isIPv4, lastAddressOf, networkOf, parseAddress } from "../../../pkg/ip/address.ts";
import { parseRangeSets, type Range, type RangeConf } from "../../../pkg/ipam/host-local/range.ts";
import { type Finding, findingAt, findingOf, inside, type Location } from "./finding.ts";

export interface LocatedRange extends Range {
  /** Place of its subnet. */
  place: Location;
}

/** @param conf must fit host-local's schema */
export function locateRanges(
  plugin: Location,
  conf: JsonObject,
  cniVersion: string,
): { ranges: LocatedRange[]; findings: Finding[] } {
  const ipam = inside(plugin, "ipam");
  const { subnet, ranges = [], ...bounds } = conf["ipam"] as Partial<RangeConf> & { ranges?: RangeConf[][] };
  const single = subnet === undefined ? [] : [[{ place: ipam, conf: { subnet, ...bounds } }]];
  const sets = ranges.map((set, i) => set.map((range, j) => ({ place: inside(ipam, "ranges", i, j), conf: range })));
  const all = [...single, ...sets];
  try {
    const settled = parseRangeSets(
      all.map((set) => set.map(({ conf }) => conf)),
      cniVersion,
    );
    const given = all.flat();
    const located = settled.flat().map((range, i) => ({ range, place: ipam, conf: {}, ...given[i] }));
    return {
      ranges: located.map(({ range, place }) => ({ ...range, place: inside(place, "subnet") })),
      findings: located.flatMap(({ range, place, conf }) => unusableBounds(range, place, conf)),
    };
  } catch (error) {
    if (!(error instanceof CniError)) throw error;
    return { ranges: [], findings: [findingOf(ipam, error)] };
  }
}

/** The keys of a range whose address must be one that a host can have. */
const boundKeys = ["rangeStart", "rangeEnd", "gateway"] as const;

/** Warns about addresses of the subnet that no host can have: host-local takes them, as the reference plugin does. */
function unusableBounds({ subnet }: Range, place: Location, conf: Partial<RangeConf>): Finding[] {
  const unusable = [
    { address: networkOf(subnet).address, what: isIPv4(subnet.address) ? "network" : "subnet-router anycast" },
    ...(isIPv4(subnet.address) ? [{ address: lastAddressOf(subnet), what: "broadcast" }] : []),
  ];
  return boundKeys.flatMap((key) => {
    const address = parseAddress(conf[key] ?? "");
    const found = address && unusable.find((one) => compareAddresses(one.address, address) === 0);
    if (found === undefined) return [];
    const text = `"${key}" is ${conf[key]}, the ${found.what} address of ${conf.subnet}`;
    const hint =
      key === "gateway"
        ? "no interface can have it: use another address of the subnet"
        : "a container that gets it cannot be reached: leave it out of the range";
    return [findingAt(inside(place, key), "warning", text, hint)];
  });
}
