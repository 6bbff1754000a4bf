/**
 * What `twill network connect` made: a file for each container and network, beside the entry of the runtime's result cache.
 *
 * The cache has what plugins need (configuration, result, arguments), the record what Docker's users ask for: the container's name, aliases and
 * links, and which namespace it is beyond its path. Whatever has a record was made by `connect`, and no runtime calls DEL for it.
 *
 * `/var/lib/cni/twill/networks/NETWORK-ID/CONTAINER-ID.json`; other names are those of interrupted writes. A directory can be watched
 * (inotify): a record appears, changes and goes with one rename or unlink.
 */
import { isObject, type Json, type JsonObject, objectIn } from "../config/json.ts";
import { findDirectory, makeDirectories, readRecord, removeDirectory, removeFile, replaceFile } from "../sys/file.ts";
import { isNamespaceIdentity, type NamespaceIdentity } from "../sys/namespace-identity.ts";

/** The directory of what twill keeps of networks. Whoever changes something in it, or a network, holds the lock of it. */
export const stateDirectory = "/var/lib/cni/twill";
/** The directory of the records; below it one for each network, named by the network's ID. */
export const recordRoot = `${stateDirectory}/networks`;

export interface AttachmentRecord {
  networkId: string;
  networkName: string;
  /** Whether there is no way out of the network, so that queries for other names are not passed on. */
  internal: boolean;
  /** The CNI container ID. */
  containerId: string;
  /** The name that the container has in its networks: of a podman or containerd container its own, else that of its namespace. */
  containerName: string;
  namespace: NamespaceIdentity;
  ifName: string;
  mac: string;
  /** With prefix length, as "172.18.0.2/16". */
  addresses: readonly string[];
  /** Further names in this network. */
  aliases: readonly string[];
  /** Names that only this container sees: `alias` stands for the container of that name, ID or alias in the same network. */
  links: readonly { container: string; alias: string }[];
  /** DNS servers that are asked for other names, in the place of the host's. */
  dns?: readonly string[];
  /** Moment of the connect, as "2026-01-31T12:00:00Z". */
  connected: string;
  /** There while `connect` or `disconnect` works, and after it was killed: then the next command deletes the attachment. */
  unfinished?: "connect" | "disconnect";
}

/** Identifies a record. */
export type RecordKey = Pick<AttachmentRecord, "networkId" | "containerId">;

export interface RecordContent {
  records: AttachmentRecord[];
  /** Paths of files that cannot be read as records, with the reason: something may be attached there. */
  damaged: { path: string; reason: string }[];
}

export const recordDirectory = (networkId: string, root = recordRoot): string => `${root}/${networkId}`;

const recordFile = ({ networkId, containerId }: RecordKey, root: string): string =>
  `${recordDirectory(networkId, root)}/${containerId}.json`;

/** What has been read of the records, by their root, while nobody else changes them. */
let kept: Map<string, RecordContent> | undefined;

/** Reads the records once, however often `work` asks for them. Only for who holds the lock: else another command changes them meanwhile. */
export function readingRecordsOnce<T>(work: () => T): T {
  kept = new Map();
  try {
    return work();
  } finally {
    kept = undefined;
  }
}

function changeKept(key: RecordKey, root: string, now: readonly AttachmentRecord[]): void {
  const content = kept?.get(root);
  if (content === undefined) return;
  const others = content.records.filter(
    ({ networkId, containerId }) => networkId !== key.networkId || containerId !== key.containerId,
  );
  const damaged = content.damaged.filter(({ path }) => path !== recordFile(key, root));
  kept?.set(root, { records: [...others, ...now], damaged });
}

/** Writes a record; replaces that of an earlier connect. */
export function writeAttachmentRecord(record: AttachmentRecord, root = recordRoot): void {
  makeDirectories(recordDirectory(record.networkId, root), 0o755);
  replaceFile(recordFile(record, root), `${JSON.stringify(record)}\n`, { mode: 0o644 });
  changeKept(record, root, [record]);
}

