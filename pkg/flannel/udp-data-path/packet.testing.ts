/** Packets for tests, built and checked byte by byte, with nothing of the code that is tested. */

export interface Said {
  source?: string;
  destination?: string;
  ttl?: number;
  tos?: number;
  id?: number;
  /** Flags and fragment offset. */
  fragment?: number;
  options?: number[];
}

const bytesOf = (address: string) => address.split(".").map(Number);
const u16 = (value: number) => [(value >> 8) & 0xff, value & 0xff];
const u32 = (value: number) => [...u16(value >>> 16), ...u16(value & 0xffff)];

/** RFC 1071, as it stands there. */
export function checksum(bytes: readonly number[]): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += ((bytes[i] ?? 0) << 8) + (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

export function ipv4Packet(protocol: number, payload: readonly number[], said: Said = {}): number[] {
  const {
    source = "10.1.2.5",
    destination = "10.1.3.7",
    ttl = 64,
    tos = 0,
    id = 7,
    fragment = 0x4000,
    options = [],
  } = said;
  const headerLength = 20 + options.length;
  const rest = [...bytesOf(source), ...bytesOf(destination), ...options];
  const before = [
    0x40 + headerLength / 4,
    tos,
    ...u16(headerLength + payload.length),
    ...u16(id),
    ...u16(fragment),
    ttl,
    protocol,
  ];
  return [...before, ...u16(checksum([...before, 0, 0, ...rest])), ...rest, ...payload];
}

export interface SaidTcp extends Said {
  sequence?: number;
  acknowledgment?: number;
  /** Twelve bits. */
  flags?: number;
  window?: number;
  ports?: [number, number];
  tcpOptions?: number[];
}

export function tcpPacket(data: readonly number[], said: SaidTcp = {}): number[] {
  const {
    sequence = 1000,
    acknowledgment = 5,
    flags = 0x10,
    window = 500,
    ports = [40000, 80],
    tcpOptions = [],
  } = said;
  const before = [
    ...ports.flatMap(u16),
    ...u32(sequence),
    ...u32(acknowledgment),
    ...u16((((20 + tcpOptions.length) / 4) << 12) | flags),
    ...u16(window),
  ];
  const rest = [0, 0, ...tcpOptions, ...data];
  return ipv4Packet(6, [...before, ...u16(transportChecksum(6, [...before, 0, 0, ...rest], said)), ...rest], said);
}

export function udpPacket(data: readonly number[], said: Said & { ports?: [number, number] } = {}): number[] {
  const { ports = [5000, 6000] } = said;
  const before = [...ports.flatMap(u16), ...u16(8 + data.length)];
  const sum = transportChecksum(17, [...before, 0, 0, ...data], said);
  return ipv4Packet(17, [...before, ...u16(sum === 0 ? 0xffff : sum), ...data], said);
}

function transportChecksum(protocol: number, segment: readonly number[], said: Said): number {
  const { source = "10.1.2.5", destination = "10.1.3.7" } = said;
  return checksum([...bytesOf(source), ...bytesOf(destination), 0, protocol, ...u16(segment.length), ...segment]);
}

/** Data that tells every position from the next. */
export const data = (length: number, from = 0): number[] =>
  Array.from({ length }, (_, i) => ((from + i) * 7 + ((from + i) >> 8)) & 0xff);

/** Returns the packet with bytes changed. */
export function altered(packet: readonly number[], at: number, ...bytes: number[]): number[] {
  return [...packet.slice(0, at), ...bytes, ...packet.slice(at + bytes.length)];
}
