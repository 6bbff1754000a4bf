/** The configuration keys of dhcp, all below `ipam`. */
import { CniError, ErrorCode, invalidConf } from "../../pkg/cni/error.ts";
import { type FromSchema, type JsonSchema, netconfProperties } from "../../pkg/config/schema.ts";
import type { Options } from "../../pkg/dhcp/message.ts";
import { codeOf, configNames, type OptionName, parseOptionName } from "../../pkg/dhcp/option.ts";
import { encode } from "../../pkg/sys/text.ts";

const optionProperty = {
  type: "string",
  description: 'one of the names of dhcp-options(5) that are known, as "host-name", or a number as "12"',
} as const satisfies JsonSchema;

/** The schema of the delegating plugin's whole configuration; only `ipam` is limited to our keys. */
export const schema = {
  type: "object",
  properties: {
    ...netconfProperties,
    ipam: {
      type: "object",
      properties: {
        type: { type: "string" },
        daemonSocketPath: { type: "string", description: "socket of the daemon; /run/cni/dhcp.sock" },
        request: {
          type: "array",
          items: {
            type: "object",
            properties: {
              option: optionProperty,
              skipDefault: { type: "boolean", description: "request only the listed options" },
            },
            additionalProperties: false,
          },
          description: "options to request from the server",
        },
        provide: {
          type: "array",
          items: {
            type: "object",
            properties: {
              option: optionProperty,
              value: { type: "string", description: "value to send" },
              fromArg: { type: "string", description: "key of CNI_ARGS whose value is sent" },
            },
            required: ["option"],
            additionalProperties: false,
          },
          description: "options to send to the server",
        },
        priority: { type: "integer", minimum: 0, description: "metric of the routes" },
      },
      additionalProperties: false,
    },
  },
} as const satisfies JsonSchema;

export type DhcpConf = FromSchema<typeof schema>;

export const DEFAULT_SOCKET = "/run/cni/dhcp.sock";

export const socketPathOf = ({ ipam }: DhcpConf): string => ipam?.daemonSocketPath || DEFAULT_SOCKET;

/** The options requested from a server by default (`skipDefault`): classless routes before routers, as RFC 3442 requires. */
const askedFor: readonly OptionName[] = [
  "subnetMask",
  "classlessRoutes",
  "routers",
  "staticRoutes",
  "nameServers",
  "domainName",
  "domainSearch",
  "mtu",
];
const LONGEST_VALUE = 255;

/**
 * Returns the options of every message: the parameter request list, and options from the configuration, with values of its own or from
 * CNI_ARGS.
 *
 * @throws CniError 7: an unknown option, or a value that is too long
 */
export function optionsToSend({ ipam }: DhcpConf, args: string, clientId: string): Options {
  const options = new Map<number, Uint8Array>([
    [codeOf("clientId"), encode(`\0${clientId}`)], // type 0: not a hardware address
  ]);
  const given = argsIn(args);
  for (const { option, value = "", fromArg } of ipam?.provide ?? []) {
    const code = codeOfName(option);
    if (value !== "") options.set(code, sendable(value, `option ${JSON.stringify(option)}`));
    const fromCaller = fromArg === undefined ? undefined : given.get(fromArg);
    if (fromCaller !== undefined)
      options.set(
        code,
        sendable(fromCaller, `option ${JSON.stringify(option)} from CNI_ARGS ${JSON.stringify(fromArg)}`),
      );
  }
  const request = ipam?.request ?? [];
  const listed = request.flatMap(({ option }) => (option ? [codeOfName(option)] : []));
  const defaults = request.some(({ skipDefault }) => skipDefault) ? [] : askedFor.map(codeOf);
  const asked = [...new Set([...defaults, ...listed])];
  if (asked.length > 0) options.set(codeOf("requestList"), Uint8Array.from(asked));
  return options;
}

function codeOfName(name: string): number {
  const code = parseOptionName(name);
  if (code !== undefined) return code;
  throw invalidConf(
    `Can not parse option ${JSON.stringify(name)}`,
    `use one of ${[...configNames.keys()].join(", ")}, or a number up to 255`,
  );
}

function sendable(value: string, what: string): Uint8Array {
  const bytes = encode(value);
  if (bytes.length <= LONGEST_VALUE) return bytes;
  throw new CniError({
    code: ErrorCode.invalidConfig,
    msg: `value too long for ${what}: ${JSON.stringify(value)}`,
    details: `it has ${bytes.length} bytes`,
    remedy: `shorten it to ${LONGEST_VALUE} bytes`,
  });
}

/** Parses CNI_ARGS as the reference does: split at the first "="; unknown keys are allowed. */
function argsIn(text: string): Map<string, string> {
  return new Map(
    text.split(";").flatMap((pair) => {
      const equals = pair.indexOf("=");
      return equals < 0 ? [] : [[pair.slice(0, equals), pair.slice(equals + 1)] as const];
    }),
  );
}
