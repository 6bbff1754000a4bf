/** Values of netlink messages as JSON has them: addresses and MACs as texts. Pure. */
import { hex } from "../../../pkg/bytes/hex.ts";
import { isObject, type Json } from "../../../pkg/config/json.ts";
import { formatAddress } from "../../../pkg/ip/address.ts";

export function plain(value: unknown): Json {
  if (value instanceof Uint8Array) return textOf(value);
  if (typeof value === "bigint") return String(value);
  if (Array.isArray(value)) return value.map(plain);
  if (!isObject(value)) return value === undefined ? null : (value as Json);
  const entries = Object.entries(value as Record<string, unknown>);
  return Object.fromEntries(entries.filter(([, item]) => item !== undefined).map(([key, item]) => [key, plain(item)]));
}

const textOf = (bytes: Uint8Array): string =>
  bytes.length === 4 || bytes.length === 16 ? formatAddress(bytes) : hex(bytes, bytes.length === 6 ? ":" : "");
