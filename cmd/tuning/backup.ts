/**
 * What DEL restores: a file for each interface that ADD has changed, with the attributes as they were. Its name and form are the
 * reference plugin's, which reads ours; the key `network`, which it passes over, tells GC whose the file is.
 */
import { isObject, type JsonObject, objectIn } from "../../pkg/config/json.ts";
import type { LinkAttributes } from "../../pkg/link/attributes.ts";
import { formatMac, parseMac } from "../../pkg/link/mac.ts";
import {
  createFile,
  findDirectory,
  makeDirectories,
  overwriteFile,
  readRecord,
  removeFile,
} from "../../pkg/sys/file.ts";

export interface BackupLocation {
  dataDir: string;
  network: string;
  containerId: string;
  ifName: string;
}

const fileOf = ({ dataDir, containerId, ifName }: Omit<BackupLocation, "network">): string =>
  `${dataDir}/${containerId}_${ifName}.json`;

/** What was there before the first ADD counts: the second one finds tuned values. */
export function writeBackup(place: BackupLocation, attributes: LinkAttributes): void {
  const known = readBackup(place);
  makeDirectories(place.dataDir, 0o600); // as the reference plugin makes it; root does not ask for more
  const text = textOf({ ...attributes, ...known }, place.network);
  if (!createFile(fileOf(place), text, { mode: 0o600 })) overwriteFile(fileOf(place), text, { mode: 0o600 });
}

/** undefined: there is none, or none that can be read, or that of another network's attachment. */
export function readBackup(place: BackupLocation): LinkAttributes | undefined {
  const values = valuesOf(place);
  if (!isObject(values) || isAnothers(values, place)) return undefined;
  const { mac, promisc, mtu, allmulti, txQLen } = values;
  const address = typeof mac === "string" ? parseMac(mac) : undefined;
  return {
    ...(address && { mac: address }),
    ...(typeof promisc === "boolean" && { promiscuous: promisc }),
    ...(typeof mtu === "number" && { mtu }),
    ...(typeof allmulti === "boolean" && { allMulticast: allmulti }),
    ...(typeof txQLen === "number" && { txQueueLength: txQLen }),
  };
}

export function removeBackup(place: BackupLocation): void {
  const values = valuesOf(place);
  if (!isObject(values) || !isAnothers(values, place)) removeFile(fileOf(place));
}

function valuesOf(place: BackupLocation): JsonObject | undefined {
  const text = readRecord(fileOf(place));
  return typeof text === "string" ? objectIn(text) : undefined;
}

/** The file's name does not have the network. Files of the reference plugin do not name it either: they are taken for the attachment's own. */
const isAnothers = (values: JsonObject, { network }: BackupLocation): boolean =>
  typeof values["network"] === "string" && values["network"] !== network;

/** Removes the network's files of attachments that are not valid. Those of the reference plugin say no network, and stay. */
export function collectBackups(
  dataDir: string,
  network: string,
  valid: readonly { containerId: string; ifName: string }[],
): void {
  const alive = new Set(valid.map((one) => fileOf({ dataDir, ...one })));
  for (const name of findDirectory(dataDir) ?? []) {
    const file = `${dataDir}/${name}`;
    if (!name.endsWith(".json") || alive.has(file)) continue;
    const text = readRecord(file);
    if (typeof text === "string" && objectIn(text)?.["network"] === network) removeFile(file);
  }
}

function textOf({ mac, promiscuous, mtu, allMulticast, txQueueLength }: LinkAttributes, network: string): string {
  const values = {
    ...(mac && { mac: formatMac(mac) }),
    ...(promiscuous !== undefined && { promisc: promiscuous }),
    ...(mtu !== undefined && { mtu }),
    ...(allMulticast !== undefined && { allmulti: allMulticast }),
    ...(txQueueLength !== undefined && { txQLen: txQueueLength }),
    network,
  };
  return JSON.stringify(values, undefined, " ");
}
