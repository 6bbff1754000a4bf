/** The addresses that host-local has given out in a network: who has which, and how many are left. */
import { isObject, type JsonObject } from "../config/json.ts";
import { compareAddresses, parseAddress, parsePrefix } from "../ip/address.ts";
import { parseRangeSets, type RangeConf, type RangeSet, rangeFor, sizeOf } from "../ipam/host-local/range.ts";
import { reservationDirectory } from "../ipam/host-local/reservation-directory.ts";
import { findReservation, findStore, forEachReserved, isOwner, pathOf } from "../ipam/host-local/reservation-files.ts";
import type { NetworkList } from "../runtime/network-list.ts";
import { findStat } from "../sys/file.ts";

export interface ReservedAddress {
  address: string;
  /** undefined: the reservation's file names nobody. */
  containerId: string | undefined;
  ifName: string | undefined;
  /** Milliseconds since 1970. */
  sinceMs: number;
}

/** Returns the addresses that are reserved in a network, in their order. */
export function reservedAddresses(list: NetworkList): ReservedAddress[] {
  const found = new Map<string, ReservedAddress>();
  for (const { directory } of poolsOf(list)) {
    const store = findStore(directory);
    if (store === undefined) continue;
    forEachReserved(store, (address) => {
      const owner = findReservation(store, address);
      const stat = findStat(pathOf(store, address));
      if (owner === undefined || stat === undefined) return; // released meanwhile
      const { containerId, ifName } = isOwner(owner) ? owner : { containerId: undefined, ifName: undefined };
      found.set(address, { address, containerId, ifName, sinceMs: Number(stat.modifiedNs / 1_000_000n) });
    });
  }
  const bytes = ({ address }: ReservedAddress) => parseAddress(address) ?? new Uint8Array(0);
  return [...found.values()].sort((one, other) => compareAddresses(bytes(one), bytes(other)));
}

export interface SubnetUsage {
  subnet: string;
  used: number;
  /** Addresses that can still be given out. */
  free: bigint;
}

/** Counts the addresses of each subnet's ranges. */
export function subnetUsage(list: NetworkList): SubnetUsage[] {
  const reserved = reservedAddresses(list).flatMap(({ address }) => parseAddress(address) ?? []);
  return poolsOf(list).flatMap(({ sets }) =>
    sets().map((set) => {
      const used = reserved.filter((address) => rangeFor(set, address) !== undefined).length;
      const subnet = set[0]?.subnet ?? { address: new Uint8Array(0), length: 0 };
      return { subnet: subnetText(list, subnet), used, free: sizeOf(set) - BigInt(used) };
    }),
  );
}

/** Returns the subnet as the configuration writes it. */
function subnetText(list: NetworkList, { address, length }: { address: Uint8Array; length: number }): string {
  const texts = list.plugins.flatMap(({ ipam }) =>
    rangeConfs(ipam)
      .flat()
      .map(({ subnet }) => subnet),
  );
  const isSame = (text: string): boolean => {
    const prefix = parsePrefix(text);
    return prefix !== undefined && prefix.length === length && compareAddresses(prefix.address, address) === 0;
  };
  return texts.find(isSame) ?? "";
}

interface Pool {
  directory: string;
  /** @throws CniError 7: the ranges are mistaken; the directory has reservations nevertheless */
  sets(): RangeSet[];
}

function poolsOf({ name, cniVersion, plugins }: NetworkList): Pool[] {
  return plugins.flatMap(({ ipam }) => {
    if (!isObject(ipam) || ipam["type"] !== "host-local") return [];
    const confs = rangeConfs(ipam);
    const sets = () => (confs.length === 0 ? [] : parseRangeSets(confs, cniVersion));
    return [{ directory: reservationDirectory(name, ipam), sets }];
  });
}

function rangeConfs(ipam: unknown): RangeConf[][] {
  if (!isObject(ipam)) return [];
  const { ranges } = ipam;
  const sets = Array.isArray(ranges) ? ranges.filter(Array.isArray).map((set) => set.filter(isRange)) : [];
  return isRange(ipam) ? [[ipam], ...sets] : sets;
}

const isRange = (value: unknown): value is RangeConf & JsonObject =>
  isObject(value) && typeof value["subnet"] === "string";
