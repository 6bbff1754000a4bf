/** The host-device plugin's keys: a device, selected in one of several ways. */

import { invalidConf } from "../../pkg/cni/error.ts";
import { type FromSchema, type JsonSchema, netconfProperties } from "../../pkg/config/schema.ts";

export const schema = {
  type: "object",
  properties: {
    ...netconfProperties,
    device: { type: "string", format: "linkName", description: "name of the interface on the host" },
    hwaddr: { type: "string", format: "mac", description: "MAC of the interface; the first of several" },
    kernelpath: { type: "string", description: "directory of the device below /sys/devices/" },
    pciBusID: {
      type: "string",
      pattern: "^([0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\\.[0-7])?$",
      description: 'a PCI address with its domain, as "0000:00:1f.6"',
    },
    dataDir: { type: "string", description: "directory of the records of moved devices; /run/cni/host-device" },
    runtimeConfig: {
      type: "object",
      properties: { deviceID: { type: "string", description: "a PCI address, or a name on the auxiliary bus" } },
    },
  },
  additionalProperties: false,
} as const satisfies JsonSchema;

export type HostDeviceConf = FromSchema<typeof schema>;

const DEFAULT_DATA_DIR = "/run/cni/host-device";
const DEVICES = "/sys/devices/";

/** The ways to select a device. If several are given, the first one in this order counts. */
export interface DeviceSelectors {
  device: string;
  hwaddr: string;
  kernelpath: string;
  pciBusID: string;
  deviceID: string;
}

/** The settings that DEL and GC need, valid for any configuration. */
export interface CleanupSettings {
  /** The name on the host that the configuration has; "" when it selects the device in another way. */
  device: string;
  dataDir: string;
}

export const cleanupSettings = (conf: HostDeviceConf): CleanupSettings => ({
  device: conf.device ?? "",
  dataDir: conf.dataDir || DEFAULT_DATA_DIR,
});

export function namesOf(conf: HostDeviceConf): DeviceSelectors {
  const { device = "", hwaddr = "", kernelpath = "", pciBusID = "" } = conf;
  return { device, hwaddr, kernelpath, pciBusID, deviceID: conf.runtimeConfig?.deviceID ?? "" };
}

/** @throws CniError 7: an invalid path. A device that is missing here may be selected by the runtime: see `needNames`. */
export function parseSettings(conf: HostDeviceConf): DeviceSelectors {
  const names = namesOf(conf);
  const { kernelpath } = names;
  if (kernelpath === "" || kernelpath.startsWith(DEVICES)) return names;
  throw invalidConf(
    `kernel device path "${kernelpath}" must be absolute and begin with ${DEVICES}`,
    `use the output of "readlink -f /sys/class/net/NAME/device"`,
  );
}

/** @throws CniError 7: no device is selected */
export function needNames(conf: HostDeviceConf): DeviceSelectors {
  const names = parseSettings(conf);
  if (Object.values(names).some((name) => name !== "")) return names;
  throw invalidConf(
    'specify either "device", "hwaddr", "kernelpath" or "pciBusID"',
    `set the device, as "device": "eth1"; a device plugin's choice is passed by the capability "deviceID"`,
  );
}
