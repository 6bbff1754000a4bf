/** The bandwidth plugin's keys, and the settings from them. */
import { invalidConf } from "../../pkg/cni/error.ts";
import { type FromSchema, type JsonSchema, netconfProperties } from "../../pkg/config/schema.ts";
import { bucketOf, shortestBurstBits, type TokenBucket } from "./token-bucket.ts";

const bits = { type: "integer", minimum: 0, maximum: 2 ** 64 } as const satisfies JsonSchema;

/** Keys of both the configuration and `runtimeConfig`. Directions are the container's. */
const wishes = {
  ingressRate: { ...bits, description: "rate of the traffic to the container, in bit/s" },
  ingressBurst: { ...bits, description: "burst of the traffic to the container, in bits" },
  egressRate: { ...bits, description: "rate of the traffic from the container, in bit/s" },
  egressBurst: { ...bits, description: "burst of the traffic from the container, in bits" },
} as const satisfies Record<string, JsonSchema>;

export const schema = {
  type: "object",
  properties: {
    ...netconfProperties,
    ...wishes,
    latency: {
      type: "integer",
      minimum: 1,
      maximum: 60_000,
      description: "longest time that a packet waits in the queue, in ms (25)",
    },
    runtimeConfig: { type: "object", properties: { bandwidth: { type: "object", properties: wishes } } },
  },
  additionalProperties: false,
} as const satisfies JsonSchema;

export type BandwidthConf = FromSchema<typeof schema>;

/** The limits; undefined: no limit. */
export interface Limits {
  /** Limit of the traffic that the container receives. */
  ingress: TokenBucket | undefined;
  /** Limit of the traffic that the container sends. */
  egress: TokenBucket | undefined;
}

const DEFAULT_LATENCY_MS = 25;

/**
 * Returns the configuration's limits, or the runtime's when the configuration has none of the keys.
 *
 * @throws CniError 7
 */
export function parseSettings(conf: BandwidthConf): Limits {
  const isStatic = Object.keys(wishes).some((key) => conf[key as keyof typeof wishes] !== undefined);
  const wished = isStatic ? conf : (conf.runtimeConfig?.bandwidth ?? {});
  const latencyMs = conf.latency ?? DEFAULT_LATENCY_MS;
  return {
    ingress: limitOf("ingress", wished.ingressRate, wished.ingressBurst, latencyMs),
    egress: limitOf("egress", wished.egressRate, wished.egressBurst, latencyMs),
  };
}

/** From this burst on, the reference plugin's 32-bit counter of bytes overflows. */
const TOO_LONG_BURST_BITS = 8 * 0xffffffff;

function limitOf(direction: keyof Limits, rateBits = 0, burstBits = 0, latencyMs: number): TokenBucket | undefined {
  if (rateBits === 0 && burstBits === 0) return undefined;
  const [rate, burst] = [`"${direction}Rate"`, `"${direction}Burst"`];
  if (burstBits === 0) {
    throw invalidConf(
      `${burst} is missing: if rate is set, burst must also be set`,
      `set ${burst}, in bits; a tenth of the rate is usual`,
    );
  }
  if (rateBits === 0) {
    throw invalidConf(`${rate} is missing: if burst is set, rate must also be set`, `set ${rate}, in bit/s`);
  }
  if (burstBits >= TOO_LONG_BURST_BITS) {
    throw invalidConf(
      `${burst} is ${burstBits} bits: burst cannot be more than 4GB`,
      `set ${burst} below ${TOO_LONG_BURST_BITS}`,
    );
  }
  if (rateBits < 8)
    throw invalidConf(`${rate} is ${rateBits} bit/s, must be at least 8`, "the kernel counts whole bytes");
  const shortest = shortestBurstBits(rateBits);
  if (burstBits < shortest) {
    throw invalidConf(
      `${burst} is ${burstBits} bits, must be at least ${shortest} at ${rateBits} bit/s`,
      "the kernel counts whole bytes, and stores a burst as the microseconds that it takes at the rate",
    );
  }
  return bucketOf({ rateBits, burstBits, latencyMs });
}
