/** Encodes a result as a document of any version. Pure. */
import { type Json, type JsonObject, printJson } from "../config/json.ts";
import { CniError, ErrorCode } from "./error.ts";
import type { Result } from "./result.ts";
import { dnsTable, interfaceTable, ipTable, oldIpTable, type Row, routeTable } from "./result-keys.ts";
import { oldestVersion, supportedVersions, versionFamilies, versionFamilyOf } from "./version.ts";

/**
 * Converts to a document of a version, with keys in the order in which the reference library prints them.
 *
 * @throws CniError 1: 0.1.0 and 0.2.0 have no form for a result without an address.
 */
export function encodeResult(result: Result, version: string): JsonObject {
  const family = versionFamilyOf(version);
  if (family === versionFamilies[0]) return encodeFirst(result, version || oldestVersion);
  if (family === versionFamilies[1]) return encodeLists(result, version);
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
      details: `a result of version ${cniVersion} must have one`,
      remedy: 'set "cniVersion" to "0.3.0" or later in the network\'s configuration',
    });
  }
  return { cniVersion, ...(ip4 && { ip4 }), ...(ip6 && { ip6 }), dns: encodeRow(dnsTable.rows, dns) };
}

const ipFamily = (cidr: string): "4" | "6" => (cidr.includes(":") ? "6" : "4");

function encodeRow(rows: readonly Row[], value: object): JsonObject {
  const printed: Record<string, Json> = {};
  for (let i = 0; i < rows.length; i++) {
    const [key, column] = rows[i] as Row;
    const given = (value as Record<string, unknown>)[key];
    const print = given === undefined ? undefined : column.print(given);
    if (print !== undefined) printed[key] = print;
  }
  return printed;
}

const unlessEmpty = (key: string, value: Json): JsonObject =>
  Object.keys(value ?? {}).length > 0 ? { [key]: value } : {};
