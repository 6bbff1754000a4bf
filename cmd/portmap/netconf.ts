/** The portmap plugin's keys, and the settings from them. */

import { invalidConf } from "../../pkg/cni/error.ts";
import { type FromSchema, type JsonSchema, netconfProperties } from "../../pkg/config/schema.ts";
import type { RuleBackend } from "../../pkg/firewall/backend.ts";
import { familyOf } from "../../pkg/firewall/family.ts";
import type { PortMapping, Protocol } from "../../pkg/firewall/portmap/port-mapping.ts";
import { isUnspecified, parseAddress } from "../../pkg/ip/address.ts";

const words = { type: "array", items: { type: "string" } } as const satisfies JsonSchema;

/** Values for which the reference plugin has its own error text are checked by `parseSettings`, so that the text is the same. */
export const schema = {
  type: "object",
  properties: {
    ...netconfProperties,
    backend: { type: "string", description: `"iptables" or "nftables"; by default what the host uses` },
    snat: {
      type: "boolean",
      description: "let the host and the container itself use its host ports (true)",
    },
    masqAll: { type: "boolean", description: "masquerade all connections to host ports" },
    markMasqBit: { type: "integer", description: "bit of the packet mark that requests masquerade (13)" },
    externalSetMarkChain: { type: "string", description: "chain of iptables that sets the mark instead" },
    conditionsV4: { ...words, description: "further matches for IPv4, in the syntax of the backend" },
    conditionsV6: { ...words, description: "further matches for IPv6, in the syntax of the backend" },
    runtimeConfig: {
      type: "object",
      properties: {
        portMappings: {
          type: "array",
          items: {
            type: "object",
            properties: {
              hostPort: { type: "integer" },
              containerPort: { type: "integer" },
              protocol: { type: "string" },
              hostIP: { type: "string" },
            },
          },
        },
      },
    },
  },
  additionalProperties: false,
} as const satisfies JsonSchema;

export type PortmapConf = FromSchema<typeof schema>;

/** The settings: defaults are filled in, contradictions have been refused. */
export interface PortmapSettings {
  backend: RuleBackend | undefined;
  snat: boolean;
  masqAll: boolean;
  /** The packet mark, with one bit set. */
  mark: number;
  externalSetMarkChain: string | undefined;
  conditions: Readonly<Record<"ip" | "ip6", readonly string[]>>;
  mappings: readonly PortMapping[];
}

/** Kubernetes uses 14 and 15, Calico 20 to 31. */
const DEFAULT_MARK_BIT = 13;
const MARK_BITS = 32;

/** @throws CniError 7 */
export function parseSettings(conf: PortmapConf): PortmapSettings {
  const { snat = true, masqAll = false, markMasqBit, externalSetMarkChain } = conf;
  if (markMasqBit !== undefined && externalSetMarkChain !== undefined) {
    throw invalidConf(
      "Cannot specify externalSetMarkChain and markMasqBit",
      `remove "markMasqBit": the chain of "externalSetMarkChain" sets its own mark`,
    );
  }
  const bit = markMasqBit ?? DEFAULT_MARK_BIT;
  if (bit < 0 || bit >= MARK_BITS) {
    throw invalidConf(
      `MasqMarkBit must be between 0 and 31`,
      `set "markMasqBit", now ${bit}, to a bit that no other program uses`,
    );
  }
  return {
    backend: backendOf(conf),
    snat,
    masqAll,
    mark: (1 << bit) >>> 0,
    externalSetMarkChain,
    conditions: { ip: wordsOf("conditionsV4", conf), ip6: wordsOf("conditionsV6", conf) },
    mappings: mappingsOf(conf),
  };
}

