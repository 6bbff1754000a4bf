import t from "tap";
import {
  createRateLimit,
  fragmentationNeeded,
  type IcmpError,
  mayAnswer,
  netUnreachable,
  timeExceeded,
  writeIcmpError,
} from "./icmp.ts";
import { checksum, data, ipv4Packet, tcpPacket, udpPacket } from "./packet.testing.ts";
import { addressNumber } from "./peer-table.ts";

const viewOf = (bytes: readonly number[]) => new DataView(new Uint8Array(bytes).buffer);

const answered: [what: string, packet: number[], isAnswered: boolean][] = [
  ["TCP", tcpPacket(data(10)), true],
  ["a first fragment", udpPacket(data(10), { fragment: 0x2000 }), true],
  ["an echo request", ipv4Packet(1, [8, 0, 0, 0, 0, 0, 0, 0]), true],
  ["an echo reply", ipv4Packet(1, [0, 0, 0, 0, 0, 0, 0, 0]), true],
  ["destination unreachable", ipv4Packet(1, [3, 0, 0, 0, 0, 0, 0, 0]), false],
  ["time exceeded", ipv4Packet(1, [11, 0, 0, 0, 0, 0, 0, 0]), false],
  ["a redirect", ipv4Packet(1, [5, 0, 0, 0, 0, 0, 0, 0]), false],
  ["an ICMP type that is not assigned", ipv4Packet(1, [200]), false],
  ["ICMP without a type", ipv4Packet(1, []), false],
  ["a later fragment", udpPacket(data(10), { fragment: 0x2001 }), false],
  ["from 0.0.0.0", tcpPacket([], { source: "0.0.0.0" }), false],
  ["from loopback", tcpPacket([], { source: "127.0.0.1" }), false],
  ["from multicast", tcpPacket([], { source: "224.0.0.1" }), false],
  ["from broadcast", tcpPacket([], { source: "255.255.255.255" }), false],
  ["to multicast", udpPacket([], { destination: "224.0.0.251" }), false],
];
for (const [what, packet, isAnswered] of answered) {
  t.test(`${what}: ${isAnswered ? "is answered" : "is not answered"}`, async (t) => {
    t.equal(mayAnswer(viewOf(packet), 0, packet.length), isAnswered);
  });
}

/** The error's bytes, and the packet's that it quotes. */
function written(error: IcmpError, packet: readonly number[]): { ip: number[]; icmp: number[]; quote: number[] } {
  const view = viewOf([...new Array<number>(600).fill(0xee), ...packet]);
  const size = writeIcmpError(view, 0, error, addressNumber("10.1.2.0"), 600, packet.length);
  const all = [...new Uint8Array(view.buffer, 0, size)];
  return { ip: all.slice(0, 20), icmp: all.slice(20), quote: all.slice(28) };
}

t.test("an error quotes the packet and goes to its source", async (t) => {
  const packet = tcpPacket(data(30));
  const { ip, icmp, quote } = written(netUnreachable, packet);
  t.strictSame(ip.slice(0, 10), [0x45, 0xc0, 0, 20 + 8 + packet.length, 0, 0, 0, 0, 64, 1]);
  t.strictSame(ip.slice(12), [10, 1, 2, 0, 10, 1, 2, 5]);
  t.strictSame([checksum(ip), checksum(icmp)], [0, 0], "both checksums are right");
  t.strictSame([icmp[0], icmp[1], ...icmp.slice(4, 8)], [3, 0, 0, 0, 0, 0]);
  t.strictSame(quote, packet);
});

t.test("an error has type and code of RFC 792, and the next hop's MTU of RFC 1191", async (t) => {
  const head = (error: IcmpError) => written(error, tcpPacket([])).icmp.filter((_, i) => [0, 1, 6, 7].includes(i));
  t.strictSame(head(timeExceeded), [11, 0, 0, 0]);
  t.strictSame(head(fragmentationNeeded(1272)), [3, 4, 1272 >> 8, 1272 & 0xff]);
});

t.test("an error has 576 bytes at most", async (t) => {
  const { ip, icmp, quote } = written(timeExceeded, tcpPacket(data(1400)));
  t.equal(ip.length + icmp.length, 576);
  t.equal(quote.length, 548);
  t.equal(checksum(icmp), 0);
});

t.test("of a flood, 50 are answered at once, and then one for each millisecond", async (t) => {
  const limit = createRateLimit();
  const allowed = (nowMs: number, asked: number) =>
    Array.from({ length: asked }, () => limit.allow(nowMs)).filter(Boolean).length;
  t.strictSame(
    [allowed(1000, 500), allowed(1000.5, 500), allowed(1010, 500), allowed(1_000_000, 500)],
    [50, 0, 10, 50],
  );
});
