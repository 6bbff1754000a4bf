/** What a new network is to be: checks what was asked for against the networks and the routes of the host. Pure. */
import { isNetworkName, networkNameRule } from "../cni/environment.ts";
import { CniError, ErrorCode, invalidConf } from "../cni/error.ts";
import { nearest } from "../config/edit-distance.ts";
import type { JsonObject } from "../config/json.ts";
import { formatPrefix, parsePrefix } from "../ip/address.ts";
import { isPredefined, type NetworkDefinition, type NetworkFacts, type SubnetConf } from "./definition.ts";
import { type Driver, drivers, OptionName, parseDriverOptions } from "./driver-options.ts";
import { unusedDefaultBridge } from "./network-directory.ts";
import { bridgeNameOf, networkDocument } from "./network-document.ts";
import { chooseSubnet, type Pool, parseSubnets, refuseOverlap, type SubnetOptions, type UsedSubnet } from "./subnet.ts";

/** What `twill network create` was asked for. */
export interface NetworkRequest extends SubnetOptions {
  name: string;
  driver: string;
  internal: boolean;
  attachable?: boolean;
  ipv6: boolean;
  labels: Readonly<Record<string, string>>;
  options: Readonly<Record<string, string>>;
  ipamDriver: string;
  ipamOptions: Readonly<Record<string, string>>;
}

/** What is on the host already. */
export interface Surroundings {
  networks: readonly NetworkDefinition[];
  /** Routes of the host, with the name of the link that they lead through. */
  routes: readonly HostRoute[];
  pools: readonly Pool[];
  /** Reports whether the host has a link of this name. */
  hasLink(name: string): boolean;
}

export interface HostRoute extends UsedSubnet {
  link: string | undefined;
}

/** The name is a part of file names, as that of the cache: NETWORK-ID-INTERFACE, of at most 255 bytes. */
const NAME_MAX = 128;

/** @throws CniError 7 with Docker's text, where it has one */
export function newNetwork(
  request: NetworkRequest,
  surroundings: Surroundings,
  { id, created }: Pick<NetworkFacts, "id" | "created">,
): { facts: NetworkFacts; document: JsonObject } {
  const { networks } = surroundings;
  refuseName(request, networks);
  const driver = driverOf(request.driver);
  const options = parseDriverOptions(request.options, driver);
  const ipamDriver = ipamDriverOf(request);
  refuseIpamOptions(request, ipamDriver);
  const own = {
    id,
    created,
    driver,
    internal: request.internal,
    ...(request.attachable === true && { attachable: true }),
    labels: { ...request.labels },
    options,
  };
  if (driver === "bridge") refuseSameBridge({ ...own, name: request.name }, networks);
  else refuseParent(own, surroundings);
  const config =
    ipamDriver === "default"
      ? subnetsFor(request, { ...own, driver }, surroundings)
      : withoutSubnets(request, ipamDriver);
  const facts: NetworkFacts = {
    ...own,
    ipv6: request.ipv6 || config.some(({ subnet }) => subnet.includes(":")),
    ipam: { driver: ipamDriver, options: { ...request.ipamOptions }, config },
  };
  return { facts, document: networkDocument(request.name, facts) };
}

/** Returns the network "bridge", which gets its subnet when something is connected to it for the first time. */
export function newDefaultBridge(
  { networks, routes, pools }: Surroundings,
  created: string,
): { facts: NetworkFacts; document: JsonObject } {
  const { name, file: _file, list: _list, ...facts } = unusedDefaultBridge;
  const chosen = chooseSubnet(pools, [...subnetsOfNetworks(networks), ...routes]);
  const config = parseSubnets({ subnets: [formatPrefix(chosen)], ipRanges: [], gateways: [], auxAddresses: [] });
  const whole = { ...facts, created, ipam: { ...facts.ipam, config } };
  return { facts: whole, document: networkDocument(name, whole) };
}

const subnetsOfNetworks = (networks: readonly NetworkDefinition[]): UsedSubnet[] =>
  networks.flatMap(({ name, ipam }) =>
    ipam.config.flatMap(({ subnet }) => {
      const prefix = parsePrefix(subnet);
      return prefix === undefined ? [] : [{ prefix, by: `network "${name}"` }];
    }),
  );

function refuseName({ name, driver }: NetworkRequest, networks: readonly NetworkDefinition[]): void {
  if (isPredefined({ name }))
    throw invalidConf(`operation is not permitted on predefined ${name} network`, "choose another name");
  if (name.length > NAME_MAX || !isNetworkName(name))
    throw invalidConf(
      `invalid network name ${JSON.stringify(name)}`,
      `it ${networkNameRule}, at most ${NAME_MAX} characters in all: runtimes make it a part of file names`,
    );
  const taken = networks.find((network) => network.name === name);
  if (taken !== undefined)
    throw invalidConf(
      `network with name ${name} already exists`,
      `choose another name, or remove that one (${taken.file}): twill network rm ${name}`,
    );
  if (driver === "host" || driver === "null")
    throw invalidConf(
      `only one instance of "${driver}" network is allowed`,
      `use the one that is there: ${driver === "host" ? "host" : "none"}`,
    );
}

function driverOf(text: string): Driver {
  const driver = drivers.find((one) => one === text);
  if (driver !== undefined) return driver;
  const meant = nearest(text, drivers);
  const own = meant === undefined ? `use one of ${drivers.join(", ")}` : `did you mean ${meant}?`;
  throw invalidConf(
    `plugin ${JSON.stringify(text)} not found`,
    text === "overlay" ? "for networks of several hosts see flanneld; on one host use driver bridge" : own,
  );
}

