/**
 * Network configurations on disk: lists (`.conflist`), single plugins (`.conf`, `.json`), and the directory that adds plugins to a
 * list.
 *
 * Unlike in the reference library, a damaged file that sorts before the wanted one does not end the search: it is reported, and is
 * an error only when the network is not found elsewhere.
 *
 * @see CNI specification, section 1 "Network configuration format"
 */

import { checkNetworkName } from "../cni/environment.ts";
import { CniError, ErrorCode } from "../cni/error.ts";
import { selectVersion } from "../cni/version.ts";
import { nearest } from "../config/edit-distance.ts";
import {
  isObject,
  type Json,
  type JsonObject,
  JsonSyntaxError,
  parseJson,
  printJson,
  showJson,
  sortKeys,
} from "../config/json.ts";
import { findDirectory, findStat, readRecord } from "../sys/file.ts";
import { decode, encode } from "../sys/text.ts";

/** One plugin's part of a list, with all keys that its author wrote. */
export type PluginConf = JsonObject & { readonly type: string };

/** Reports whether a plugin publishes ports. */
export const publishesPorts = ({ capabilities }: PluginConf): boolean =>
  isObject(capabilities) && capabilities["portMappings"] === true;

/** Reports whether a plugin isolates the ports of its bridge from each other. */
export const isolatesPorts = ({ type, portIsolation }: PluginConf): boolean =>
  type === "bridge" && portIsolation === true;

export interface NetworkList {
  name: string;
  /** The version to run the network in; "" when the list has none, which plugins read as 0.1.0. */
  cniVersion: string;
  disableCheck: boolean;
  disableGC: boolean;
  plugins: readonly PluginConf[];
  /** The bytes as read, for the cache. */
  bytes: Uint8Array;
}

export const defaultConfigDirectory = "/etc/cni/net.d";

/**
 * Loads the network of that name: the first list in the order of file names, otherwise the first single plugin.
 *
 * @param warn is called for files that cannot be used.
 * @throws CniError 7: there is none, or only in a damaged file.
 */
export function loadNetwork(directory: string, name: string, warn: (text: string) => void): NetworkList {
  checkNetworkName(name);
  const damaged: CniError[] = [];
  const others: string[] = [];
  for (const [endings, load] of kinds) {
    for (const file of configurationFiles(directory, endings)) {
      const network = usable(() => load(file), damaged);
      if (network?.name === name) {
        for (const error of damaged) warn(error.message);
        return network;
      }
      if (network !== undefined) others.push(network.name);
    }
  }
  throw damaged[0] ?? noNetwork(directory, name, others);
}

const kinds: readonly (readonly [endings: readonly string[], load: (file: string) => NetworkList])[] = [
  [[".conflist"], loadList],
  [[".conf", ".json"], loadSingle],
];

/** Loads a file; returns undefined and records the error when the file is damaged. */
function usable(load: () => NetworkList, damaged: CniError[]): NetworkList | undefined {
  try {
    return load();
  } catch (error) {
    if (!(error instanceof CniError)) throw error;
    damaged.push(error);
    return undefined;
  }
}

/** Returns the files with one of the endings, sorted; none when there is no such directory. */
export function configurationFiles(directory: string, endings: readonly string[]): string[] {
  return (findDirectory(directory) ?? [])
    .filter((name) => endings.some((ending) => name.endsWith(ending)))
    .map((name) => `${directory}/${name}`)
    .filter((path) => findStat(path, "link")?.type !== "directory");
}

function noNetwork(directory: string, name: string, others: readonly string[]): CniError {
  if (others.length === 0) {
    return new CniError({
      code: ErrorCode.invalidConfig,
      msg: `no net configurations found in ${directory}`,
      remedy: `put a configuration there, as ${directory}/10-${name}.conflist, or set NETCONFPATH to the directory of the configurations`,
    });
  }
  const meant = nearest(name, others);
  return new CniError({
    code: ErrorCode.invalidConfig,
    msg: `no net configuration with name "${name}" in ${directory}`,
    details: `there are ${others.map((other) => `"${other}"`).join(", ")}`,
    remedy: meant === undefined ? "use one of these names" : `did you mean "${meant}"?`,
  });
}

/** Loads a `.conflist`, with the plugins of the directory named after the network. @throws CniError 6, 7 */
export function loadList(file: string): NetworkList {
  const { list, loadOnlyInlinedPlugins } = parseListDocument(bytesOf(file), file);
  const directory = file.includes("/") ? file.slice(0, file.lastIndexOf("/")) : ".";
  const added = loadOnlyInlinedPlugins
    ? []
    : configurationFiles(`${directory}/${list.name}`, [".conf"]).map((path) =>
        pluginOf(documentOf(bytesOf(path), path), path),
      );
  const plugins = [...list.plugins, ...added];
  if (plugins.length > 0) return { ...list, plugins };
  throw refused(file, "no plugin configs found", 'add "plugins": [{"type": …}]');
}

export const runAsRoot = "run it as root, or let others read the file: chmod a+r";

/** Never blocks on a file, since any file of a directory may be read here. @throws CniError 5: it cannot be read */
function bytesOf(file: string): Uint8Array {
  const text = readRecord(file);
  if (typeof text === "string") return encode(text);
  throw new CniError({
    code: ErrorCode.io,
    msg: `${file} ${text?.problem ?? "does not exist, or is a dangling link"}, must be a file with a network configuration`,
    remedy: text?.isForbidden === true ? runAsRoot : "remove the file, or rename it with another extension",
  });
}

