/** The tap plugin's keys, and the settings from them. */
import { type FromSchema, type JsonSchema, macProperty, netconfProperties } from "../../pkg/config/schema.ts";
import { wantedMac } from "../../pkg/link/mac.ts";
import type { TapOptions } from "../../pkg/link/tap.ts";

/** The largest 32-bit number means no ID. */
const id = { type: "integer", minimum: 0, maximum: 0xfffffffe } as const satisfies JsonSchema;

export const schema = {
  type: "object",
  properties: {
    ...netconfProperties,
    multiQueue: {
      type: "boolean",
      description: "create the device with several queues, for several programs or threads",
    },
    mtu: { type: "integer", minimum: 0, maximum: 65521, description: "MTU of the device" },
    mac: { ...macProperty, description: "MAC of the device; random by default" },
    owner: { ...id, description: "ID of the user that may open the device" },
    group: { ...id, description: "ID of the group that may open the device" },
    selinuxContext: { type: "string", description: "SELinux label of the device" },
    bridge: {
      type: "string",
      format: "linkName",
      description: "bridge in the container that the device is attached to",
    },
    runtimeConfig: { type: "object", properties: { mac: macProperty } },
  },
  additionalProperties: false,
} as const satisfies JsonSchema;

export type TapConf = FromSchema<typeof schema>;

/** The settings, with defaults filled in. */
export interface TapSettings extends TapOptions {
  /** 0: the kernel's default. */
  mtu: number;
  mac: Uint8Array | undefined;
  bridge: string | undefined;
}

/**
 * @param argsMac MAC of CNI_ARGS; it overrides `mac`, and `runtimeConfig.mac` overrides both.
 * @throws CniError 7
 */
export function parseSettings(conf: TapConf, argsMac: string | undefined): TapSettings {
  return {
    multiQueue: conf.multiQueue ?? false,
    owner: conf.owner,
    group: conf.group,
    selinuxContext: conf.selinuxContext || undefined,
    mtu: conf.mtu ?? 0,
    mac: wantedMac(conf.runtimeConfig?.mac, argsMac, conf.mac),
    bridge: conf.bridge || undefined,
  };
}
