import t from "tap";
import { type Echo, echoRequest, readEchoReply, SMALLEST_ECHO } from "./icmp.ts";

const token = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
const hex = (bytes: Uint8Array): string =>
  Buffer.from(bytes)
    .toString("hex")
    .replace(/(.{8})(?=.)/g, "$1 ");

t.test("a request has a type, a checksum (IPv4) and what it is about", async (t) => {
  const echo: Echo = { index: 0x10203, size: "large" };
  // The checksum: all 16-bit words of the packet, the checksum's own included, add up to ffff (RFC 1071).
  t.equal(hex(echoRequest("ipv4", echo, token, 24)), "0800e1e2 01020203 01020304 05060708 00010203 01000000");
  t.equal(hex(echoRequest("ipv6", echo, token, 24)), "80000000 01020203 01020304 05060708 00010203 01000000");
});

for (const length of [SMALLEST_ECHO, 25, 1452]) {
  t.test(`the checksum of ${length} bytes makes their sum right`, async (t) => {
    const packet = [...echoRequest("ipv4", { index: 7, size: "small" }, token, length), 0];
    let sum = 0;
    for (let at = 0; at + 1 < packet.length; at += 2) sum += ((packet[at] ?? 0) << 8) | (packet[at + 1] ?? 0);
    t.equal((sum & 0xffff) + (sum >>> 16), 0xffff);
  });
}

/** As it comes back, with an IP header of `headerWords` 32-bit words. */
function reply(echo: Echo, headerWords: number): Uint8Array {
  const packet = echoRequest("ipv4", echo, token, 64);
  packet[0] = 0;
  const header = new Uint8Array(headerWords * 4);
  header[0] = 0x40 | headerWords;
  return Uint8Array.of(...header, ...packet);
}

t.test("a reply says what it answers, behind IP headers of any length", async (t) => {
  for (const echo of [
    { index: 0, size: "small" },
    { index: 70_000, size: "large" },
  ] as const)
    for (const words of [5, 15]) t.strictSame(readEchoReply("ipv4", reply(echo, words), token), echo);
  const packet = echoRequest("ipv6", { index: 9, size: "large" }, token, 64);
  packet[0] = 129;
  t.strictSame(readEchoReply("ipv6", packet, token), { index: 9, size: "large" });
});

t.test("what is not an answer to us is none", async (t) => {
  const ours = reply({ index: 1, size: "small" }, 5);
  t.equal(readEchoReply("ipv4", ours, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 9)), undefined);
  for (let length = 0; length < 20 + SMALLEST_ECHO; length++)
    t.equal(readEchoReply("ipv4", ours.subarray(0, length), token), undefined);
  const request = ours.slice();
  request[20] = 8;
  t.equal(readEchoReply("ipv4", request, token), undefined);
});
