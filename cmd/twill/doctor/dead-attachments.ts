/** dead-attachments: a runtime remembers attachments whose namespace is gone; addresses, links and rules of theirs may be left. */

import { cachedNamespace } from "../../../pkg/runtime/cached-namespace.ts";
import { collectGarbage, planGarbageCollection, type Runtime } from "../../../pkg/runtime/network.ts";
import { loadNetwork } from "../../../pkg/runtime/network-list.ts";
import { defaultCacheRoot } from "../../../pkg/runtime/result-cache.ts";
import { directoryOf } from "../../../pkg/sys/file.ts";
import { pluginPathOrUsual } from "../../cnitool/paths.ts";
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
    remedy:
      configured === undefined
        ? `no configuration of network "${network}" is there: put its file back, then cnitool gc --dead ${network}`
        : `cnitool gc --dead ${network}`,
  };
  if (configured === undefined) return found;
  return {
    ...found,
    fix: { text: `collect garbage of network "${network}"`, run: () => collect(configured.file, network, node) },
  };
}

/** Deletes what belongs to dead namespaces alone: what is alive or unknown stays. */
function collect(file: string, network: string, { self, environment }: Node): void {
  const list = loadNetwork(directoryOf(file), network, () => undefined);
  const runtime: Runtime = {
    path: pluginPathOrUsual(environment),
    cacheRoot: defaultCacheRoot,
    delegates: self.plugins,
  };
  const plan = planGarbageCollection(list, (entry) => cachedNamespace(entry).state !== "dead", runtime);
  collectGarbage(list, plan, runtime);
}
