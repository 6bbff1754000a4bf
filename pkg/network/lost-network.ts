/** Networks whose file is gone while containers are attached to them: what the cache has of their lists, so that these can be disconnected. */
import { CniError } from "../cni/error.ts";
import { parseList } from "../runtime/network-list.ts";
import { listAttachments } from "./attachment.ts";
import { definitionOf, type NetworkDefinition } from "./definition.ts";

/** Returns those that are not among `networks`, each once. */
export function lostNetworks(networks: readonly NetworkDefinition[], cacheRoot: string): NetworkDefinition[] {
  const known = new Set(networks.map(({ name }) => name));
  const found = listAttachments(cacheRoot).attachments.flatMap(({ networkName, entry }) =>
    entry === undefined || known.has(networkName) ? [] : definitionIn(entry.config),
  );
  return [...new Map(found.map((network) => [network.name, network])).values()];
}

function definitionIn(config: Uint8Array): NetworkDefinition[] {
  try {
    return [definitionOf(parseList(config, "cached configuration"), undefined)];
  } catch (error) {
    if (error instanceof CniError) return []; // not to be called either
    throw error;
  }
}
