/** The client's access to a container's interface: its identity, and sockets that are open during an exchange with servers. */
import { CniError, ErrorCode } from "../../pkg/cni/error.ts";
import type { Event } from "../../pkg/dhcp/client.ts";
import { decodeMessage, encodeMessage, type Message } from "../../pkg/dhcp/message.ts";
import {
  arpProbe,
  broadcastAddress,
  broadcastMac,
  clientPortFilter,
  everythingFilter,
  isClaimOf,
  udpPacket,
  udpPayload,
} from "../../pkg/dhcp/packet.ts";
import type { Address } from "../../pkg/ip/address.ts";
import { findLink, type Link, openRtnetlink, setDown, setMtu, setUp } from "../../pkg/link/link.ts";
import { parseMac } from "../../pkg/link/mac.ts";
import type { Connection } from "../../pkg/netlink/connection.ts";
import { closeFile, findStat } from "../../pkg/sys/file.ts";
import { closeNamespace, findNamespace, within } from "../../pkg/sys/namespace.ts";
import { namespaceState } from "../../pkg/sys/namespace-state.ts";
import {
  ETH_P_ARP,
  ETH_P_IP,
  openPacketSocket,
  openSendingSocket,
  receivePacket,
  sendPacket,
} from "../../pkg/sys/packet-socket.ts";
import { namespaceCookie, openSocket, SOCK_DGRAM } from "../../pkg/sys/socket.ts";

/** The location of an interface. */
export interface InterfaceRef {
  /** The path of the network namespace. */
  netns: string;
  ifName: string;
}

/** Identifies an interface, to detect another one in its place: paths, names, inode numbers and interface indexes are all reused. */
export interface InterfaceIdentity {
  /** The inode number of the namespace's file. */
  inode: string;
  /** The namespace's cookie, unique until the next boot; "0" if the kernel (before 5.14) has none. */
  cookie: string;
  index: number;
  mac: string;
}

export interface ClientSocket {
  identity: InterfaceIdentity;
  kind: string;
  mac: Uint8Array;
  /** The descriptors on which messages and answers to probes arrive. */
  fds: readonly number[];
  /** Sends a message to a server whose MAC is known, or broadcasts it. */
  send(message: Message, to?: { address: Address; mac: Uint8Array }): void;
  probe(address: Address): void;
  /** Reads what has arrived. */
  receive(fd: number): Event[];
}

/** The interface or its namespace does not exist, so that no message can be sent for it. */
export class NoInterface extends CniError {
  constructor({ netns, ifName }: InterfaceRef, what: "namespace" | "link") {
    super({
      code: ErrorCode.internal,
      msg:
        what === "link"
          ? `error looking up ${JSON.stringify(ifName)}: Link not found`
          : `failed to open netns ${JSON.stringify(netns)}: it does not exist, or is not a namespace`,
      details: `namespace ${netns}`,
      remedy:
        what === "link"
          ? "find out why the plugin that calls dhcp has not created the interface"
          : "check that the daemon can access the runtime's paths: in a container it needs /run/netns, mounted with propagation, or -hostprefix",
    });
  }
}

/**
 * Opens sockets in the container's namespace, to which they keep belonging. For a search, an interface that is down is set up.
 *
 * @throws NoInterface
 */
export function openClientSocket(place: InterfaceRef, purpose: "search" | "renewal"): ClientSocket {
  return inside(place, (rtnl, link, inode) => {
    if (purpose === "search" && !link.up) rtnl.request(setUp(link.index));
    const messages = openPacketSocket(link.index, ETH_P_IP, clientPortFilter);
    const probes = purpose === "search" ? openPacketSocket(link.index, ETH_P_ARP, everythingFilter) : undefined;
    return portOf(link, identityOf(link, inode, messages), messages, probes);
  });
}

function portOf(link: Link, identity: InterfaceIdentity, messages: number, probes: number | undefined): ClientSocket {
  const mac = macOf(link);
  let probed: Address | undefined;
  return {
    identity,
    kind: link.kind,
    mac,
    fds: probes === undefined ? [messages] : [messages, probes],
    send: (message, to) => sendMessage(messages, link.index, message, to),
    probe(address) {
      probed = address;
      const to = { index: link.index, protocol: ETH_P_ARP, mac: broadcastMac };
      if (probes !== undefined) sendPacket(probes, to, arpProbe(mac, address));
    },
    receive: (fd) =>
      arrived(fd, ({ packet, mac: from }) =>
        fd === messages ? messageIn(packet, from) : claimIn(packet, probed, mac),
      ),
  };
}

/** Made when the first packet is there: what is made at top level lies in every executable. */
let buffer: Uint8Array | undefined;
/** The limit of packets per read, so that other descriptors get their turn. */
const MOST_PACKETS = 64;

