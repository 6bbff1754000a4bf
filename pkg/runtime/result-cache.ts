/**
 * The result cache: what a runtime stores about an attachment between ADD and DEL, in the reference library's files, so that libcni
 * and we can continue with each other's attachments.
 *
 * As in libcni, a file is overwritten in place: a temporary file beside it would be listed as another attachment.
 *
 * @see reference library, libcni/api.go: file `<root>/results/<network>-<containerID>-<ifname>`, kind "cniCacheV1"
 */

import { decodeBase64, encodeBase64 } from "../bytes/base64.ts";
import { equal } from "../bytes/equal.ts";
import { decodeResult, type Origin } from "../cni/decode-result.ts";
import { isContainerId } from "../cni/environment.ts";
import { CniError, ErrorCode } from "../cni/error.ts";
import type { Result } from "../cni/result.ts";
import { isInterfaceName } from "../config/formats.ts";
import { isObject, type Json, type JsonObject, printJson, sortKeys } from "../config/json.ts";
import { isErrno, SystemError } from "../sys/errno.ts";
import {
  createFile,
  findStat,
  listDirectory,
  makeDirectories,
  overwriteFile,
  readFile,
  removeFile,
} from "../sys/file.ts";
import { decode, encode } from "../sys/text.ts";

export const defaultCacheRoot = "/var/lib/cni";
/** The cache of multus, with the attachments of its delegates. */
const multusCacheRoot = "/var/lib/cni/multus";

/** Returns the caches that may have attachments of this host: the given one, and beside the default one that of multus. */
export const cacheRootsOf = (root: string): string[] => (root === defaultCacheRoot ? [root, multusCacheRoot] : [root]);
const kind = "cniCacheV1";
const directoryMode = 0o700;
const fileMode = 0o600;

/** Identifies one attachment. */
export interface CacheKey {
  networkName: string;
  containerId: string;
  ifName: string;
}

export interface CacheEntry extends CacheKey {
  /** Bytes of the configuration list. */
  config: Uint8Array;
  /** Written by libcni 1.2 and later; `cachedNamespace` can find it elsewhere. */
  netns: string | undefined;
  cniArgs: readonly (readonly [string, string])[];
  capabilityArgs: JsonObject;
  /** The last plugin's result, as a document of its version. */
  result: JsonObject;
}

/** A file with an entry's name that cannot be read as an entry, so its attachment is not known. */
export interface DamagedFile {
  path: string;
  /** Name in its directory. */
  name: string;
  reason: string;
}

export interface CacheContent {
  entries: CacheEntry[];
  damaged: DamagedFile[];
}

/** Returns an attachment's name for messages: network, container and interface. */
export const nameOf = ({ networkName, containerId, ifName }: CacheKey): string =>
  `${networkName} ${containerId} ${ifName}`;

/** The directory of a cache's entries. */
export const resultsIn = (root: string): string => `${root}/results`;

/** @throws CniError 999: a part of the name is missing. */
export function cacheFile(root: string, key: CacheKey): string {
  const { networkName, containerId, ifName } = key;
  if (networkName !== "" && containerId !== "" && ifName !== "") return `${resultsIn(root)}/${cacheFileName(key)}`;
  throw new CniError({
    code: ErrorCode.internal,
    msg:
      `cache file path requires network name (${JSON.stringify(networkName)}), ` +
      `container ID (${JSON.stringify(containerId)}), and interface name (${JSON.stringify(ifName)})`,
    remedy: "give all three",
  });
}

/** Returns the name of an entry's file. */
export const cacheFileName = ({ networkName, containerId, ifName }: CacheKey): string =>
  `${networkName}-${containerId}-${ifName}`;

/**
 * Writes an entry. A new one appears complete or not at all: if the process were killed between truncation and write, the empty
 * file would be a damaged entry of a living container.
 */
export function writeCache(root: string, entry: CacheEntry): void {
  const file = cacheFile(root, entry);
  makeDirectories(resultsIn(root), directoryMode);
  const text = printEntry(entry);
  if (!createFile(file, text, { mode: fileMode })) overwriteFile(file, text, { mode: fileMode });
}

