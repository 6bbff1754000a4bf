/** The keys of the vxlan backend with their defaults. Pure. */
import { InvalidNetworkConfig } from "../../../cluster/lease/network-config.ts";
import type { JsonObject } from "../../../config/json.ts";
import type { FromSchema } from "../../../config/schema.ts";
import { type FamilyName, familyWords, LEAST_MTU } from "../../../ip/family.ts";
import type { BackendKeys } from "../backend.ts";

/** linux/if_link.h: 24 bits; with 0 a device would accept packets of any VNI. */
const MAX_VNI = 0xffffff;

export const vxlanKeys = {
  VNI: { type: "integer", minimum: 1, maximum: MAX_VNI, description: "VXLAN network identifier (1)" },
  Port: { type: "integer", minimum: 0, maximum: 65535, description: "UDP port of VXLAN; 0: 8472 (0)" },
  MTU: {
    type: "integer",
    minimum: 0,
    maximum: 65535,
    description: "MTU of the underlying network; 0: the interface's (0)",
  },
  GBP: { type: "boolean", description: "VXLAN group based policy (false)" },
  Learning: { type: "boolean", description: "VXLAN learning of addresses from packets (false)" },
  DirectRouting: { type: "boolean", description: "routes without a tunnel to hosts on the same link (false)" },
  TxChecksum: {
    type: "string",
    enum: ["auto", "on", "off"],
    description: "checksum offload of the VXLAN device; auto: off behind NAT (auto)",
  },
  MacPrefix: { type: "string", description: "for flannel on Windows; no effect" },
  Name: { type: "string", description: "for flannel on Windows; no effect" },
} as const satisfies BackendKeys;

type Keys = FromSchema<{ type: "object"; properties: typeof vxlanKeys; additionalProperties: false }>;

export interface VxlanConfig {
  vni: number;
  /** 0: the kernel's default, 8472. */
  port: number;
  /** The MTU of the underlying network; 0: the external interface's. */
  mtu: number;
  gbp: boolean;
  learning: boolean;
  directRouting: boolean;
  txChecksum: TxChecksum;
}
export type TxChecksum = "auto" | "on" | "off";

/** @param settings Valid by `vxlanKeys`. */
export function vxlanConfig(settings: JsonObject): VxlanConfig {
  const { VNI, Port, MTU, GBP, Learning, DirectRouting, TxChecksum } = settings as Keys;
  return {
    vni: VNI ?? 1,
    port: Port ?? 0,
    mtu: MTU ?? 0,
    gbp: GBP ?? false,
    learning: Learning ?? false,
    directRouting: DirectRouting ?? false,
    txChecksum: TxChecksum ?? "auto",
  };
}

/** Bytes of Ethernet, IP, UDP and VXLAN headers. flannel uses the smaller figure for both families, and so does FLANNEL_MTU. */
export const OVERHEAD = { ipv4: 50, ipv6: 70 } as const;

interface Below {
  name: string;
  mtu: number;
}

/** Returns the MTU of containers, FLANNEL_MTU. */
export const containerMtu = (config: VxlanConfig, external: Below): number =>
  (config.mtu || external.mtu) - OVERHEAD.ipv4;

/** Returns the MTU of the device. @throws InvalidNetworkConfig it would be below the least of the family */
export function deviceMtu(config: VxlanConfig, external: Below, family: FamilyName): number {
  const mtu = Math.min(containerMtu(config, external), external.mtu - OVERHEAD[family]);
  const least = LEAST_MTU[family];
  if (mtu >= least) return mtu;
  const [below, whose] =
    config.mtu && config.mtu < external.mtu ? [config.mtu, "Backend.MTU"] : [external.mtu, external.name];
  throw new InvalidNetworkConfig([
    `an MTU of ${below} (${whose}) leaves ${mtu} bytes inside the tunnel, ${familyWords[family]} needs ${least}; raise it to ${least + OVERHEAD[family]} or more`,
  ]);
}
