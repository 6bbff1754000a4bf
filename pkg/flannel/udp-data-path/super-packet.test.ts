// Cutting and joining, each held against packets that were built one by one, and against the other.
import t from "tap";
import { randomFrom, testSeed } from "../../sys/random.testing.ts";
import { type Arena, createArena, IOVEC } from "./arena.ts";
import { createJoiner } from "./join.ts";
import { altered, checksum, data, ipv4Packet, type SaidTcp, tcpPacket, udpPacket } from "./packet.testing.ts";
import { cutTcp, cutUdp, HEADER_SPACE, headersLengthOf } from "./segment.ts";

const PSH = 0x18;
const FIN = 0x11;

/** Cuts the packet and returns what comes out. */
function cut(cutter: typeof cutTcp, packet: readonly number[], dataSize: number): number[][] {
  const view = new DataView(new ArrayBuffer(packet.length + 100 * HEADER_SPACE));
  const bytes = new Uint8Array(view.buffer);
  bytes.set(packet);
  const pieces: number[][] = [];
  cutter(view, bytes, 0, packet.length, dataSize, packet.length, (header, headerSize, from, size) =>
    pieces.push([...bytes.subarray(header, header + headerSize), ...bytes.subarray(from, from + size)]),
  );
  return pieces;
}

t.test("a super-packet of TCP is cut into the packets that a host without offloads would send", async (t) => {
  const said = { id: 65535, sequence: 0xfffffff0, tcpOptions: [1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8] };
  const piece = (i: number, size: number, flags: number) =>
    tcpPacket(data(size, i * 100), {
      ...said,
      id: (said.id + i) & 0xffff,
      sequence: (said.sequence + i * 100) >>> 0,
      flags,
    });
  t.strictSame(cut(cutTcp, tcpPacket(data(250), { ...said, flags: PSH }), 100), [
    piece(0, 100, 0x10),
    piece(1, 100, 0x10),
    piece(2, 50, PSH),
  ]);
  t.strictSame(
    cut(cutTcp, tcpPacket(data(200), { ...said, flags: 0x80 | FIN }), 100),
    [piece(0, 100, 0x90), piece(1, 100, FIN)],
    "CWR in the first, FIN in the last",
  );
});

t.test("a super-packet of UDP is cut into datagrams of their own", async (t) => {
  const piece = (i: number, size: number) => udpPacket(data(size, i * 99), { id: 7 + i });
  t.strictSame(cut(cutUdp, udpPacket(data(250)), 99), [piece(0, 99), piece(1, 99), piece(2, 52)]);
});

t.test("headers that the packet is too short for have no length", async (t) => {
  const lengthOf = (packet: readonly number[]) =>
    headersLengthOf(new DataView(new Uint8Array(packet).buffer), 0, packet.length);
  t.equal(lengthOf(tcpPacket(data(1), { tcpOptions: [1, 1, 1, 1] })), 44);
  t.equal(lengthOf(udpPacket([])), 28);
  t.equal(lengthOf(ipv4Packet(6, data(19))), 0);
  t.equal(lengthOf(altered(tcpPacket([]), 32, 0xf0)), 0, "TCP options behind the end");
  t.equal(lengthOf(altered(tcpPacket([]), 32, 0x10)), 0, "a TCP header of 4 bytes");
});

interface Written {
  vnet: number[];
  packet: number[];
}

/** Joins packets, and returns what would be written to the device. */
function join(packets: readonly (readonly number[])[], joinsUdp = true): Written[] {
  const arena = createArena(1 << 18);
  const written: Written[] = [];
  const joiner = createJoiner(arena, joinsUdp, (iovecs, count) => written.push(gathered(arena, iovecs, count)));
  for (const packet of packets) {
    const at = arena.reserve(packet.length);
    arena.bytes.set(packet, at);
    joiner.add(at, packet.length);
  }
  joiner.flush();
  joiner.flush();
  return written;
}

function gathered({ view, bytes, low }: Arena, iovecs: number, count: number): Written {
  const [vnet = [], ...rest] = Array.from({ length: count }, (_, i) => {
    const at = view.getUint32(iovecs + i * IOVEC.size + IOVEC.base, true) - low;
    return [...bytes.subarray(at, at + view.getUint32(iovecs + i * IOVEC.size + IOVEC.length, true))];
  });
  return { vnet, packet: rest.flat() };
}

const NO_OFFLOAD = new Array<number>(10).fill(0);
const stream = (count: number, size: number, said: SaidTcp = {}) =>
  Array.from({ length: count }, (_, i) =>
    tcpPacket(data(size, i * size), { ...said, id: 7 + i, sequence: 1000 + i * size }),
  );

t.test("packets of a stream become a super-packet, with the sum of the pseudo-header", async (t) => {
  const [one, ...others] = join([...stream(3, 100), tcpPacket(data(40, 300), { id: 10, sequence: 1300, flags: PSH })]);
  t.equal(others.length, 0);
  t.strictSame(one?.vnet, [1, 1, 40, 0, 100, 0, 20, 0, 16, 0], "needs a checksum, TCPv4, headers, size, start, offset");
  const expected = tcpPacket(data(340), { flags: PSH });
  const pseudo = ~checksum([10, 1, 2, 5, 10, 1, 3, 7, 0, 6, 360 >> 8, 360 & 0xff]) & 0xffff;
  t.strictSame(one?.packet, altered(expected, 36, pseudo >> 8, pseudo & 0xff));
});

