import { formatAddress } from "../../../pkg/ip/address.ts";
import { type RangeUsage, rangeUsages } from "../node/range-usage.ts";
import type { Check, Observation } from "./finding.ts";

/** Of the addresses of a range, this part may be in use. */
const FULL = 0.9;

export const fullRanges: Check = {
  id: "full-range",
  about: "addresses that are left in the ranges of host-local: STATUS does not fail for a full one",
  severity: "warning",
  find: ({ networks, reservations }) => rangeUsages(networks, reservations).flatMap(observationsOf),
};

function observationsOf({ network: { name, file }, range, directory, used, total }: RangeUsage): Observation[] {
  if (used < FULL * total) return [];
  const text = `network "${name}" has ${total - used} of ${total} addresses left`;
  const evidence = [
    `${formatAddress(range.start)} to ${formatAddress(range.end)} in ${file}`,
    `${used} reserved in ${directory}`,
  ];
  const remedy = `free what dead containers hold (twill gc), or add a range to the network: addresses that are in use keep theirs`;
  return [{ severity: used >= total ? "error" : "warning", text, evidence, remedy }];
}
