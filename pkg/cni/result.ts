/**
 * Results of plugins. Inside the program a result always has the shape of 1.1.0, with addresses as texts; it is converted where it
 * is read and where it is printed. Pure.
 *
 * Each row of the tables below describes one key: how it is read, and when it is left out. Converting between versions is then a
 * choice of rows.
 *
 * @see CNI specification, section 5 "Result Types", of each version
 */

import { formats } from "../config/formats.ts";
import { foldKey, isObject, type Json, type JsonObject, printJson, sameKey, showJson } from "../config/json.ts";
import { formatAddress, formatPrefix, parseAddress, parsePrefix } from "../ip/address.ts";
import { CniError, ErrorCode } from "./error.ts";
import { families, familyOf, oldestVersion, supportedVersions } from "./version.ts";

export interface Interface {
  name: string;
  mac?: string | undefined;
  mtu?: number | undefined;
  /** Path of the namespace for the container's side, absent for the host's. */
  sandbox?: string | undefined;
  socketPath?: string | undefined;
  pciID?: string | undefined;
}

export interface IpConfig {
  /** Index in `interfaces`. */
  interface?: number | undefined;
  /** With prefix length, host bits kept: "10.1.2.3/24". */
  address: string;
  gateway?: string | undefined;
}

export interface Route {
  /** "" when there is none, which Go prints as "<nil>". */
  dst: string;
  gw?: string | undefined;
  mtu?: number | undefined;
  advmss?: number | undefined;
  priority?: number | undefined;
  /** 0 and absent are different. */
  table?: number | undefined;
  /** 0 global, 253 link, 254 host; 0 and absent are different. */
  scope?: number | undefined;
}

export interface Dns {
  nameservers?: readonly string[] | undefined;
  domain?: string | undefined;
  search?: readonly string[] | undefined;
  options?: readonly string[] | undefined;
}

export interface Result {
  interfaces: readonly Interface[];
  ips: readonly IpConfig[];
  routes: readonly Route[];
  dns?: Dns | undefined;
}

/** How one key is read and printed. */
interface Column<T> {
  /** Returns the value, undefined when it does not fit. */
  read(value: Json): T | undefined;
  /** Which of the values that can be read are allowed. */
  range?: { fits(value: T): boolean; allowed: string };
  /** Completes "must be …". */
  allowed: string;
  /** Returns the value as it is printed; undefined: left out. */
  print(value: T): Json | undefined;
  /** The value for a missing key; where it is undefined, the key may be absent. */
  missing?: T;
  required?: boolean;
}
/** A row for each key of T, in the order in which versions before 1.0.0 print them. */
type Rows<T> = { readonly [K in keyof Required<T>]: Column<NonNullable<T[K]>> };

/** Rows, ready for iteration. */
interface Table {
  rows: readonly Row[];
  /** In the order of 1.0.0 and later. */
  sorted: readonly Row[];
  /** By key as spelled and in lower case. */
  byKey: ReadonlyMap<string, Row>;
}
type Row = readonly [key: string, column: Column<unknown>];
/** T only ties a table to its type. */
interface TableOf<T> extends Table {
  of?: T;
}

function table<T>(columns: Rows<T>): TableOf<T> {
  const rows = Object.entries<Column<unknown>>(columns);
  const sorted = rows.toSorted(([one], [other]) => (one < other ? -1 : 1));
  return {
    rows,
    sorted,
    byKey: new Map(
      rows.flatMap((row) => [
        [row[0], row],
        [foldKey(row[0]), row],
      ]),
    ),
  };
}

const text: Column<string> = {
  read: (value) => (typeof value === "string" ? value : undefined),
  allowed: "a string",
  print: (value) => value || undefined,
};
const texts: Column<readonly string[]> = {
  read: (value) =>
    Array.isArray(value) && value.every((item): item is string => typeof item === "string") ? value : undefined,
  allowed: "a list of strings",
  print: (value) => (value.length > 0 ? value : undefined),
};
const index: Column<number> = {
  read: (value) => (Number.isInteger(value) ? (value as number) : undefined),
  allowed: "a whole number",
  print: (value) => value,
};
/** A number from 0 to the largest value that rtnetlink has for it. */
const upTo = (largest: number): Column<number> => ({
  ...index,
  range: { fits: (value) => value >= 0 && value <= largest, allowed: `a whole number from 0 to ${largest}` },
});
const u8 = upTo(0xff);
const u32 = upTo(0xffffffff);
const count: Column<number> = { ...u32, print: (value) => value || undefined };
/** "" is read as absent. */
const optional = (format: { fits(text: string): boolean; allowed: string }): Column<string> => ({
  ...text,
  range: { fits: (value) => value === "" || format.fits(value), allowed: format.allowed },
});
/** The kernel would end a path at a NUL. */
const path: Column<string> = optional({ fits: (value) => !value.includes("\0"), allowed: "a path without NUL" });
const address: Column<string> = {
  read: (value) => {
    if (typeof value !== "string" || value === "") return value === "" ? "" : undefined;
    const parsed = parseAddress(value);
    return parsed && formatAddress(parsed);
  },
  allowed: formats.ip.allowed,
  print: (value) => value || undefined,
};
const prefix: Column<string> = {
  read: (value) => {
    const parsed = typeof value === "string" ? parsePrefix(value) : undefined;
    return parsed && formatPrefix(parsed);
  },
  allowed: formats.cidr.allowed,
  print: (value) => value,
  required: true,
};
const noDestination = "<nil>";

