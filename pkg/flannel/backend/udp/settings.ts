/** The keys of the udp backend with their defaults, and the MTU inside its tunnel. Pure. */
import { InvalidNetworkConfig } from "../../../cluster/lease/network-config.ts";
import type { JsonObject } from "../../../config/json.ts";
import type { FromSchema } from "../../../config/schema.ts";
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

/** Bytes of IP and UDP headers. */
export const OVERHEAD = 28;
/** RFC 791: every host accepts packets of this size. */
const LEAST_MTU = 576;

/** Returns the MTU of the device and of containers. @throws InvalidNetworkConfig it would be too small */
export function innerMtu({ name, mtu }: { name: string; mtu: number }): number {
  if (mtu - OVERHEAD >= LEAST_MTU) return mtu - OVERHEAD;
  throw new InvalidNetworkConfig([
    `an MTU of ${mtu} (${name}) leaves ${mtu - OVERHEAD} bytes for packets in UDP, at least ${LEAST_MTU} are needed; raise it to ${LEAST_MTU + OVERHEAD} or more: ip link set ${name} mtu ${LEAST_MTU + OVERHEAD}`,
  ]);
}

/** linux/udp.h: UDP_MAX_SEGMENTS of older kernels; and the bytes that one datagram can have before it is cut into these. */
const MAX_SEGMENTS = 64;
const MAX_PAYLOAD = 65507;

/**
 * Returns how many packets of that size one send with UDP_SEGMENT can take: the device's gso_max_segs, so that each packet that the kernel
 * hands over at once is one send. With 1472 bytes 44.
 */
export const segmentsPerSend = (mtu: number): number => Math.min(MAX_SEGMENTS, Math.floor(MAX_PAYLOAD / mtu));
