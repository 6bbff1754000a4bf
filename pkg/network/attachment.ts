/** Who is attached to networks: what `connect` recorded, and what runtimes of this host cached. */
import { decodeResult } from "../cni/decode-result.ts";
import { CniError, errorText } from "../cni/error.ts";
import type { Result } from "../cni/result.ts";
import { cachedNamespace, namespacePath } from "../runtime/cached-namespace.ts";
import {
  attachmentsNamedBy,
  type CacheContent,
  type CacheEntry,
  cacheFileName,
  cacheRootsOf,
  type DamagedFile,
  listCaches,
  readCacheFiles,
} from "../runtime/result-cache.ts";
import { inodeAt } from "../sys/file.ts";
import { identifiedState, type NamespaceIdentity } from "../sys/namespace-identity.ts";
import type { NamespaceState } from "../sys/namespace-state.ts";
import { type AttachmentRecord, listAllAttachmentRecords, recordDirectory } from "./attachment-record.ts";
import { containerNameOf, podOf } from "./container-name.ts";
import type { NetworkDefinition } from "./definition.ts";

export interface NetworkAttachment {
  networkName: string;
  containerId: string;
  /** The ID where no name is known. */
  containerName: string;
  /** Of a pod of Kubernetes, as "namespace/name". */
  pod: string | undefined;
  ifName: string;
  mac: string;
  /** With prefix length. */
  addresses: readonly string[];
  /** The path of the namespace, where it is known. */
  netns: string | undefined;
  /** What `connect` wrote; undefined for an attachment that a runtime made and is going to delete. */
  record: AttachmentRecord | undefined;
  /** What the cache has. */
  entry: CacheEntry | undefined;
}

/** A network; of one whose ID is not known, any damaged record may be. */
type NetworkKey = Pick<NetworkDefinition, "name"> & Partial<Pick<NetworkDefinition, "id">>;

export interface AttachmentList {
  attachments: NetworkAttachment[];
  /** What files of records and of the cache cannot be read, for messages. */
  unreadable: string[];
}

/** Lists the attachments of all networks, or of one, with the files that may stand for some of it. @throws CniError 5: the cache cannot be read */
export const listAttachments = (cacheRoot: string, network?: NetworkKey): AttachmentList =>
  attachmentsFrom(listCaches(cacheRoot, network?.name), network);

/** Lists what can be read, for who changes nothing: users who are not root may not read the cache of most runtimes. */
export function listReadableAttachments(cacheRoot: string): AttachmentList {
  try {
    return listAttachments(cacheRoot);
  } catch (error) {
    if (!(error instanceof CniError)) throw error;
    const { attachments, unreadable } = attachmentsFrom([]);
    return { attachments, unreadable: [errorText(error), ...unreadable] };
  }
}

function attachmentsFrom(caches: readonly CacheContent[], network?: NetworkKey): AttachmentList {
  const records = listAllAttachmentRecords();
  const isWanted = (one: { networkName: string }) => network === undefined || one.networkName === network.name;
  const byKey = new Map(records.records.filter(isWanted).map((record) => [keyOf(record), record]));
  const cached = caches
    .flatMap(({ entries }) => entries)
    .filter(isWanted)
    .map((entry) => {
      const record = byKey.get(keyOf(entry));
      byKey.delete(keyOf(entry));
      return record === undefined ? ofEntry(entry) : { ...ofRecord(record), entry };
    });
  const damaged = [
    ...caches.flatMap(({ damaged }) => damaged).filter((file) => mayBeEntryOf(file, network)),
    ...records.damaged.filter(({ path }) => mayBeRecordOf(path, network)),
  ];
  return {
    attachments: [...cached, ...[...byKey.values()].map(ofRecord)],
    unreadable: damaged.map(({ path, reason }) => `${path}: ${reason}`),
  };
}

const mayBeEntryOf = (file: DamagedFile, network: NetworkKey | undefined): boolean =>
  network === undefined || attachmentsNamedBy(file, network.name).length > 0;

const mayBeRecordOf = (path: string, network: NetworkKey | undefined): boolean =>
  network?.id === undefined || path.startsWith(`${recordDirectory(network.id)}/`);

/** Reports whether the attachment's namespace exists. */
export const attachmentState = ({ record, entry }: NetworkAttachment): NamespaceState =>
  record !== undefined
    ? identifiedState(record.namespace)
    : entry === undefined
      ? "unknown"
      : cachedNamespace(entry).state;

const keyOf = (one: { networkName: string; containerId: string; ifName: string }): string =>
  `${one.networkName} ${one.containerId} ${one.ifName}`;

function ofRecord(record: AttachmentRecord): NetworkAttachment {
  const { networkName, containerId, containerName, ifName, mac, addresses, namespace } = record;
  return {
    networkName,
    containerId,
    containerName,
    pod: undefined,
    ifName,
    mac,
    addresses,
    netns: namespace.path,
    record,
    entry: undefined,
  };
}

