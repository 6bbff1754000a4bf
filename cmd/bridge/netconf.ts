/** The bridge plugin's keys, and the settings from them. */

import * as ipam from "../../pkg/cni/call-ipam.ts";
import { invalidConf } from "../../pkg/cni/error.ts";
import {
  type FromSchema,
  type JsonSchema,
  macProperty,
  masqueradeProperties,
  netconfProperties,
} from "../../pkg/config/schema.ts";
import { wantedMac } from "../../pkg/link/mac.ts";
import { type Trunk, trunkVlans } from "./vlan.ts";

/** `parseSettings` checks the bounds of VLAN IDs, with the texts of the reference plugin. */
const vlanId = { type: "integer" } as const satisfies JsonSchema;

export const schema = {
  type: "object",
  properties: {
    ...netconfProperties,
    bridge: { type: "string", format: "linkName", description: "name of the bridge; created if missing (cni0)" },
    isGateway: {
      type: "boolean",
      description: "assign the gateway's address to the bridge, and enable IP forwarding on the host",
    },
    isDefaultGateway: { type: "boolean", description: "as isGateway, and add a default route through the bridge" },
    forceAddress: {
      type: "boolean",
      description: "replace an address of the bridge that conflicts with the gateway's",
    },
    ...masqueradeProperties,
    mtu: {
      type: "integer",
      minimum: 0,
      maximum: 65535,
      description: "MTU of the veth pair, and of the bridge if it is created",
    },
    hairpinMode: { type: "boolean", description: "let a container reach itself through the bridge" },
    promiscMode: { type: "boolean", description: "set the bridge to promiscuous mode" },
    vlan: { ...vlanId, description: "VLAN of the port; the container's frames are untagged" },
    vlanTrunk: {
      type: "array",
      items: {
        type: "object",
        properties: { id: vlanId, minID: vlanId, maxID: vlanId },
        additionalProperties: false,
      },
      description: "VLANs that the container may use with tagged frames",
    },
    preserveDefaultVlan: { type: "boolean", description: "keep VLAN 1 on the port" },
    macspoofchk: { type: "boolean", description: "drop frames that the container sends with another MAC" },
    enabledad: { type: "boolean", description: "detect duplicate IPv6 addresses" },
    disableContainerInterface: { type: "boolean", description: "leave the container's interface down" },
    portIsolation: { type: "boolean", description: "prevent containers on the bridge from reaching each other" },
    internal: {
      type: "boolean",
      description: "keep the host out: it takes nothing from the bridge, forwards nothing, and answers nobody there",
    },
    runtimeConfig: { type: "object", properties: { mac: macProperty } },
    args: { type: "object", properties: { cni: { type: "object", properties: { mac: macProperty } } } },
  },
  additionalProperties: false,
} as const satisfies JsonSchema;

export type BridgeConf = FromSchema<typeof schema>;

/** The settings: defaults are filled in, contradictions have been refused. */
export interface BridgeSettings {
  bridge: string;
  isGateway: boolean;
  isDefaultGateway: boolean;
  forceAddress: boolean;
  masquerade: { backend: "iptables" | "nftables" | undefined } | undefined;
  mtu: number;
  hairpin: boolean;
  promiscuous: boolean;
  isolated: boolean;
  internal: boolean;
  /** 0: none. */
  vlan: number;
  /** undefined: no trunk. An empty one still turns VLAN filtering on. */
  trunk: number[] | undefined;
  preserveDefaultVlan: boolean;
  macSpoofCheck: boolean;
  duplicateAddressDetection: boolean;
  containerInterfaceDown: boolean;
  /** The IPAM plugin's name; undefined: no addresses, layer 2 only. */
  ipam: string | undefined;
  mac: Uint8Array | undefined;
}

/**
 * @param argsMac MAC of CNI_ARGS; `args.cni.mac` overrides it, and `runtimeConfig.mac` overrides both.
 * @throws CniError 7
 */
export function parseSettings(conf: BridgeConf, argsMac: string | undefined): BridgeSettings {
  const { hairpinMode = false, promiscMode = false, disableContainerInterface = false, vlan = 0 } = conf;
  const type = ipam.typeOf(conf);
  if (hairpinMode && promiscMode) {
    throw invalidConf(
      "cannot set hairpin mode and promiscuous mode at the same time",
      `set only one of "hairpinMode" and "promiscMode"`,
    );
  }
  if (disableContainerInterface && type !== undefined) {
    throw invalidConf(
      "cannot use IPAM when DisableContainerInterface flag is set",
      `remove "ipam", or "disableContainerInterface": an interface that is down cannot use addresses`,
    );
  }
  if (conf.internal === true && (conf.isGateway === true || conf.isDefaultGateway === true || conf.ipMasq === true)) {
    throw invalidConf(
      `the host cannot be the gateway of a network that is internal`,
      `remove "isGateway", "isDefaultGateway" and "ipMasq", or "internal"`,
    );
  }
  if (vlan < 0 || vlan > 4094) {
    throw invalidConf(
      `invalid VLAN ID ${vlan} (must be between 0 and 4094)`,
      `set "vlan" to the ID of the port's VLAN, or remove it`,
    );
  }
  const isDefaultGateway = conf.isDefaultGateway ?? false;
  return {
    bridge: conf.bridge || "cni0",
    isGateway: isDefaultGateway || (conf.isGateway ?? false),
    isDefaultGateway,
    forceAddress: conf.forceAddress ?? false,
    masquerade: conf.ipMasq === true && type !== undefined ? { backend: conf.ipMasqBackend } : undefined,
    mtu: conf.mtu ?? 0,
    hairpin: hairpinMode,
    promiscuous: promiscMode,
    isolated: conf.portIsolation ?? false,
    internal: conf.internal ?? false,
    vlan,
    trunk: conf.vlanTrunk === undefined ? undefined : trunkVlans(conf.vlanTrunk as Trunk[]),
    preserveDefaultVlan: conf.preserveDefaultVlan ?? false,
    macSpoofCheck: conf.macspoofchk ?? false,
    duplicateAddressDetection: conf.enabledad ?? false,
    containerInterfaceDown: disableContainerInterface,
    ipam: type,
    mac: wantedMac(conf.runtimeConfig?.mac, conf.args?.cni?.mac, argsMac),
  };
}
