import { compareAddresses, formatAddress, parseAddress } from "../../../pkg/ip/address.ts";
import type { Range } from "../../../pkg/ipam/host-local/range.ts";
import { reservationDirectory } from "../../../pkg/ipam/host-local/reservation-directory.ts";
import { findDirectory } from "../../../pkg/sys/file.ts";
import type { Network, PluginEntry } from "../../cnitool/lint/lint-file.ts";
import type { Check, Observation } from "./finding.ts";

/** Of the addresses of a range, this part may be in use. */
const FULL = 0.9;

export const fullRanges: Check = {
  id: "full-range",
  about: "addresses that are left in the ranges of host-local: STATUS does not fail for a full one",
  severity: "warning",
  find: ({ networks }) =>
    networks.flatMap((network) => network.plugins.flatMap((plugin) => observationsOf(network, plugin))),
};

function observationsOf({ name, file }: Network, { conf, ranges }: PluginEntry): Observation[] {
  const directory = reservationDirectory(name, conf["ipam"]);
  const reserved = (findDirectory(directory) ?? []).flatMap((text) => parseAddress(text) ?? []);
  return ranges.flatMap((range) => {
    const { used, total } = usageOf(range, reserved);
    if (used < FULL * total) return [];
    const text = `network "${name}" has ${total - used} of ${total} addresses left`;
    const evidence = [
      `${formatAddress(range.start)} to ${formatAddress(range.end)} in ${file}`,
      `${used} reserved in ${directory}`,
    ];
    const remedy = `free what dead containers hold (twill gc), or add a range to the network: addresses that are in use keep theirs`;
    return [{ severity: used >= total ? "error" : "warning", text, evidence, remedy }];
  });
}

/** Counts the addresses that containers can have: the gateway's is none of them. */
export function usageOf(
  { start, end, gateway }: Range,
  reserved: readonly Uint8Array[],
): { used: number; total: number } {
  const isInside = (address: Uint8Array) =>
    address.length === start.length && compareAddresses(address, start) >= 0 && compareAddresses(address, end) <= 0;
  const total = Number(numberOf(end) - numberOf(start)) + 1 - (isInside(gateway) ? 1 : 0);
  return { used: reserved.filter(isInside).length, total };
}

const numberOf = (address: Uint8Array): bigint => address.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
