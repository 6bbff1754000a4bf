/** The macvlan plugin's keys, and the settings from them. */

import * as ipam from "../../pkg/cni/call-ipam.ts";
import { invalidConf } from "../../pkg/cni/error.ts";
import { type FromSchema, type JsonSchema, macProperty, netconfProperties } from "../../pkg/config/schema.ts";
import { wantedMac } from "../../pkg/link/mac.ts";
import { parentProperties } from "../../pkg/link/parent.ts";
import {
  MACVLAN_MODE_BRIDGE,
  MACVLAN_MODE_PASSTHRU,
  MACVLAN_MODE_PRIVATE,
  MACVLAN_MODE_VEPA,
} from "../../pkg/netlink/rtnetlink/link/macvlan.ts";

export const modes = {
  bridge: MACVLAN_MODE_BRIDGE,
  private: MACVLAN_MODE_PRIVATE,
  vepa: MACVLAN_MODE_VEPA,
  passthru: MACVLAN_MODE_PASSTHRU,
} as const;

export const schema = {
  type: "object",
  properties: {
    ...netconfProperties,
    ...parentProperties,
    mode: {
      type: "string",
      enum: ["bridge", "private", "vepa", "passthru", ""],
      description: "how containers of one master reach each other (bridge)",
    },
    mac: { ...macProperty, description: "MAC of the container's interface; random by default" },
    bcqueuelen: {
      type: "integer",
      minimum: 0,
      maximum: 0xffffffff,
      description: "length of the queue of received broadcasts; the kernel's by default (1000)",
    },
    hostAccess: { type: "boolean", description: "let the host and the container reach each other (false)" },
    runtimeConfig: { type: "object", properties: { mac: macProperty } },
  },
  additionalProperties: false,
} as const satisfies JsonSchema;

export type MacvlanConf = FromSchema<typeof schema>;

/** The settings: defaults are filled in, contradictions have been refused. */
export interface MacvlanSettings {
  mode: keyof typeof modes;
  /** 0: the kernel's default. */
  broadcastQueueLength: number;
  hostAccess: boolean;
  mac: Uint8Array | undefined;
}

/**
 * @param argsMac MAC of CNI_ARGS; it overrides `mac`, and `runtimeConfig.mac` overrides both.
 * @throws CniError 7
 */
export function parseSettings(conf: MacvlanConf, argsMac: string | undefined): MacvlanSettings {
  const mode = conf.mode || "bridge";
  const { hostAccess = false, linkInContainer = false } = conf;
  if (hostAccess && (mode !== "bridge" || linkInContainer || ipam.typeOf(conf) === undefined)) {
    throw invalidConf(
      "hostAccess needs mode bridge, a master on the host, and ipam",
      `remove "hostAccess", or correct the other keys`,
    );
  }
  return {
    mode,
    hostAccess,
    broadcastQueueLength: conf.bcqueuelen ?? 0,
    mac: wantedMac(conf.runtimeConfig?.mac, argsMac, conf.mac),
  };
}