/** Removes a record. @returns false when there was none */
export function removeAttachmentRecord(key: RecordKey, root = recordRoot): boolean {
  const wasThere = removeFile(recordFile(key, root));
  changeKept(key, root, []);
  return wasThere;
}

/** Removes the directory of a network that is removed; it stays where something is in it. */
export function removeRecordDirectory(networkId: string, root = recordRoot): void {
  const directory = recordDirectory(networkId, root);
  if (findDirectory(directory)?.length === 0) removeDirectory(directory);
}

/** Removes the files that `replaceFile` was writing when it was killed. Only for who holds the lock: else one may still be in work. */
export function removeInterruptedWrites(root = recordRoot): void {
  for (const networkId of findDirectory(root) ?? []) {
    const directory = recordDirectory(networkId, root);
    const names = findDirectory(directory) ?? [];
    for (const name of names) if (/\.json\.\w+\.tmp$/.test(name)) removeFile(`${directory}/${name}`);
  }
}

/** Reads the records of one network, sorted by container ID. */
export const listAttachmentRecords = (networkId: string, root = recordRoot): RecordContent =>
  contentOf(readRecords(networkId, root));

/** Reads the records of all networks. */
export function listAllAttachmentRecords(root = recordRoot): RecordContent {
  const content = kept?.get(root) ?? contentOf(readAllRecords(root));
  kept?.set(root, content);
  return content;
}

function contentOf(all: Iterable<RecordOrDamaged>): RecordContent {
  const content: RecordContent = { records: [], damaged: [] };
  for (const one of all) {
    if ("reason" in one) content.damaged.push(one);
    else content.records.push(one);
  }
  return content;
}

/** A record, or a file that cannot be read as one. */
export type RecordOrDamaged = AttachmentRecord | RecordContent["damaged"][number];

/** Reads the records of all networks one by one, for those who keep little of each. */
export function* readAllRecords(root: string): Generator<RecordOrDamaged> {
  for (const networkId of findDirectory(root) ?? []) yield* readRecords(networkId, root);
}

function* readRecords(networkId: string, root: string): Generator<RecordOrDamaged> {
  const directory = recordDirectory(networkId, root);
  for (const name of (findDirectory(directory) ?? []).filter((name) => name.endsWith(".json"))) {
    const path = `${directory}/${name}`;
    const text = readRecord(path);
    if (text === undefined) continue; // removed meanwhile
    const record = typeof text === "string" ? recordIn(text) : undefined;
    if (record !== undefined && `${record.containerId}.json` === name && record.networkId === networkId) yield record;
    else yield { path, reason: typeof text === "string" ? "it is no record" : `it ${text.problem}` };
  }
}

/** Returns the record in a file's text; undefined when a key is missing, or a value has another type. */
function recordIn(text: string): AttachmentRecord | undefined {
  const document = objectIn(text);
  if (document === undefined) return undefined;
  const { namespace, addresses, aliases, links, dns, unfinished = "connect" } = document;
  const isWhole =
    hasTexts(document, ["networkId", "networkName", "containerId", "containerName", "ifName", "mac", "connected"]) &&
    typeof document["internal"] === "boolean" &&
    (unfinished === "connect" || unfinished === "disconnect") &&
    isNamespaceIdentity(namespace) &&
    isListOf(addresses, isText) &&
    isListOf(aliases, isText) &&
    (dns === undefined || isListOf(dns, isText)) &&
    isListOf(links, (link) => isObject(link) && hasTexts(link, ["container", "alias"]));
  return isWhole ? (document as unknown as AttachmentRecord) : undefined; // every key of it was checked
}

const isText = (value: Json): boolean => typeof value === "string";
const hasTexts = (value: JsonObject, keys: readonly string[]): boolean =>
  keys.every((key) => isText(value[key] ?? null));
const isListOf = (value: Json | undefined, fits: (item: Json) => boolean): boolean =>
  Array.isArray(value) && value.every(fits);
