/** Parses the address of a bus. Pure. @see D-Bus Specification, "Server Addresses" */

/** The socket's address for the kernel: a path, or a name that begins with NUL. */
export type SocketName = string;

const DEFAULT = "unix:path=/run/dbus/system_bus_socket";

/** Returns the Unix sockets in an address, in order; other transports are ignored. */
export function socketsOf(address: string | undefined): SocketName[] {
  return (address || DEFAULT).split(";").flatMap((one): SocketName[] => {
    const [transport, rest = ""] = splitAt(one, ":");
    if (transport !== "unix") return [];
    const keys = new Map(rest.split(",").map((pair) => splitAt(pair, "=")));
    const path = keys.get("path");
    const abstract = keys.get("abstract");
    if (path !== undefined) return [unescaped(path)];
    return abstract === undefined ? [] : [`\0${unescaped(abstract)}`];
  });
}

function splitAt(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
}

const unescaped = (value: string): string =>
  value.replace(/%([0-9a-fA-F]{2})/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)));
