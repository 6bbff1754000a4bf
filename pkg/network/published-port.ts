/** Ports that are published (`-p`) and exposed (`--expose`): what Docker's notation says, and which port of the host is taken. Pure. */
import { CniError, ErrorCode, invalidConf } from "../cni/error.ts";
import { isObject, type Json } from "../config/json.ts";
import { parseAddress } from "../ip/address.ts";

/** A port of the host that leads to one of a container, under the names of the capability `portMappings`. */
export interface PublishedPort {
  hostPort: number;
  containerPort: number;
  protocol: string;
  hostIP?: string;
}

/** Reports whether a value that was read is one. */
export const isPublishedPort = (value: Json): boolean =>
  isObject(value) &&
  [value["hostPort"], value["containerPort"]].every((port) => typeof port === "number") &&
  typeof value["protocol"] === "string" &&
  ["string", "undefined"].includes(typeof value["hostIP"]);

/** Returns the ports in a value of the capability `portMappings`. */
export function publishedPortsIn(mappings: Json | undefined): PublishedPort[] {
  if (!Array.isArray(mappings)) return [];
  return mappings.filter(isObject).flatMap(({ hostPort, containerPort, protocol, hostIP }) =>
    typeof hostPort === "number" && typeof containerPort === "number"
      ? [
          {
            hostPort,
            containerPort,
            protocol: typeof protocol === "string" ? protocol.toLowerCase() : "tcp",
            ...(typeof hostIP === "string" && hostIP !== "" && { hostIP }),
          },
        ]
      : [],
  );
}

/** First and last. */
type Range = readonly [from: number, to: number];

/** What is asked for; each port of the container gets one of the host. */
export interface PortRequest {
  containerPort: number;
  protocol: string;
  hostIP: string | undefined;
  /** The ports of the host to choose from; undefined: the system's range for ports that nobody asked for by number. */
  hostPorts: Range | undefined;
}

const protocols = ["tcp", "udp", "sctp"];

/** Parses `[ADDRESS:][HOSTPORT[-END]:]PORT[-END][/PROTOCOL]`; an IPv6 address is in brackets. @throws CniError 7 with Docker's text */
export function parsePublished(text: string): PortRequest[] {
  const { ports, protocol } = withProtocol(text);
  const { hostIP, rest } = withAddress(ports, text);
  const [container = "", host, ...more] = rest.split(":").reverse();
  if (more.length > 0 || container === "") throw wrongPort(`No port specified: ${text}<empty>`);
  const containerPorts = rangeOf(container, "containerPort");
  const hostPorts = host === undefined || host === "" ? undefined : rangeOf(host, "hostPort");
  const count = sizeOf(containerPorts);
  if (hostPorts !== undefined && count !== 1 && sizeOf(hostPorts) !== count)
    throw wrongPort(`Invalid ranges specified for container and host Ports: ${container} and ${host}`);
  return Array.from({ length: count }, (_, i) => ({
    containerPort: containerPorts[0] + i,
    protocol,
    hostIP,
    hostPorts: hostPorts === undefined || count === 1 ? hostPorts : [hostPorts[0] + i, hostPorts[0] + i],
  }));
}

/** Parses `PORT[-END][/PROTOCOL]`. @throws CniError 7 */
export function parseExposed(text: string): PortRequest[] {
  const { ports, protocol } = withProtocol(text);
  const [from, to] = rangeOf(ports, "containerPort");
  return Array.from({ length: to - from + 1 }, (_, i) => ({
    containerPort: from + i,
    protocol,
    hostIP: undefined,
    hostPorts: undefined,
  }));
}

function withProtocol(text: string): { ports: string; protocol: string } {
  const [ports = "", protocol = "tcp", ...more] = text.split("/");
  if (more.length === 0 && protocols.includes(protocol)) return { ports, protocol };
  throw wrongPort(`Invalid proto: ${text.slice(ports.length + 1)}`);
}

function withAddress(ports: string, text: string): { hostIP: string | undefined; rest: string } {
  const [, six, four, rest = ""] = /^(?:\[([^\]]*)\]:|([^:]*):(?=[^:]*:))?(.*)$/.exec(ports) ?? [];
  const hostIP = six ?? (four === "" ? undefined : four);
  if (hostIP === undefined || parseAddress(hostIP) !== undefined) return { hostIP, rest };
  throw wrongPort(`Invalid ip address: ${hostIP} in ${text}`);
}

const sizeOf = ([from, to]: Range): number => to - from + 1;

function rangeOf(text: string, what: string): Range {
  const [, from = "", to = from] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text) ?? [];
  const range = [Number(from), Number(to)] as const;
  if (from !== "" && range[0] >= 1 && range[0] <= range[1] && range[1] <= PORT_MAX) return range;
  throw wrongPort(`Invalid ${what}: ${text}`);
}
const PORT_MAX = 65535;

const wrongPort = (msg: string): CniError =>
  invalidConf(
    msg,
    "write -p [ADDRESS:][HOSTPORT:]PORT[/PROTOCOL], as 8080:80, 127.0.0.1:8080:80 or 9000-9001:9000-9001/udp; ports are 1 to 65535",
  );

/**
 * Chooses the ports of the host: those that were asked for by number first, so that none of them is given to another; then, in their order, the
 * first free one of each range.
 *
 * @param automatic the range for requests without one (Docker: that of net.ipv4.ip_local_port_range)
 * @param isFree asks whether nobody has the port
 * @throws CniError 11 with Docker's text: the port is taken
 */
export function choosePorts(
  requests: readonly PortRequest[],
  automatic: Range,
  isFree: (port: PublishedPort) => boolean,
): PublishedPort[] {
  const chosen: PublishedPort[] = [];
  const isFixed = ({ hostPorts }: PortRequest) => hostPorts !== undefined && hostPorts[0] === hostPorts[1];
  for (const request of [...requests.filter(isFixed), ...requests.filter((one) => !isFixed(one))]) {
    const [from, to] = request.hostPorts ?? automatic;
    const { containerPort, protocol, hostIP } = request;
    const candidate = (hostPort: number): PublishedPort => ({
      hostPort,
      containerPort,
      protocol,
      ...(hostIP !== undefined && { hostIP }),
    });
    const ports = Array.from({ length: to - from + 1 }, (_, i) => candidate(from + i));
    const free = ports.find((port) => !chosen.some((other) => collide(port, other)) && isFree(port));
    if (free === undefined) throw allTaken(request, [from, to]);
    chosen.push(free);
  }
  return chosen;
}

/** Reports whether two cannot both have their port of the host. */
export function collide(one: PublishedPort, other: PublishedPort): boolean {
  if (one.hostPort !== other.hostPort || one.protocol !== other.protocol) return false;
  return [one, other].some(({ hostIP }) => isEverywhere(hostIP)) || one.hostIP === other.hostIP;
}

const isEverywhere = (hostIP: string | undefined): boolean =>
  hostIP === undefined || (parseAddress(hostIP)?.every((byte) => byte === 0) ?? false);

function allTaken({ hostIP = "0.0.0.0", protocol }: PortRequest, [from, to]: Range): CniError {
  const ports = from === to ? `${from}` : `${from}-${to}`;
  return new CniError({
    code: ErrorCode.tryAgainLater,
    msg:
      from === to
        ? `Bind for ${hostIP}:${ports} failed: port is already allocated`
        : `all ports are allocated: ${hostIP}:${ports}/${protocol}`,
    remedy: `choose another port of the host, or stop what has it (ss -lnp; twill network inspect shows published ones)`,
  });
}
