/**
 * Which peer a packet belongs to: longest prefix match over the subnets of the peers, in memory that the threads share. The main thread writes, the threads that carry packets read,
 * and neither waits: a change is in effect for the next packet, once it is written.
 *
 * Two hash tables with open addressing: rows (a subnet, and the number of its sender) and senders (address and port of a peer). What a slot is for is written once, and what says
 * that it is there last; only a row's sender and a sender's number of subnets change, which are words of their own, 0 meaning removed. So a reader never sees half of a change. When the slots
 * run out, those in use are written into the other one of two regions, and the generation changes, which says where to read: a reader that finds it changed looks again.
 *
 * Rejected: a copy of the table in each thread, which has to stop carrying packets for each change, and a lock, which the main thread may hold while it waits for a processor.
 */
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

/** What a thread reads. */
export interface PeerTable {
  /** Finds the peer with the longest subnet that holds the address: the same object for the same peer, until the table moves. */
  find(address: number): Peer | undefined;
  /** Reports whether any peer sends from there. */
  has(address: number, port: number): boolean;
  /** Reports whether the address is in this host's subnet; none is before the first table has come. */
  isOwn(address: number): boolean;
  /** Returns the base of this host's subnet. */
  ownBase(): number;
}

export interface PeerTableWriter {
  /** Removes rows, then sets others, in place of those of the same subnet; at most `MAX_ROWS` may be there. */
  change(set: readonly PeerSubnet[], remove: readonly string[]): void;
  /** Sets this host's subnet. */
  setOwn(subnet: string): void;
}

/** How many subnets there may be: twice those of /24 in a network of /8. */
export const MAX_ROWS = 1 << 17;

/** In words of 32 bits, as all offsets here. */
const HEADER = { generation: 0, ownNetwork: 1, ownMask: 2, size: 4 } as const;
/** `lengths` has a bit for each prefix length of a row, that of 32 on top; `bits` is the logarithm of the slots of each hash table. */
const REGION = { lengths: 0, bits: 1, rows: 2 } as const;
const ROW = { network: 0, length: 1, sender: 2 } as const;
const SENDER = { address: 0, port: 1, subnets: 2 } as const;
const SLOT = 3;
const LEAST_BITS = 6;
/** Three quarters are free after a move, half of them at least. */
const MOST_BITS = Math.log2(4 * MAX_ROWS);
const regionSize = (bits: number): number => REGION.rows + 2 * (SLOT << bits);

/** Memory that is never written takes none. */
export function createPeerTableMemory(): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(4 * (HEADER.size + 2 * regionSize(MOST_BITS)));
  const words = new Int32Array(memory);
  words[HEADER.ownMask] = -1; // with the network 0: no address of a packet
  words[HEADER.size + REGION.bits] = LEAST_BITS;
  return memory;
}

/** Where things are in a generation. */
interface Region {
  generation: number;
  at: number;
  bits: number;
  senders: number;
}

function regionOf(words: Int32Array, generation: number): Region {
  const at = HEADER.size + (generation & 1) * regionSize(MOST_BITS);
  const bits = words[at + REGION.bits] ?? 0;
  return { generation, at, bits, senders: at + REGION.rows + (SLOT << bits) };
}

/** From Knuth's golden ratio and MurmurHash3; the upper bits are well mixed. */
const hashOf = (one: number, other: number): number => Math.imul(one ^ Math.imul(other, 0x9e3779b1), 0x85ebca6b);

/**
 * Finds the slot whose first two words are these. The second word says that a slot is taken.
 *
 * @returns below 0: there is none. Its complement is the free one where they belong, which a reader must not look into: the writer may fill it with others. -1: nor a free one, since the region has been
 *   written anew: half of a table is free
 */
function slotOf(words: Int32Array, table: number, bits: number, first: number, second: number): number {
  const last = (1 << bits) - 1;
  let slot = hashOf(first, second) >>> (32 - bits);
  for (let tried = 0; tried <= last; tried++) {
    const at = table + SLOT * slot;
    const found = words[at + 1];
    if (found === 0) return ~at;
    if (found === second && words[at] === first) return at;
    slot = (slot + 1) & last;
  }
  return -1;
}

const rowSlot = (words: Int32Array, { at, bits }: Region, network: number, length: number): number =>
  slotOf(words, at + REGION.rows, bits, network, length);
const senderSlot = (words: Int32Array, { senders, bits }: Region, address: number, port: number): number =>
  slotOf(words, senders, bits, address, port);

/** Reads the table, in one thread. */
export function createPeerTable(memory: SharedArrayBuffer): PeerTable {
  const words = new Int32Array(memory);
  let region = regionOf(words, 0);
  /** By the offset of the sender. */
  const peers = new Map<number, Peer>();

  /** Answers from one region, the current one. */
  function read<T>(look: (one: number, other: number) => T, one: number, other: number): T {
    for (;;) {
      const generation = Atomics.load(words, HEADER.generation);
      if (generation !== region.generation) {
        region = regionOf(words, generation);
        peers.clear();
      }
      const found = look(one, other);
      if (Atomics.load(words, HEADER.generation) === generation) return found;
    }
  }

  /** @returns its offset; 0: none */
  function findSender(address: number): number {
    for (let lengths = words[region.at + REGION.lengths] ?? 0; lengths !== 0; ) {
      const bit = Math.clz32(lengths);
      lengths &= ~(0x80000000 >>> bit);
      const at = rowSlot(words, region, address & (-1 << bit), 32 - bit);
      const sender = at < 0 ? 0 : (words[at + ROW.sender] ?? 0);
      if (sender !== 0) return sender;
    }
    return 0;
  }

  function findPeer(address: number): Peer | undefined {
    const sender = findSender(address);
    return sender === 0 ? undefined : peerAt(sender);
  }

  function countSubnets(address: number, port: number): number {
    const at = senderSlot(words, region, address, port);
    return at < 0 ? 0 : (words[at + SENDER.subnets] ?? 0);
  }

  function peerAt(sender: number): Peer {
    let peer = peers.get(sender);
    if (peer === undefined) {
      const [address = 0, port = 0] = [words[sender + SENDER.address], words[sender + SENDER.port]];
      peer = { address, port, pathMtu: UNLIMITED, pathMtuReadAt: -Infinity };
      peers.set(sender, peer);
    }
    return peer;
  }

  return {
    find: (address) => read(findPeer, address, 0),
    has: (address, port) => read(countSubnets, address, port) > 0,
    isOwn: (address) => (address & (words[HEADER.ownMask] ?? 0)) === words[HEADER.ownNetwork],
    ownBase: () => words[HEADER.ownNetwork] ?? 0,
  };
}

