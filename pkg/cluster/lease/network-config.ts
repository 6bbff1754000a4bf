/** Checks the network configuration of a flannel cluster, and adds defaults. Pure. */
import type { JsonObject } from "../../config/json.ts";
import {
  type Address,
  addToAddress,
  compareAddresses,
  contains,
  formatAddress,
  formatPrefix,
  isIPv4,
  lastAddressOf,
  networkOf,
  type Prefix,
  parseAddress,
  parsePrefix,
} from "../../ip/address.ts";
import { type FamilyName, familyNames } from "../../ip/family.ts";

/** The network of one family. */
export interface FamilyNetwork {
  network: Prefix;
}

/** The network of one family, and how it is divided into the hosts' subnets. */
export interface FamilyConfig extends FamilyNetwork {
  subnetLength: number;
  /** The base addresses of the first and last subnet that hosts may lease. */
  subnetMin: Address;
  subnetMax: Address;
}

export interface NetworkConfig {
  ipv4?: FamilyNetwork;
  ipv6?: FamilyNetwork;
  /** Whether rules are made with nftables instead of iptables. */
  nftables: boolean;
  backend: {
    /** In lower case. */
    type: string;
    /** The whole `Backend` object, its keys spelled as in the schema. */
    settings: JsonObject;
  };
  /** Destinations without masquerade (`NoMasqueradeCIDRs`). */
  noMasquerade: readonly Prefix[];
}

/** The configuration of a network whose hosts choose their subnets themselves. */
export interface DividedNetworkConfig extends NetworkConfig {
  ipv4?: FamilyConfig;
  ipv6?: FamilyConfig;
}

export const isDivided = (config: NetworkConfig): config is DividedNetworkConfig =>
  familyNames.every((family) => config[family] === undefined || "subnetLength" in config[family]);

/** Returns the families that the network has, IPv4 first. */
export const familiesOf = (config: NetworkConfig): { family: FamilyName; network: Prefix }[] =>
  familyNames.flatMap((family) => {
    const network = config[family]?.network;
    return network ? [{ family, network }] : [];
  });

/** The network configuration as it is stored; valid by the schema of cmd/flanneld/netconf.ts. */
export interface NetworkDocument {
  EnableIPv4?: boolean;
  EnableIPv6?: boolean;
  EnableNFTables?: boolean;
  Network?: string;
  SubnetLen?: number;
  SubnetMin?: string;
  SubnetMax?: string;
  IPv6Network?: string;
  IPv6SubnetLen?: number;
  IPv6SubnetMin?: string;
  IPv6SubnetMax?: string;
  NoMasqueradeCIDRs?: readonly string[];
  Backend?: JsonObject;
}

/** The network configuration cannot be used. */
export class InvalidNetworkConfig extends Error {
  override name = "InvalidNetworkConfig";
  /** One sentence for each problem: the key, its value, what is allowed, the remedy. */
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(`the network configuration cannot be used: ${problems.join("; also: ")}`);
    this.problems = problems;
  }
}

/** @throws InvalidNetworkConfig lists all problems */
export function parseNetworkConfig(document: NetworkDocument): DividedNetworkConfig {
  const { EnableIPv4 = true, EnableIPv6 = false } = document;
  return parseWith(parseFamily, document, !EnableIPv4 && EnableIPv6 ? [onlyIPv6] : []);
}

/**
 * Parses the configuration of a network whose store gives each host its subnet: SubnetLen, SubnetMin and SubnetMax have no effect, and
 * the network may be of any size and of IPv6 alone.
 *
 * @throws InvalidNetworkConfig lists all problems
 */
export const parseUndividedNetworkConfig = (document: NetworkDocument): NetworkConfig =>
  parseWith(parseFamilyNetwork, document, []);

type FamilyParser<Config> = (document: NetworkDocument, family: Family, problems: string[]) => Config | undefined;

function parseWith<Config extends FamilyNetwork>(
  parse: FamilyParser<Config>,
  document: NetworkDocument,
  problems: string[],
): NetworkConfig & { ipv4?: Config; ipv6?: Config } {
  const { EnableIPv4 = true, EnableIPv6 = false, EnableNFTables = false, NoMasqueradeCIDRs = [] } = document;
  if (!EnableIPv4 && !EnableIPv6) problems.push(noFamily);
  const ipv4 = EnableIPv4 ? parse(document, families.ipv4, problems) : undefined;
  const ipv6 = EnableIPv6 ? parse(document, families.ipv6, problems) : undefined;
  const type = parseBackendType(document.Backend, problems);
  if (problems.length > 0) throw new InvalidNetworkConfig(problems);
  return {
    ...(ipv4 && { ipv4 }),
    ...(ipv6 && { ipv6 }),
    nftables: EnableNFTables,
    backend: { type, settings: document.Backend ?? {} },
    noMasquerade: NoMasqueradeCIDRs.map(parsePrefix).filter((prefix) => prefix !== undefined),
  };
}

/** Keys of leases in the store begin with the IPv4 subnet, so IPv6 alone is refused: flannel gives the second host the first one's lease. */
const onlyIPv6 =
  '"EnableIPv4" is false, must be true: leases are kept by their IPv4 subnets, also where "EnableIPv6" is true; remove "EnableIPv4" and give an IPv4 "Network" as well';
const noFamily =
  '"EnableIPv4" is false and "EnableIPv6" is not true, so the network has no family; remove "EnableIPv4"';

interface Family {
  name: string;
  isOf(address: Address): boolean;
  keys: {
    network: "Network" | "IPv6Network";
    length: "SubnetLen" | "IPv6SubnetLen";
    min: "SubnetMin" | "IPv6SubnetMin";
    max: "SubnetMax" | "IPv6SubnetMax";
  };
  /** The default length of a host's subnet, in a network that is large enough. */
  usualLength: number;
  /** The greatest length of a host's subnet: it needs addresses for a device, a bridge and containers. */
  longest: number;
  /** An example of a network, for messages. */
  example: string;
}

