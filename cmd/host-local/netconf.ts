/** host-local's keys, all in `ipam` except those that the runtime sets. */
import { readArgs } from "../../pkg/cni/args.ts";
import { CniError, ErrorCode } from "../../pkg/cni/error.ts";
import type { Attachment, Request } from "../../pkg/cni/plugin.ts";
import {
  type FromSchema,
  ipsProperty,
  type JsonSchema,
  netconfProperties,
  routeSchema,
} from "../../pkg/config/schema.ts";
import { type Address, parseAddress, parsePrefix } from "../../pkg/ip/address.ts";
import type { PoolConf } from "../../pkg/ipam/host-local/pool-types.ts";
import { parseRangeSets, type RangeConf, type RangeSet } from "../../pkg/ipam/host-local/range.ts";
import { defaultDataDir } from "../../pkg/ipam/host-local/reservation-directory.ts";
import { writeStderr } from "../../pkg/sys/process.ts";

const rangeProperties = {
  subnet: { type: "string", format: "cidr", description: "network to allocate addresses from" },
  rangeStart: { type: "string", format: "ip", description: "first address to allocate; the network's first" },
  rangeEnd: {
    type: "string",
    format: "ip",
    description: "last address to allocate; the last before the broadcast address",
  },
  gateway: {
    type: "string",
    format: "ip",
    description: "gateway, which is never allocated; the network's first address",
  },
} as const satisfies Record<string, JsonSchema>;

const rangeSets = {
  type: "array",
  items: {
    type: "array",
    items: { type: "object", properties: rangeProperties, required: ["subnet"], additionalProperties: false },
  },
  description: "outer list: sets, one address is allocated from each; inner list: ranges of one set",
} as const satisfies JsonSchema;

const requestedIps = {
  ...ipsProperty,
  description: "addresses to allocate, each in a different set; a prefix length is ignored",
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
        ranges: rangeSets,
        ...rangeProperties,
        routes: { type: "array", items: routeSchema },
        dataDir: { type: "string", description: "directory of the reservations; /var/lib/cni/networks" },
        resolvConf: { type: "string", description: 'file like /etc/resolv.conf, returned as "dns" of the result' },
        reclaimAfterReboot: {
          type: "boolean",
          description:
            "free reservations of earlier boots at the first call after a boot; otherwise when a range is full",
        },
        failStatusWhenFull: {
          type: "boolean",
          description: "STATUS fails with code 50 when no address is left; otherwise it warns on stderr",
        },
        reuseDelay: {
          type: "integer",
          minimum: 0,
          maximum: 2 ** 31,
          description: "seconds for which a released address is not allocated again; 0",
        },
      },
      additionalProperties: false,
    },
    args: { type: "object", properties: { cni: { type: "object", properties: { ips: requestedIps } } } },
    runtimeConfig: { type: "object", properties: { ips: requestedIps, ipRanges: rangeSets } },
  },
} as const satisfies JsonSchema;

export type HostLocalConf = FromSchema<typeof schema>;

export interface Settings extends PoolConf {
  ipam: NonNullable<HostLocalConf["ipam"]>;
}

/**
 * Applies defaults and rules. Range sets are in this order: the runtime's, the single range of old configurations, `ranges`.
 *
 * @throws CniError 7 where the reference plugin refuses, with its texts.
 */
export function parseSettings(request: Request<HostLocalConf>): Settings {
  return settingsOf(request, parseRangeSets(rangeSetsOf(request.conf), request.cniVersion));
}

/** Returns the settings for STATUS and GC, which get no runtimeConfig: without range sets if the runtime sets these in each call. */
export function parseSettingsForAll(request: Request<HostLocalConf>): Settings {
  const sets = rangeSetsOf(request.conf);
  const comeWithEachCall = sets.length === 0 && request.conf.capabilities?.["ipRanges"] === true;
  return settingsOf(request, comeWithEachCall ? [] : parseRangeSets(sets, request.cniVersion));
}

/**
 * Returns the settings for DEL, which finds reservations by their owner: without range sets if these are invalid, so that an attachment
 * made with another configuration can be detached.
 */
export function parseSettingsForDel(request: Request<HostLocalConf>): Settings {
  const byOwner = settingsOf(request, []);
  return orTold(byOwner, byOwner.log, () => parseSettings(request));
}

/** Returns what `work` returns; `instead` when that is refused, and tells why. */
function orTold<T>(instead: T, tell: (line: string) => void, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof CniError)) throw error;
    tell(`DEL goes on by the container's ID: ${error.message}`);
    return instead;
  }
}

function rangeSetsOf({ ipam, runtimeConfig }: HostLocalConf): RangeConf[][] {
  const { subnet, rangeStart, rangeEnd, gateway, ranges = [] } = needIpam(ipam);
  const single = subnet === undefined ? [] : [[{ subnet, rangeStart, rangeEnd, gateway }]];
  return [...(runtimeConfig?.ipRanges ?? []), ...single, ...ranges];
}

function needIpam(ipam: HostLocalConf["ipam"]): Settings["ipam"] {
  if (ipam) return ipam;
  const remedy = 'add "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/16"}]]}';
  throw new CniError({ code: ErrorCode.invalidConfig, msg: "IPAM config missing 'ipam' key", remedy });
}

function settingsOf({ conf, network }: Request<HostLocalConf>, sets: readonly RangeSet[]): Settings {
  const ipam = needIpam(conf.ipam);
  return {
    ipam,
    network,
    dataDir: ipam.dataDir || defaultDataDir,
    sets,
    reclaimAfterReboot: ipam.reclaimAfterReboot ?? false,
    reuseDelayMs: (ipam.reuseDelay ?? 0) * 1000,
    log: (line) => writeStderr(`host-local: network ${JSON.stringify(network)}: ${line}\n`),
  };
}

/**
 * Returns the requested addresses: CNI_ARGS, `args.cni.ips` and `runtimeConfig.ips` together.
 *
 * @throws CniError 4 or 7: one of them is not an address.
 */
export function requestedAddresses({ conf, args }: Attachment<HostLocalConf>): Address[] {
  const { IP: fromArgs } = readArgs(args, ["IP"]);
  const code = ErrorCode.invalidConfig;
  return [
    ...(fromArgs ? [requested(fromArgs, { source: "CNI_ARGS IP", code: ErrorCode.invalidEnvironment })] : []),
    ...(conf.args?.cni?.ips ?? []).map((text) => requested(text, { source: "args.cni.ips", code })),
    ...(conf.runtimeConfig?.ips ?? []).map((text) => requested(text, { source: "runtimeConfig.ips", code })),
  ];
}

/** Returns the requested addresses for DEL: none if one of them is invalid. */
export function requestedAddressesForDel(attachment: Attachment<HostLocalConf>, { log }: Settings): Address[] {
  return orTold([], log, () => requestedAddresses(attachment));
}

function requested(text: string, { source, code }: { source: string; code: number }): Address {
  const address = parseAddress(text) ?? parsePrefix(text)?.address;
  if (address) return address;
  const msg = `cannot understand ip: ${source} has ${JSON.stringify(text)}`;
  throw new CniError({ code, msg, remedy: 'write it as "10.1.2.3" or "10.1.2.3/16"' });
}
