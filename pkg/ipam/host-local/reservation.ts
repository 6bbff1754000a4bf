/**
 * The content of a reservation's file: the owner of the address. Pure.
 *
 * The format is the reference plugin's: container ID, CR LF, interface name. Its old releases wrote the ID alone.
 */

export interface Owner {
  containerId: string;
  /** Undefined in files of old releases, which count for all interfaces of the container. */
  ifName: string | undefined;
}

const LINE_BREAK = "\r\n";

/** Characters that no ID and no name contains; U+FFFD stands for bytes that are not UTF-8. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROL = /[\x00-\x1f\x7f\ufffd]/;

/**
 * Content that names no owner. `torn`: empty, or with the NULs of a block that was not written, as after a crash or on a full disk;
 * the address is unused. `unknown`: content that no plugin writes; the address may be in use.
 */
export type Ownerless = "torn" | "unknown";

export function formatReservation({ containerId, ifName }: Owner): string {
  const id = containerId.trim();
  return ifName === undefined ? id : id + LINE_BREAK + ifName;
}

export function parseReservation(text: string): Owner | Ownerless {
  const trimmed = text.trim();
  if (trimmed === "" || trimmed.includes("\0")) return "torn";
  const [containerId = "", ifName, ...more] = trimmed.split(LINE_BREAK);
  return more.length > 0 || CONTROL.test(containerId) || CONTROL.test(ifName ?? "")
    ? "unknown"
    : { containerId, ifName };
}

export function sameOwner(one: Owner, other: Owner): boolean {
  return one.containerId.trim() === other.containerId.trim() && one.ifName === other.ifName;
}

/** Formats for messages: `container 3f2a (eth0)`. */
export function describeOwner({ containerId, ifName }: Owner): string {
  return `container ${containerId}${ifName === undefined ? "" : ` (${ifName})`}`;
}
