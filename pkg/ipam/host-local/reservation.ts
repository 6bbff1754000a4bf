/**
 * What stands in a reservation's file: whose the address is. Pure.
 *
 * The format is the reference plugin's: container ID, CR LF, interface name. Its old releases wrote the ID alone.
 */

export interface Owner {
  containerId: string;
  /** Undefined in files of old releases, which stand for all interfaces of the container. */
  ifName: string | undefined;
}

const LINE_BREAK = "\r\n";

/** Never part of an ID or a name; U+FFFD stands for bytes that are not UTF-8. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROL = /[\x00-\x1f\x7f\ufffd]/;

/**
 * What a file holds that names no owner. `torn`: nothing, or the NULs of a block that was not written, which a crash or a full disk
 * leaves; nobody has the address. `unknown`: something that no plugin writes; somebody may have the address.
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

/** For people: `container 3f2a (eth0)`. */
export function describeOwner({ containerId, ifName }: Owner): string {
  return `container ${containerId}${ifName === undefined ? "" : ` (${ifName})`}`;
}
