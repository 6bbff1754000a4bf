/**
 * A network as Docker's users see it, and where that stands: in the top-level key "twill" of its list of plugins, which libcni, podman,
 * containerd and nerdctl pass over. A list that another program wrote has no such key; what can be told of it comes from its plugins. Pure.
 */
import { hex } from "../bytes/hex.ts";
import { isObject, type Json, type JsonObject, objectIn } from "../config/json.ts";
import type { NetworkList, PluginConf } from "../runtime/network-list.ts";
import { sha512 } from "../sys/sha512.ts";
import { decode, encode } from "../sys/text.ts";

/** What is stored of a network beside its plugins. */
export interface NetworkFacts {
  /** 64 hexadecimal digits. */
  id: string;
  /** Moment of the creation, as "2026-01-31T12:00:00Z"; "" for a network of another program. */
  created: string;
  driver: string;
  /** No way out of the network, nor from the host into it. */
  internal: boolean;
  /** What `create --attachable` said; it changes nothing, since containers can be connected to every network. */
  attachable?: boolean;
  ipv6: boolean;
  labels: Readonly<Record<string, string>>;
  /** Driver options under Docker's names. */
  options: Readonly<Record<string, string>>;
  ipam: { driver: string; options: Readonly<Record<string, string>>; config: readonly SubnetConf[] };
}

/** One subnet; the texts are known to be addresses and prefixes. */
export interface SubnetConf {
  subnet: string;
  /** The part of the subnet that addresses are chosen from. */
  ipRange?: string;
  gateway?: string;
  /** Addresses that are never given out, by the name of what has them. */
  auxiliaryAddresses?: Readonly<Record<string, string>>;
}

export interface NetworkDefinition extends NetworkFacts {
  name: string;
  /** The file with the list; undefined for "host" and "none", and for "bridge" as long as nothing was connected to it. */
  file: string | undefined;
  /** undefined for "host" and "none", which have no plugins. */
  list: NetworkList | undefined;
}

/** The key of the list. */
export const factsKey = "twill";

/** The networks that are there from the start, as Docker has them. */
export const predefinedNames: readonly string[] = ["bridge", "host", "none"];

export const isPredefined = ({ name }: Pick<NetworkDefinition, "name">): boolean => predefinedNames.includes(name);

/** Returns the ID of a network whose list has none: always the same for one name. */
export const idOfName = (name: string): string => hex(sha512(encode(name)).subarray(0, 32));

/** Returns the ID of an endpoint, which is what Docker calls an attachment. */
export const endpointId = (networkId: string, containerId: string, ifName: string): string =>
  hex(sha512(encode(`${networkId} ${containerId} ${ifName}`)).subarray(0, 32));

const noFacts = { created: "", internal: false, ipv6: false, labels: {}, options: {} };

/** "host" and "none". */
export const networksWithoutPlugins: readonly NetworkDefinition[] = [
  ["host", "host"],
  ["none", "null"],
].map(([name = "", driver = ""]) => ({
  ...noFacts,
  id: idOfName(name),
  name,
  driver,
  ipam: { driver: "default", options: {}, config: [] },
  file: undefined,
  list: undefined,
}));

/** Returns the definition of the network in a list. */
export function definitionOf(list: NetworkList, file: string | undefined): NetworkDefinition {
  const document = objectIn(decode(list.bytes)) ?? {};
  const facts = storedFacts(document[factsKey]) ?? factsOfOthers(list, document);
  return { ...facts, name: list.name, file, list };
}

/** Returns the facts of the key; undefined where it is missing or not ours. */
function storedFacts(value: Json | undefined): NetworkFacts | undefined {
  if (!isObject(value)) return undefined;
  const { id, created, driver, internal, attachable = false, ipv6, labels, options, ipam } = value;
  const texts = [id, created, driver].every((one) => typeof one === "string");
  if (!texts || ![internal, attachable, ipv6].every((one) => typeof one === "boolean")) return undefined;
  if (!isTexts(labels) || !isTexts(options) || !isObject(ipam) || !isTexts(ipam["options"])) return undefined;
  if (typeof ipam["driver"] !== "string" || !Array.isArray(ipam["config"])) return undefined;
  return ipam["config"].every(isSubnetConf) ? (value as unknown as NetworkFacts) : undefined; // every key of it was checked
}

const isTexts = (value: Json | undefined): value is Readonly<Record<string, string>> =>
  isObject(value) && Object.values(value).every((one) => typeof one === "string");

const isSubnetConf = (value: Json): boolean =>
  isObject(value) &&
  typeof value["subnet"] === "string" &&
  ["ipRange", "gateway"].every((key) => value[key] === undefined || typeof value[key] === "string") &&
  (value["auxiliaryAddresses"] === undefined || isTexts(value["auxiliaryAddresses"]));

/** Returns what the plugins of a list show, and what podman and nerdctl store in theirs. */
function factsOfOthers({ name, plugins }: NetworkList, document: JsonObject): NetworkFacts {
  const config = plugins.flatMap(subnetsOf);
  const { nerdctlID, nerdctlLabels, args } = document;
  const podman = isObject(args) ? args : {};
  const labels = [nerdctlLabels, podman["podman_labels"]].filter(isTexts);
  const options = [podman["podman_options"]].filter(isTexts);
  const first = plugins[0];
  const ipam = isObject(first?.["ipam"]) ? String(first["ipam"]["type"] ?? "") : "";
  return {
    ...noFacts,
    id: typeof nerdctlID === "string" && /^[0-9a-f]{64}$/.test(nerdctlID) ? nerdctlID : idOfName(name),
    driver: first?.type ?? "",
    ipv6: config.some(({ subnet }) => subnet.includes(":")),
    labels: Object.assign({}, ...labels),
    options: Object.assign({}, ...options),
    ipam: { driver: ipam === "host-local" || ipam === "" ? "default" : ipam, options: {}, config },
  };
}

/** Returns the subnets that host-local gives out addresses of, each once. */
function subnetsOf({ ipam }: PluginConf): SubnetConf[] {
  if (!isObject(ipam)) return [];
  const { ranges = [] } = ipam;
  const sets = Array.isArray(ranges) ? ranges.filter(Array.isArray).flat() : [];
  const subnets = [ipam, ...sets]
    .filter(isObject)
    .flatMap(({ subnet, gateway }) =>
      typeof subnet === "string" ? [{ subnet, ...(typeof gateway === "string" && { gateway }) }] : [],
    );
  return [...new Map(subnets.map((one) => [one.subnet, one])).values()];
}