function arrived(
  fd: number,
  eventOf: (received: { packet: Uint8Array; mac: Uint8Array }) => Event | undefined,
): Event[] {
  const events: Event[] = [];
  buffer ??= new Uint8Array(65536);
  for (let i = 0; i < MOST_PACKETS; i++) {
    const received = receivePacket(fd, buffer);
    if (received === undefined) break;
    const event = eventOf(received);
    if (event !== undefined) events.push(event);
  }
  return events;
}

function messageIn(packet: Uint8Array, mac: Uint8Array): Event | undefined {
  const payload = udpPayload(packet);
  const message = payload && decodeMessage(payload);
  return message && { kind: "message", message, mac };
}

function claimIn(packet: Uint8Array, probed: Address | undefined, mac: Uint8Array): Event | undefined {
  return probed !== undefined && isClaimOf(packet, probed, mac) ? { kind: "claim", address: probed } : undefined;
}

function sendMessage(fd: number, index: number, message: Message, to?: { address: Address; mac: Uint8Array }): void {
  const { address, mac } = to ?? { address: broadcastAddress, mac: broadcastMac };
  const packet = udpPacket(message.clientAddress, address, encodeMessage(message));
  sendPacket(fd, { index, protocol: ETH_P_IP, mac }, packet);
}

/** Sends the last message for an interface, without waiting for an answer. @param close Closes the socket. */
export function sendRelease(
  place: InterfaceRef,
  { message, to }: { message: Message; to?: { address: Address; mac: Uint8Array } },
  close: (fd: number) => void,
): void {
  inside(place, (_, link) => {
    const fd = openSendingSocket();
    try {
      sendMessage(fd, link.index, message, to);
    } finally {
      close(fd);
    }
  });
}

/** Returns the identity of the interface that exists now; undefined: there is none. */
export function findIdentity(place: InterfaceRef): InterfaceIdentity | undefined {
  try {
    return inside(place, (_, link, inode) => {
      const fd = openSocket(AF_INET, SOCK_DGRAM, 0);
      try {
        return identityOf(link, inode, fd);
      } finally {
        closeFile(fd);
      }
    });
  } catch (error) {
    if (error instanceof NoInterface) return undefined;
    throw error;
  }
}
const AF_INET = 2;

/**
 * Reports whether the interface's namespace may exist although this process cannot enter it: it has a mount namespace of its own, or
 * the path cannot be examined.
 */
export function isOutOfSight({ netns }: InterfaceRef): boolean {
  const namespace = findNamespace(netns);
  if (namespace === undefined) return namespaceState(netns) !== "dead";
  closeNamespace(namespace);
  return false;
}

/** Reports whether both are one interface. If cookies identify the namespace, the MAC may differ: a later plugin may have changed it. */
export function sameIdentity(one: InterfaceIdentity, other: InterfaceIdentity): boolean {
  if (one.cookie !== other.cookie || one.index !== other.index) return false;
  return one.cookie !== "0" || (one.inode === other.inode && one.mac === other.mac);
}

export function setLinkDown(place: InterfaceRef): void {
  inside(place, (rtnl, link) => rtnl.request(setDown(link.index)));
}

/** Lowers the MTU; never raises it: a plugin's setting or the underlying path may be the reason for a lower one. */
export function lowerMtu(place: InterfaceRef, mtu: number): void {
  if (mtu < SMALLEST_MTU) return;
  inside(place, (rtnl, link) => {
    if (mtu < link.mtu) rtnl.request(setMtu(link.index, mtu));
  });
}
/** RFC 791: every host accepts packets of this size; a lower MTU is a mistake or an attack. */
const SMALLEST_MTU = 576;

function inside<T>(place: InterfaceRef, work: (rtnl: Connection, link: Link, inode: string) => T): T {
  const namespace = findNamespace(place.netns);
  if (namespace === undefined) throw new NoInterface(place, "namespace");
  try {
    const inode = String(findStat(`/proc/self/fd/${namespace.fd}`)?.inode);
    return within(namespace, () => {
      const rtnl = openRtnetlink();
      try {
        const link = findLink(rtnl, place.ifName);
        if (link === undefined) throw new NoInterface(place, "link");
        return work(rtnl, link, inode);
      } finally {
        rtnl.close();
      }
    });
  } finally {
    closeNamespace(namespace);
  }
}

function identityOf({ index, mac }: Link, inode: string, socket: number): InterfaceIdentity {
  return { inode, cookie: String(namespaceCookie(socket)), index, mac };
}

function macOf({ name, mac }: Link): Uint8Array {
  const bytes = parseMac(mac);
  if (bytes?.length === 6) return bytes;
  throw new CniError({
    code: ErrorCode.internal,
    msg: `link ${JSON.stringify(name)} has the hardware address ${JSON.stringify(mac)}, must have an Ethernet address`,
    remedy: "use another IPAM plugin for interfaces without Ethernet addresses",
  });
}