const interfaceTable = table<Interface>({
  name: { ...optional(formats.ifname), print: (value) => value, missing: "" },
  mac: optional(formats.linkAddress),
  mtu: count,
  sandbox: path,
  socketPath: path,
  pciID: text,
});
const ipTable = table<IpConfig>({
  interface: index,
  address: prefix,
  gateway: address,
});
const routeTable = table<Route>({
  dst: {
    ...prefix,
    read: (value) => (value === noDestination ? "" : prefix.read(value)),
    print: (value) => value || noDestination,
    missing: "",
    required: false,
  },
  gw: address,
  mtu: count,
  advmss: count,
  priority: count,
  table: u32,
  scope: u8,
});
const dnsTable = table<Dns>({ nameservers: texts, domain: text, search: texts, options: texts });

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
export function parsePrevResult(document: Json, version: string, ignore?: (problem: string) => void): Result {
  const origin: Origin = {
    what: "prevResult",
    remedy: "the runtime has to pass on what the plugin before this one answered, in the configuration's version",
    ...(ignore && { ignore }),
  };
  const own = ownVersion(document, origin) ?? version;
  const family = familyOf(version);
  if (family === undefined || !family.includes(own || oldestVersion)) {
    throw new CniError({
      code: ErrorCode.incompatibleVersion,
      msg: `prevResult has "cniVersion" ${JSON.stringify(own)}, the configuration has "${version}"`,
      details: `${(family ?? []).join(", ")} can be read under this configuration`,
      remedy: "delete the attachment and add it again, if the configuration's version was changed while it existed",
    });
  }
  return decodeResult(document, own, origin);
}

/**
 * Parses the result that a plugin printed. It is read in its own version, whatever the configuration's.
 *
 * @param version of the configuration, for plugins that do not print theirs.
 */
export function parseResult(document: Json, version: string, origin: Origin): Result {
  return decodeResult(document, ownVersion(document, origin) || version, origin);
}

function ownVersion(document: Json, origin: Origin): string | undefined {
  if (!isObject(document)) return undefined;
  const version = member(document, "cniVersion");
  if (version === undefined || typeof version === "string") return version;
  return refuse(origin, "cniVersion", version, { allowed: "a string", code: ErrorCode.decoding });
}

function decodeResult(document: Json, version: string, origin: Origin): Result {
  const { what, remedy } = origin;
  if (!isObject(document)) return refuse(origin, "", document, { allowed: "an object", code: ErrorCode.decoding });
  const family = familyOf(version);
  if (family === undefined) {
    throw new CniError({
      code: ErrorCode.incompatibleVersion,
      msg: `${what} has "cniVersion" "${version}", known are ${supportedVersions.join(", ")}`,
      remedy,
    });
  }
  const dns = member(document, "dns");
  return {
    ...(family === families[0] ? decodeFirst(document, origin) : decodeLists(document, origin)),
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
    const value = member(document, key);
    if (value === undefined) return [];
    const { ip, gateway } = decodeRow(oldIpTable, value, key, strictly(origin));
    const routes = decodeRows(routeTable, value as JsonObject, "routes", { ...origin, what: `${origin.what}: ${key}` });
    return [{ ip: { address: ip, ...(gateway === undefined ? {} : { gateway }) }, routes }];
  });
  return { interfaces: [], ips: parts.map(({ ip }) => ip), routes: parts.flatMap(({ routes }) => routes) };
}
const oldIpTable = table<{ ip: string; gateway?: string }>({ ip: prefix, gateway: address });

