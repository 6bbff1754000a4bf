/** The vrf plugin's keys, and the settings from them. */
import { invalidConf } from "../../pkg/cni/error.ts";
import { type FromSchema, type JsonSchema, netconfProperties } from "../../pkg/config/schema.ts";

export const schema = {
  type: "object",
  properties: {
    ...netconfProperties,
    vrfname: {
      type: "string",
      format: "linkName",
      description: "name of the VRF in the container; created if missing",
    },
    table: {
      type: "integer",
      minimum: 0,
      maximum: 0xffffffff,
      description: "routing table of the VRF; an unused one if it is created",
    },
  },
  additionalProperties: false,
} as const satisfies JsonSchema;

export type VrfConf = FromSchema<typeof schema>;

export interface VrfSettings {
  vrf: string;
  /** undefined: the VRF's present table, or a free one. */
  table: number | undefined;
}

/** @throws CniError 7 */
export function parseSettings({ vrfname, table }: VrfConf): VrfSettings {
  if (vrfname !== undefined) return { vrf: vrfname, table: table || undefined };
  throw invalidConf(
    "configuration is expected to have a valid vrf name",
    `set "vrfname" to the name of the VRF in the container, as "blue"`,
  );
}
