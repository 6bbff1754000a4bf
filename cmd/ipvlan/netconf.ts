/** The ipvlan plugin's keys, and the settings from them. */
import { invalidConf } from "../../pkg/cni/error.ts";
import type { Result } from "../../pkg/cni/result.ts";
import { type FromSchema, type JsonSchema, netconfProperties } from "../../pkg/config/schema.ts";
import { type ParentSelector, parentProperties } from "../../pkg/link/parent.ts";
import { IPVLAN_MODE_L2, IPVLAN_MODE_L3, IPVLAN_MODE_L3S } from "../../pkg/netlink/rtnetlink/link/ipvlan.ts";

export const modes = { l2: IPVLAN_MODE_L2, l3: IPVLAN_MODE_L3, l3s: IPVLAN_MODE_L3S } as const;

export const schema = {
  type: "object",
  properties: {
    ...netconfProperties,
    ...parentProperties,
    mode: {
      type: "string",
      enum: ["l2", "l3", "l3s", ""],
      description: "whether the master switches (l2) or routes between containers and network",
    },
  },
  additionalProperties: false,
} as const satisfies JsonSchema;

export type IpvlanConf = FromSchema<typeof schema>;

export const modeOf = ({ mode }: IpvlanConf): keyof typeof modes => mode || "l2";

/**
 * Selects the parent. A chained ipvlan uses the interface of the preceding plugin, unless a master is named.
 *
 * @throws CniError 7: that is not exactly one interface
 */
export function parentSelector(conf: IpvlanConf, prevResult: Result | undefined): ParentSelector {
  if (conf.master || prevResult === undefined) return conf;
  const [only, ...more] = prevResult.interfaces;
  if (only?.name && more.length === 0) return { ...conf, master: only.name };
  throw invalidConf(
    "chained master failure. PrevResult lacks a single named interface",
    `set "master", since the plugins before this one have created ${prevResult.interfaces.length} interfaces`,
  );
}
