/**
 * Attachments to networks of `twill network` that runtimes made of their own accord, as `podman run --network front` does: they are in the runtimes'
 * result cache, without a record of `connect`.
 */
import { equal } from "../bytes/equal.ts";
import { CniError } from "../cni/error.ts";
import { inNamespace } from "../link/in-namespace.ts";
import { findLink } from "../link/link.ts";
import { namespacePath } from "../runtime/cached-namespace.ts";
import { parseList } from "../runtime/network-list.ts";
import {
  type CacheEntry,
  type CacheKey,
  cacheFileName,
  cacheRootsOf,
  readCacheFiles,
  resultsIn,
} from "../runtime/result-cache.ts";
import { SystemError } from "../sys/errno.ts";
import { findStat } from "../sys/file.ts";
import { findNamespace, isOwnNamespace, NotANamespace } from "../sys/namespace.ts";
import { identifyNamespace, type NamespaceIdentity } from "../sys/namespace-identity.ts";
import { assignedBy, resultOf } from "./attachment.ts";
import type { AttachmentRecord } from "./attachment-record.ts";
import { shortContainerId } from "./container.ts";
import { aliasesOf, containerNameOf } from "./container-name.ts";
import { definitionOf, type NetworkDefinition } from "./definition.ts";

/** What a record of `connect` would say of it; the runtime does not tell since when it is. */
export type UnrecordedAttachment = Omit<AttachmentRecord, "connected">;

/** Returns the further names by which other containers of the network find one: its aliases, and the short ID. */
export const furtherNamesOf = ({ aliases, containerId }: Pick<UnrecordedAttachment, "aliases" | "containerId">) => [
  ...aliases,
  shortContainerId(containerId),
];

/** A file that may become an entry: the runtime may be writing it. */
export interface UnfinishedFile {
  path: string;
}

/** Returns the directories in which runtimes write of their attachments. */
export const attachmentDirectories = (cacheRoot: string): string[] => cacheRootsOf(cacheRoot).map(resultsIn);

/**
 * Reads the attachments of living containers, one by one.
 *
 * @param isRecorded tells those that `connect` made
 */
export function* readUnrecordedAttachments(
  cacheRoot: string,
  isRecorded: (fileName: string) => boolean,
): Generator<UnrecordedAttachment | UnfinishedFile> {
  const networks = new Map<string, { config: Uint8Array; definition: NetworkDefinition | undefined }>();
  const definitionIn = ({ networkName, config }: CacheEntry): NetworkDefinition | undefined => {
    const known = networks.get(networkName);
    if (known !== undefined && equal(known.config, config)) return known.definition;
    const definition = ownDefinitionIn(config);
    networks.set(networkName, { config, definition });
    return definition;
  };
  for (const root of cacheRootsOf(cacheRoot))
    for (const found of readCacheFiles(root, (name) => !isRecorded(name))) {
      if ("reason" in found) yield { path: found.path };
      else {
        const definition = definitionIn(found);
        const attachment = definition && unrecordedAttachmentIn(found, definition);
        if (attachment !== undefined) yield attachment;
      }
    }
}

/** Returns the name of the cache's file about what a record is about. */
export const fileNameOf = ({ networkName, containerId, ifName }: CacheKey): string =>
  cacheFileName({ networkName, containerId, ifName });

/** Returns undefined for the network of another program: its names are that program's business. */
function ownDefinitionIn(config: Uint8Array): NetworkDefinition | undefined {
  try {
    const definition = definitionOf(parseList(config, "cached configuration"), undefined);
    return definition.created === "" ? undefined : definition;
  } catch (error) {
    if (error instanceof CniError) return undefined; // a list of a later version
    throw error;
  }
}

/** Returns the attachment of a living container. */
export function unrecordedAttachmentIn(
  entry: CacheEntry,
  { id, internal }: Pick<NetworkDefinition, "id" | "internal">,
): UnrecordedAttachment | undefined {
  const { containerId, networkName, ifName } = entry;
  const result = resultOf(entry);
  if (result === undefined) return undefined;
  const assigned = assignedBy(result, ifName);
  const namespace = namespaceOf(entry, assigned.mac);
  if (namespace === undefined) return undefined;
  return {
    networkId: id,
    networkName,
    internal,
    containerId,
    containerName: containerNameOf(entry) ?? containerId,
    namespace,
    ifName,
    ...assigned,
    aliases: aliasesOf(entry),
    links: [],
  };
}

/**
 * Identifies the namespace. The cache has its path alone, which may lead to another one by now, as the ID of a process does: it is the container's only
 * if it has the interface.
 */
function namespaceOf(entry: CacheEntry, mac: string): NamespaceIdentity | undefined {
  const path = namespacePath(entry);
  try {
    if (path === undefined || findStat(path) === undefined || isOwnNamespace(path)) return undefined;
    const identity = identifyNamespace(path);
    return hasInterface(path, entry.ifName, mac) ? identity : undefined;
  } catch (error) {
    if (error instanceof NotANamespace || error instanceof SystemError) return undefined; // it goes just now
    throw error;
  }
}

function hasInterface(netns: string, name: string, mac: string): boolean {
  const namespace = findNamespace(netns);
  return namespace !== undefined && inNamespace(namespace, (rtnl) => findLink(rtnl, name)?.mac === mac);
}
