/** The dummy plugin's keys: none of its own, since it only sets addresses. */
import * as ipam from "../../pkg/cni/call-ipam.ts";
import { type FromSchema, type JsonSchema, netconfProperties } from "../../pkg/config/schema.ts";

export const schema = {
  type: "object",
  properties: netconfProperties,
  additionalProperties: false,
} as const satisfies JsonSchema;

export type DummyConf = FromSchema<typeof schema>;

/** Requires an IPAM plugin. @throws CniError 7: there is none */
export const needAddresses = (conf: DummyConf): void =>
  ipam.requireType(conf, "dummy interface requires an IPAM configuration");
