import t from "tap";
import { parseAddress } from "./address.ts";
import { encodeEcho, isEchoReply } from "./icmp-echo.ts";

const ipv4 = parseAddress("10.0.0.1") as Uint8Array;
const ipv6 = parseAddress("fd00::1") as Uint8Array;

t.test("a request is as ping -c 1 sends it, but for its payload", async (t) => {
  const request = encodeEcho(ipv4, 0x1234);
  t.equal(Buffer.from(request).toString("hex").slice(0, 16), "0800e5ca12340001");
  t.equal(Buffer.from(encodeEcho(ipv6, 0x1234)).toString("hex").slice(0, 16), "8000000012340001");
  t.equal(request.length, 64);
});

t.test("a reply is told by type and ID, behind the IP header of IPv4", async (t) => {
  const header = [0x46, ...Array(23).fill(0)];
  const reply = (type: number, id: number) => [type, 0, 0, 0, id >> 8, id & 0xff, 0, 1];
  t.ok(isEchoReply(Uint8Array.from([...header, ...reply(0, 0x1234)]), ipv4, 0x1234));
  t.notOk(isEchoReply(Uint8Array.from([...header, ...reply(8, 0x1234)]), ipv4, 0x1234));
  t.notOk(isEchoReply(Uint8Array.from([...header, ...reply(0, 1)]), ipv4, 0x1234));
  t.ok(isEchoReply(Uint8Array.from(reply(129, 7)), ipv6, 7));
  t.notOk(isEchoReply(Uint8Array.from(reply(129, 7).slice(0, 7)), ipv6, 7));
  t.notOk(isEchoReply(new Uint8Array(0), ipv4, 0));
});
