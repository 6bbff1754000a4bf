/** Addresses that `connect` was asked for outside of the range that a network chooses from, as Docker takes them. Pure. */
import { isObject, type Json } from "../config/json.ts";
import { contains, parseAddress, parsePrefix } from "../ip/address.ts";
import { parseRangeSets, rangeFor } from "../ipam/host-local/range.ts";
import type { NetworkList, PluginConf } from "../runtime/network-list.ts";
import type { NetworkDefinition, SubnetConf } from "./definition.ts";
import { rangesOf } from "./subnet.ts";

/**
 * Returns the network's list for an ADD with these addresses: host-local refuses addresses outside of its ranges, so that where one was asked for, its subnet is
 * the range. Networks of others keep their ranges, of which another host may have the rest.
 */
export function withRequested(
  { ipam, list }: Pick<NetworkDefinition, "ipam"> & { list: NetworkList },
  ips: readonly string[],
): NetworkList {
  const widened = ipam.config.map((conf) => isOutsideRange(conf, ips, list.cniVersion));
  if (!widened.includes(true)) return list;
  const ranges = ipam.config.map((conf, i) => rangesOf(widened[i] === true ? wholeSubnet(conf) : conf));
  const withRanges = (plugin: PluginConf): PluginConf =>
    isObject(plugin["ipam"]) ? { ...plugin, ipam: { ...plugin["ipam"], ranges: ranges as unknown as Json } } : plugin;
  return { ...list, plugins: list.plugins.map(withRanges) };
}

const wholeSubnet = ({ ipRange: _, ...conf }: SubnetConf): SubnetConf => conf;

function isOutsideRange(conf: SubnetConf, ips: readonly string[], cniVersion: string): boolean {
  if (conf.ipRange === undefined) return false; // that of a network of others is not told
  const subnet = parsePrefix(conf.subnet);
  const [set = []] = parseRangeSets([rangesOf(conf)], cniVersion);
  return ips
    .flatMap((text) => parseAddress(text) ?? [])
    .some((address) => subnet !== undefined && contains(subnet, address) && rangeFor(set, address) === undefined);
}