const families: Record<FamilyName, Family> = {
  ipv4: {
    name: "IPv4",
    isOf: isIPv4,
    keys: { network: "Network", length: "SubnetLen", min: "SubnetMin", max: "SubnetMax" },
    usualLength: 24,
    longest: 30,
    example: "10.244.0.0/16",
  },
  ipv6: {
    name: "IPv6",
    isOf: (address) => !isIPv4(address),
    keys: { network: "IPv6Network", length: "IPv6SubnetLen", min: "IPv6SubnetMin", max: "IPv6SubnetMax" },
    usualLength: 64,
    longest: 126,
    example: "fd00:10:244::/48",
  },
};

/** A network has at least four subnets: the first is not leased, and a cluster has more than one host. */
const LEAST_SUBNET_BITS = 2;

/** @returns undefined: a problem was added */
function parseFamilyNetwork(document: NetworkDocument, family: Family, problems: string[]): FamilyNetwork | undefined {
  const network = parseSubnetPrefix(document, family, problems);
  return network && { network };
}

/** @returns undefined: a problem was added */
function parseFamily(document: NetworkDocument, family: Family, problems: string[]): FamilyConfig | undefined {
  const network = parseSubnetPrefix(document, family, problems);
  const subnetLength = network && parseLength(document, network, family, problems);
  if (network === undefined || subnetLength === undefined) return undefined;
  const edge = edgesOf(network, subnetLength);
  const subnetMin = parseEdge(document, family.keys.min, { ...edge, fallback: edge.second }, problems);
  const subnetMax = parseEdge(document, family.keys.max, { ...edge, fallback: edge.last }, problems);
  if (compareAddresses(subnetMin, subnetMax) > 0) {
    const { min, max } = family.keys;
    problems.push(
      `"${min}" is ${formatAddress(subnetMin)}, must not be above "${max}", ${formatAddress(subnetMax)}; swap them, or remove one`,
    );
  }
  return { network, subnetLength, subnetMin, subnetMax };
}

function parseSubnetPrefix(document: NetworkDocument, family: Family, problems: string[]): Prefix | undefined {
  const { name, keys, example } = family;
  const text = document[keys.network];
  const prefix = text === undefined ? undefined : parsePrefix(text);
  if (prefix !== undefined && family.isOf(prefix.address)) return networkOf(prefix);
  problems.push(
    prefix === undefined
      ? `"${keys.network}" is missing, "Enable${name}" needs it; add "${keys.network}": "${example}"`
      : `"${keys.network}" is "${text}", must be an ${name} network; write it as "${keys.network}": "${example}"`,
  );
  return undefined;
}

function parseLength(
  document: NetworkDocument,
  network: Prefix,
  { keys, usualLength, longest }: Family,
  problems: string[],
): number | undefined {
  const shortest = network.length + LEAST_SUBNET_BITS;
  if (shortest > longest) {
    problems.push(
      `"${keys.network}" is "${formatPrefix(network)}", which has no room for four subnets of /${longest}; use a network of /${longest - LEAST_SUBNET_BITS} or larger`,
    );
    return undefined;
  }
  const length = document[keys.length];
  if (length === undefined) return Math.max(usualLength, shortest);
  if (length >= shortest && length <= longest) return length;
  problems.push(
    `"${keys.length}" is ${length}, must be from ${shortest} to ${longest} in ${formatPrefix(network)}: at least four subnets of at least four addresses; change it, or remove it for ${Math.max(usualLength, shortest)}`,
  );
  return undefined;
}

/** Base addresses of subnets of a network. */
interface Edges {
  network: Prefix;
  subnetLength: number;
  second: Address;
  last: Address;
}

function edgesOf(network: Prefix, subnetLength: number): Edges {
  const addresses = 1n << BigInt(network.address.length * 8 - subnetLength);
  const { address: last } = networkOf({ address: lastAddressOf(network), length: subnetLength });
  return { network, subnetLength, second: addToAddress(network.address, addresses), last };
}

/** Returns the configured SubnetMin or SubnetMax, or the fallback; an invalid value adds a problem. */
function parseEdge(
  document: NetworkDocument,
  key: Family["keys"]["min" | "max"],
  { network, subnetLength, second, last, fallback }: Edges & { fallback: Address },
  problems: string[],
): Address {
  const text = document[key];
  const given = text === undefined ? undefined : parseAddress(text);
  if (given === undefined) return fallback;
  const { address: base } = networkOf({ address: given, length: subnetLength });
  if (!contains(network, given)) {
    problems.push(
      `"${key}" is "${text}", must be in ${formatPrefix(network)}; use one from ${formatAddress(second)} to ${formatAddress(last)}`,
    );
    return fallback;
  }
  if (compareAddresses(base, given) !== 0) {
    problems.push(
      `"${key}" is "${text}", must be the first address of a subnet of /${subnetLength}; write it as "${key}": "${formatAddress(base)}"`,
    );
  }
  return base;
}

/** The backend of a configuration without `Backend`, as in flannel. */
const DEFAULT_BACKEND = "udp";

/** Returns the backend type in lower case; the backend registry decides whether it exists. */
function parseBackendType(backend: JsonObject | undefined, problems: string[]): string {
  if (backend === undefined) return DEFAULT_BACKEND;
  const type = backend["Type"];
  if (typeof type === "string" && type !== "") return type.toLowerCase();
  problems.push('"Backend.Type" is missing; add it, as "Backend": {"Type": "vxlan"}');
  return "";
}
