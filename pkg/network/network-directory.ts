/** The networks of this host: the lists in the directory of configurations, and those that are there without one. */
import { CniError, ErrorCode } from "../cni/error.ts";
import { nearest } from "../config/edit-distance.ts";
import { type JsonObject, printJson } from "../config/json.ts";
import { configurationFiles, loadList, loadSingle, type NetworkList } from "../runtime/network-list.ts";
import { createFile, findDirectory, makeDirectories, overwriteFile, readRecord, removeFile } from "../sys/file.ts";
import { encode } from "../sys/text.ts";
import { definitionOf, idOfName, type NetworkDefinition, networksWithoutPlugins } from "./definition.ts";
import { OptionName } from "./driver-options.ts";

/** The network "bridge" as long as nothing was connected to it, so that it has neither subnet nor file. */
export const unusedDefaultBridge: NetworkDefinition = {
  id: idOfName("bridge"),
  name: "bridge",
  created: "",
  driver: "bridge",
  internal: false,
  ipv6: false,
  labels: {},
  options: {
    [OptionName.defaultBridge]: "true",
    [OptionName.icc]: "true",
    [OptionName.masquerade]: "true",
    [OptionName.hostBinding]: "0.0.0.0",
    [OptionName.bridgeName]: "twill0",
    [OptionName.mtu]: "1500",
  },
  ipam: { driver: "default", options: {}, config: [] },
  file: undefined,
  list: undefined,
};

/**
 * Returns all networks, sorted by name. Of several files with one network, the one that runtimes use.
 *
 * @param warn is called for files that cannot be used
 */
export function readNetworks(directory: string, warn: (text: string) => void): NetworkDefinition[] {
  const byName = new Map<string, NetworkDefinition>();
  for (const [endings, load] of kinds) {
    for (const file of configurationFiles(directory, endings)) {
      const list = usable(() => load(file), warn);
      if (list !== undefined && !byName.has(list.name)) byName.set(list.name, definitionOf(list, file));
    }
  }
  for (const network of [...networksWithoutPlugins, unusedDefaultBridge])
    if (!byName.has(network.name)) byName.set(network.name, network);
  return [...byName.values()].sort((one, other) => (one.name < other.name ? -1 : 1));
}

const kinds: readonly (readonly [endings: readonly string[], load: (file: string) => NetworkList])[] = [
  [[".conflist"], loadList],
  [[".conf", ".json"], loadSingle],
];

function usable(load: () => NetworkList, warn: (text: string) => void): NetworkList | undefined {
  try {
    return load();
  } catch (error) {
    if (!(error instanceof CniError)) throw error;
    warn(error.message);
    return undefined;
  }
}

const OWN_PREFIX = "twill-";

/**
 * Finds the network of that name in the file that `twill network` wrote, without reading those of its other networks, which may be hundreds. The files of others are
 * searched for the name: an administrator may have copied the network there.
 *
 * @returns undefined: it has to be looked for among all
 */
export function ownNetworkCalled(
  name: string,
  directory: string,
  warn: (text: string) => void,
): NetworkDefinition | undefined {
  const files = findDirectory(directory) ?? [];
  const file = networkFile(directory, name);
  if (!files.some((one) => `${directory}/${one}` === file)) return undefined;
  const list = usable(() => loadList(file), warn);
  const others = files.filter((one) => !one.startsWith(OWN_PREFIX)).map((one) => `${directory}/${one}`);
  return list?.name !== name || others.some((path) => mayDefine(path, name)) ? undefined : definitionOf(list, file);
}

/** Whether a file says the name anywhere; one that cannot be read, or has escapes, may. */
function mayDefine(path: string, name: string): boolean {
  if (!kinds.some(([endings]) => endings.some((ending) => path.endsWith(ending)))) return false;
  const text = readRecord(path);
  return typeof text !== "string" || text.includes(JSON.stringify(name)) || text.includes("\\u");
}

/** Finds a network by its name, its ID, or the beginning of its ID, in this order. @throws CniError 7: several IDs begin so */
export function findNetworkCalled(text: string, networks: readonly NetworkDefinition[]): NetworkDefinition | undefined {
  const exact = networks.find(({ name }) => name === text) ?? networks.find(({ id }) => id === text);
  if (exact !== undefined) return exact;
  const begun = text === "" ? [] : networks.filter(({ id }) => id.startsWith(text));
  if (begun.length <= 1) return begun[0];
  throw new CniError({
    code: ErrorCode.invalidConfig,
    msg: `network ${text} is ambiguous (${begun.length} matches found on ID prefix)`,
    remedy: `write more of the ID, or a name: ${begun.map(({ name }) => name).join(", ")}`,
  });
}

/**
 * Finds a network as `findNetworkCalled` does.
 *
 * @param following what stands behind it on the command line, where a container is meant
 * @throws CniError 7: there is none, or several IDs begin so
 */
export function networkCalled(
  text: string,
  networks: readonly NetworkDefinition[],
  following?: string,
): NetworkDefinition {
  const network = findNetworkCalled(text, networks);
  if (network !== undefined) return network;
  const names = networks.map(({ name }) => name);
  const meant = nearest(text, names);
  const isReversed = following !== undefined && names.includes(following);
  throw new CniError({
    code: ErrorCode.invalidConfig,
    msg: `No such network: ${text}`,
    remedy: isReversed
      ? `the network stands before the container: ${following} ${text}`
      : meant === undefined
        ? `use one of ${names.join(", ")} (twill network ls)`
        : `did you mean ${meant}?`,
  });
}

/**
 * Returns the file of a new network. It sorts behind the files of other programs: runtimes that have one network for all containers
 * (containerd, CRI-O) take the first.
 */
export const networkFile = (directory: string, name: string): string => `${directory}/${OWN_PREFIX}${name}.conflist`;

/**
 * Writes the file of a new network, which appears whole. Its bytes are written once more: containerd's CRI service watches the directory, and passes over
 * creations (internal/cri/server, cni_conf_syncer.go).
 *
 * @throws CniError 7: there is one
 */
export function writeNetwork(directory: string, name: string, document: JsonObject): string {
  makeDirectories(directory, 0o755);
  const file = networkFile(directory, name);
  const bytes = encode(`${printJson(document, "    ")}\n`);
  if (createFile(file, bytes, { mode: 0o644 })) {
    overwriteFile(file, bytes, { mode: 0o644, formerSize: bytes.length });
    return file;
  }
  throw new CniError({
    code: ErrorCode.invalidConfig,
    msg: `${file} exists, but has no network "${name}"`,
    remedy: "correct the file or remove it (cnitool validate says what is wrong)",
  });
}

export const removeNetwork = ({ file }: NetworkDefinition): boolean => file !== undefined && removeFile(file);
