/** Decodes the results of plugins, of IPAM plugins too, and `prevResult`, from the document of any version. Pure. */
import { findKey, memberOf } from "../config/go-json.ts";
import { isObject, type Json, type JsonObject, showJson } from "../config/json.ts";
import { CniError, ErrorCode } from "./error.ts";
import type { IpConfig, Result } from "./result.ts";
import {
  type Column,
  dnsTable,
  interfaceTable,
  ipTable,
  oldIpTable,
  type Row,
  routeTable,
  type TableOf,
} from "./result-keys.ts";
import { oldestVersion, supportedVersions, versionFamilies, versionFamilyOf } from "./version.ts";

/** The source of a document, for messages: `prevResult`, `result of "host-local"`. */
export interface Origin {
  what: string;
  remedy: string;
  /**
   * Called for each invalid part that is left out, where that is better than refusing the whole document. An invalid address always
   * refuses the whole: a caller that gets some addresses assumes that they are all.
   */
  ignore?: (problem: string) => void;
}

/**
 * Parses the result of the preceding plugins of the chain.
 *
 * @param version of the configuration. The document's own must be of the same family; from 0.3.0 on it may be missing, but not be
 * empty.
 * @param ignore For DEL: called for each invalid part, which is left out; invalid addresses are errors all the same.
 * @throws CniError 1: of another family. 6: not a result. 7: an invalid value
 */
export function decodePrevResult(document: Json, version: string, ignore?: (problem: string) => void): Result {
  const origin: Origin = {
    what: "prevResult",
    remedy: "the runtime must pass the result of the plugin before this one, in the configuration's version",
    ...(ignore && { ignore }),
  };
  const own = ownVersion(document, origin) ?? version;
  const family = versionFamilyOf(version);
  if (family === undefined || !family.includes(own || oldestVersion)) {
    throw new CniError({
      code: ErrorCode.incompatibleVersion,
      msg: `prevResult has "cniVersion" ${JSON.stringify(own)}, the configuration has "${version}"`,
      details: `${(family ?? []).join(", ")} can be read with this configuration`,
      remedy: "delete the attachment and add it again, if the configuration's version was changed while it existed",
    });
  }
  return decodeDocument(document, own, origin);
}

/**
 * Parses the result that a plugin printed. It is read in its own version, whatever the configuration's.
 *
 * @param version of the configuration, for plugins that do not print theirs.
 */
export function decodeResult(document: Json, version: string, origin: Origin): Result {
  return decodeDocument(document, ownVersion(document, origin) || version, origin);
}

function ownVersion(document: Json, origin: Origin): string | undefined {
  if (!isObject(document)) return undefined;
  const version = memberOf(document, "cniVersion");
  if (version === undefined || typeof version === "string") return version;
  return refuse(origin, "cniVersion", version, { allowed: "a string", code: ErrorCode.decoding });
}

function decodeDocument(document: Json, version: string, origin: Origin): Result {
  const { what, remedy } = origin;
  if (!isObject(document)) return refuse(origin, "", document, { allowed: "an object", code: ErrorCode.decoding });
  const family = versionFamilyOf(version);
  if (family === undefined) {
    throw new CniError({
      code: ErrorCode.incompatibleVersion,
      msg: `${what} has "cniVersion" "${version}", must be one of ${supportedVersions.join(", ")}`,
      remedy,
    });
  }
  const dns = memberOf(document, "dns");
  return {
    ...(family === versionFamilies[0] ? decodeFirst(document, origin) : decodeLists(document, origin)),
    ...(dns === undefined ? {} : { dns: part(origin, () => decodeRow(dnsTable, dns, "dns", origin)) }),
  };
}

/** Decodes a result of 0.3.0 or later. */
function decodeLists(document: JsonObject, origin: Origin): Omit<Result, "dns"> {
  return {
    interfaces: decodeRows(interfaceTable, document, "interfaces", origin, { name: "" }),
    ips: decodeRows(ipTable, document, "ips", strictly(origin)).map(withoutNoInterface),
    routes: decodeRows(routeTable, document, "routes", origin),
  };
}

