/** The keys of the vxlan backend with their defaults. Pure. */
import type { JsonObject } from "../../../config/json.ts";
import { type FamilyName, familyWords } from "../../../ip/family.ts";

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

/** @param settings Valid by the schema of cmd/flanneld/netconf.ts. */
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

/** Bytes of Ethernet, IP, UDP and VXLAN headers. flannel uses the smaller figure for both families, and so does FLANNEL_MTU. */
const OVERHEAD = { ipv4: 50, ipv6: 70 } as const;
/** RFC 791 and RFC 8200: below this MTU the kernel removes the protocol from the device. */
const LEAST_MTU = { ipv4: 68, ipv6: 1280 } as const;

interface Below {
  name: string;
  mtu: number;
}

/** Returns the MTU of containers, FLANNEL_MTU. */
export const containerMtu = (config: VxlanConfig, external: Below): number =>
  (config.mtu || external.mtu) - OVERHEAD.ipv4;

/** Returns the MTU of the device. @throws Error it would be below the least of the family */
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
