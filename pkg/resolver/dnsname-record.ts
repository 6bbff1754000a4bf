/**
 * What ADD of the plugin `dnsname` made: a file for each attachment, `/run/twill/dnsname/NETWORK/CONTAINER-ID:IFNAME.json`. /run is empty after a boot, when no
 * namespace of a record is there any more.
 *
 * Rejected: reading the names from the runtimes' result cache, as for networks of `twill network`. A runtime writes its entry once ADD has returned, and begins
 * the container's program at the same time, which may ask at once; and not every runtime has a cache.
 */
import type { AttachmentId } from "../cni/attachment-id.ts";
import { type Json, objectIn } from "../config/json.ts";
import { findDirectory, makeDirectories, readRecord, removeFile, replaceFile } from "../sys/file.ts";
import { isNamespaceIdentity, type NamespaceIdentity } from "../sys/namespace-identity.ts";

/** The directory of the records; below it one for each network, named as the network is. */
export const dnsnameRoot = "/run/twill/dnsname";

export interface DnsnameRecord extends AttachmentId {
  /** The names that are answered, the container's own first. */
  names: readonly string[];
  /** Stands behind each of the names; "" for none. */
  domain: string;
  /** Of the container, with prefix length. */
  addresses: readonly string[];
  /** Of the host in the network, with prefix length: where the names are answered. */
  gateways: readonly string[];
  /** The container's. */
  namespace: NamespaceIdentity;
  /** Inode of the namespace that has the gateway's addresses. */
  host: string;
}

export const dnsnameDirectory = (network: string, root = dnsnameRoot): string => `${root}/${network}`;

const fileNameOf = ({ containerId, ifName }: Omit<AttachmentId, "network">): string => `${containerId}:${ifName}.json`;

const fileOf = (id: AttachmentId, root: string): string => `${dnsnameDirectory(id.network, root)}/${fileNameOf(id)}`;

/** Writes a record; replaces that of an earlier ADD. */
export function writeDnsnameRecord(record: DnsnameRecord, root = dnsnameRoot): void {
  makeDirectories(dnsnameDirectory(record.network, root), 0o755);
  replaceFile(fileOf(record, root), `${JSON.stringify(record)}\n`, { mode: 0o644 });
}

/** Returns the record of an attachment; undefined: there is none. */
export function findDnsnameRecord(id: AttachmentId, root = dnsnameRoot): DnsnameRecord | undefined {
  const text = readRecord(fileOf(id, root));
  return typeof text === "string" ? recordIn(text) : undefined;
}

/** Removes a record, and what an interrupted write has left; the network's directory stays, since another ADD may be about to write into it. @returns false when there was none */
export const removeDnsnameRecord = (id: AttachmentId, root = dnsnameRoot): boolean =>
  removeFiles(dnsnameDirectory(id.network, root), (name) => name === fileNameOf(id));

/** Removes the record of a container that is gone, unless another ADD has replaced it since it was read. */
export function removeStaleRecord(stale: DnsnameRecord, root = dnsnameRoot): void {
  if (JSON.stringify(findDnsnameRecord(stale, root)) === JSON.stringify(stale)) removeDnsnameRecord(stale, root);
}

/** Removes the records of a network whose attachments are not among the valid ones. @returns whether there was one */
export function collectDnsnameRecords(
  network: string,
  valid: readonly Omit<AttachmentId, "network">[],
  root = dnsnameRoot,
): boolean {
  const kept = new Set(valid.map(fileNameOf));
  return removeFiles(dnsnameDirectory(network, root), (name) => !kept.has(name));
}

function removeFiles(directory: string, isMeant: (name: string) => boolean): boolean {
  const names = (findDirectory(directory) ?? []).filter((name) => isMeant(name.replace(/\.\w+\.tmp$/, "")));
  return names.map((name) => removeFile(`${directory}/${name}`)).includes(true);
}

/** A file that cannot be read as a record. */
export interface DamagedRecord {
  path: string;
  reason: string;
}

/** Reads the records of all networks one by one. */
export function* readDnsnameRecords(root: string): Generator<DnsnameRecord | DamagedRecord> {
  for (const network of findDirectory(root) ?? []) {
    const directory = dnsnameDirectory(network, root);
    for (const name of (findDirectory(directory) ?? []).filter((name) => name.endsWith(".json"))) {
      const path = `${directory}/${name}`;
      const text = readRecord(path);
      if (text === undefined) continue; // removed meanwhile
      const record = typeof text === "string" ? recordIn(text) : undefined;
      if (record !== undefined && record.network === network && fileNameOf(record) === name) yield record;
      else yield { path, reason: typeof text === "string" ? "it is no record" : `it ${text.problem}` };
    }
  }
}

/** Returns the record in a file's text; undefined when a key is missing, or a value has another type. */
function recordIn(text: string): DnsnameRecord | undefined {
  const document = objectIn(text);
  if (document === undefined) return undefined;
  const { namespace } = document;
  const isWhole =
    ["network", "containerId", "ifName", "domain", "host"].every((key) => isText(document[key])) &&
    ["names", "addresses", "gateways"].every((key) => isListOfTexts(document[key])) &&
    isNamespaceIdentity(namespace);
  return isWhole ? (document as unknown as DnsnameRecord) : undefined; // every key of it was checked
}

const isText = (value: Json | undefined): boolean => typeof value === "string";
const isListOfTexts = (value: Json | undefined): boolean => Array.isArray(value) && value.every(isText);
