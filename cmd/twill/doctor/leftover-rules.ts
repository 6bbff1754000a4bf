import { grouped } from "../node/grouped.ts";
import { leftoverRules as rulesOfNobody } from "../node/leftovers.ts";
import type { Check, Observation } from "./finding.ts";
import { fixByCollection } from "./fix-by-collection.ts";

/** GC keeps whoever has a reservation or a link on the host, so its fix removes no rules of a container that runs. */
export const leftoverRules: Check = {
  id: "leftover-rules",
  about: "firewall rules on the host that name attachments which no runtime remembers",
  severity: "warning",
  find(node) {
    const left = grouped(rulesOfNobody(node.markedRules, node.remembered), ({ network }) => network);
    return [...left].map(([network, rules]): Observation => {
      const comments = grouped(rules, ({ place, comment }) => `${place}: ${comment}`);
      return {
        text: `${rules.length} firewall rules belong to containers${network === undefined ? "" : ` of network "${network}"`} that no runtime of this node remembers`,
        evidence: [...comments].map(([line, { length }]) => (length === 1 ? line : `${line} (${length} rules)`)),
        remedy: `if these containers are gone: ${network === undefined ? "cnitool gc --dead NETWORK" : `cnitool gc --dead ${network}`} removes the rules of networks of version 1.1.0; it keeps those of living ones`,
        fix: network === undefined ? undefined : fixByCollection(network, node),
      };
    });
  },
};