/** Some plugins wrote -1 for "none". */
function withoutNoInterface(ip: IpConfig): IpConfig {
  if (ip.interface === undefined || ip.interface >= 0) return ip;
  const { interface: _, ...rest } = ip;
  return rest;
}

/** Decodes a result of 0.1.0 or 0.2.0: one address for each family, each with its routes. */
function decodeFirst(document: JsonObject, origin: Origin): Omit<Result, "dns"> {
  const parts = (["ip4", "ip6"] as const).flatMap((key) => {
    const value = memberOf(document, key);
    if (value === undefined) return [];
    const { ip, gateway } = decodeRow(oldIpTable, value, key, strictly(origin));
    const routes = decodeRows(routeTable, value as JsonObject, "routes", { ...origin, what: `${origin.what}: ${key}` });
    return [{ ip: { address: ip, ...(gateway === undefined ? {} : { gateway }) }, routes }];
  });
  return { interfaces: [], ips: parts.map(({ ip }) => ip), routes: parts.flatMap(({ routes }) => routes) };
}

/** @param nothing Replaces an item that is left out, in lists whose items others refer to by index. */
function decodeRows<T>(table: TableOf<T>, document: JsonObject, key: string, origin: Origin, nothing?: T): T[] {
  const list = memberOf(document, key) ?? [];
  if (!Array.isArray(list))
    return part(origin, () => refuse(origin, key, list, { allowed: "a list", code: ErrorCode.decoding })) ?? [];
  return list.flatMap((item, i) => part(origin, () => decodeRow(table, item, `${key}[${i}]`, origin)) ?? nothing ?? []);
}

const strictly = ({ what, remedy }: Origin): Origin => ({ what, remedy });

/** Returns what `decode` returns; undefined when it refuses and the origin has `ignore`. */
function part<T>({ ignore }: Origin, decode: () => T): T | undefined {
  try {
    return decode();
  } catch (error) {
    if (ignore === undefined || !(error instanceof CniError)) throw error;
    ignore(error.msg);
    return undefined;
  }
}

/** Decodes an object. Unknown keys are left out, and so are empty texts, which are as good as absent in Go: an empty gateway is none. */
function decodeRow<T>({ rows, byKey }: TableOf<T>, value: Json, path: string, origin: Origin): T {
  if (!isObject(value)) return refuse(origin, path, value, { allowed: "an object", code: ErrorCode.decoding });
  const decoded: Record<string, unknown> = {};
  for (const spelling in value) {
    const given = value[spelling] as Json;
    const row = findKey(byKey, spelling);
    if (row === undefined || given === null) continue;
    const [key, column] = row;
    const read =
      fittingValue(column, given) ?? part(origin, () => refuseValue(column, given, `${path}.${key}`, origin));
    if (read !== undefined && read !== "") decoded[key] = read;
  }
  for (let i = 0; i < rows.length; i++) {
    const [key, { missing, required, allowed }] = rows[i] as Row;
    if (decoded[key] !== undefined) continue;
    if (required) refuse(origin, `${path}.${key}`, undefined, { allowed, code: ErrorCode.decoding });
    if (missing !== undefined) decoded[key] = missing;
  }
  return decoded as T;
}

/** Returns the value; undefined when it does not fit. */
function fittingValue(column: Column<unknown>, given: Json): unknown {
  const read = column.read(given);
  return read === undefined || column.range === undefined || column.range.fits(read) ? read : undefined;
}

function refuseValue({ read, allowed, range }: Column<unknown>, given: Json, path: string, origin: Origin): never {
  if (range === undefined || read(given) === undefined)
    return refuse(origin, path, given, { allowed, code: ErrorCode.decoding });
  return refuse(origin, path, given, { allowed: range.allowed, code: ErrorCode.invalidConfig });
}

function refuse(
  { what, remedy }: Origin,
  path: string,
  value: Json | undefined,
  { allowed, code }: { allowed: string; code: number },
): never {
  const isKey = /^\w+$/.test(what); // the origin is a key of the configuration
  const subject = path === "" ? what : isKey ? `"${what}.${path}"` : `${what}: "${path}"`;
  throw new CniError({
    code,
    msg: value === undefined ? `${subject} is missing` : `${subject} is ${showJson(value)}, must be ${allowed}`,
    remedy,
  });
}
