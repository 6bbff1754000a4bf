/** Checks one file of network configuration, and returns the network in it. */
import { validate as validateList } from "#validate/cnitool";
import { CniError } from "../../../pkg/cni/error.ts";
import { problemsOf } from "../../../pkg/cni/netconf.ts";
import type { Delegates, Validate } from "../../../pkg/cni/plugin.ts";
import { compareVersions, newestVersion, oldestVersion, selectVersion } from "../../../pkg/cni/version.ts";
import {
  isObject,
  type JsonNode,
  type JsonObject,
  JsonSyntaxError,
  readJson,
  showJson,
} from "../../../pkg/config/json.ts";
import { normalize } from "../../../pkg/config/normalize.ts";
import { configurationFiles, listKeys, loadList, loadSingle, runAsRoot } from "../../../pkg/runtime/network-list.ts";
import { directoryOf, readRecord } from "../../../pkg/sys/file.ts";
import { addressingFindings } from "./addressing.ts";
import { chainFindings } from "./chain.ts";
import { type Finding, findingAt, findingOf, inside, type Location, sorted } from "./finding.ts";
import { type LocatedRange, locateRanges } from "./ranges.ts";

/** The environment that a configuration is checked against. */
export interface LintContext {
  /** Plugins with known schemas. */
  plugins: Delegates;
  /** Returns the versions that a plugin supports. @throws CniError: there is no such plugin, or it gives no valid answer */
  versionsOf(type: string): readonly string[];
}

export interface Network {
  file: string;
  name: string;
  cniVersion: string;
  plugins: readonly PluginEntry[];
  /** The whole file. */
  place: Location;
}

export interface PluginEntry {
  type: string;
  ipam: string | undefined;
  conf: JsonObject;
  place: Location;
  /** The ranges that host-local allocates from for it. */
  ranges: readonly LocatedRange[];
}

export interface LintResult {
  file: string;
  findings: readonly Finding[];
  /** undefined when the file does not even name one. */
  network: Network | undefined;
}

/** The keys that plugins get from the list. */
interface Head {
  name: string;
  cniVersion: string;
}

export function lintFile(file: string, surroundings: LintContext): LintResult {
  const document = readDocument(file);
  if (!("position" in document)) return { file, findings: [document], network: undefined };
  const place: Location = { file, document, path: [] };
  const { value } = document;
  if (!isObject(value)) {
    const text = `${showJson(value)} is not a network configuration, must be an object`;
    return { file, findings: [findingAt(place, "error", text)], network: undefined };
  }
  if (file.endsWith(".conflist") && value["plugins"] === undefined && value["type"] !== undefined)
    return { file, findings: [singleInList(place)], network: undefined };
  const isList = file.endsWith(".conflist") || value["plugins"] !== undefined;
  const { version, findings: ofVersion } = examineVersion(place, value);
  const name = typeof value["name"] === "string" ? value["name"] : "";
  const { parts, findings: ofParts } = isList ? pluginsIn(place, value, name) : singlePlugin(place, value);
  const plugins = parts.map((part) => examinePlugin(part, { name, cniVersion: version }, surroundings));
  const findings = [
    ...repeatedKeys(file, document),
    ...examineHead(place, value, isList),
    ...ofVersion,
    ...ofParts,
    ...plugins.flatMap((plugin) => plugin.findings),
    ...chainFindings(plugins),
  ];
  return {
    file,
    findings: sorted([...findings, ...(findings.some(isError) ? [] : whatLoadingRefuses(place, isList))]),
    network: name === "" ? undefined : { file, name, cniVersion: version, plugins, place },
  };
}

const singleInList = (place: Location): Finding =>
  findingAt(
    inside(place, "type"),
    "error",
    'the configuration of a single plugin, which has no "plugins", in a file that ends in .conflist',
    `put it into a list: {"cniVersion": …, "name": …, "plugins": [{"type": …}]}; or rename the file to ${place.file.replace(/^.*\//, "").replace(/list$/, "")}`,
  );

const isError = ({ severity }: Finding): boolean => severity === "error";

/** Returns the document, or the finding that says why there is none. Never blocks, as opening a FIFO would. */
function readDocument(file: string): JsonNode | Finding {
  const text = readRecord(file);
  if (typeof text !== "string") {
    const problem = text?.problem ?? "does not exist, or is a dangling link";
    const hint = text?.isForbidden === true ? runAsRoot : "remove it, or rename it with another extension";
    return { file, line: 1, column: 1, severity: "error", text: `${problem}, must be a readable file`, hint };
  }
  try {
    return readJson(text);
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error;
    const { position = { line: 1, column: 1 }, remedy } = error;
    const reason = `not JSON: ${error.message.replace(/^line \d+, column \d+: /, "")}`;
    return { file, ...position, severity: "error", text: reason, hint: remedy };
  }
}

