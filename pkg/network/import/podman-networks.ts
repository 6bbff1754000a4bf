/** podman's networks where it uses netavark: `/etc/containers/networks/NAME.json`. Pure. */
import { isObject, type Json, type JsonObject, objectIn } from "../../config/json.ts";
import {
  addToAddress,
  compareAddresses,
  formatPrefix,
  lastAddressOf,
  networkOf,
  parseAddress,
  parsePrefix,
} from "../../ip/address.ts";
import { OptionName } from "../driver-options.ts";
import type { ImportedNetwork, ImportedNetworks } from "./imported-network.ts";

/** Options of netavark that have no counterpart; what the network would be without them is something else. */
const withoutCounterpart = ["vlan", "metric", "no_default_route", "vrf", "bclim", "outbound_addr4", "outbound_addr6"];

/** Returns the network in a file. @param file its path, for messages */
export function podmanNetwork(text: string, file: string): ImportedNetworks {
  const problem = (what: string): ImportedNetworks => ({ networks: [], problems: [`${file}: ${what}`] });
  const document = objectIn(text);
  if (document === undefined) return problem("it is no JSON object");
  const { id, name, created, driver, subnets = [], options } = document;
  const texts = [id, name, driver].every((value) => typeof value === "string");
  if (!texts || !/^[0-9a-f]{64}$/.test(String(id)) || !isSubnets(subnets))
    return problem("it is no network of netavark: id, name, driver or subnets are missing or wrong");
  const given = textsOf(options);
  const strange = withoutCounterpart.find((key) => key in given);
  if (strange !== undefined)
    return problem(`network ${name} has the option ${strange}, which twill network does not know`);
  const pools = subnets.map(poolOf);
  const odd = pools.find(({ range }) => range === "none");
  if (odd !== undefined)
    return problem(`the lease_range of ${odd.subnet} in network ${name} is no range that a prefix has`);
  const network: ImportedNetwork = {
    from: file,
    id: String(id),
    created: typeof created === "string" ? created : "",
    request: {
      name: String(name),
      driver: String(driver),
      internal: document["internal"] === true,
      ipv6: document["ipv6_enabled"] === true,
      labels: textsOf(document["labels"]),
      options: { ...interfaceOf(document), ...optionsOf(given) },
      ipamDriver: String(textsOf(document["ipam_options"])["driver"] ?? "host-local"),
      ipamOptions: {},
      subnets: pools.map(({ subnet }) => subnet),
      ipRanges: pools.flatMap(({ range }) => range ?? []),
      gateways: pools.flatMap(({ gateway }) => gateway ?? []),
      auxAddresses: [],
    },
  };
  return { networks: [network], problems: [] };
}

/** `isolate` is what networks of twill are anyway. */
const optionsOf = ({ isolate: _isolate, ...others }: Record<string, string>): Record<string, string> => others;

/** The bridge, or the parent of a macvlan. */
function interfaceOf({ driver, network_interface: link }: JsonObject): Record<string, string> {
  if (typeof link !== "string" || link === "") return {};
  return { [driver === "bridge" ? OptionName.bridgeName : OptionName.parent]: link };
}

function poolOf({ subnet, gateway, lease_range: lease }: Subnet): {
  subnet: string;
  gateway: string | undefined;
  range: string | undefined;
} {
  return { subnet, gateway, range: lease === undefined ? undefined : (rangeOf(subnet, lease) ?? "none") };
}

/** Returns the prefix whose addresses those are, with or without its first one, which podman leaves out. */
function rangeOf(subnet: string, { start_ip, end_ip }: NonNullable<Subnet["lease_range"]>): string | undefined {
  const whole = parsePrefix(subnet);
  const [start, end] = [start_ip, end_ip].map((text) => parseAddress(text ?? ""));
  if (whole === undefined || start === undefined || end === undefined) return undefined;
  for (let length = whole.length; length <= start.length * 8; length++) {
    const prefix = networkOf({ address: start, length });
    const begins = [prefix.address, addToAddress(prefix.address, 1)].some((one) => compareAddresses(one, start) === 0);
    if (begins && compareAddresses(lastAddressOf(prefix), end) === 0) return formatPrefix(prefix);
  }
  return undefined;
}

interface Subnet {
  subnet: string;
  gateway?: string;
  lease_range?: { start_ip?: string; end_ip?: string };
}

function isSubnets(value: Json): value is Json[] & Subnet[] {
  return (
    Array.isArray(value) &&
    value.every(
      (one) =>
        isObject(one) &&
        typeof one["subnet"] === "string" &&
        (one["gateway"] === undefined || typeof one["gateway"] === "string") &&
        (one["lease_range"] === undefined || isRange(one["lease_range"])),
    )
  );
}

const isRange = (value: Json): boolean =>
  isObject(value) && ["start_ip", "end_ip"].every((key) => value[key] === undefined || typeof value[key] === "string");

const textsOf = (value: Json | undefined): Record<string, string> =>
  Object.fromEntries(
    Object.entries(isObject(value) ? value : {}).flatMap(([key, one]) => (typeof one === "string" ? [[key, one]] : [])),
  );
