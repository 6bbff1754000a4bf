/** Finds the ranges that host-local allocates from for a plugin, with their places in the configuration. Pure. */
import { CniError } from "../../../pkg/cni/error.ts";
import type { JsonObject } from "../../../pkg/config/json.ts";
import { parseRangeSets, type Range, type RangeConf } from "../../../pkg/ipam/host-local/range.ts";
import { type Finding, findingOf, inside, type Location } from "./finding.ts";

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
  const single = subnet === undefined ? [] : [[{ place: inside(ipam, "subnet"), conf: { subnet, ...bounds } }]];
  const sets = ranges.map((set, i) =>
    set.map((range, j) => ({ place: inside(ipam, "ranges", i, j, "subnet"), conf: range })),
  );
  const all = [...single, ...sets];
  try {
    const settled = parseRangeSets(
      all.map((set) => set.map(({ conf }) => conf)),
      cniVersion,
    );
    const places = all.flat().map(({ place }) => place);
    return { ranges: settled.flat().map((range, i) => ({ ...range, place: places[i] ?? ipam })), findings: [] };
  } catch (error) {
    if (!(error instanceof CniError)) throw error;
    return { ranges: [], findings: [findingOf(ipam, error)] };
  }
}
