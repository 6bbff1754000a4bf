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

/** Never part of an ID or a name, but what a crash leaves: the NULs of a block that was not written. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROL = /[\x00-\x1f\x7f\ufffd]/;

export function formatReservation({ containerId, ifName }: Owner): string {
  const id = containerId.trim();
  return ifName === undefined ? id : id + LINE_BREAK + ifName;
}

/** @returns undefined when nobody owns it: the file is empty or torn, left by a crash or a full disk. */
export function parseReservation(text: string): Owner | undefined {
  const [containerId = "", ifName, ...more] = text.trim().split(LINE_BREAK);
  if (containerId === "" || more.length > 0 || CONTROL.test(containerId) || CONTROL.test(ifName ?? ""))
    return undefined;
  return { containerId, ifName };
}

export function sameOwner(one: Owner, other: Owner): boolean {
  return one.containerId.trim() === other.containerId.trim() && one.ifName === other.ifName;
}

/** For people: `container 3f2a (eth0)`. */
export function describeOwner({ containerId, ifName }: Owner): string {
  return `container ${containerId}${ifName === undefined ? "" : ` (${ifName})`}`;
}
