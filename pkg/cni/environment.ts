/** Reads and checks the parameters of the protocol, the CNI_* variables. Pure. */

import { formats, isInterfaceName } from "../config/formats.ts";
import { CniError, ErrorCode } from "./error.ts";

export interface Parameters {
  /** CNI_COMMAND as given; the skeleton decides which verbs exist. */
  verb: string;
  containerId: string;
  netns: string | undefined;
  ifName: string;
  args: string;
  path: readonly string[];
}

interface Variable {
  name: string;
  /** Verbs that require the variable; its value is checked for these only. */
  requiredFor: readonly string[];
  check?: (value: string) => void;
}

/** In the order in which they are checked. */
const variables: readonly Variable[] = [
  { name: "CNI_CONTAINERID", requiredFor: ["ADD", "CHECK", "DEL"], check: checkContainerId },
  { name: "CNI_NETNS", requiredFor: ["ADD", "CHECK"] },
  { name: "CNI_IFNAME", requiredFor: ["ADD", "CHECK", "DEL"], check: checkInterfaceName },
  { name: "CNI_ARGS", requiredFor: [] },
  { name: "CNI_PATH", requiredFor: ["ADD", "CHECK", "DEL", "GC", "STATUS"] },
];

/**
 * @returns undefined when CNI_COMMAND is not set: a person calls the plugin by hand.
 * @throws CniError 4: the first invalid value, otherwise all variables that are missing.
 */
export function readParameters(environment: Readonly<Record<string, string>>): Parameters | undefined {
  const verb = environment["CNI_COMMAND"] ?? "";
  if (verb === "") return undefined;
  const missing: string[] = [];
  for (const { name, requiredFor, check } of variables) {
    if (!requiredFor.includes(verb)) continue;
    const value = environment[name] ?? "";
    if (value === "") missing.push(name);
    else check?.(value);
  }
  if (missing.length > 0) throw missingVariables(verb, missing);
  return {
    verb,
    containerId: environment["CNI_CONTAINERID"] ?? "",
    netns: environment["CNI_NETNS"] || undefined,
    ifName: environment["CNI_IFNAME"] ?? "",
    args: environment["CNI_ARGS"] ?? "",
    path: splitPath(environment["CNI_PATH"] ?? ""),
  };
}

/** Returns the directories in order. Empty parts are left out: as root, the current directory must not be searched. */
export const splitPath = (path: string): string[] => path.split(":").filter((directory) => directory !== "");

function missingVariables(verb: string, missing: readonly string[]): CniError {
  return new CniError({
    code: ErrorCode.invalidEnvironment,
    msg: `required env variables [${missing.join(",")}] missing`,
    details: `CNI_COMMAND is ${verb}`,
    remedy: `set them, as ${missing.map((name) => `${name}=${examples[name]}`).join(" ")}`,
  });
}

const examples: Readonly<Record<string, string>> = {
  CNI_CONTAINERID: "example",
  CNI_NETNS: "/run/netns/example",
  CNI_IFNAME: "eth0",
  CNI_PATH: "/opt/cni/bin",
};

const safeName = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
const safeNameRule = 'must begin with a letter or digit, and have only letters, digits, "_", "." and "-"';

export const isContainerId = (text: string): boolean => safeName.test(text);

export const isNetworkName = (text: string): boolean => safeName.test(text);
/** Completes "the name …". */
export const networkNameRule = safeNameRule;

/** @throws CniError 4 */
export function checkContainerId(containerId: string): void {
  if (isContainerId(containerId)) return;
  throw new CniError({
    code: ErrorCode.invalidEnvironment,
    msg: `invalid characters in CNI_CONTAINERID ${JSON.stringify(containerId)}: it ${safeNameRule}`,
    details: containerId,
    remedy: "the runtime must choose an ID that can be part of a file name",
  });
}

/** @throws CniError 4 */
export function checkInterfaceName(name: string): void {
  if (isInterfaceName(name)) return;
  throw new CniError({
    code: ErrorCode.invalidEnvironment,
    msg: `CNI_IFNAME is ${JSON.stringify(name)}, must be ${formats.ifname.allowed}`,
    remedy: "choose another interface name, as eth0",
  });
}

/** @throws CniError 7 */
export function checkNetworkName(name: unknown): asserts name is string {
  if (typeof name === "string" && safeName.test(name)) return;
  throw new CniError({
    code: ErrorCode.invalidConfig,
    msg:
      name === undefined || name === ""
        ? '"name" is missing: the name of the network'
        : `"name" is ${JSON.stringify(name)}: it ${safeNameRule}`,
    remedy: 'set a name that can be part of a file name, as "name": "podnet"',
  });
}
