import { nameOf } from "../../../pkg/runtime/result-cache.ts";
import { grouped } from "../node/grouped.ts";
import type { Check, Observation } from "./finding.ts";
import { fixByDeletion } from "./fix-by-collection.ts";
import type { NodeView } from "./node-view.ts";

export const deadAttachments: Check = {
  id: "dead-attachments",
  about: "attachments that runtimes remember, whose namespaces are gone: addresses, links and rules may be left",
  severity: "warning",
  find(node) {
    const dead = node.cache.attachments.filter(({ state }) => state === "dead").map(({ entry }) => entry);
    return [...grouped(dead, ({ networkName }) => networkName)].map(([network, entries]) =>
      observationOf(network, entries.map(nameOf), node),
    );
  },
};

const observationOf = (network: string, evidence: string[], node: NodeView): Observation => ({
  text: `${evidence.length} attachments to network "${network}" belong to containers that are gone`,
  evidence,
  remedy: "twill gc, which conf/twill-gc.timer runs by itself",
  fix: fixByDeletion(network, node),
});
