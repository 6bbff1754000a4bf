/** The flannel plugin's keys, and the settings from them. */
import { CniError, ErrorCode } from "../../pkg/cni/error.ts";
import type { JsonObject } from "../../pkg/config/json.ts";
import { type FromSchema, type JsonSchema, netconfProperties, routeSchema } from "../../pkg/config/schema.ts";

export const schema = {
  type: "object",
  properties: {
    ...netconfProperties,
    subnetFile: { type: "string", description: "file that flanneld writes; /run/flannel/subnet.env" },
    dataDir: { type: "string", description: "directory of the records that DEL needs; /var/lib/cni/flannel" },
    delegate: {
      type: "object",
      properties: { type: { type: "string", description: "the plugin to call; bridge" } },
      description: "configuration of the plugin to call, without name and ipam",
    },
    ipam: {
      type: "object",
      properties: {
        type: { type: "string", description: "name of the IPAM plugin; host-local" },
        routes: { type: "array", items: routeSchema },
      },
      description: "configuration of IPAM, which gets this host's ranges and a route to the whole network",
    },
  },
  additionalProperties: false,
} as const satisfies JsonSchema;

export type FlannelConf = FromSchema<typeof schema>;

const DEFAULT_SUBNET_FILE = "/run/flannel/subnet.env";
const DEFAULT_DATA_DIR = "/var/lib/cni/flannel";
const DEFAULT_DELEGATE = "bridge";
const DEFAULT_IPAM = "host-local";

/** Configuration of a plugin, with its name as `type`. */
export type PluginConf = JsonObject & { readonly type: string };

export interface FlannelSettings {
  subnetFile: string;
  dataDir: string;
  /** The delegate's configuration as given. */
  delegate: PluginConf;
  ipam: PluginConf;
  runtimeConfig: JsonObject | undefined;
}

/** @throws CniError 7 where the reference plugin refuses, with its texts. */
export function parseSettings(conf: FlannelConf): FlannelSettings {
  for (const key of ["name", "ipam"]) if (key in (conf.delegate ?? {})) throw notTheirs(key);
  return settingsOf(conf);
}

/** Returns the settings without refusing any, for DEL. */
export function settingsOf(conf: FlannelConf): FlannelSettings {
  const { delegate = {}, ipam = {}, runtimeConfig, subnetFile } = conf;
  return {
    subnetFile: subnetFile || DEFAULT_SUBNET_FILE,
    dataDir: dataDirOf(conf),
    delegate: { ...(delegate as JsonObject), type: delegate.type ?? DEFAULT_DELEGATE },
    ipam: { ...(ipam as JsonObject), type: ipam.type ?? DEFAULT_IPAM },
    runtimeConfig: runtimeConfig as JsonObject | undefined,
  };
}

/** Returns the data directory, all that DEL needs of a configuration. */
export const dataDirOf = ({ dataDir }: FlannelConf): string => dataDir || DEFAULT_DATA_DIR;

function notTheirs(key: string): CniError {
  return new CniError({
    code: ErrorCode.invalidConfig,
    msg: `'delegate' dictionary must not have '${key}' field, it'll be set by flannel`,
    remedy:
      key === "ipam"
        ? 'move "delegate.ipam" to the same level as "delegate": flannel adds ranges and routes to it'
        : 'remove "delegate.name": the network\'s own name is used',
  });
}
