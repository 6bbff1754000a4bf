/**
 * The keys of results: each row of the tables below describes how one key is read, and when it is left out. Converting between versions
 * is then a choice of rows. Pure.
 */
import { formats } from "../config/formats.ts";
import { type KeyTable, keyTable } from "../config/go-json.ts";
import type { Json } from "../config/json.ts";
import { formatAddress, formatPrefix, parseAddress, parsePrefix } from "../ip/address.ts";
import type { Dns, Interface, IpConfig, Route } from "./result.ts";

/** How one key is read and printed. */
export interface Column<T> {
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
  byKey: KeyTable<Row>;
}
export type Row = readonly [key: string, column: Column<unknown>];
/** T only ties a table to its type. */
export interface TableOf<T> extends Table {
  of?: T;
}

function table<T>(columns: Rows<T>): TableOf<T> {
  const rows = Object.entries<Column<unknown>>(columns);
  const sorted = rows.toSorted(([one], [other]) => (one < other ? -1 : 1));
  return {
    rows,
    sorted,
    byKey: keyTable(rows.map((row) => [row[0], row])),
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

export const interfaceTable = table<Interface>({
  name: { ...optional(formats.ifname), print: (value) => value, missing: "" },
  mac: optional(formats.linkAddress),
  mtu: count,
  sandbox: path,
  socketPath: path,
  pciID: text,
});
export const ipTable = table<IpConfig>({
  interface: index,
  address: prefix,
  gateway: address,
});
export const routeTable = table<Route>({
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
export const dnsTable = table<Dns>({ nameservers: texts, domain: text, search: texts, options: texts });
/** Of 0.1.0 and 0.2.0. */
export const oldIpTable = table<{ ip: string; gateway?: string }>({ ip: prefix, gateway: address });