/** A UDP datagram cannot be larger than this. */
const UNLIMITED = 65535;

/** Writes the table; there is one writer. */
export function createPeerTableWriter(memory: SharedArrayBuffer): PeerTableWriter {
  const words = new Int32Array(memory);
  let region = regionOf(words, 0);
  let taken = { rows: 0, senders: 0 };
  let live = 0;
  /** How many rows there are of each prefix length. */
  const rowsOfLength = new Int32Array(33);

  const word = (at: number): number => words[at] ?? 0;
  const add = (at: number, more: number) => void Atomics.add(words, at, more);

  /** Returns the sender's offset. */
  function senderOf(address: number, port: number): number {
    const found = senderSlot(words, region, address, port);
    if (found >= 0) return found;
    const at = ~found;
    taken.senders++;
    words[at + SENDER.address] = address;
    Atomics.store(words, at + SENDER.port, port);
    return at;
  }

  /** Returns the row's offset. */
  function rowOf(network: number, length: number): number {
    const found = rowSlot(words, region, network, length);
    if (found >= 0) return found;
    const at = ~found;
    taken.rows++;
    words[at + ROW.network] = network;
    Atomics.store(words, at + ROW.length, length);
    return at;
  }

  function write(network: number, length: number, address: number, port: number): void {
    const sender = senderOf(address, port);
    add(sender + SENDER.subnets, 1); // first: who has a row is a sender
    const at = rowOf(network, length);
    const before = word(at + ROW.sender);
    Atomics.store(words, at + ROW.sender, sender);
    if (before === 0) count(length, 1);
    else add(before + SENDER.subnets, -1);
  }

  function remove(network: number, length: number): void {
    const at = rowSlot(words, region, network, length);
    const sender = at < 0 ? 0 : word(at + ROW.sender);
    if (sender === 0) return;
    Atomics.store(words, at + ROW.sender, 0);
    add(sender + SENDER.subnets, -1);
    count(length, -1);
  }

  /** Counts a row that came or went. */
  function count(length: number, more: number): void {
    live += more;
    const rows = (rowsOfLength[length] ?? 0) + more;
    rowsOfLength[length] = rows;
    const bit = 1 << (length - 1);
    const lengths = word(region.at + REGION.lengths);
    Atomics.store(words, region.at + REGION.lengths, rows > 0 ? lengths | bit : lengths & ~bit);
  }

  /** Moves the rows that are in use into the other region, of which a quarter is full then. */
  function move(): void {
    const from = region;
    const generation = from.generation + 1;
    const { at } = regionOf(words, generation);
    const bits = Math.max(LEAST_BITS, Math.ceil(Math.log2(4 * live)));
    words.fill(0, at, at + regionSize(bits));
    words[at + REGION.bits] = bits;
    region = regionOf(words, generation);
    taken = { rows: 0, senders: 0 };
    live = 0;
    rowsOfLength.fill(0);
    for (let row = from.at + REGION.rows; row < from.senders; row += SLOT) {
      const sender = word(row + ROW.sender);
      if (sender !== 0)
        write(
          word(row + ROW.network),
          word(row + ROW.length),
          word(sender + SENDER.address),
          word(sender + SENDER.port),
        );
    }
    Atomics.store(words, HEADER.generation, generation);
  }

  const isHalfFull = () => 2 * (Math.max(taken.rows, taken.senders) + 1) > 1 << region.bits;

  return {
    change(added, removed) {
      for (const subnet of removed) {
        const { network, length } = networkOf(subnet);
        remove(network, length);
      }
      for (const { subnet, address, port } of added) {
        const { network, length } = networkOf(subnet);
        if (isHalfFull()) move();
        write(network, length, addressNumber(address), port);
      }
    },
    setOwn(subnet) {
      const { network, mask } = networkOf(subnet);
      words[HEADER.ownNetwork] = network;
      Atomics.store(words, HEADER.ownMask, mask);
    },
  };
}

/** Returns the address as 32 bits, signed. @throws Error it is no IPv4 address */
export function addressNumber(text: string): number {
  const address = parseAddress(text);
  if (address?.length !== 4) throw new Error(`${JSON.stringify(text)} is no IPv4 address`);
  return numberOf(address);
}

const numberOf = (address: Uint8Array): number => new DataView(address.buffer, address.byteOffset, 4).getInt32(0);

/** Returns the subnet as numbers, host bits cleared. @throws Error it is no IPv4 subnet, or all addresses */
export function networkOf(subnet: string): { network: number; length: number; mask: number } {
  const prefix = parsePrefix(subnet);
  if (prefix?.address.length !== 4 || prefix.length === 0)
    throw new Error(`${JSON.stringify(subnet)} is no IPv4 subnet`);
  const { length } = prefix;
  const mask = -1 << (32 - length);
  return { network: numberOf(prefix.address) & mask, length, mask };
}
