/**
 * What a runtime remembers of an attachment between ADD and DEL: the reference library's files, so that it and we can go on
 * with each other's attachments.
 *
 * As there, a file is overwritten in place: one that is written beside it first would be listed as an attachment of its own.
 *
 * @see reference library, libcni/api.go: file `<root>/results/<network>-<containerID>-<ifname>`, kind "cniCacheV1"
 */

import { SystemError } from "../sys/errno.ts";
import { findDirectory, makeDirectories, readText, removeFile, writeFile } from "../sys/file.ts";
import { decodeBase64, encodeBase64 } from "./base64.ts";
import { CniError, ErrorCode } from "./error.ts";
import { isObject, type Json, type JsonObject, printJson, sortKeys } from "./json.ts";
import { type Origin, parseResult, type Result } from "./result.ts";

export const defaultCacheRoot = "/var/lib/cni";
const kind = "cniCacheV1";
const directoryMode = 0o700;
const fileMode = 0o600;

/** Names one attachment. */
export interface CacheKey {
  networkName: string;
  containerId: string;
  ifName: string;
}

export interface CacheEntry extends CacheKey {
  /** The bytes of the configuration list. */
  config: Uint8Array;
  netns: string | undefined;
  cniArgs: readonly (readonly [string, string])[];
  capabilityArgs: JsonObject;
  /** Of the last plugin, as a document of its version. */
  result: JsonObject;
}

const resultsIn = (root: string): string => `${root}/results`;

/** @throws CniError 999: a part of the name is missing. */
export function cacheFile(root: string, { networkName, containerId, ifName }: CacheKey): string {
  if (networkName !== "" && containerId !== "" && ifName !== "")
    return `${resultsIn(root)}/${networkName}-${containerId}-${ifName}`;
  throw new CniError({
    code: ErrorCode.internal,
    msg:
      `cache file path requires network name (${JSON.stringify(networkName)}), ` +
      `container ID (${JSON.stringify(containerId)}), and interface name (${JSON.stringify(ifName)})`,
    remedy: "give all three",
  });
}

export function writeCache(root: string, entry: CacheEntry): void {
  const file = cacheFile(root, entry);
  makeDirectories(resultsIn(root), directoryMode);
  writeFile(file, printEntry(entry), { mode: fileMode });
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

/** @returns false when there was none. */
export const removeCache = (root: string, key: CacheKey): boolean => removeFile(cacheFile(root, key));

/**
 * The cached result, also from a file of the form before cniCacheV1, which is a bare result. undefined when there is no file.
 *
 * @throws CniError 6: the file is neither.
 */
export function readCachedResult(root: string, key: CacheKey): Result | undefined {
  const file = cacheFile(root, key);
  const text = textOf(file);
  if (text === undefined) return undefined;
  const origin: Origin = { what: `cached result ${file}`, remedy: `remove the file and add the attachment again` };
  const document = parsed(text);
  const entry = document === undefined ? undefined : entryOf(document);
  if (document === undefined) throw notACache(file);
  return parseResult(entry?.result ?? document, "", origin);
}

/**
 * The whole entry. undefined when there is no file.
 *
 * @throws CniError 6: the file is none of ours, or of the form before cniCacheV1.
 */
export function readCache(root: string, key: CacheKey): CacheEntry | undefined {
  const file = cacheFile(root, key);
  const text = textOf(file);
  if (text === undefined) return undefined;
  const entry = entryOf(parsed(text));
  if (entry === undefined) throw notACache(file);
  return entry;
}

/** All attachments, sorted by file name; of one container when an ID is given. Files that are none are passed over. */
export function listCache(root: string, containerId?: string): CacheEntry[] {
  return (findDirectory(resultsIn(root)) ?? [])
    .filter((name) => containerId === undefined || isNameOf(name, containerId))
    .map((name) => entryOf(parsed(textOf(`${resultsIn(root)}/${name}`))))
    .filter((entry) => entry !== undefined)
    .filter((entry) => entry.ifName !== "" && entry.networkName !== "")
    .filter((entry) => containerId === undefined || entry.containerId === containerId);
}

/** Whether `-<ID>-` is in the middle of the name. */
function isNameOf(fileName: string, containerId: string): boolean {
  const part = `-${containerId}-`;
  const at = fileName.indexOf(part);
  return at > 0 && at + part.length < fileName.length;
}

/** What cannot be read is as good as not there, as the reference library has it. */
function textOf(file: string): string | undefined {
  try {
    return readText(file);
  } catch (error) {
    if (error instanceof SystemError) return undefined;
    throw error;
  }
}

function parsed(text: string | undefined): Json | undefined {
  try {
    return text === undefined ? undefined : (JSON.parse(text) as Json);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function entryOf(document: Json | undefined): CacheEntry | undefined {
  if (!isObject(document) || document["kind"] !== kind) return undefined;
  const config = decodeBase64(text(document["config"]));
  const { netns, cniArgs, capabilityArgs, result } = document;
  if (config === undefined) return undefined;
  return {
    containerId: text(document["containerId"]),
    ifName: text(document["ifName"]),
    networkName: text(document["networkName"]),
    config,
    netns: text(netns) || undefined,
    cniArgs: Array.isArray(cniArgs) ? cniArgs.filter(isPair) : [],
    capabilityArgs: isObject(capabilityArgs) ? capabilityArgs : {},
    result: isObject(result) ? result : {},
  };
}

const text = (value: Json | undefined): string => (typeof value === "string" ? value : "");

const isPair = (value: Json): value is readonly [string, string] =>
  Array.isArray(value) && value.length === 2 && value.every((part) => typeof part === "string");

function notACache(file: string): CniError {
  return new CniError({
    code: ErrorCode.decoding,
    msg: `cached result ${file} is damaged: it is neither an entry of the cache nor a result`,
    remedy: `delete the attachment, which ignores and removes the file, then add it again`,
  });
}
