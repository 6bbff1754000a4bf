/** dead-attachments: a runtime remembers attachments whose namespace is gone; addresses, links and rules of theirs may be left. */

import type { Runtime } from "../../../pkg/runtime/network.ts";
import { loadNetwork } from "../../../pkg/runtime/network-list.ts";
import { defaultCacheRoot } from "../../../pkg/runtime/result-cache.ts";
import { directoryOf } from "../../../pkg/sys/file.ts";
import { pluginPathOrUsual } from "../../cnitool/paths.ts";
import { collect, safePlan } from "../gc/safe-collection.ts";
import { type Check, type Finding, type Node, nameOf } from "./finding.ts";

export const deadAttachments: Check = {
  id: "dead-attachments",
  find(node) {
    const dead = node.attachments.filter(({ state }) => state === "dead").map(({ entry }) => entry);
    const names = [...new Set(dead.map(({ networkName }) => networkName))];
    return names.map((network) =>
      findingFor(network, dead.filter(({ networkName }) => networkName === network).map(nameOf), node),
    );
  },
};

function findingFor(network: string, evidence: string[], node: Node): Finding {
  const configured = node.networks.find(({ name }) => name === network);
  const found: Finding = {
    id: "dead-attachments",
    severity: "warning",
    text: `${evidence.length} attachments to network "${network}" belong to containers that are gone`,
    evidence,
    remedy: "twill gc, which conf/twill-gc.timer runs by itself",
  };
  if (configured === undefined) return found;
  return {
    ...found,
    fix: { text: `collect garbage of network "${network}"`, run: () => collectIn(configured.file, network, node) },
  };
}

/** Does what `twill gc` does for one network. */
function collectIn(file: string, network: string, { self, environment }: Node): void {
  const list = loadNetwork(directoryOf(file), network, () => undefined);
  const runtime: Runtime = {
    path: pluginPathOrUsual(environment),
    cacheRoot: defaultCacheRoot,
    delegates: self.plugins,
  };
  collect(list, safePlan(list, runtime), runtime);
}
