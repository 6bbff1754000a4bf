/** The options of drivers (`-o KEY=VALUE`), under Docker's names or shorter ones. Pure. */
import { type CniError, invalidConf } from "../cni/error.ts";
import { nearest } from "../config/edit-distance.ts";
import { formats, isInterfaceName } from "../config/formats.ts";
import { parseAddress } from "../ip/address.ts";

export const drivers = ["bridge", "macvlan", "ipvlan"] as const;
export type Driver = (typeof drivers)[number];

/** Docker's names of options. */
export const OptionName = {
  bridgeName: "com.docker.network.bridge.name",
  icc: "com.docker.network.bridge.enable_icc",
  masquerade: "com.docker.network.bridge.enable_ip_masquerade",
  hostBinding: "com.docker.network.bridge.host_binding_ipv4",
  defaultBridge: "com.docker.network.bridge.default_bridge",
  mtu: "com.docker.network.driver.mtu",
  parent: "parent",
  macvlanMode: "macvlan_mode",
  ipvlanMode: "ipvlan_mode",
} as const;

interface Option {
  drivers: readonly Driver[];
  /** Other names of it. */
  short: readonly string[];
  /** Completes "must be …". */
  allowed: string;
  fits(value: string): boolean;
}

const isBoolean = (value: string): boolean => /^(true|false|0|1)$/i.test(value);
const flag = (short: readonly string[]): Option => ({
  drivers: ["bridge"],
  short,
  allowed: "true or false",
  fits: isBoolean,
});
const interfaceName = { allowed: formats.ifname.allowed, fits: isInterfaceName };
const oneOf = (...modes: string[]) => ({ allowed: modes.join(", "), fits: (value: string) => modes.includes(value) });
/** The least MTU of IPv4 (RFC 791), and the most that a veth pair takes. */
const [MTU_MIN, MTU_MAX] = [68, 65535];

const options: Readonly<Record<string, Option>> = {
  [OptionName.bridgeName]: { drivers: ["bridge"], short: ["bridge.name", "bridge"], ...interfaceName },
  [OptionName.icc]: flag(["enable_icc", "icc"]),
  [OptionName.masquerade]: flag(["enable_ip_masquerade", "ip_masquerade", "masquerade"]),
  [OptionName.hostBinding]: {
    drivers: ["bridge"],
    short: ["host_binding_ipv4", "host_binding"],
    allowed: 'an IPv4 address, as "127.0.0.1"',
    fits: (value) => parseAddress(value)?.length === 4,
  },
  [OptionName.defaultBridge]: flag(["default_bridge"]),
  [OptionName.mtu]: {
    drivers,
    short: ["driver.mtu", "mtu"],
    allowed: `a number of bytes from ${MTU_MIN} to ${MTU_MAX}`,
    fits: (value) => /^\d{1,5}$/.test(value) && Number(value) >= MTU_MIN && Number(value) <= MTU_MAX,
  },
  [OptionName.parent]: { drivers: ["macvlan", "ipvlan"], short: [], ...interfaceName },
  [OptionName.macvlanMode]: {
    drivers: ["macvlan"],
    short: ["mode"],
    ...oneOf("bridge", "private", "vepa", "passthru"),
  },
  [OptionName.ipvlanMode]: { drivers: ["ipvlan"], short: ["mode"], ...oneOf("l2", "l3", "l3s") },
};

/** Returns the options under Docker's names. @throws CniError 7: an unknown one, one of another driver, or a wrong value */
export function parseDriverOptions(given: Readonly<Record<string, string>>, driver: Driver): Record<string, string> {
  return Object.fromEntries(
    Object.entries(given).map(([key, value]) => {
      const name = optionCalled(key, driver);
      const option = options[name];
      if (option?.fits(value) !== true) throw wrongValue(key, value, option?.allowed ?? "");
      return [name, value];
    }),
  );
}

/** Reports whether an option that is true or false is on. */
export function isOn(given: Readonly<Record<string, string>>, name: string, otherwise: boolean): boolean {
  const value = given[name];
  return value === undefined ? otherwise : /^(true|1)$/i.test(value);
}

function optionCalled(key: string, driver: Driver): string {
  const called = Object.entries(options).filter(([name, { short }]) => name === key || short.includes(key));
  const own = called.find(([, option]) => option.drivers.includes(driver));
  if (own !== undefined) return own[0];
  const [other] = called;
  if (other !== undefined) {
    const owners = other[1].drivers.join(", ");
    throw invalidConf(
      `option "${key}" is not one of driver ${driver}`,
      `remove it, or use driver ${owners}: -d ${owners}`,
    );
  }
  const names = Object.entries(options).flatMap(([name, option]) =>
    option.drivers.includes(driver) ? [name, ...option.short] : [],
  );
  const meant = nearest(key, names);
  throw invalidConf(
    `driver ${driver} has no option "${key}"`,
    meant === undefined ? `use one of ${names.join(", ")}` : `did you mean ${meant}?`,
  );
}

/** Docker's text for a wrong MTU begins like this one. */
const wrongValue = (key: string, value: string, allowed: string): CniError =>
  invalidConf(`failed to parse ${key} value: ${JSON.stringify(value)}`, `it must be ${allowed}: -o ${key}=…`);