function printEntry({ config, netns, cniArgs, capabilityArgs, result, ...key }: CacheEntry): string {
  return printJson(
    {
      kind,
      containerId: key.containerId,
      config: encodeBase64(config),
      ifName: key.ifName,
      networkName: key.networkName,
      ...(netns === undefined ? {} : { netns }),
      ...(cniArgs.length === 0 ? {} : { cniArgs }),
      ...(Object.keys(capabilityArgs).length === 0 ? {} : { capabilityArgs: sortKeys(capabilityArgs) }),
      ...(Object.keys(result).length === 0 ? {} : { result: sortKeys(result) }),
    },
    "",
  );
}

/** Removes an entry. @returns false when there was none. */
export const removeCache = (root: string, key: CacheKey): boolean => removeFile(cacheFile(root, key));

/**
 * Returns the cached result, also from a file of the format before cniCacheV1, which is a bare result. undefined when there is no
 * file.
 *
 * @throws CniError 5: the file cannot be read; 6: it has neither format.
 */
export function readCachedResult(root: string, key: CacheKey): Result | undefined {
  const path = cacheFile(root, key);
  const found = readEntry(path);
  if (found === undefined) return undefined;
  const result = "entry" in found ? found.entry.result : found.bareResult;
  if (result === undefined) throw unusable(path, found);
  const origin: Origin = { what: `cached result ${path}`, remedy: `remove the file and add the attachment again` };
  return decodeResult(result, "", origin);
}

/**
 * Returns the whole entry. undefined when there is no file.
 *
 * @throws CniError 5: the file cannot be read; 6: it is no entry, or has the format before cniCacheV1.
 */
export function readCache(root: string, key: CacheKey): CacheEntry | undefined {
  const path = cacheFile(root, key);
  const found = readEntry(path);
  if (found === undefined || "entry" in found) return found?.entry;
  throw unusable(path, found);
}

/**
 * Lists all attachments, or those of one container, sorted by file name. Files whose names are not those of entries, and
 * directories, are skipped.
 *
 * @throws CniError 5: the directory cannot be read.
 */
export function listCache(root: string, containerId?: string): CacheContent {
  const { entries, damaged } = contentOf(readCacheFiles(root, (name) => isNameOf(name, containerId)));
  return { entries: entries.filter((one) => containerId === undefined || one.containerId === containerId), damaged };
}

/** Reads the files whose names are wanted one by one, for those who keep little of each. @throws CniError 5: the directory cannot be read. */
export function* readCacheFiles(
  root: string,
  isWanted: (name: string) => boolean,
): Generator<CacheEntry | DamagedFile> {
  for (const name of namesIn(resultsIn(root)).filter((name) => isNameOf(name, undefined) && isWanted(name))) {
    const path = `${resultsIn(root)}/${name}`;
    const found = readEntry(path);
    if (found === undefined || isErrno(found.cause, "EISDIR")) continue;
    yield "entry" in found ? found.entry : { path, name, reason: found.reason };
  }
}

/** Lists the attachments of one network. Of the files of other networks only the names are read. @throws CniError 5: the directory cannot be read. */
export function listNetworkCache(root: string, networkName: string): CacheContent {
  const { entries, damaged } = contentOf(readCacheFiles(root, (name) => name.startsWith(`${networkName}-`)));
  return { entries: entries.filter((one) => one.networkName === networkName), damaged };
}

/** Lists the attachments of each cache that may have some, the given one first: all, or those of one network. @throws CniError 5: a directory cannot be read. */
export const listCaches = (root: string, networkName?: string): (CacheContent & { root: string })[] =>
  cacheRootsOf(root).map((one) => ({
    root: one,
    ...(networkName === undefined ? listCache(one) : listNetworkCache(one, networkName)),
  }));

function contentOf(files: Iterable<CacheEntry | DamagedFile>): CacheContent {
  const content: CacheContent = { entries: [], damaged: [] };
  for (const found of files) {
    if ("reason" in found) content.damaged.push(found);
    else content.entries.push(found);
  }
  return content;
}

function namesIn(directory: string): string[] {
  try {
    return listDirectory(directory);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return [];
    if (error instanceof SystemError) throw unusable(directory, { reason: error.message, cause: error });
    throw error;
  }
}

