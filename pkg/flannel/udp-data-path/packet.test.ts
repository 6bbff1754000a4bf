import t from "tap";
import { sumOf } from "../../ip/internet-checksum.ts";
import { randomFrom, testSeed } from "../../sys/random.testing.ts";
import { altered, checksum, data, ipv4Packet, tcpPacket } from "./packet.testing.ts";
import { decrementTtl, isHeaderIntact, type PacketProblem, problemOf } from "./packet.ts";

const viewOf = (bytes: readonly number[]) => new DataView(new Uint8Array(bytes).buffer);

const good = tcpPacket(data(100));
const problems: [name: string, packet: number[], problem: PacketProblem | undefined][] = [
  ["a whole packet", good, undefined],
  ["one with options", ipv4Packet(6, data(30), { options: [1, 1, 1, 1] }), undefined],
  ["a header alone", ipv4Packet(6, []), undefined],
  ["nothing", [], "Truncated"],
  ["one byte", [0x45], "Truncated"],
  ["19 bytes", good.slice(0, 19), "Truncated"],
  ["all but the last byte", good.slice(0, -1), "Truncated"],
  ["a byte too many", [...good, 0], "Oversized"],
  ["IPv6", altered(good, 0, 0x60), "NotIPv4"],
  ["IPv6, one byte", [0x60], "NotIPv4"],
  ["an Ethernet frame", [0x02, 0, 0, 0, 0, 1, ...good], "NotIPv4"],
  ["a header of 16 bytes", altered(good, 0, 0x44), "Malformed"],
  ["a header that is longer than the packet", altered(ipv4Packet(6, []), 0, 0x4f), "Malformed"],
  ["a length of less than the header", altered(good, 2, 0, 19), "Malformed"],
];
for (const [name, packet, problem] of problems) {
  t.test(`${name}: ${problem ?? "is taken"}`, async (t) => {
    const shifted = viewOf([0xff, 0xff, 0xff, ...packet]);
    t.equal(problemOf(shifted, 3, packet.length), problem);
  });
}

t.test("a sum is that of RFC 1071, for every length and alignment", async (t) => {
  const random = randomFrom(testSeed());
  const bytes = Array.from({ length: 200 }, () => Math.floor(random() * 256));
  const view = viewOf(bytes);
  for (let at = 0; at < 9; at++) {
    for (let size = 0; size < 100; size++) {
      const sum = sumOf(view, at, size);
      const expected = ~checksum(bytes.slice(at, at + size)) & 0xffff;
      if (sum !== expected) t.equal(sum, expected, `${size} bytes at ${at}`);
    }
  }
  t.equal(
    sumOf(viewOf(new Array(65535).fill(0xff)), 0, 65535),
    ~checksum(new Array(65535).fill(0xff)) & 0xffff,
    "no overflow",
  );
});

t.test("a lower TTL leaves the header's checksum right, whatever it was", async (t) => {
  const random = randomFrom(testSeed());
  for (let i = 0; i < 2000; i++) {
    const ttl = 2 + Math.floor(random() * 254);
    const view = viewOf(ipv4Packet(6, [], { ttl, id: Math.floor(random() * 65536), tos: Math.floor(random() * 256) }));
    const was = decrementTtl(view, 0);
    if (!was || !isHeaderIntact(view, 0) || view.getUint8(8) !== ttl - 1) t.fail(`TTL ${ttl}, round ${i}`);
  }
  for (const ttl of [0, 1]) {
    const view = viewOf(ipv4Packet(6, [], { ttl }));
    t.notOk(decrementTtl(view, 0), `TTL ${ttl} is none`);
    t.equal(view.getUint8(8), ttl);
  }
});

t.test("a header with a wrong bit is not intact", async (t) => {
  t.ok(isHeaderIntact(viewOf(good), 0));
  for (let at = 1; at < 20; at++)
    t.notOk(isHeaderIntact(viewOf(altered(good, at, (good[at] ?? 0) ^ 1)), 0), `byte ${at}`);
});
