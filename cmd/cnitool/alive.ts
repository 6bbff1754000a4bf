/** Whether the namespace of an attachment is still there. */
import type { CacheEntry } from "../../pkg/cni/cache.ts";
import { closeNamespace, findNamespace, NotANamespace } from "../../pkg/sys/namespace.ts";

/** "unknown": nobody wrote down which one it was. */
export type NamespaceState = "alive" | "dead" | "unknown";

export function namespaceState({ netns }: Pick<CacheEntry, "netns">): NamespaceState {
  if (netns === undefined) return "unknown";
  try {
    const namespace = findNamespace(netns);
    if (namespace === undefined) return "dead";
    closeNamespace(namespace);
    return "alive";
  } catch (error) {
    if (error instanceof NotANamespace) return "dead"; // after a reboot a bare file may be left where it was mounted
    throw error;
  }
}

/** As far as one can tell: what may be alive must not be removed. */
export const isAlive = (entry: Pick<CacheEntry, "netns">): boolean => namespaceState(entry) !== "dead";
