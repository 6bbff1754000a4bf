/** The dummy plugin has no keys of its own: addresses are all there is to it. */
import { invalidConf } from "../../pkg/cni/error.ts";
import { ipamOf } from "../../pkg/cni/lease.ts";
import { type FromSchema, type JsonSchema, netconfProperties } from "../../pkg/cni/schema.ts";

export const schema = {
  type: "object",
  properties: netconfProperties,
  required: ["type"],
  additionalProperties: false,
} as const satisfies JsonSchema;

export type DummyConf = FromSchema<typeof schema>;

/** The IPAM plugin's name. @throws CniError 7: there is none */
export function needIpam(conf: DummyConf): string {
  const ipam = ipamOf(conf);
  if (ipam !== undefined) return ipam;
  throw invalidConf(
    "dummy interface requires an IPAM configuration",
    `add "ipam" with a "type", as "static" or "host-local"`,
  );
}