/** The names of IPAM drivers: Docker's for host-local, and CNI's. */
const ipamDrivers: Readonly<Record<string, string>> = {
  default: "default",
  "host-local": "default",
  dhcp: "dhcp",
  static: "static",
};

function ipamDriverOf({ ipamDriver }: NetworkRequest): string {
  const driver = Object.hasOwn(ipamDrivers, ipamDriver) ? ipamDrivers[ipamDriver] : undefined;
  if (driver !== undefined) return driver;
  throw invalidConf(
    `ipam driver ${JSON.stringify(ipamDriver)} not found`,
    `use one of ${Object.keys(ipamDrivers).join(", ")}`,
  );
}

/** Of each IPAM driver, the keys of its plugin that are texts, as options of the command line are. */
const ipamOptionNames: Readonly<Record<string, readonly string[]>> = {
  default: ["dataDir", "resolvConf"],
  dhcp: ["daemonSocketPath"],
  static: [],
};

/** Else host-local would warn of the key, which does nothing, at each ADD. */
function refuseIpamOptions({ ipamOptions }: NetworkRequest, ipamDriver: string): void {
  const names = ipamOptionNames[ipamDriver] ?? [];
  const unknown = Object.keys(ipamOptions).find((key) => !names.includes(key));
  if (unknown === undefined) return;
  const meant = nearest(unknown, names);
  const all = names.length === 0 ? "remove --ipam-opt: it has none" : `use one of ${names.join(", ")}, or remove it`;
  throw invalidConf(
    `ipam driver ${ipamDriver} has no option ${JSON.stringify(unknown)}`,
    meant === undefined ? all : `did you mean ${meant}?`,
  );
}

function withoutSubnets(
  { subnets, ipRanges, gateways, auxAddresses }: NetworkRequest,
  ipamDriver: string,
): SubnetConf[] {
  if ([subnets, ipRanges, gateways, auxAddresses].every(({ length }) => length === 0)) return [];
  throw invalidConf(
    `ipam driver ${ipamDriver} takes no subnet`,
    ipamDriver === "dhcp"
      ? "remove --subnet, --gateway, --ip-range and --aux-address: addresses come from the DHCP server"
      : "remove --subnet, --gateway, --ip-range and --aux-address: each connect names its addresses with --ip",
  );
}

/** Returns the subnets that were asked for, or a free one. */
function subnetsFor(
  request: NetworkRequest,
  own: Pick<NetworkFacts, "id" | "options"> & { driver: Driver },
  { networks, routes, pools }: Surroundings,
): SubnetConf[] {
  const ofNetworks = subnetsOfNetworks(networks);
  // a network of macvlan or ipvlan is the network of its parent, to which the host has routes
  const foreign = own.driver === "bridge" ? routes.filter(({ link }) => link !== bridgeNameOf(own)) : [];
  const config = parseSubnets(request);
  refuseOverlap(config, [...ofNetworks, ...foreign]);
  const hasIPv4 = config.some(({ subnet }) => !subnet.includes(":"));
  const hasIPv6 = config.some(({ subnet }) => subnet.includes(":"));
  if (request.ipv6 && !hasIPv6)
    throw invalidConf(
      "could not find an available, non-overlapping IPv6 address pool among the defaults to assign to the network",
      "give one with --subnet, as --subnet fd00:5::/64",
    );
  if (hasIPv4) return config;
  const chosen = chooseSubnet(pools, [...ofNetworks, ...routes]);
  return [
    ...parseSubnets({ subnets: [formatPrefix(chosen)], ipRanges: [], gateways: [], auxAddresses: [] }),
    ...config,
  ];
}

function refuseSameBridge(
  own: Pick<NetworkFacts, "id" | "options"> & { name: string },
  networks: readonly NetworkDefinition[],
): void {
  const bridge = bridgeNameOf(own);
  const other = networks.find(({ list }) =>
    list?.plugins.some((plugin) => plugin.type === "bridge" && (plugin["bridge"] || "cni0") === bridge),
  );
  if (other === undefined) return;
  throw invalidConf(
    `cannot create network ${own.id} (${bridge}): conflicts with network ${other.id} (${bridge}): networks have same bridge name`,
    `it is the bridge of network "${other.name}": choose another name with -o ${OptionName.bridgeName}=…`,
  );
}

function refuseParent(
  { driver, options }: Pick<NetworkFacts, "driver" | "options">,
  { networks, hasLink }: Surroundings,
): void {
  const parent = options[OptionName.parent];
  if (parent === undefined)
    throw invalidConf(
      `driver ${driver} needs a parent interface`,
      "name one of the host's, as -o parent=eth0 (ip link)",
    );
  if (parent === "lo")
    throw invalidConf(
      `loopback interface is not a valid ${driver} parent link`,
      "name the interface of the host that leads to the network, as -o parent=eth0 (ip link)",
    );
  const other = networks.find((network) => network.options[OptionName.parent] === parent);
  if (other !== undefined)
    throw invalidConf(
      `network ${other.name} is already using parent interface ${parent}`,
      `connect containers to that network, or choose another parent, as a VLAN of it: ip link add link ${parent} name ${parent}.50 type vlan id 50`,
    );
  if (!hasLink(parent))
    throw new CniError({
      code: ErrorCode.invalidConfig,
      msg: `the host has no interface ${JSON.stringify(parent)} for driver ${driver}`,
      remedy: "correct -o parent=…, or make the interface first (ip link shows those that exist)",
    });
}