/** Whether the name is NETWORK-ID-INTERFACE, with this ID when one is given. */
function isNameOf(fileName: string, containerId: string | undefined): boolean {
  if (containerId === undefined) return /^.+-.+-.+$/s.test(fileName);
  const part = `-${containerId}-`;
  const at = fileName.indexOf(part, 1);
  return at > 0 && at + part.length < fileName.length;
}

/**
 * Returns the attachments to a network that a damaged file may stand for, by its name. There may be several, since network,
 * container ID and interface may contain dashes.
 */
export function attachmentsNamedBy({ name }: DamagedFile, networkName: string): Omit<CacheKey, "networkName">[] {
  const prefix = `${networkName}-`;
  if (!name.startsWith(prefix)) return [];
  const parts = name.slice(prefix.length).split("-");
  return parts
    .map((_, i) => ({ containerId: parts.slice(0, i).join("-"), ifName: parts.slice(i).join("-") }))
    .filter(({ containerId, ifName }) => isContainerId(containerId) && isInterfaceName(ifName));
}

interface Unreadable {
  reason: string;
  cause?: SystemError;
  /** The document in the format before cniCacheV1, which does not identify its attachment. */
  bareResult?: JsonObject;
}

type CacheFile = { entry: CacheEntry; reason?: undefined; cause?: undefined } | Unreadable;

/** Reads a file; undefined when there is none. */
function readEntry(path: string): CacheFile | undefined {
  let bytes: Uint8Array;
  try {
    if (findStat(path)?.type === "other") return { reason: "it is a FIFO or a device" }; // to read one may never end
    bytes = readFile(path);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    if (error instanceof SystemError) return { reason: error.message, cause: error };
    throw error;
  }
  return entryIn(bytes, path.slice(path.lastIndexOf("/") + 1));
}

function entryIn(bytes: Uint8Array, fileName: string): CacheFile {
  if (bytes.length === 0) return { reason: "it is empty" };
  const text = decode(bytes);
  if (text.includes("\ufffd") && !equal(encode(text), bytes)) return { reason: "it is not UTF-8" };
  const document = parsed(text);
  if (!isObject(document)) return { reason: "it is not a JSON object" };
  if (!("kind" in document)) return { reason: `it has no "kind", as before libcni 0.8`, bareResult: document };
  if (document["kind"] !== kind) return { reason: `its "kind" is not "${kind}"` };
  const entry = entryOf(document);
  if (entry === undefined) return { reason: "a key is missing, or its value has the wrong type" };
  const named = cacheFileName(entry);
  return named === fileName ? { entry } : { reason: `it is the entry of ${named}` };
}

function parsed(text: string): Json | undefined {
  try {
    return JSON.parse(text) as Json;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Returns the entry; undefined when a key that libcni writes is missing, or a value has another type than in libcni. */
function entryOf(document: JsonObject): CacheEntry | undefined {
  const texts = ["containerId", "ifName", "networkName", "netns", "config"].map((key) => document[key] ?? "");
  if (!texts.every((value) => typeof value === "string")) return undefined;
  const [containerId = "", ifName = "", networkName = "", netns, base64 = ""] = texts;
  const [cniArgs, capabilityArgs, result] = [
    document["cniArgs"] ?? [],
    document["capabilityArgs"] ?? {},
    document["result"] ?? {},
  ];
  if (!Array.isArray(cniArgs) || !cniArgs.every(isPair)) return undefined;
  if (!isObject(capabilityArgs) || !isObject(result)) return undefined;
  const config = decodeBase64(base64);
  if (config === undefined || [containerId, ifName, networkName].includes("")) return undefined;
  return { containerId, ifName, networkName, config, netns: netns || undefined, cniArgs, capabilityArgs, result };
}

const isPair = (value: Json): value is readonly [string, string] =>
  Array.isArray(value) && value.length === 2 && value.every((part) => typeof part === "string");

function unusable(path: string, { reason = "", cause }: Pick<CacheFile, "reason" | "cause">): CniError {
  if (cause === undefined)
    return new CniError({
      code: ErrorCode.decoding,
      msg: `cached result ${path} is damaged: ${reason}`,
      remedy: `delete the attachment (this ignores and removes the file), then add it again`,
    });
  return new CniError({
    code: ErrorCode.io,
    msg: `${path} cannot be read: ${reason}`,
    remedy: "run it as root, and check that it is the runtime's cache and that its file system has no errors",
    cause,
  });
}
