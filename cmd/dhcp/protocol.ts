/** The protocol between plugin and daemon: the reference's records, as Go's net/rpc sends them, and three methods of ours. */
import type { Result } from "../../pkg/cni/result.ts";
import type { GobStruct, GobType, GobValue, StructType } from "../../pkg/gorpc/gob.ts";
import { type Address, formatAddress, formatPrefix, isIPv4, parseAddress, parsePrefix } from "../../pkg/ip/address.ts";

/** The reference's methods. Its CHECK calls Allocate, which acquires a lease if there is none. */
export const ALLOCATE = "DHCP.Allocate";
export const RELEASE = "DHCP.Release";
/** Our own methods. A daemon without them answers "rpc: can't find method". */
export const CHECK = "DHCP.Check";
export const COLLECT = "DHCP.Collect";
export const STATUS = "DHCP.Status";

/** The arguments of a plugin call, as in package skel of the reference library. */
export interface CallArgs {
  containerId: string;
  netns: string;
  ifName: string;
  args: string;
  path: string;
  stdin: Uint8Array;
}

export const callArgs: StructType = {
  name: "CmdArgs",
  fields: [
    ["ContainerID", "string"],
    ["Netns", "string"],
    ["IfName", "string"],
    ["Args", "string"],
    ["Path", "string"],
    ["NetnsOverride", "string"],
    ["StdinData", "bytes"],
  ],
};

export const gobOfCall = ({ containerId, netns, ifName, args, path, stdin }: CallArgs): GobStruct => ({
  ContainerID: containerId,
  Netns: netns,
  IfName: ifName,
  Args: args,
  Path: path,
  StdinData: stdin,
});

export function callOfGob(value: GobStruct): CallArgs {
  return {
    containerId: textOf(value["ContainerID"]),
    netns: textOf(value["Netns"]),
    ifName: textOf(value["IfName"]),
    args: textOf(value["Args"]),
    path: textOf(value["Path"]),
    stdin: bytesOf(value["StdinData"]),
  };
}

const network: StructType = {
  name: "IPNet",
  fields: [
    ["IP", "bytes"],
    ["Mask", "bytes"],
  ],
};
const texts: GobType = { list: "string" };

/** The result of package types/100 of the reference library, with the fields that a lease fills. */
export const callResult: StructType = {
  name: "Result",
  fields: [
    ["CNIVersion", "string"],
    [
      "IPs",
      {
        list: {
          name: "IPConfig",
          fields: [
            ["Address", network],
            ["Gateway", "bytes"],
          ],
        },
      },
    ],
    [
      "Routes",
      {
        list: {
          name: "Route",
          fields: [
            ["Dst", network],
            ["GW", "bytes"],
            ["MTU", "int"],
            ["Priority", "int"],
            ["Scope", "int"],
          ],
        },
      },
    ],
    [
      "DNS",
      {
        name: "DNS",
        fields: [
          ["Nameservers", texts],
          ["Domain", "string"],
          ["Search", texts],
        ],
      },
    ],
  ],
};

/** An empty answer: success without data. */
export const nothing: StructType = { name: "", fields: [] };

/** The version of the reference's internal result structure. */
const RESULT_VERSION = "1.0.0";

export const gobOfResult = ({ ips, routes, dns = {} }: Result): GobStruct => ({
  CNIVersion: RESULT_VERSION,
  IPs: ips.map(({ address, gateway }) => ({ Address: gobOfPrefix(address), Gateway: gobOfAddress(gateway) })),
  Routes: routes.map(({ dst, gw, mtu = 0, priority = 0, scope = 0 }) => ({
    Dst: gobOfPrefix(dst),
    GW: gobOfAddress(gw),
    MTU: mtu,
    Priority: priority,
    Scope: scope,
  })),
  DNS: { Nameservers: dns.nameservers ?? [], Domain: dns.domain ?? "", Search: dns.search ?? [] },
});

export function resultOfGob(value: GobStruct): Result {
  const dns = structOf(value["DNS"]);
  const [nameservers, search] = [listOf(dns["Nameservers"]).map(textOf), listOf(dns["Search"]).map(textOf)];
  const domain = textOf(dns["Domain"]);
  return {
    interfaces: [],
    ips: listOf(value["IPs"]).map((ip) => {
      const { Address, Gateway } = structOf(ip);
      return { address: prefixText(Address), ...present("gateway", addressText(Gateway)) };
    }),
    routes: listOf(value["Routes"]).map((route) => {
      const { Dst, GW, MTU, AdvMSS, Priority, Table, Scope } = structOf(route);
      return {
        dst: prefixText(Dst),
        ...present("gw", addressText(GW)),
        ...present("mtu", numberOf(MTU)),
        ...present("advmss", numberOf(AdvMSS)),
        ...present("priority", numberOf(Priority)),
        ...present("table", numberOf(Table)),
        ...present("scope", numberOf(Scope)),
      };
    }),
    ...((nameservers.length > 0 || search.length > 0 || domain !== "") && {
      dns: {
        ...(nameservers.length > 0 && { nameservers }),
        ...(domain !== "" && { domain }),
        ...(search.length > 0 && { search }),
      },
    }),
  };
}

const present = <Key extends string, Value>(key: Key, value: Value | undefined): { [key in Key]?: Value } =>
  (value === undefined ? {} : { [key]: value }) as { [key in Key]?: Value };

function gobOfPrefix(text: string): GobStruct {
  const prefix = parsePrefix(text);
  if (prefix === undefined) return {};
  const mask = prefix.address.map((_, at) => (0xff00 >> Math.min(8, Math.max(0, prefix.length - 8 * at))) & 0xff);
  return { IP: prefix.address, Mask: mask };
}

const gobOfAddress = (text = ""): Uint8Array => parseAddress(text) ?? new Uint8Array(0);

function prefixText(value: GobValue | undefined): string {
  const { IP, Mask } = structOf(value);
  const address = addressOf(IP);
  if (address === undefined) return "";
  const mask = bytesOf(Mask);
  const length = mask.reduce((count, byte) => count + byte.toString(2).replaceAll("0", "").length, 0);
  return formatPrefix({ address, length: isIPv4(address) && mask.length === 16 ? length - 96 : length });
}

const addressText = (value: GobValue | undefined): string | undefined => {
  const address = addressOf(value);
  return address && formatAddress(address);
};

/** Reads an address; Go stores IPv4 in 4 bytes or, mapped, in 16. */
function addressOf(value: GobValue | undefined): Address | undefined {
  const bytes = bytesOf(value);
  if (bytes.length !== 4 && bytes.length !== 16) return undefined;
  return parseAddress(formatAddress(bytes));
}

const textOf = (value: GobValue | undefined): string => (typeof value === "string" ? value : "");
const numberOf = (value: GobValue | undefined): number | undefined => (typeof value === "number" ? value : undefined);
const bytesOf = (value: GobValue | undefined): Uint8Array => (value instanceof Uint8Array ? value : new Uint8Array(0));
const listOf = (value: GobValue | undefined): readonly GobValue[] => (Array.isArray(value) ? value : []);
const structOf = (value: GobValue | undefined): GobStruct =>
  typeof value === "object" && !Array.isArray(value) && !(value instanceof Uint8Array) ? (value as GobStruct) : {};