/** Returns the words of the conditions. @throws CniError 7: one of them would end the rule and begin another command */
function wordsOf(key: "conditionsV4" | "conditionsV6", conf: PortmapConf): readonly string[] {
  const conditions = conf[key] ?? [];
  if (conditions[0] === "") return [];
  const endsRule = languageOf(conditions) === "nftables" ? ENDS_NFT_RULE : ENDS_IPTABLES_RULE;
  const found = conditions.find((word) => endsRule.test(word));
  if (found === undefined) return conditions;
  throw invalidConf(
    `${JSON.stringify(found)} in "${key}" would end the rule`,
    "write matches only, as they are written in one rule, without line breaks and other control characters, and for nft without ; and #",
  );
}
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are meant
const ENDS_IPTABLES_RULE = /[\x00-\x1f\x7f]/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are meant
const ENDS_NFT_RULE = /[\x00-\x1f\x7f;#]/;

/** Whether the runtime names no ports. This does not prove that ADD published none: the runtime may have omitted them. */
export const asksForNothing = ({ runtimeConfig }: PortmapConf): boolean =>
  (runtimeConfig?.portMappings ?? []).length === 0;

// --- Backends ----------------------------------------------------------------------------------------------------------------------------

function backendOf({ backend }: PortmapConf): RuleBackend | undefined {
  if (backend !== undefined && backend !== "iptables" && backend !== "nftables") {
    throw invalidConf(
      `unrecognized backend ${JSON.stringify(backend)}`,
      `set "backend" to "iptables" or "nftables", or remove it`,
    );
  }
  return backend;
}

/** @throws CniError 7: the configuration has options for the other backend */
export function refuseOtherLanguage(backend: RuleBackend, conf: PortmapConf): void {
  const other: RuleBackend = backend === "iptables" ? "nftables" : "iptables";
  const found = [
    ...(conf.externalSetMarkChain !== undefined && other === "iptables" ? ["externalSetMarkChain"] : []),
    ...(["conditionsV4", "conditionsV6"] as const).filter((key) => languageOf(conf[key]) === other),
  ];
  if (found.length === 0) return;
  throw invalidConf(
    `${backend} backend was requested but configuration contains ${other}-specific options [${found.join(" ")}]`,
    conf.backend === undefined
      ? `"backend" is not set, and this host uses ${backend}: set it to "${other}", or write ${found.join(" and ")} for ${backend}`
      : `set "backend" to "${other}", or write ${found.join(" and ")} for ${backend}`,
  );
}

/** Returns the backend of the conditions: words of iptables begin with a dash or an exclamation mark, those of nft never do. */
function languageOf(conditions: readonly string[] | undefined): RuleBackend | undefined {
  const [first = ""] = conditions ?? [];
  if (first === "") return undefined;
  return /^[-!]/.test(first) ? "iptables" : "nftables";
}

// --- Mappings ----------------------------------------------------------------------------------------------------------------------------

const PROTOCOLS: ReadonlySet<string> = new Set<Protocol>(["tcp", "udp", "sctp"]);
const PORT_MAX = 65535;

type RawMapping = NonNullable<NonNullable<PortmapConf["runtimeConfig"]>["portMappings"]>[number];

/** Returns the mappings, without duplicates. */
function mappingsOf({ runtimeConfig }: PortmapConf): PortMapping[] {
  const byPort = new Map<string, PortMapping>();
  for (const raw of runtimeConfig?.portMappings ?? []) {
    const mapping = mappingOf(raw);
    const key = `${mapping.hostPort}${mapping.protocol}${raw.hostIP ?? ""}`;
    const other = byPort.get(key);
    if (other !== undefined && other.containerPort !== mapping.containerPort) throw mappedTwice(mapping, other);
    byPort.set(key, mapping);
  }
  return [...byPort.values()];
}

function mappingOf({ hostPort = 0, containerPort = 0, protocol = "", hostIP = "" }: RawMapping): PortMapping {
  if (containerPort <= 0 || containerPort > PORT_MAX) throw invalidPort("container", containerPort);
  if (hostPort <= 0 || hostPort > PORT_MAX) throw invalidPort("host", hostPort);
  const known = PROTOCOLS.has(protocol) ? protocol : protocol.toLowerCase();
  if (!PROTOCOLS.has(known)) {
    throw invalidConf(
      `host port ${hostPort} has protocol ${JSON.stringify(protocol)}, must be "tcp", "udp" or "sctp"`,
      `correct "protocol" in "portMappings"`,
    );
  }
  const { hostIp, family } = hostIP === "" ? EVERY_ADDRESS : hostAddressOf(hostIP, hostPort);
  return { protocol: known as Protocol, hostPort, containerPort, hostIp, family };
}

const EVERY_ADDRESS = { hostIp: undefined, family: undefined };

function hostAddressOf(text: string, hostPort: number): Pick<PortMapping, "hostIp" | "family"> {
  const address = parseAddress(text);
  if (address === undefined) {
    throw invalidConf(
      `host port ${hostPort} has hostIP ${JSON.stringify(text)}, which is not an IP address`,
      `write an address of this host, or remove "hostIP" for all of them`,
    );
  }
  return { hostIp: isUnspecified(address) ? undefined : address, family: familyOf(address) };
}

const invalidPort = (whose: "container" | "host", port: number) =>
  invalidConf(
    `Invalid ${whose} port number: ${port}`,
    `set "${whose}Port" in "portMappings" to a number from 1 to ${PORT_MAX}`,
  );

const mappedTwice = ({ protocol, hostPort, containerPort }: PortMapping, other: PortMapping) =>
  invalidConf(
    `host port ${hostPort}/${protocol} is mapped to container port ${other.containerPort} and to ${containerPort}`,
    `keep only one of the two in "portMappings"`,
  );
