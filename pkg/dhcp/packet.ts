/**
 * Encodes and decodes packets without the link-layer header: IPv4 with UDP, and ARP; also the filters of packet sockets for them. Pure.
 *
 * Checksums of received packets are not verified: a server on the same machine leaves them to offload, so that they stay incomplete.
 *
 * @see RFC 791, RFC 768, RFC 826, RFC 5227
 */

import { equal } from "../bytes/equal.ts";
import type { Address } from "../ip/address.ts";
import { folded, sumOf } from "../ip/internet-checksum.ts";

const CLIENT_PORT = 68;
const SERVER_PORT = 67;

export const broadcastAddress: Address = Uint8Array.of(255, 255, 255, 255);
export const unspecifiedAddress: Address = new Uint8Array(4);
export const broadcastMac: Uint8Array = new Uint8Array(6).fill(0xff);

const IP_HEADER = 20;
const UDP_HEADER = 8;
const PROTOCOL_UDP = 17;
/** The bits at offset 6 that are set in fragments: MF and the fragment offset. */
const FRAGMENT_BITS = 0x3fff;

/** Makes a packet from the client's port to the server's. */
export function udpPacket(from: Address, to: Address, payload: Uint8Array): Uint8Array {
  const packet = new Uint8Array(IP_HEADER + UDP_HEADER + payload.length);
  const view = new DataView(packet.buffer);
  packet.set([0x45, 0x10]); // version 4, five words; low delay, as other clients ask for
  view.setUint16(2, packet.length);
  view.setUint16(6, 0x4000); // don't fragment
  packet[8] = 64;
  packet[9] = PROTOCOL_UDP;
  packet.set(from, 12);
  packet.set(to, 16);
  view.setUint16(10, ~sumOf(view, 0, IP_HEADER));
  const length = UDP_HEADER + payload.length;
  view.setUint16(IP_HEADER, CLIENT_PORT);
  view.setUint16(IP_HEADER + 2, SERVER_PORT);
  view.setUint16(IP_HEADER + 4, length);
  packet.set(payload, IP_HEADER + UDP_HEADER);
  const pseudoHeader = sumOf(view, 12, IP_HEADER - 12) + PROTOCOL_UDP + length;
  view.setUint16(IP_HEADER + 6, ~folded(pseudoHeader + sumOf(view, IP_HEADER, length)) & 0xffff || 0xffff);
  return packet;
}

/** Returns the payload of a packet to the client's port; undefined for any other packet. */
export function udpPayload(packet: Uint8Array): Uint8Array | undefined {
  if (packet.length < IP_HEADER || (packet[0] ?? 0) >> 4 !== 4 || packet[9] !== PROTOCOL_UDP) return undefined;
  const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
  const header = ((packet[0] ?? 0) & 0xf) * 4;
  const end = Math.min(view.getUint16(2), packet.length); // short packets are padded on the link
  if ((view.getUint16(6) & FRAGMENT_BITS) !== 0 || header < IP_HEADER || end < header + UDP_HEADER) return undefined;
  if (view.getUint16(header + 2) !== CLIENT_PORT) return undefined;
  const length = view.getUint16(header + 4);
  if (length < UDP_HEADER || header + length > end) return undefined;
  return packet.subarray(header + UDP_HEADER, header + length);
}

const ARP_SIZE = 28;
const ARP_REQUEST = 1;

/** Makes an ARP probe, a request without sender address, so that it changes no neighbour table (RFC 5227). */
export function arpProbe(mac: Uint8Array, address: Address): Uint8Array {
  const packet = new Uint8Array(ARP_SIZE);
  packet.set([0, 1, 8, 0, 6, 4, 0, ARP_REQUEST]); // Ethernet, IPv4, and their sizes
  packet.set(mac, 8);
  packet.set(address, 24);
  return packet;
}

/** Reports whether an ARP packet of another host claims the address. */
export function isClaimOf(packet: Uint8Array, address: Address, mac: Uint8Array): boolean {
  if (packet.length < ARP_SIZE || packet[4] !== 6 || packet[5] !== 4) return false;
  return equal(packet.subarray(14, 18), address) && !equal(packet.subarray(8, 14), mac);
}

/** The filter `tcpdump -dd 'udp dst port 68'` from the IP header on: classic BPF instructions (code, jump if true, if false, operand). */
export const clientPortFilter = [
  [0x30, 0, 0, 9], // A = the byte at 9, the protocol
  [0x15, 0, 6, PROTOCOL_UDP], // else refuse
  [0x28, 0, 0, 6], // A = flags and fragment
  [0x45, 4, 0, 0x1fff], // not the first fragment: refuse
  [0xb1, 0, 0, 0], // X = length of the IP header
  [0x48, 0, 0, 2], // A = the destination port behind it
  [0x15, 0, 1, CLIENT_PORT],
  [0x06, 0, 0, 0xffff], // accept
  [0x06, 0, 0, 0], // refuse
] as const;

/** The filter for ARP, which accepts all packets: the socket receives only ARP. */
export const everythingFilter = [[0x06, 0, 0, 0xffff]] as const;
