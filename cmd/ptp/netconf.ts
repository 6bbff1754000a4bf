/** The ptp plugin's keys, and the settings from them. */
import * as ipam from "../../pkg/cni/call-ipam.ts";
import { type FromSchema, type JsonSchema, masqueradeProperties, netconfProperties } from "../../pkg/config/schema.ts";

export const schema = {
  type: "object",
  properties: {
    ...netconfProperties,
    ...masqueradeProperties,
    mtu: { type: "integer", minimum: 0, maximum: 65535, description: "MTU of the veth pair" },
  },
  additionalProperties: false,
} as const satisfies JsonSchema;

export type PtpConf = FromSchema<typeof schema>;

/** The settings: defaults are filled in, invalid configurations have been refused. */
export interface PtpSettings {
  /** 0: the kernel's default. */
  mtu: number;
  masquerade: { backend: "iptables" | "nftables" | undefined } | undefined;
}

/** @throws CniError 7 */
export function parseSettings(conf: PtpConf): PtpSettings {
  ipam.requireType(conf, `no plugin name provided: "ipam" has no "type"`);
  return {
    mtu: conf.mtu ?? 0,
    masquerade: conf.ipMasq === true ? { backend: conf.ipMasqBackend } : undefined,
  };
}