/** Loads a `.conf` or `.json` as a list of one plugin. @throws CniError 6, 7 */
export function loadSingle(file: string): NetworkList {
  const conf = documentOf(bytesOf(file), file);
  if (conf["plugins"] !== undefined)
    throw refused(file, 'has "plugins", so it is a list', `rename it to ${file.replace(/\.\w+$/, ".conflist")}`);
  const { name = "", cniVersion = "" } = conf;
  const document = { name, cniVersion, plugins: [pluginOf(conf, file)] };
  return parseList(encode(printJson(sortKeys(document), "")), file);
}

/**
 * Parses a list from bytes alone. Without a `plugins` key it is empty, and the caller fills it.
 *
 * @param file for messages
 * @throws CniError 6, 7
 */
export const parseList = (bytes: Uint8Array, file: string): NetworkList => parseListDocument(bytes, file).list;

function parseListDocument(bytes: Uint8Array, file: string): { list: NetworkList; loadOnlyInlinedPlugins: boolean } {
  const document = documentOf(bytes, file);
  const { name, plugins } = document;
  inFile(file, () => checkNetworkName(name));
  const loadOnlyInlinedPlugins = flag(document, "loadOnlyInlinedPlugins", file);
  if (plugins === undefined && loadOnlyInlinedPlugins)
    throw refused(file, '"loadOnlyInlinedPlugins" is true, but "plugins" is missing', "add the plugins to the list");
  if (plugins !== undefined && !Array.isArray(plugins))
    throw refused(file, `"plugins" is ${showJson(plugins)}, must be a list`, 'write "plugins": [{"type": …}]');
  if (plugins?.length === 0) throw refused(file, '"plugins" is empty', 'write "plugins": [{"type": …}]');
  const list = {
    name: String(name),
    cniVersion: versionOf(document, file),
    disableCheck: flag(document, "disableCheck", file),
    disableGC: flag(document, "disableGC", file),
    plugins: (plugins ?? []).map((conf, i) => pluginOf(conf, file, `plugins[${i}]`)),
    bytes,
  };
  return { list, loadOnlyInlinedPlugins };
}

/** The keys of a list. Case matters here, as in the reference library. */
export const listKeys: readonly string[] = [
  "cniVersion",
  "cniVersions",
  "name",
  "disableCheck",
  "disableGC",
  "loadOnlyInlinedPlugins",
  "plugins",
];

function documentOf(bytes: Uint8Array, file: string): JsonObject {
  const document = inFile(file, () => parseJson(decode(bytes)));
  if (isObject(document)) return document;
  throw refused(file, `${showJson(document)} is not a network configuration, must be an object`, 'write {"name": …}');
}

function pluginOf(conf: Json, file: string, place?: string): PluginConf {
  const at = place === undefined ? "" : `${place}.`;
  if (!isObject(conf)) throw refused(file, `"${place}" is ${showJson(conf)}, must be an object`, 'write {"type": …}');
  const { type, capabilities = {} } = conf;
  if (typeof type !== "string" || type === "")
    throw refused(
      file,
      `"${at}type" is ${type === undefined ? "missing" : showJson(type)}, must be the name of a plugin`,
      'add it, as "type": "bridge"',
    );
  if (!isObject(capabilities))
    throw refused(
      file,
      `"${at}capabilities" is ${showJson(capabilities)}, must be an object`,
      'write {"portMappings": true}',
    );
  for (const [name, value] of Object.entries(capabilities))
    if (typeof value !== "boolean")
      throw refused(
        file,
        `"${at}capabilities.${name}" is ${showJson(value)}, must be true or false`,
        "write it without quotes",
      );
  return conf as PluginConf;
}

function flag(document: JsonObject, key: string, file: string): boolean {
  const value = document[key] ?? false;
  if (typeof value === "boolean") return value;
  if (typeof value === "string" && /^(true|false)$/i.test(value)) return value.toLowerCase() === "true";
  throw refused(file, `"${key}" is ${showJson(value)}, must be true or false`, `write "${key}": true`);
}

function versionOf({ cniVersion = "", cniVersions }: JsonObject, file: string): string {
  if (typeof cniVersion !== "string")
    throw refused(file, `"cniVersion" is ${showJson(cniVersion)}, must be a string`, 'write "cniVersion": "1.1.0"');
  if (cniVersions === undefined) return cniVersion;
  if (Array.isArray(cniVersions) && cniVersions.every((version): version is string => typeof version === "string"))
    return inFile(file, () => selectVersion(cniVersion, cniVersions));
  throw refused(
    file,
    `"cniVersions" is ${showJson(cniVersions)}, must be a list of strings`,
    'write ["1.0.0", "1.1.0"]',
  );
}

function refused(file: string, problem: string, remedy: string): CniError {
  return new CniError({ code: ErrorCode.invalidConfig, msg: `${file}: ${problem}`, remedy });
}

/** Runs `work` and adds the file's name to the errors that it throws. */
function inFile<T>(file: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof JsonSyntaxError) {
      const remedy = error.remedy ?? "correct the file";
      throw new CniError({ code: ErrorCode.decoding, msg: `${file}: ${error.message}`, remedy, cause: error });
    }
    if (!(error instanceof CniError)) throw error;
    throw new CniError({
      code: error.code,
      msg: `${file}: ${error.msg}`,
      details: error.details,
      remedy: "",
      cause: error,
    });
  }
}
