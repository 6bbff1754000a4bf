/** static's keys: the addresses are in the configuration, or come with the call. */
import { readArgs } from "../../pkg/cni/args.ts";
import { CniError, ErrorCode, invalidConf } from "../../pkg/cni/error.ts";
import type { Request } from "../../pkg/cni/plugin.ts";
import {
  dnsSchema,
  type FromSchema,
  ipsProperty,
  type JsonSchema,
  netconfProperties,
  routeSchema,
} from "../../pkg/config/schema.ts";
import { type Address, contains, formatAddress, type Prefix, parseAddress, parsePrefix } from "../../pkg/ip/address.ts";
import { refuseSeveralPerFamily } from "../../pkg/ipam/per-family.ts";

const requestedIps = {
  ...ipsProperty,
  description: 'addresses with their prefix length, instead of all others: ["10.1.2.3/16"]',
} as const satisfies JsonSchema;

/** The configuration belongs to the delegating plugin, so other keys are allowed; only in `ipam` are all keys ours. */
export const schema = {
  type: "object",
  properties: {
    ...netconfProperties,
    ipam: {
      type: "object",
      properties: {
        type: { type: "string" },
        addresses: {
          type: "array",
          items: {
            type: "object",
            properties: {
              address: { type: "string", description: 'with its prefix length, as "10.1.2.3/16"' },
              gateway: { type: "string", format: "ip", description: "gateway of the routes that have none; none" },
              Address: { description: "ignored: another field of the reference plugin, which nothing reads" },
            },
            additionalProperties: false,
          },
          description: "addresses of the container",
        },
        routes: { type: "array", items: routeSchema },
        dns: dnsSchema,
      },
      additionalProperties: false,
    },
    args: { type: "object", properties: { cni: { type: "object", properties: { ips: requestedIps } } } },
    runtimeConfig: { type: "object", properties: { ips: requestedIps } },
  },
} as const satisfies JsonSchema;

export type StaticConf = FromSchema<typeof schema>;

/** An address for the container. */
export interface StaticAddress {
  prefix: Prefix;
  gateway: Address | undefined;
}

/** Settings, which depend on the call alone: nothing is stored. */
export interface Settings {
  ipam: NonNullable<StaticConf["ipam"]>;
  addresses: StaticAddress[];
  /** Gateways of CNI_ARGS that are in no subnet of its addresses, and so have no effect. */
  idleGateways: Address[];
}

/**
 * Determines the addresses. `runtimeConfig.ips` replace all others; `args.cni.ips` replace those of the configuration and of
 * CNI_ARGS, which are combined. Addresses that are replaced are not checked, except those that came with this call.
 *
 * @param args CNI_ARGS
 * @throws CniError 4 or 7 with the reference plugin's texts, followed by the source
 */
export function parseSettings({ conf, cniVersion }: Request<StaticConf>, args: string): Settings {
  const { ipam } = conf;
  if (ipam === undefined) {
    throw invalidConf(
      "IPAM config missing 'ipam' key",
      'add "ipam": {"type": "static", "addresses": [{"address": "10.1.2.3/16"}]}',
    );
  }
  const fromArgs = requestedByArgs(args);
  const fromConf = requested(conf.args?.cni?.ips, "args.cni.ips");
  const fromRuntime = requested(conf.runtimeConfig?.ips, "runtimeConfig.ips");
  const addresses = fromRuntime ?? fromConf ?? [...(ipam.addresses ?? []).map(configured), ...fromArgs.addresses];
  refuseSeveralPerFamily(
    addresses.map(({ prefix }) => prefix.address),
    cniVersion,
  );
  return { ipam, addresses, idleGateways: fromArgs.idleGateways };
}

function configured({ address = "", gateway }: { address?: string; gateway?: string }, at: number): StaticAddress {
  const prefix = parsePrefix(address);
  if (prefix === undefined) {
    throw invalidConf(
      `the 'address' field is expected to be in CIDR notation, got: '${address}' (ipam.addresses[${at}])`,
      `write it with its prefix length: ${withLength(address)}`,
    );
  }
  return { prefix, gateway: gateway === undefined ? undefined : parseAddress(gateway) };
}

/** Parses requested addresses; undefined when there are none. */
function requested(texts: readonly string[] = [], source: string): StaticAddress[] | undefined {
  if (texts.length === 0) return undefined;
  return texts.map((text) => {
    const prefix = parsePrefix(text);
    if (prefix !== undefined) return { prefix, gateway: undefined };
    throw invalidConf(
      `an entry in the 'ips' field is NOT in CIDR notation, got: '${text}' (${source})`,
      `write it with its prefix length: ${withLength(text)}`,
    );
  });
}

/** Parses CNI_ARGS. A gateway belongs to the addresses whose subnet contains it; the last one counts. */
function requestedByArgs(args: string): Pick<Settings, "addresses" | "idleGateways"> {
  const { IP = "", GATEWAY = "" } = readArgs(args, ["IP", "GATEWAY"]);
  const prefixes = listed(IP).map((text) => {
    const msg = `the 'ip' field is expected to be in CIDR notation, got: '${text}' (CNI_ARGS IP)`;
    return parsePrefix(text) ?? refuseVariable(msg, `write it with its prefix length: IP=${withLength(text)}`);
  });
  const gateways = listed(GATEWAY).map((text) => {
    const msg = `invalid gateway address: ${text} (CNI_ARGS GATEWAY)`;
    return parseAddress(text) ?? refuseVariable(msg, "write it without a prefix length: GATEWAY=10.1.0.1");
  });
  return {
    addresses: prefixes.map((prefix) => ({
      prefix,
      gateway: gateways.findLast((gateway) => contains(prefix, gateway)),
    })),
    idleGateways: gateways.filter((gateway) => !prefixes.some((prefix) => contains(prefix, gateway))),
  };
}

const listed = (text: string): string[] => (text === "" ? [] : text.split(",").map((item) => item.trim()));

function refuseVariable(msg: string, remedy: string): never {
  throw new CniError({ code: ErrorCode.invalidEnvironment, msg, remedy });
}

/** Returns the address with a prefix length, or an example. */
function withLength(text: string): string {
  const address = parseAddress(text.trim());
  if (address === undefined) return "10.1.2.3/16";
  return `${formatAddress(address)}/${address.length === 4 ? 24 : 64}`;
}
