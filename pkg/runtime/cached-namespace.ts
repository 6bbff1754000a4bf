/**
 * Whether the container of a cached attachment still exists, for everybody who reads the cache.
 *
 * Before 1.2 libcni did not write the namespace's path into the entry (podman, containerd 1, CRI-O up to 1.30). The result has it
 * too, since version 0.3.0.
 */

import { isObject, type Json, type JsonObject } from "../config/json.ts";
import { type NamespaceState, namespaceState } from "../sys/namespace-state.ts";
import type { CacheEntry } from "./result-cache.ts";

export interface CachedNamespace {
  /** undefined: nobody wrote it down. */
  path: string | undefined;
  state: NamespaceState;
}

/** "unknown" is neither alive nor dead: it must not be deleted or replaced, and nothing may be made for it. */
export function cachedNamespace(entry: Pick<CacheEntry, "netns" | "ifName" | "result">): CachedNamespace {
  const path = namespacePath(entry);
  return { path, state: path === undefined ? "unknown" : namespaceState(path) };
}

/** Where the entry, or else its result, says that the namespace is. */
export const namespacePath = (entry: Pick<CacheEntry, "netns" | "ifName" | "result">): string | undefined =>
  entry.netns ?? sandboxOf(entry);

/** What the result says of the container's interface. The host's side may have the same name, and has no sandbox. */
function sandboxOf({ ifName, result }: Pick<CacheEntry, "ifName" | "result">): string | undefined {
  const interfaces = (Array.isArray(result["interfaces"]) ? result["interfaces"] : []).filter(isObject);
  return interfaces.filter(({ name }) => name === ifName).flatMap(sandboxIn)[0];
}

const sandboxIn = ({ sandbox }: JsonObject): string[] => (isText(sandbox) && sandbox !== "" ? [sandbox] : []);

const isText = (value: Json | undefined): value is string => typeof value === "string";
