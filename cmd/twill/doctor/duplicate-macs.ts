import { isObject } from "../../../pkg/config/json.ts";
import type { CacheEntry } from "../../../pkg/runtime/result-cache.ts";
import { nameOf } from "../../../pkg/runtime/result-cache.ts";
import { decode } from "../../../pkg/sys/text.ts";
import { grouped } from "../node/grouped.ts";
import type { Check, Observation } from "./finding.ts";

export const duplicateMacs: Check = {
  id: "duplicate-macs",
  about: "MACs that two running containers of a network have",
  severity: "error",
  find({ cache }) {
    const alive = cache.attachments.filter(({ entry, state }) => state === "alive" && !sharesMacs(entry));
    const all = alive.flatMap(({ entry }) => macsIn(entry).map((mac) => ({ entry, mac })));
    const groups = grouped(all, ({ entry, mac }) => `${entry.networkName} ${mac}`);
    return [...groups.values()].flatMap((same): Observation[] => {
      const [first] = same;
      if (first === undefined || same.length < 2) return [];
      return [
        {
          text: `${same.length} running attachments to network "${first.entry.networkName}" have the MAC ${first.mac}: each gets only part of its traffic`,
          evidence: same.map(({ entry }) => nameOf(entry)),
          remedy:
            'create all but one of these containers again, without a fixed MAC ("mac" of the runtime, MAC= in CNI_ARGS)',
        },
      ];
    });
  },
};

/** Interfaces of ipvlan have their parent's MAC. */
const sharesMacs = ({ config }: CacheEntry): boolean => decode(config).includes('"ipvlan"');

/** Returns the MACs of the container's own interface. */
const macsIn = ({ ifName, result }: CacheEntry): string[] =>
  (Array.isArray(result["interfaces"]) ? result["interfaces"] : [])
    .filter(isObject)
    .filter(({ name, sandbox }) => name === ifName && typeof sandbox === "string" && sandbox !== "")
    .flatMap(({ mac }) => (typeof mac === "string" && mac !== "" ? [mac.toLowerCase()] : []));
