/** The vlan plugin's keys, and the settings from them. */
import { invalidConf } from "../../pkg/cni/error.ts";
import { type FromSchema, type JsonSchema, netconfProperties } from "../../pkg/config/schema.ts";
import { parentProperties } from "../../pkg/link/parent.ts";

export const schema = {
  type: "object",
  properties: {
    ...netconfProperties,
    ...parentProperties,
    /** `parseSettings` checks the bounds, with the text of the reference plugin. */
    vlanId: {
      type: "integer",
      description: "ID of the VLAN, from 0 to 4094; 0, the default, means priority tags",
    },
  },
  additionalProperties: false,
} as const satisfies JsonSchema;

export type VlanConf = FromSchema<typeof schema>;

/** The settings: defaults are filled in, invalid configurations have been refused. */
export interface VlanSettings {
  id: number;
}

/** @throws CniError 7 */
export function parseSettings({ master = "", vlanId: id = 0 }: VlanConf): VlanSettings {
  if (master === "") {
    throw invalidConf(
      `"master" field is required. It specifies the host interface name to create the VLAN for`,
      `set "master" to the interface whose network carries the VLAN`,
    );
  }
  if (id < 0 || id > 4094) {
    throw invalidConf(
      `invalid VLAN ID ${id} (must be between 0 and 4094 inclusive)`,
      `set "vlanId" to the ID that the switch has for the network`,
    );
  }
  return { id };
}
