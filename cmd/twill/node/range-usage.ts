/** How full the ranges of host-local are, of the networks that are configured. */
import { compareAddresses, parseAddress } from "../../../pkg/ip/address.ts";
import type { Range } from "../../../pkg/ipam/host-local/range.ts";
import { reservationDirectory } from "../../../pkg/ipam/host-local/reservation-directory.ts";
import { directoryOf } from "../../../pkg/sys/file.ts";
import type { Network } from "../../cnitool/lint/lint-file.ts";
import { grouped } from "./grouped.ts";
import type { Reservation } from "./leftovers.ts";

export interface RangeUsage {
  network: Network;
  range: Range;
  /** Of the reservations. */
  directory: string;
  used: number;
  /** The addresses that containers can have: the gateway's is none of them. */
  total: number;
}

/** @param reservations Of these networks */
export function rangeUsages(networks: readonly Network[], reservations: readonly Reservation[]): RangeUsage[] {
  const byDirectory = grouped(reservations, ({ path }) => directoryOf(path));
  return networks.flatMap((network) =>
    network.plugins.flatMap(({ conf, ranges }): RangeUsage[] => {
      const directory = reservationDirectory(network.name, conf["ipam"]);
      const names = new Set((byDirectory.get(directory) ?? []).map(({ address }) => address)); // two networks may share it
      const reserved = [...names].flatMap((address) => parseAddress(address) ?? []);
      return ranges.map((range) => ({ network, range, directory, ...usageOf(range, reserved) }));
    }),
  );
}

function usageOf({ start, end, gateway }: Range, reserved: readonly Uint8Array[]): { used: number; total: number } {
  const isInside = (address: Uint8Array) =>
    address.length === start.length && compareAddresses(address, start) >= 0 && compareAddresses(address, end) <= 0;
  const total = Number(numberOf(end) - numberOf(start)) + 1 - (isInside(gateway) ? 1 : 0);
  return { used: reserved.filter(isInside).length, total };
}

const numberOf = (address: Uint8Array): bigint => address.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