/** @param nothing Replaces an item that is left out, in lists whose items others refer to by index. */
function decodeRows<T>(table: TableOf<T>, document: JsonObject, key: string, origin: Origin, nothing?: T): T[] {
  const list = member(document, key) ?? [];
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

/**
 * Decodes an object. Keys match in any case, of several spellings the last one counts, null is read as absent, unknown keys are
 * left out.
 */
function decodeRow<T>({ rows, byKey }: TableOf<T>, value: Json, path: string, origin: Origin): T {
  if (!isObject(value)) return refuse(origin, path, value, { allowed: "an object", code: ErrorCode.decoding });
  const decoded: Record<string, unknown> = {};
  for (const [spelling, given] of Object.entries(value)) {
    const [key, column] = byKey.get(spelling) ?? byKey.get(foldKey(spelling)) ?? [];
    if (key === undefined || column === undefined || given === null) continue;
    const read = part(origin, () => decodeValue(column, given, `${path}.${key}`, origin));
    if (read !== undefined) decoded[key] = read;
  }
  for (const [key, { missing, required, allowed }] of rows) {
    if (decoded[key] !== undefined) continue;
    if (required) refuse(origin, `${path}.${key}`, undefined, { allowed, code: ErrorCode.decoding });
    if (missing !== undefined) decoded[key] = missing;
  }
  return decoded as T;
}

function decodeValue(column: Column<unknown>, given: Json, path: string, origin: Origin): unknown {
  const { allowed, range } = column;
  const read = column.read(given);
  if (read === undefined) return refuse(origin, path, given, { allowed, code: ErrorCode.decoding });
  if (range === undefined || range.fits(read)) return read;
  return refuse(origin, path, given, { allowed: range.allowed, code: ErrorCode.invalidConfig });
}

/** Looks up a single key by the same rules. */
function member(object: JsonObject, key: string): Json | undefined {
  let found: Json | undefined;
  for (const [spelling, value] of Object.entries(object)) if (value !== null && sameKey(spelling, key)) found = value;
  return found;
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

/**
 * Converts to a document of a version, with keys in the order in which the reference library prints them.
 *
 * @throws CniError 1: 0.1.0 and 0.2.0 have no form for a result without an address.
 */
export function encodeResult(result: Result, version: string): JsonObject {
  const family = familyOf(version);
  if (family === families[0]) return encodeFirst(result, version || oldestVersion);
  if (family === families[1]) return encodeLists(result, version);
  if (family !== undefined) return encodeNewest(result, version);
  throw new CniError({
    code: ErrorCode.incompatibleVersion,
    msg: `a result cannot be written in "cniVersion" "${version}"`,
    remedy: `set "cniVersion" to one of ${supportedVersions.join(", ")}`,
  });
}

/** Formats a result for stdout: indented by four, without a newline at the end. */
export const printResult = (result: Result, version: string): string =>
  printJson(encodeResult(result, version), "    ");

function encodeNewest({ interfaces, ips, routes, dns = {} }: Result, cniVersion: string): JsonObject {
  return {
    cniVersion,
    ...unlessEmpty("dns", encodeRow(dnsTable.sorted, dns)),
    ...unlessEmpty(
      "interfaces",
      interfaces.map((item) => encodeRow(interfaceTable.sorted, item)),
    ),
    ...unlessEmpty(
      "ips",
      ips.map((ip) => encodeRow(ipTable.sorted, ip)),
    ),
    ...unlessEmpty(
      "routes",
      routes.map((route) => encodeRow(routeTable.sorted, route)),
    ),
  };
}

function encodeLists({ interfaces, ips, routes, dns = {} }: Result, cniVersion: string): JsonObject {
  return {
    cniVersion,
    ...unlessEmpty(
      "interfaces",
      interfaces.map(({ name, mac, sandbox }) => encodeRow(interfaceTable.rows, { name, mac, sandbox })),
    ),
    ...unlessEmpty(
      "ips",
      ips.map((ip) => ({ version: ipFamily(ip.address), ...encodeRow(ipTable.rows, ip) })),
    ),
    ...unlessEmpty(
      "routes",
      routes.map((route) => encodeRow(routeTable.rows, route)),
    ),
    dns: encodeRow(dnsTable.rows, dns),
  };
}

function encodeFirst({ ips, routes, dns = {} }: Result, cniVersion: string): JsonObject {
  const part = (family: "4" | "6"): JsonObject | undefined => {
    const ip = ips.find(({ address }) => ipFamily(address) === family);
    if (ip === undefined) return undefined;
    const own = routes.filter(({ dst }) => (dst === "" ? "6" : ipFamily(dst)) === family);
    return {
      ...encodeRow(oldIpTable.rows, { ip: ip.address, ...(ip.gateway === undefined ? {} : { gateway: ip.gateway }) }),
      ...unlessEmpty(
        "routes",
        own.map(({ dst, gw }) => encodeRow(routeTable.rows, { dst, gw })),
      ),
    };
  };
  const [ip4, ip6] = [part("4"), part("6")];
  if (ip4 === undefined && ip6 === undefined) {
    throw new CniError({
      code: ErrorCode.incompatibleVersion,
      msg: "cannot convert: no valid IP addresses",
      details: `a result of version ${cniVersion} has to have one`,
      remedy: 'set "cniVersion" to "0.3.0" or later in the network\'s configuration',
    });
  }
  return { cniVersion, ...(ip4 && { ip4 }), ...(ip6 && { ip6 }), dns: encodeRow(dnsTable.rows, dns) };
}

const ipFamily = (cidr: string): "4" | "6" => (cidr.includes(":") ? "6" : "4");

function encodeRow(rows: readonly Row[], value: object): JsonObject {
  const printed: Record<string, Json> = {};
  for (const [key, column] of rows) {
    const given = (value as Record<string, unknown>)[key];
    const print = given === undefined ? undefined : column.print(given);
    if (print !== undefined) printed[key] = print;
  }
  return printed;
}

const unlessEmpty = (key: string, value: Json): JsonObject =>
  Object.keys(value ?? {}).length > 0 ? { [key]: value } : {};
