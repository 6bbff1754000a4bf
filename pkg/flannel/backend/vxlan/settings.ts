/** The keys of the vxlan backend with their defaults. Pure. */
import type { JsonObject } from "../../../config/json.ts";
import { type FamilyName, familyWords } from "../../../ip/family.ts";

export interface VxlanConfig {
  vni: number;
  /** 0: the kernel's own, 8472. */
  port: number;
  /** Of the network below; 0: the external interface's. */
  mtu: number;
  gbp: boolean;
  learning: boolean;
  directRouting: boolean;
  txChecksum: TxChecksum;
}
export type TxChecksum = "auto" | "on" | "off";

/** @param settings Fit the schema of cmd/flanneld/netconf.ts. */
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

interface Keys {
  VNI?: number;
  Port?: number;
  MTU?: number;
  GBP?: boolean;
  Learning?: boolean;
  DirectRouting?: boolean;
  TxChecksum?: TxChecksum;
}

/** Ethernet, IP, UDP and VXLAN headers. flannel takes the smaller figure for both families, and so FLANNEL_MTU has it. */
const OVERHEAD = { ipv4: 50, ipv6: 70 } as const;
/** RFC 791 and RFC 8200: below, the kernel takes the protocol off the device. */
const LEAST_MTU = { ipv4: 68, ipv6: 1280 } as const;

interface Below {
  name: string;
  mtu: number;
}

/** What containers get. */
export const containerMtu = (config: VxlanConfig, external: Below): number =>
  (config.mtu || external.mtu) - OVERHEAD.ipv4;

/** What the kernel accepts for the device. @throws Error no room for packets */
export function deviceMtu(config: VxlanConfig, external: Below, family: FamilyName): number {
  const mtu = Math.min(containerMtu(config, external), external.mtu - OVERHEAD[family]);
  const least = LEAST_MTU[family];
  if (mtu >= least) return mtu;
  const [below, whose] =
    config.mtu && config.mtu < external.mtu ? [config.mtu, "Backend.MTU"] : [external.mtu, external.name];
  throw new Error(
    `an MTU of ${below} (${whose}) leaves ${mtu} bytes inside the tunnel, ${familyWords[family]} needs ${least}; raise it to ${least + OVERHEAD[family]} or more`,
  );
}
