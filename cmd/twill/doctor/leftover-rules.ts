import { grouped } from "../node/grouped.ts";
import { leftoverRules as rulesOfNobody } from "../node/leftovers.ts";
import type { Check, Observation } from "./finding.ts";
import { fixByGc } from "./fix-by-collection.ts";

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
        remedy:
          "twill gc removes those of containers that have neither an address nor a link on this host, in networks of version 1.1.0 with host-local; others by hand, once whoever started the containers says that they are gone",
        fix: network === undefined ? undefined : fixByGc(network, node),
      };
    });
  },
};
