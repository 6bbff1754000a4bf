/** The keys of the udp backend with their defaults, and the MTU inside its tunnel. Pure. */
import { InvalidNetworkConfig } from "../../../cluster/lease/network-config.ts";
import type { JsonObject } from "../../../config/json.ts";
import type { FromSchema } from "../../../config/schema.ts";
import { MAX_PAYLOAD, MAX_SEGMENTS, OUTER_HEADERS } from "../../udp-data-path/packet.ts";
import type { BackendKeys } from "../backend.ts";

/** flannel's. */
const DEFAULT_PORT = 8285;

export const udpKeys = {
  Port: { type: "integer", minimum: 0, maximum: 65535, description: `UDP port of all hosts (${DEFAULT_PORT})` },
} as const satisfies BackendKeys;

type Keys = FromSchema<{ type: "object"; properties: typeof udpKeys; additionalProperties: false }>;

/**
 * Returns the UDP port of this host and of all peers.
 *
 * @param settings Valid by `udpKeys`.
 * @throws InvalidNetworkConfig it is 0, which is no port that peers could send to
 */
export function udpPort(settings: JsonObject): number {
  const { Port = DEFAULT_PORT } = settings as Keys;
  if (Port !== 0) return Port;
  throw new InvalidNetworkConfig([
    `"Backend.Port" is 0, must be from 1 to 65535 with udp: all hosts send to the same port; remove it for ${DEFAULT_PORT}, or choose one for all hosts`,
  ]);
}

/** Returns where the data path process listens: no longer than the daemon's own socket beside it (`.sock`), whose length is checked at the start. */
export const socketOf = (statePath: string): string => `${statePath}.udp`;

/** RFC 791: every host accepts packets of this size. */
const LEAST_MTU = 576;

/** Returns the MTU of the device and of containers. @throws InvalidNetworkConfig it would be too small */
export function innerMtu({ name, mtu }: { name: string; mtu: number }): number {
  if (mtu - OUTER_HEADERS >= LEAST_MTU) return mtu - OUTER_HEADERS;
  throw new InvalidNetworkConfig([
    `an MTU of ${mtu} (${name}) leaves ${mtu - OUTER_HEADERS} bytes for packets in UDP, at least ${LEAST_MTU} are needed; raise it to ${LEAST_MTU + OUTER_HEADERS} or more: ip link set ${name} mtu ${LEAST_MTU + OUTER_HEADERS}`,
  ]);
}

/**
 * Returns how many packets of that size one send with UDP_SEGMENT can take: the device's gso_max_segs, so that each packet that the kernel
 * hands over at once is one send. With 1472 bytes 44.
 */
export const segmentsPerSend = (mtu: number): number => Math.min(MAX_SEGMENTS, Math.floor(MAX_PAYLOAD / mtu));