function ofEntry(entry: CacheEntry): NetworkAttachment {
  const { networkName, containerId, ifName } = entry;
  const result = resultOf(entry);
  return {
    networkName,
    containerId,
    containerName: containerNameOf(entry) ?? containerId,
    pod: podOf(entry),
    ifName,
    mac: result?.interfaces.find(({ name, sandbox }) => name === ifName && sandbox)?.mac ?? "",
    addresses: result?.ips.map(({ address }) => address) ?? [],
    netns: cachedNamespace(entry).path,
    record: undefined,
    entry,
  };
}

/** Returns the result of an entry; undefined when it is none of a version that is known. */
export function resultOf({ result }: CacheEntry): Result | undefined {
  try {
    return decodeResult(result, "", { what: "cached result", remedy: "" });
  } catch (error) {
    if (error instanceof CniError) return undefined;
    throw error;
  }
}

/** Returns the MAC and the addresses that a container's interface has by a result. */
export function assignedBy(result: Result, ifName: string): Pick<AttachmentRecord, "mac" | "addresses"> {
  const own = result.interfaces.findIndex(({ name, sandbox }) => name === ifName && sandbox);
  const ips = result.ips.filter(({ interface: index }) => index === undefined || index === own);
  return { mac: result.interfaces[own]?.mac ?? "", addresses: ips.map(({ address }) => address) };
}

/** An attachment, as far as its container's other ones are concerned. */
export interface AttachedInterface {
  networkName: string;
  ifName: string;
}

/** Lists what a namespace is attached to. @throws CniError 5: the cache cannot be read */
export function listInterfacesOf(namespace: NamespaceIdentity, cacheRoot: string): AttachedInterface[] {
  const { records, unrecorded } = readAttached(cacheRoot);
  return [
    ...records.filter((record) => isSameNamespace(record.namespace, namespace)),
    ...unrecorded.filter((entry) => isAt(namespacePath(entry), namespace)),
  ];
}

/** Lists the attachments of the container in a namespace, with what the cache has of them. @throws CniError 5: the cache cannot be read */
export function listAttachmentsOf(namespace: NamespaceIdentity, cacheRoot: string): NetworkAttachment[] {
  const { records, unrecorded } = readAttached(cacheRoot);
  return [
    ...records.filter((record) => isSameNamespace(record.namespace, namespace)).map(ofRecord),
    ...unrecorded.filter((entry) => isAt(namespacePath(entry), namespace)).map(ofEntry),
  ].map((attachment) => withEntry(attachment, cacheRoot));
}

/** Lists who is in a network, without what the cache has of those that are recorded: `withEntry` reads it. @throws CniError 5: the cache cannot be read */
export function listNamesIn(network: NetworkKey, cacheRoot: string): NetworkAttachment[] {
  const { records, unrecorded } = readAttached(cacheRoot, network.name);
  return [...records.map(ofRecord), ...unrecorded.map(ofEntry)];
}

/** Returns an attachment with what the cache has of it. */
export function withEntry(attachment: NetworkAttachment, cacheRoot: string): NetworkAttachment {
  const { record } = attachment;
  if (record === undefined || attachment.entry !== undefined) return attachment;
  const wanted = cacheFileName(record);
  const [entry] = readEntries(cacheRoot, (fileName) => fileName === wanted);
  return { ...attachment, entry };
}

/** Reads the records, and of the cache what is not recorded: a file of it takes ten times as long as a record. */
function readAttached(
  cacheRoot: string,
  networkName?: string,
): { records: AttachmentRecord[]; unrecorded: CacheEntry[] } {
  const isWanted = (one: { networkName: string }) => networkName === undefined || one.networkName === networkName;
  const records = listAllAttachmentRecords().records.filter(isWanted);
  const recorded = new Set(records.map(cacheFileName));
  const prefix = networkName === undefined ? "" : `${networkName}-`;
  const unrecorded = readEntries(cacheRoot, (fileName) => fileName.startsWith(prefix) && !recorded.has(fileName));
  return { records, unrecorded: unrecorded.filter(isWanted) };
}

const readEntries = (cacheRoot: string, isWanted: (fileName: string) => boolean): CacheEntry[] =>
  cacheRootsOf(cacheRoot)
    .flatMap((root) => [...readCacheFiles(root, isWanted)])
    .flatMap((found) => ("reason" in found ? [] : found));

const isSameNamespace = (one: NamespaceIdentity, other: NamespaceIdentity): boolean =>
  one.inode === other.inode && one.cookie === other.cookie && one.bootId === other.bootId;

/** Reports whether the path leads to the namespace now. */
const isAt = (path: string | undefined, { inode }: NamespaceIdentity): boolean =>
  path !== undefined && inodeAt(path) === inode;
