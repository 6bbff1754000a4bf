/**
 * The backup that DEL restores: a file for each interface that ADD has changed, with the old attributes. Name and format are the
 * reference plugin's, which can read our files; the key `network`, which it ignores, tells GC which network the file belongs to.
 */
import type { AttachmentId } from "../../pkg/cni/attachment-id.ts";
import { isObject, type JsonObject, objectIn } from "../../pkg/config/json.ts";
import { type LinkAttributes, parseAttributes, printAttributes } from "../../pkg/link/attributes.ts";
import {
  createFile,
  findDirectory,
  makeDirectories,
  overwriteFile,
  readRecord,
  removeFile,
} from "../../pkg/sys/file.ts";

export interface BackupLocation extends AttachmentId {
  dataDir: string;
}

const fileOf = ({ dataDir, containerId, ifName }: Omit<BackupLocation, "network">): string =>
  `${dataDir}/${containerId}_${ifName}.json`;

/** Writes the backup. Values from before the first ADD are kept: a second one finds tuned values. */
export function writeBackup(place: BackupLocation, attributes: LinkAttributes): void {
  const known = readBackup(place);
  makeDirectories(place.dataDir, 0o600); // as in the reference plugin; root needs no more
  const text = textOf({ ...attributes, ...known }, place.network);
  if (!createFile(fileOf(place), text, { mode: 0o600 })) overwriteFile(fileOf(place), text, { mode: 0o600 });
}

/** Reads the backup; undefined when there is none, it cannot be read, or it is another network's. */
export function readBackup(place: BackupLocation): LinkAttributes | undefined {
  const values = valuesOf(place);
  if (!isObject(values) || isAnothers(values, place)) return undefined;
  return parseAttributes(values);
}

/** Removes the file, unless it is another network's. */
export function removeBackup(place: BackupLocation): void {
  const values = valuesOf(place);
  if (!isObject(values) || !isAnothers(values, place)) removeOwnBackup(place);
}

/** Removes a backup that `readBackup` has returned. */
export const removeOwnBackup = (place: BackupLocation): boolean => removeFile(fileOf(place));

function valuesOf(place: BackupLocation): JsonObject | undefined {
  const text = readRecord(fileOf(place));
  return typeof text === "string" ? objectIn(text) : undefined;
}

/**
 * Whether the file is another network's, which its name does not tell. The reference plugin's files have no network, and count as
 * our own.
 */
const isAnothers = (values: JsonObject, { network }: BackupLocation): boolean =>
  typeof values["network"] === "string" && values["network"] !== network;

/**
 * Removes the network's files of attachments that are not valid. The reference plugin's files have no network, and stay.
 *
 * @returns the files that are not backups, which stay too
 */
export function collectBackups(
  dataDir: string,
  network: string,
  valid: readonly Omit<AttachmentId, "network">[],
): string[] {
  const alive = new Set(valid.map((one) => fileOf({ dataDir, ...one })));
  const unreadable: string[] = [];
  for (const name of findDirectory(dataDir) ?? []) {
    const file = `${dataDir}/${name}`;
    if (!name.endsWith(".json") || alive.has(file)) continue;
    const text = readRecord(file);
    const values = typeof text === "string" ? objectIn(text) : undefined;
    if (values?.["network"] === network) removeFile(file);
    else if (values === undefined && text !== undefined) unreadable.push(file);
  }
  return unreadable;
}

const textOf = (attributes: LinkAttributes, network: string): string =>
  JSON.stringify({ ...printAttributes(attributes), network }, undefined, " ");
