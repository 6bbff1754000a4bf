/** Which peer a packet belongs to: longest prefix match over the subnets of the peers. Pure. */
import { parseAddress, parsePrefix } from "../../ip/address.ts";
import type { PeerSubnet } from "./protocol.ts";

/** Addresses are 32 bits, signed, as `DataView.getInt32` reads them. */
export interface Peer {
  readonly address: number;
  readonly port: number;
  /** The largest packet that gets there in one piece, its IP header included, as far as it is known, and when the kernel was asked (milliseconds). */
  pathMtu: number;
  pathMtuReadAt: number;
}

export interface PeerTable {
  /** Removes rows, then sets others, in place of those of the same subnet. */
  change(set: readonly PeerSubnet[], remove: readonly string[]): void;
  /** Finds the peer with the longest subnet that holds the address. */
  find(address: number): Peer | undefined;
  /** Reports whether any peer sends from there. */
  has(address: number, port: number): boolean;
}

/** A sender: address, then port. Below 2^53, so it is exact. */
const senderKey = (address: number, port: number): number => (address >>> 0) * 65536 + port;

export function createPeerTable(): PeerTable {
  /** By prefix length, longest first; each maps the network to its peer. */
  let levels: { length: number; mask: number; peers: Map<number, Peer> }[] = [];
  /** Each peer once, with the number of its subnets. */
  const senders = new Map<number, { peer: Peer; subnets: number }>();

  function remove(subnet: string): void {
    const { network, length } = networkOf(subnet);
    const level = levels.find((one) => one.length === length);
    const peer = level?.peers.get(network);
    if (level === undefined || peer === undefined) return;
    level.peers.delete(network);
    if (level.peers.size === 0) levels = levels.filter((one) => one !== level);
    const sender = senders.get(senderKey(peer.address, peer.port));
    if (sender !== undefined && --sender.subnets === 0) senders.delete(senderKey(peer.address, peer.port));
  }

  function set({ subnet, address, port }: PeerSubnet): void {
    remove(subnet);
    const { network, length, mask } = networkOf(subnet);
    const key = senderKey(addressNumber(address), port);
    const sender = senders.get(key) ?? { peer: newPeer(addressNumber(address), port), subnets: 0 };
    sender.subnets++;
    senders.set(key, sender);
    let level = levels.find((one) => one.length === length);
    if (level === undefined) {
      level = { length, mask, peers: new Map() };
      levels = [...levels, level].sort((one, other) => other.length - one.length);
    }
    level.peers.set(network, sender.peer);
  }

  return {
    change(added, removed) {
      for (const subnet of removed) remove(subnet);
      for (const peer of added) set(peer);
    },
    find(address) {
      for (let i = 0; i < levels.length; i++) {
        const level = levels[i];
        const peer = level?.peers.get(address & level.mask);
        if (peer !== undefined) return peer;
      }
      return undefined;
    },
    has: (address, port) => senders.has(senderKey(address, port)),
  };
}

const newPeer = (address: number, port: number): Peer => ({
  address,
  port,
  pathMtu: UNLIMITED,
  pathMtuReadAt: -Infinity,
});
/** A UDP datagram cannot be larger than this. */
const UNLIMITED = 65535;

/** Returns the address as 32 bits, signed. @throws Error it is no IPv4 address */
export function addressNumber(text: string): number {
  const address = parseAddress(text);
  if (address?.length !== 4) throw new Error(`${JSON.stringify(text)} is no IPv4 address`);
  return numberOf(address);
}

const numberOf = (address: Uint8Array): number => new DataView(address.buffer, address.byteOffset, 4).getInt32(0);

/** Returns the subnet as numbers, host bits cleared. @throws Error it is no IPv4 subnet */
export function networkOf(subnet: string): { network: number; length: number; mask: number } {
  const prefix = parsePrefix(subnet);
  if (prefix?.address.length !== 4) throw new Error(`${JSON.stringify(subnet)} is no IPv4 subnet`);
  const { length } = prefix;
  const mask = length === 0 ? 0 : -1 << (32 - length);
  return { network: numberOf(prefix.address) & mask, length, mask };
}