/** Finds repeated keys: legal JSON, in which the last one counts, but never intended. */
function repeatedKeys(file: string, { members = [], items = [] }: JsonNode): Finding[] {
  const seen = new Set<string>();
  const repeated = members.filter(({ key }) => seen.size === seen.add(key).size);
  return [
    ...repeated.map(({ key, position }): Finding => {
      const text = `key ${JSON.stringify(key)} occurs more than once, the last one is used`;
      return { file, ...position, severity: "warning", text, hint: undefined };
    }),
    ...[...members.map(({ node }) => node), ...items].flatMap((node) => repeatedKeys(file, node)),
  ];
}

/** Checks the list's own keys; of a single plugin, the keys that belong to the network. */
function examineHead(place: Location, value: JsonObject, isList: boolean): Finding[] {
  const { name, cniVersion } = value;
  const head = isList
    ? value
    : { ...(name === undefined ? {} : { name }), ...(cniVersion === undefined ? {} : { cniVersion }) };
  return [
    ...schemaFindings(place, head, validateList),
    ...Object.keys(head).flatMap((key) => {
      const meant = listKeys.includes(key) ? undefined : listKeys.find((known) => sameLetters(known, key));
      if (meant === undefined) return [];
      return [findingAt(inside(place, key), "error", `key "${key}" is not recognised here`, `write it as "${meant}"`)];
    }),
  ];
}

/** Whether the keys differ only in case. Plugins' keys may be written in any case, but not a list's. */
const sameLetters = (one: string, other: string): boolean => one.toLowerCase() === other.toLowerCase();

function examineVersion(
  place: Location,
  { cniVersion, cniVersions }: JsonObject,
): { version: string; findings: Finding[] } {
  const own = typeof cniVersion === "string" ? cniVersion : "";
  const all = Array.isArray(cniVersions) ? cniVersions.filter((version) => typeof version === "string") : undefined;
  const at = inside(place, all === undefined ? "cniVersion" : "cniVersions");
  try {
    const version = selectVersion(own, all);
    if (version === "" && cniVersion !== undefined) return { version, findings: [] }; // not a string: the schema has reported it
    if (version === "") {
      const text = `"cniVersion" is missing: plugins use ${oldestVersion}`;
      return { version, findings: [findingAt(place, "warning", text, `add "cniVersion": "${newestVersion}"`)] };
    }
    const newest = `the newest version that cnitool supports is ${newestVersion}`;
    if (compareVersions(version, newestVersion) > 0)
      return { version, findings: [findingAt(at, "warning", `"cniVersion" is "${version}", ${newest}`)] };
    if (all === undefined || compareVersions(own, newestVersion) <= 0) return { version, findings: [] };
    const hint = `runtimes that do not read "cniVersions" use this one: set it to "${version}"`;
    return {
      version,
      findings: [findingAt(inside(place, "cniVersion"), "warning", `"cniVersion" is "${own}", ${newest}`, hint)],
    };
  } catch (error) {
    if (!(error instanceof CniError)) throw error;
    return { version: own, findings: [findingOf(at, error)] };
  }
}

interface Part {
  conf: JsonObject;
  place: Location;
}

interface Parts {
  parts: Part[];
  findings: Finding[];
}

const singlePlugin = (place: Location, conf: JsonObject): Parts => ({ parts: [{ conf, place }], findings: [] });

/**
 * Returns the list's plugins and those in the directory of the network's name. Other checks report plugins without a type or not an
 * object.
 */
function pluginsIn(place: Location, { plugins, loadOnlyInlinedPlugins = false }: JsonObject, name: string): Parts {
  const inlined = (Array.isArray(plugins) ? plugins : []).flatMap((conf, i) =>
    isObject(conf) ? [{ conf, place: inside(place, "plugins", i) }] : [],
  );
  const looksIntoFolder = !/^true$/i.test(String(loadOnlyInlinedPlugins)) && name !== "" && !name.includes("/");
  const files = looksIntoFolder ? configurationFiles(`${directoryOf(place.file)}/${name}`, [".conf"]) : [];
  const documents = files.map((file) => ({ file, document: readDocument(file) }));
  const added = documents.flatMap(({ file, document }) =>
    "position" in document && isObject(document.value)
      ? [{ conf: document.value, place: { file, document, path: [] } }]
      : [],
  );
  const damaged = documents.flatMap(({ document }) => ("position" in document ? [] : [document]));
  return { parts: [...inlined, ...added], findings: damaged };
}

