/** What the resolver serves: attachments, each in the namespace of its container. */
import type { NamedAttachment } from "../dns/records.ts";
import { type Address, parseAddress, parsePrefix } from "../ip/address.ts";
import { readAllRecords, recordDirectory } from "../network/attachment-record.ts";
import { shortContainerId } from "../network/container.ts";
import {
  attachmentDirectories,
  fileNameOf,
  readUnrecordedAttachments,
  type UnrecordedAttachment,
} from "../network/unrecorded-attachment.ts";
import { findDirectory, findStat } from "../sys/file.ts";
import { identifiedState, type NamespaceIdentity } from "../sys/namespace-identity.ts";

/** An attachment, and the namespace that is to have answers. */
export interface ServedAttachment extends NamedAttachment {
  namespace: NamespaceIdentity;
}

/** An address in a namespace at which the resolver listens. */
export interface ListenAddress {
  namespace: NamespaceIdentity;
  address: Address;
}

/** Identifies a listen address; the path is left out, since several lead to one namespace. */
export const listenKey = ({ namespace, address }: { namespace: { inode: string }; address: Address }): string =>
  `${namespace.inode}/${address.join(".")}`;

/** The address of Docker's embedded DNS. */
export const RESOLVER_ADDRESS: Address = Uint8Array.of(127, 0, 0, 11);

/** Reports whether the namespace is known to be gone. Its path alone is looked at first, since that costs least. */
export function isGone(namespace: NamespaceIdentity): boolean {
  return String(findStat(namespace.path)?.inode) !== namespace.inode && identifiedState(namespace) === "dead";
}

export interface Served {
  attachments: ServedAttachment[];
  /** Those of all records, each once, also where there are no names: what is in them has to be removed when they are gone. */
  connected: NamespaceIdentity[];
  /** Files that cannot be read as records, each a sentence. */
  problems: string[];
  /** Files of the cache that a runtime may be writing. */
  unfinished: string[];
}

/** Where it stands who is attached. */
export interface AttachmentPaths {
  /** Root of the attachment records. */
  records: string;
  /** Root of the runtimes' result cache, with the attachments that they made themselves. */
  cache: string;
}

/** Reads all attachments. */
export function readServed({ records, cache }: AttachmentPaths): Served {
  const served: Served = { attachments: [], connected: [], problems: [], unfinished: [] };
  const namespaces = new Map<string, NamespaceIdentity>();
  const recorded = new Set<string>();
  for (const one of readAllRecords(records)) {
    if ("reason" in one) {
      served.problems.push(`damaged ${one.path}: ${one.reason}; its names are not answered`);
      continue;
    }
    const key = `${one.namespace.inode} ${one.namespace.path}`;
    const namespace = namespaces.get(key) ?? one.namespace;
    namespaces.set(key, namespace);
    recorded.add(fileNameOf(one));
    if (hasNames(one) && one.unfinished === undefined) served.attachments.push(attachmentOf(one, namespace));
  }
  served.connected.push(...namespaces.values());
  for (const one of readUnrecordedAttachments(cache, (fileName) => recorded.has(fileName))) {
    if ("path" in one) served.unfinished.push(one.path);
    else if (hasNames(one)) served.attachments.push(attachmentOf(one, one.namespace));
  }
  return served;
}

/** Reports whether a container is attached that asks the resolver. */
export function isAnyServed({ records, cache }: AttachmentPaths): boolean {
  for (const one of readAllRecords(records)) if ("containerId" in one) return true;
  for (const one of readUnrecordedAttachments(cache, () => false))
    if ("containerId" in one && hasNames(one)) return true;
  return false;
}

/** As in Docker, containers of the default network have no names. */
export const hasNames = ({ networkName }: UnrecordedAttachment): boolean => networkName !== "bridge";

function attachmentOf(record: UnrecordedAttachment, namespace: NamespaceIdentity): ServedAttachment {
  return {
    network: record.networkId,
    networkName: record.networkName,
    isInternal: record.internal,
    container: record.containerId,
    name: record.containerName,
    aliases: [...record.aliases, shortContainerId(record.containerId)],
    links: record.links.map(({ alias, container }) => ({ alias, target: container })),
    addresses: record.addresses.flatMap((text) => parsePrefix(text)?.address ?? []),
    servers: (record.dns ?? []).flatMap((text) => parseAddress(text) ?? []),
    namespace,
  };
}

/**
 * Returns a text that is another one when attachments were added, replaced or removed.
 *
 * @param unfinished files of the cache whose content may come yet
 */
export function stampOf({ records, cache }: AttachmentPaths, unfinished: readonly string[]): string {
  const networks = (findDirectory(records) ?? []).map((id) => recordDirectory(id, records));
  const paths = [records, ...networks, ...attachmentDirectories(cache), ...unfinished];
  return paths.map((path) => `${path} ${findStat(path)?.changedNs}`).join("\n");
}
