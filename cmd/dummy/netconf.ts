/** The dummy plugin has no keys of its own: addresses are all there is to it. */
import { requireIpamType } from "../../pkg/cni/ipam.ts";
import { type FromSchema, type JsonSchema, netconfProperties } from "../../pkg/config/schema.ts";

export const schema = {
  type: "object",
  properties: netconfProperties,
  required: ["type"],
  additionalProperties: false,
} as const satisfies JsonSchema;

export type DummyConf = FromSchema<typeof schema>;

/** The IPAM plugin's name. @throws CniError 7: there is none */
export const needAddresses = (conf: DummyConf): string =>
  requireIpamType(conf, "dummy interface requires an IPAM configuration");