function examinePlugin(
  { conf, place }: Part,
  head: Head,
  surroundings: LintContext,
): PluginEntry & { findings: Finding[] } {
  const type = typeof conf["type"] === "string" ? conf["type"] : "";
  const ipam = isObject(conf["ipam"]) && typeof conf["ipam"]["type"] === "string" ? conf["ipam"]["type"] : "";
  const findings = [
    ...reservedKeys(place, conf),
    ...heldAgainst(type, inside(place, "type"), { conf, place }, head, surroundings),
    ...heldAgainst(ipam, inside(place, "ipam", "type"), { conf, place }, head, surroundings),
    ...(isFlannel(type) ? delegateFindings({ conf, place }, head, surroundings) : []),
  ];
  const { ranges, findings: ofRanges } =
    ipam === "host-local" && !isFlannel(type) && !findings.some(isError)
      ? locateRanges(place, conf, head.cniVersion)
      : { ranges: [], findings: [] };
  const all = [...findings, ...ofRanges];
  const ofAddressing = isFlannel(type) || all.some(isError) ? [] : addressingFindings({ type, conf, place, ranges });
  return { type, ipam: ipam || undefined, conf, place, ranges, findings: [...all, ...ofAddressing] };
}

/** The flannel plugin sets host-local's ranges, and passes "delegate" to another plugin. */
const isFlannel = (type: string): boolean => type === "flannel";

function delegateFindings({ conf, place }: Part, head: Head, surroundings: LintContext): Finding[] {
  const delegate = isObject(conf["delegate"]) ? conf["delegate"] : {};
  const type = typeof delegate["type"] === "string" ? delegate["type"] : "bridge";
  const own = inside(place, "delegate");
  const named = inside(own, "type");
  if (isFlannel(type) || surroundings.plugins[type]?.isIpam === true) return [makesNoInterface(named, type)];
  return heldAgainst(type, named, { conf: { ...delegate, type }, place: own }, head, surroundings);
}

const makesNoInterface = (named: Location, type: string): Finding =>
  findingAt(
    named,
    "error",
    `"delegate.type" is "${type}", which makes no interface`,
    'use a plugin that makes one, as bridge, or leave it out; IPAM plugins belong in "ipam.type"',
  );

/** Checks against the plugin of that name: whether it is there, supports the version, and knows the keys. */
function heldAgainst(
  type: string,
  named: Location,
  { conf, place }: Part,
  { name, cniVersion }: Head,
  { plugins, versionsOf }: LintContext,
): Finding[] {
  if (type === "") return [];
  const schema = Object.hasOwn(plugins, type) ? plugins[type]?.validate : undefined;
  const complete = { ...conf, name, cniVersion };
  return [
    ...versionFindings(type, named, cniVersion || oldestVersion, versionsOf),
    ...(schema === undefined ? [] : schemaFindings(place, complete, schema)),
  ];
}

function versionFindings(
  type: string,
  named: Location,
  version: string,
  versionsOf: LintContext["versionsOf"],
): Finding[] {
  try {
    const versions = versionsOf(type);
    if (versions.includes(version)) return [];
    const text = `plugin "${type}" does not support CNI ${version}, it supports ${versions.join(", ")}`;
    return [findingAt(named, "error", text, `set "cniVersion" of the network to one that all its plugins support`)];
  } catch (error) {
    if (!(error instanceof CniError)) throw error;
    return [findingOf(named, error)];
  }
}

function schemaFindings(place: Location, conf: JsonObject, schema: Validate): Finding[] {
  const { value, unknownKeys } = normalize(conf, schema.shape);
  return [
    ...problemsOf(value, schema).map(({ path, text, hint }) => findingAt(inside(place, ...path), "error", text, hint)),
    ...unknownKeys.map(({ path, suggestion }) => {
      const text = `unknown key ${JSON.stringify(path.at(-1))}`;
      if (suggestion === undefined) return findingAt(inside(place, ...path), "warning", text, "plugins ignore it");
      return findingAt(inside(place, ...path), "error", text, `did you mean "${suggestion}"?`);
    }),
  ];
}

const writtenByRuntimes = ["prevResult", "runtimeConfig"];

function reservedKeys(place: Location, conf: JsonObject): Finding[] {
  return Object.keys(conf)
    .filter((key) => writtenByRuntimes.includes(key) || key.startsWith("cni.dev/"))
    .map((key) =>
      findingAt(inside(place, key), "warning", `key "${key}" is set by runtimes, and must not be in the file`),
    );
}

/** Returns the errors that remain when the schemas report none: for example, that there is no plugin to run. */
function whatLoadingRefuses(place: Location, isList: boolean): Finding[] {
  const isSingle = /\.(conf|json)$/.test(place.file) || !isList;
  try {
    (isSingle ? loadSingle : loadList)(place.file);
    return [];
  } catch (error) {
    if (!(error instanceof CniError)) throw error;
    return [findingOf(place, error)];
  }
}
