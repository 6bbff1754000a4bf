/**
 * Finds out whether the container of a cached attachment still exists, for all readers of the cache.
 *
 * libcni before 1.2 did not write the namespace's path into the entry (podman, containerd 1, CRI-O up to 1.30). The result has it
 * as well, since version 0.3.0.
 */

import { isObject, type Json, type JsonObject } from "../config/json.ts";
import { type NamespaceState, namespaceState } from "../sys/namespace-state.ts";
import type { CacheEntry } from "./result-cache.ts";

export interface CachedNamespace {
  /** undefined when neither the entry nor its result has it. */
  path: string | undefined;
  state: NamespaceState;
}

/** Returns the namespace and its state. With "unknown", the attachment must not be deleted or replaced, and nothing may be made for it. */
export function cachedNamespace(entry: Pick<CacheEntry, "netns" | "ifName" | "result">): CachedNamespace {
  const path = namespacePath(entry);
  return { path, state: path === undefined ? "unknown" : namespaceState(path) };
}

/** Returns the namespace's path from the entry, or else from its result. */
export const namespacePath = (entry: Pick<CacheEntry, "netns" | "ifName" | "result">): string | undefined =>
  entry.netns ?? sandboxOf(entry);

/** Returns the sandbox of the container's interface in the result. The host end may have the same name, but has no sandbox. */
function sandboxOf({ ifName, result }: Pick<CacheEntry, "ifName" | "result">): string | undefined {
  const interfaces = (Array.isArray(result["interfaces"]) ? result["interfaces"] : []).filter(isObject);
  return interfaces.filter(({ name }) => name === ifName).flatMap(sandboxIn)[0];
}

const sandboxIn = ({ sandbox }: JsonObject): string[] => (isText(sandbox) && sandbox !== "" ? [sandbox] : []);

const isText = (value: Json | undefined): value is string => typeof value === "string";
