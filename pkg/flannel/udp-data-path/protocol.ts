/**
 * What flanneld and the data path process of its udp backend say to each other: the process' arguments, the one line that it prints
 * when it has started, and lines of JSON on a Unix stream socket. Pure; both sides import this.
 *
 *   node flanneld-udp.mjs --socket=/run/flannel/subnet.udp --device=flannel0 --address=192.0.2.1 --port=8285 --version=1-3f2a9c
 *
 * The process prints `{"hello": ...}` and closes its stdout, or prints `{"error": "..."}` and ends with status 1, having made nothing.
 * On each connection it says hello first, then answers each request, in their order, with one reply.
 */

/** The number of this protocol. Whoever starts a process names it, with the build, in `--version`, and finds it in `hello`. */
export const PROTOCOL = 1;

export interface Settings {
  /** The path of the Unix socket, which is the owner's alone (0600). */
  socket: string;
  /** The name of the TUN device: a name, or with %d one of which the kernel chooses the number. */
  device: string;
  /** Where datagrams are received, and what they are sent from. */
  address: string;
  port: number;
  /** Protocol and build of the daemon that starts it; only repeated in `hello`. */
  version: string;
  /** Whether to take device and socket over from the process that listens on the Unix socket, and to end that one (`handOver`). */
  takeover?: boolean;
  /** Parts of the kernel's offloading that are not to be used, for tests and to find what a kernel does wrong. */
  without?: readonly Offload[];
}

/** Super-packets from and to the TUN device (IFF_VNET_HDR), and super-datagrams to and from the socket (UDP_SEGMENT, UDP_GRO). */
export const offloads = ["vnet-header", "udp-segment", "udp-gro"] as const;
export type Offload = (typeof offloads)[number];

export interface Hello {
  hello: {
    version: string;
    pid: number;
    device: { name: string; index: number };
    address: string;
    port: number;
    /** What the kernel has, less what was left out. */
    offloads: Offload[];
  };
}

/** The subnet of a host and where its datagrams go to and come from. */
export interface PeerSubnet {
  subnet: string;
  address: string;
  port: number;
}

export type Request =
  /**
   * The whole table, replacing the former one, by a daemon that takes the process over. `own` is this host's subnet, of which the base is the device's address and so the
   * source of ICMP errors. `until` (milliseconds of CLOCK_BOOTTIME) is when the host's lease ends: so long packets are carried without a daemon.
   */
  | { peers: readonly PeerSubnet[]; own: string; until: number }
  /** Some rows of it. Subnets that are in neither list stay. */
  | { change: { set?: readonly PeerSubnet[]; remove?: readonly string[] } }
  /** The host's lease was renewed. */
  | { until: number }
  | { counters: true }
  /** The daemon is about to close the connection for good: go on for so long, then end. */
  | { detach: { forMs: number } }
  /** By the process with that PID, which is about to carry on with the same device and socket. */
  | { handOver: { to: number } }
  /** End at once; the device goes with the process, unless it was handed over. */
  | { stop: true };

/** `changes`: how many requests have changed the table since the process has started. */
export type Reply = { done: true; changes: number } | { counters: Counters } | HandedOver | { error: string };

/** Everything that another process needs to carry on. */
export interface HandedOver {
  handedOver: {
    /** Descriptors of the process that hands over, for pidfd_getfd(2). */
    tun: number;
    udp: number;
    peers: PeerSubnet[];
    own: string;
    until: number;
  };
}

/** Since the process has started. Each packet and datagram is counted once. */
export type Counters = Record<CounterName, number>;

export const counterNames = [
  // from the TUN device to peers; packets as they are on the wire, not super-packets
  "sentPackets",
  "sentBytes",
  "droppedNotIPv4",
  "droppedMalformed", // header shorter than it says, lengths that contradict each other
  "droppedNoRoute", // answered with ICMP net unreachable
  "droppedTtlExpired", // answered with ICMP time exceeded
  "droppedOverPathMtu", // answered with ICMP fragmentation needed
  "droppedSendRefused", // by the kernel, such as without a route to the peer or by a firewall
  // from peers to the TUN device
  "receivedPackets",
  "receivedBytes",
  "refusedNoPeer", // the datagram's source is no peer's address and port
  "refusedSource", // the packet's source is not in a subnet of the peer that sent it
  "refusedDestination", // the packet's destination is not in this host's subnet
  "refusedNotIPv4",
  "refusedTruncated", // shorter than a header, or than the header says
  "refusedOversized", // longer than the header says
  "refusedMalformed", // header length or checksum
  "refusedTtlExpired", // answered with ICMP time exceeded
  "refusedByDevice", // by the kernel, such as while the device is down
  // ICMP errors, of both directions
  "icmpSent",
  "icmpSuppressed", // by the rate limit, or since none may be sent in answer to such a packet
] as const;
export type CounterName = (typeof counterNames)[number];

/** The arguments behind the script's name. */
export function argumentsOf({ without, takeover, ...settings }: Settings): string[] {
  const options = Object.entries({
    ...settings,
    ...(takeover && { takeover: "yes" }),
    ...(without?.length && { without: without.join(",") }),
  });
  return options.map(([name, value]) => `--${name}=${value}`);
}

/** Returns what `argumentsOf` made arguments of. @throws Error an option is missing or unknown */
export function settingsOf(args: readonly string[]): Settings {
  const given = new Map(
    args.map((arg) => {
      const [, name = "", value = ""] = /^--([a-z]+)=(.*)$/s.exec(arg) ?? [];
      if (!["socket", "device", "address", "port", "version", "takeover", "without"].includes(name))
        throw new Error(`unknown argument ${JSON.stringify(arg)}`);
      return [name, value];
    }),
  );
  const need = (name: string) => {
    const value = given.get(name);
    if (value === undefined || value === "") throw new Error(`--${name}= is missing`);
    return value;
  };
  const named = given.get("without")?.split(",") ?? [];
  const port = Number(need("port"));
  if (!Number.isInteger(port) || port < 1 || port > 65535) throw new Error(`--port=${need("port")} is no port`);
  return {
    socket: need("socket"),
    device: need("device"),
    address: need("address"),
    port,
    version: need("version"),
    takeover: given.get("takeover") === "yes",
    without: offloads.filter((offload) => named.includes(offload)),
  };
}

/** A row of the table has up to a hundred characters. */
const LONGEST_LINE = 1 << 25;

/**
 * Makes lines of chunks of a stream; each call returns the values that are complete by now.
 *
 * @throws SyntaxError a line is not JSON
 * @throws RangeError a line does not end
 */
export function lineReader(): (chunk: string) => unknown[] {
  let rest = "";
  return (chunk) => {
    if (rest.length + chunk.length > LONGEST_LINE) {
      rest = "";
      throw new RangeError(`a line has more than ${LONGEST_LINE} characters`);
    }
    rest += chunk;
    if (!chunk.includes("\n")) return []; // a long line is looked through once
    const lines = rest.split("\n");
    rest = lines.pop() ?? "";
    return lines.map((line) => JSON.parse(line) as unknown);
  };
}
