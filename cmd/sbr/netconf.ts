/** The sbr plugin's keys, and the settings from them. */

import { invalidConf } from "../../pkg/cni/error.ts";
import { type FromSchema, type JsonSchema, netconfProperties } from "../../pkg/config/schema.ts";
import { type Address, parseAddress } from "../../pkg/ip/address.ts";
import { familyNames, familyOf, familyWords } from "../../pkg/ip/family.ts";

export const schema = {
  type: "object",
  properties: {
    ...netconfProperties,
    table: {
      type: "integer",
      minimum: 1,
      maximum: 0xffffffff,
      description: "routing table for traffic from the interface's addresses; the routes stay in their table",
    },
    gateways: {
      type: "array",
      items: { type: "string", format: "ip" },
      description: "default gateway of each family (the gateway of the address)",
    },
    addSourceHints: {
      type: "boolean",
      description: "keep the routes to the subnets in the main table, with the address as the source",
    },
  },
  additionalProperties: false,
} as const satisfies JsonSchema;

export type SbrConf = FromSchema<typeof schema>;

export interface SbrSettings {
  /** undefined: a free table for each address, to which the routes are moved. */
  table: number | undefined;
  gateways: readonly Address[];
  keepsSubnetRoutes: boolean;
}

/** @throws CniError 7 */
export function parseSettings({ table, gateways = [], addSourceHints = false }: SbrConf): SbrSettings {
  const addresses = gateways.map((text) => parseAddress(text)).filter((address) => address !== undefined);
  for (const family of familyNames) {
    if (addresses.filter((address) => familyOf(address) === family).length < 2) continue;
    throw invalidConf(
      `multiple ${familyWords[family]} addresses in "gateways": ${gateways.join(", ")}`,
      "set at most one gateway for each family",
    );
  }
  return { table, gateways: addresses, keepsSubnetRoutes: addSourceHints };
}
