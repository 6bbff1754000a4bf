// The record of an attachment: a chain that no packet reaches, whose rules have comments that name the attachment and then its ports. A
// chain, because the kernel finds it by its name in one step, but a set only by walking through all sets of the table.
import { formatAddress, parseAddress } from "../../ip/address.ts";
import { COMMENT_MAX } from "./attachment-comment.ts";
import { type HostPort, PROTOCOL_NUMBERS, type Protocol } from "./port-mapping.ts";

/** Returns comments such as `tcp 8080,9000-9009` and `192.0.2.1 udp 53`, each with as many ports as fit. */
export function portComments(ports: readonly HostPort[]): string[] {
  const groups = new Map<string, number[]>();
  for (const { protocol, hostIp, hostPort } of ports) {
    const name = hostIp === undefined ? protocol : `${formatAddress(hostIp)} ${protocol}`;
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [hostPort]);
    else group.push(hostPort);
  }
  return [...groups].flatMap(([name, numbers]) => lines(name, ranges(numbers.sort((one, other) => one - other))));
}

function ranges(sorted: readonly number[]): string[] {
  const found: string[] = [];
  for (let from = 0; from < sorted.length; ) {
    let to = from;
    while (sorted[to + 1] === (sorted[to] as number) + 1) to++;
    found.push(to === from ? `${sorted[from]}` : `${sorted[from]}-${sorted[to]}`);
    from = to + 1;
  }
  return found;
}

function lines(name: string, parts: readonly string[]): string[] {
  const found: string[] = [];
  for (const part of parts) {
    const last = found.at(-1);
    if (last !== undefined && last.length + 1 + part.length <= COMMENT_MAX) found[found.length - 1] = `${last},${part}`;
    else found.push(`${name} ${part}`);
  }
  return found;
}

/** Returns the ports of such a comment; none for any other comment. */
export function portsIn(comment: string): HostPort[] {
  const [, address, protocol = "", list = ""] = /^(?:(\S+) )?(\w+) ([\d,-]+)$/.exec(comment) ?? [];
  if (!Object.hasOwn(PROTOCOL_NUMBERS, protocol)) return [];
  const hostIp = address === undefined ? undefined : parseAddress(address);
  return list.split(",").flatMap((part) => {
    const [first = 0, last = first] = part.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, i): HostPort => {
      return { protocol: protocol as Protocol, hostIp, hostPort: first + i };
    });
  });
}