t.test("datagrams of a flow become a super-packet", async (t) => {
  const [one, ...others] = join([0, 1, 2].map((i) => udpPacket(data(i === 2 ? 30 : 100, i * 100), { id: 7 + i })));
  t.equal(others.length, 0);
  t.strictSame(one?.vnet, [1, 5, 28, 0, 100, 0, 20, 0, 6, 0]);
  const pseudo = ~checksum([10, 1, 2, 5, 10, 1, 3, 7, 0, 17, 238 >> 8, 238 & 0xff]) & 0xffff;
  t.strictSame(one?.packet, altered(udpPacket(data(230)), 26, pseudo >> 8, pseudo & 0xff));
  t.equal(
    join([udpPacket(data(9)), udpPacket(data(9), { id: 8 })], false).length,
    2,
    "not where the kernel takes none",
  );
});

const next = (said: SaidTcp = {}, size = 100) => tcpPacket(data(size, 100), { id: 8, sequence: 1100, ...said });
const broken = (packet: number[]) => altered(packet, packet.length - 1, (packet.at(-1) ?? 0) ^ 1);
const first = tcpPacket(data(100));
const apart: [what: string, one: number[], other: number[]][] = [
  ["another sequence number", first, next({ sequence: 1101 })],
  ["another acknowledgment", first, next({ acknowledgment: 6 })],
  ["another window", first, next({ window: 501 })],
  ["another source", first, next({ source: "10.1.2.6" })],
  ["another destination", first, next({ destination: "10.1.3.8" })],
  ["another port", first, next({ ports: [40001, 80] })],
  ["another TTL", first, next({ ttl: 63 })],
  ["another TOS, as when congestion was experienced", first, next({ tos: 3 })],
  ["an ID that does not follow", first, next({ id: 9 })],
  ["no DF", first, next({ fragment: 0 })],
  ["other options of TCP", tcpPacket(data(100), { tcpOptions: [1, 1, 1, 1] }), next({ tcpOptions: [1, 1, 1, 0] })],
  ["more data than the first", first, next({}, 101)],
  ["no data", first, next({}, 0)],
  ["FIN", first, next({ flags: FIN })],
  ["AE", tcpPacket(data(100), { flags: 0x110 }), next({ flags: 0x110 })],
  ["the first has PSH", tcpPacket(data(100), { flags: PSH }), next()],
  ["options of IPv4", tcpPacket(data(100), { options: [1, 1, 1, 1] }), next({ options: [1, 1, 1, 1] })],
  ["fragments", tcpPacket(data(100), { fragment: 0x2000 }), next({ fragment: 0x2000 })],
  ["a wrong checksum of the second", first, broken(next())],
  ["a wrong checksum of the first", broken(first), next()],
  ["UDP without a checksum", altered(udpPacket(data(9)), 26, 0, 0), altered(udpPacket(data(9), { id: 8 }), 26, 0, 0)],
  [
    "a UDP length that is not the packet's",
    altered(udpPacket(data(9)), 25, 16),
    altered(udpPacket(data(9), { id: 8 }), 25, 16),
  ],
  ["other protocols", ipv4Packet(47, data(100)), ipv4Packet(47, data(100), { id: 8 })],
];
for (const [what, one, other] of apart) {
  t.test(`not joined, and written as they came: ${what}`, async (t) => {
    t.strictSame(
      join([one, other]),
      [one, other].map((packet) => ({ vnet: NO_OFFLOAD, packet })),
    );
  });
}

t.test("after a super-packet, one that is written alone has an empty header before it", async (t) => {
  const alone = ipv4Packet(1, [8, 0, 0, 0]);
  t.strictSame(join([...stream(2, 100), alone])[1], { vnet: NO_OFFLOAD, packet: alone });
});

t.test("a packet that is smaller, or has PSH, is the last", async (t) => {
  const sizes = (packets: number[][]) => join(packets).map(({ packet }) => packet.length - 40);
  t.strictSame(sizes([first, next({}, 60), tcpPacket(data(60, 160), { id: 9, sequence: 1160 })]), [160, 60]);
  t.strictSame(sizes([first, next({ flags: PSH }), tcpPacket(data(100), { id: 9, sequence: 1200 })]), [200, 100]);
});

t.test("datagrams with DF may all have the ID 0", async (t) => {
  t.equal(
    join([udpPacket(data(9), { id: 0 }), udpPacket(data(9), { id: 0 }), udpPacket(data(9), { id: 0 })]).length,
    1,
  );
  t.equal(join([udpPacket(data(9), { id: 0, fragment: 0 }), udpPacket(data(9), { id: 0, fragment: 0 })]).length, 2);
});

t.test("a super-packet has 64 packets and 65,535 bytes at most", async (t) => {
  t.strictSame(
    join(stream(70, 10)).map(({ packet }) => packet.length - 40),
    [640, 60],
  );
  t.strictSame(
    join(stream(50, 1432)).map(({ packet }) => packet.length),
    [40 + 45 * 1432, 40 + 5 * 1432],
  );
});

t.test("cutting what was joined gives the packets again", async (t) => {
  const random = randomFrom(testSeed());
  for (let round = 0; round < 50; round++) {
    const size = 1 + Math.floor(random() * 1400);
    const count = 2 + Math.floor(random() * 20);
    const last = 1 + Math.floor(random() * size);
    const said = {
      tcpOptions: random() < 0.5 ? [] : [1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8],
      tos: Math.floor(random() * 4),
    };
    const packets = [
      ...stream(count, size, said),
      tcpPacket(data(last, count * size), { ...said, id: 7 + count, sequence: 1000 + count * size, flags: PSH }),
    ];
    const [one, ...others] = join(packets);
    t.equal(others.length, 0);
    t.strictSame(cut(cutTcp, one?.packet ?? [], size), packets);
  }
});
