/** The tuning plugin's keys, and the settings from them. */
import { invalidConf } from "../../pkg/cni/error.ts";
import { readPositions } from "../../pkg/cni/netconf.ts";
import { type FromSchema, type JsonSchema, netconfProperties } from "../../pkg/config/schema.ts";
import type { LinkAttributes } from "../../pkg/link/attributes.ts";
import { wantedInterfaceMac } from "../../pkg/link/mac.ts";

/** The interface may be one of the host's, so also of InfiniBand. */
const macProperty = { type: "string", format: "interfaceMac" } as const satisfies JsonSchema;

/** Keys of both the configuration and `args.cni`. */
const wishes = {
  sysctl: {
    type: "object",
    additionalProperties: { type: "string" },
    description: "sysctls below net.; IFNAME stands for the name of the interface",
  },
  mac: { ...macProperty, description: "MAC of the interface" },
  promisc: { type: "boolean", description: "set the interface to promiscuous mode" },
  mtu: { type: "integer", minimum: 0, maximum: 65535, description: "MTU of the interface" },
  allmulti: { type: "boolean", description: "receive all multicast packets, or not" },
  txQLen: { type: "integer", minimum: 0, maximum: 0xffffffff, description: "length of the transmit queue" },
} as const satisfies Record<string, JsonSchema>;

export const schema = {
  type: "object",
  properties: {
    ...netconfProperties,
    ...wishes,
    dataDir: { type: "string", description: "directory of the settings that DEL restores (/run/cni/tuning)" },
    runtimeConfig: { type: "object", properties: { mac: macProperty } },
    args: {
      type: "object",
      properties: { cni: { type: "object", properties: wishes } },
    },
  },
  additionalProperties: false,
} as const satisfies JsonSchema;

export type TuningConf = FromSchema<typeof schema>;

export interface TuningSettings {
  sysctls: readonly Sysctl[];
  attributes: LinkAttributes;
  dataDir: string;
}

export interface Sysctl {
  /** The key as given. */
  key: string;
  /** Below /proc/sys/net, with slashes. */
  path: string;
  value: string;
}

export const dataDirOf = ({ dataDir }: TuningConf): string => dataDir || "/run/cni/tuning";

/**
 * @param argsMac MAC of CNI_ARGS; it overrides the configuration's, and `runtimeConfig.mac` and `args.cni.mac` override both.
 * @throws CniError 7
 */
export function parseSettings(conf: TuningConf, ifName: string, argsMac: string | undefined): TuningSettings {
  const asked = conf.args?.cni ?? {};
  const mac = wantedInterfaceMac(asked.mac, conf.runtimeConfig?.mac, argsMac, conf.mac);
  const mtu = asked.mtu || conf.mtu;
  const allMulticast = asked.allmulti ?? conf.allmulti;
  const txQueueLength = asked.txQLen ?? conf.txQLen;
  return {
    sysctls: Object.entries({ ...conf.sysctl, ...asked.sysctl }).map(([key, value]) => sysctlOf(key, value, ifName)),
    attributes: {
      ...(mac && { mac }),
      ...((asked.promisc ?? conf.promisc) === true && { promiscuous: true }), // false means that nothing is requested
      ...(mtu && { mtu }),
      ...(allMulticast !== undefined && { allMulticast }),
      ...(txQueueLength !== undefined && { txQueueLength }),
    },
    dataDir: dataDirOf(conf),
  };
}

const NET = "net/";

/** Makes a sysctl. Only those of the network are allowed: the others belong to the whole machine. */
function sysctlOf(key: string, value: string, ifName: string): Sysctl {
  const parts = key.replaceAll(".", "/").split("/"); // dots become slashes, so no part is `..`
  const path = parts
    .filter((part) => part !== "")
    .join("/")
    .replace("IFNAME", () => ifName);
  if (!path.startsWith(NET)) {
    throw invalidConf(
      `invalid net sysctl key: ${JSON.stringify(key)}`,
      `write it as sysctl does, with "net." in front, as "net.ipv4.conf.IFNAME.arp_filter"`,
    );
  }
  return { key, path: path.slice(NET.length), value };
}

/** Refuses repeated keys: JSON takes the last one, but the other may have been meant. @throws CniError 7 */
export function refuseDuplicates(stdin: Uint8Array): void {
  const { members = [] } = readPositions(stdin);
  for (const { key, node } of members) {
    if (key.toLowerCase() !== "sysctl") continue;
    const keys = (node.members ?? []).map((member) => member.key);
    const twice = keys.find((one, i) => keys.indexOf(one) !== i);
    if (twice === undefined) continue;
    throw invalidConf(
      `duplicated sysctl keys are not allowed: ${JSON.stringify(twice)} occurs more than once`,
      `keep only one of them in "sysctl"`,
    );
  }
}
