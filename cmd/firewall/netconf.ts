/** The firewall plugin's keys, and the settings from them. */
import { invalidConf } from "../../pkg/cni/error.ts";
import { type FromSchema, type JsonSchema, netconfProperties } from "../../pkg/config/schema.ts";
import type { Backend } from "../../pkg/firewall/backend.ts";
import type { ForwardingOptions } from "../../pkg/firewall/forwarding/forwarding.ts";

export const schema = {
  type: "object",
  properties: {
    ...netconfProperties,
    backend: { type: "string", description: `"iptables", "firewalld" or "nftables"; by default what the host uses` },
    iptablesAdminChainName: { type: "string", description: "chain for the administrator's own rules (CNI-ADMIN)" },
    firewalldZone: { type: "string", description: "zone that the container's addresses are added to (trusted)" },
    ingressPolicy: { type: "string", description: `"open", "same-bridge" or "isolated" (open)` },
  },
  additionalProperties: false,
} as const satisfies JsonSchema;

export type FirewallConf = FromSchema<typeof schema>;

export interface FirewallSettings extends ForwardingOptions {
  adminChain: string;
  policy: "open" | "same-bridge" | "isolated";
}

const BACKENDS: readonly string[] = ["iptables", "firewalld", "nftables"] satisfies Backend[];
const POLICIES: readonly string[] = ["open", "same-bridge", "isolated"] satisfies FirewallSettings["policy"][];
/** Longest name of a chain in iptables. */
const CHAIN_NAME_MAX = 28;

/** @throws CniError 7 */
export function parseSettings(conf: FirewallConf): FirewallSettings {
  const adminChain = conf.iptablesAdminChainName || "CNI-ADMIN";
  if (adminChain.length > CHAIN_NAME_MAX || !/^[^\s!-][^\s]*$/.test(adminChain)) {
    throw invalidConf(
      `"iptablesAdminChainName" is ${JSON.stringify(adminChain)}, must be a name of at most ${CHAIN_NAME_MAX} characters without spaces`,
      "iptables accepts no other names for chains: choose another one",
    );
  }
  const policy = conf.ingressPolicy || "open";
  if (!POLICIES.includes(policy)) {
    throw invalidConf(
      `unknown ingress policy: ${JSON.stringify(policy)}`,
      `set "ingressPolicy" to one of ${POLICIES.map((name) => `"${name}"`).join(", ")}`,
    );
  }
  return {
    ...choicesOf(conf),
    adminChain,
    policy: policy as FirewallSettings["policy"],
  };
}

/** Returns the settings that are valid for any configuration, for DEL and GC. */
export const choicesOf = ({ backend = "", firewalldZone }: FirewallConf): ForwardingOptions => ({
  backend: BACKENDS.includes(backend) ? (backend as Backend) : undefined,
  zone: firewalldZone || "trusted",
});

/** Returns the warning about an unknown backend, which the reference plugin ignores; undefined when there is none. */
export function warningOf({ backend = "" }: FirewallConf): string | undefined {
  if (backend === "" || BACKENDS.includes(backend)) return undefined;
  return `"backend" is ${JSON.stringify(backend)}, must be one of ${BACKENDS.join(", ")}: it is ignored, and the backend is the one that the host uses`;
}
