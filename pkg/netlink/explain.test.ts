import t from "tap";
import { randomFrom, testSeed } from "../sys/random.testing.ts";
import { explain } from "./explain.ts";
import { fromHex } from "./golden.testing.ts";
import { encodeNlmsg, NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_MULTI, NLM_F_REQUEST } from "./nlmsg.ts";

const cases: { type: number; flags: number; body: string; text: string }[] = [
  {
    type: 16,
    flags: NLM_F_REQUEST | NLM_F_ACK | NLM_F_EXCL | NLM_F_CREATE,
    body: "00000000 00000000 00000000 00000000 09000300 636e6930 00000000 10001200 0a000100 62726964 67650000",
    text:
      "RTM_NEWLINK REQUEST|ACK|EXCL|CREATE #7 " +
      '{family: AF_UNSPEC, type: 0, index: 0, flags: 0, change: 0, ifName: "cni0", linkInfo: {kind: "bridge"}}',
  },
  {
    type: 20,
    flags: NLM_F_REQUEST,
    body: "02100000 01000000 08000200 0a160005 14000100 fd000000 00000000 00000000 00000005",
    text:
      "RTM_NEWADDR REQUEST #7 {family: AF_INET, prefixLength: 16, flags: 0, scope: 0, index: 1, " +
      "local: 10.22.0.5, address: fd00:0000:0000:0000:0000:0000:0000:0005}",
  },
  {
    type: 18,
    flags: NLM_F_REQUEST | NLM_F_DUMP,
    body: "07000000 00000000 00000000 00000000 08001d00 02000000",
    text: "RTM_GETLINK REQUEST|DUMP #7 {family: AF_BRIDGE, type: 0, index: 0, flags: 0, change: 0, extMask: 2}",
  },
  {
    type: 19,
    flags: 0,
    body: "07000000 04000000 00000000 00000000 0c001a00 08000200 06000a00",
    text:
      "RTM_SETLINK #7 {family: AF_BRIDGE, type: 0, index: 4, flags: 0, change: 0, " +
      "bridge: {vlans: [{flags: 6, id: 10}]}}",
  },
  {
    type: 0x10,
    flags: NLM_F_REQUEST,
    body: "0000000a 08000100 00000003",
    text: "NFNL_MSG_BATCH_BEGIN REQUEST #7 {family: NFPROTO_UNSPEC, version: 0, resource: 10, generation: 3}",
  },
  {
    type: 0x0a08,
    flags: 0,
    body: "02000000 07000100 74340000 0c000300 00000000 00000004",
    text: 'NFT_MSG_DELRULE #7 {family: NFPROTO_IPV4, version: 0, resource: 0, table: "t4", handle: 4}',
  },
  {
    type: 0x0b00,
    flags: NLM_F_REQUEST,
    body: "02000000 0f000100 4d415351 55455241 44450000 08000200 00000000 08000300 00000001",
    text:
      "NFNL_MSG_COMPAT_GET REQUEST #7 " +
      '{family: NFPROTO_IPV4, version: 0, resource: 0, name: "MASQUERADE", revision: 0, type: 1}',
  },
  { type: 3, flags: NLM_F_MULTI, body: "00000000", text: "NLMSG_DONE MULTI #7 errno 0" },
  {
    type: 2,
    flags: 0x300,
    body: "feffffff 14000000 00000000 00000000 00000000 0700 0100 6e6f00 00 08000200 14000000",
    text: 'NLMSG_ERROR #7 errno 2 "no" at byte 20 of the request',
  },
  { type: 999, flags: 0, body: "00010203", text: "type 999 #7 4 bytes" },
  {
    type: 20,
    flags: 0,
    body: "0210",
    text: "RTM_NEWADDR #7 2 bytes that its table cannot read: 2 bytes, needs 8",
  },
];
for (const { type, flags, body, text } of cases) {
  t.test(text.replace(/ [[{].*/, " {…}"), (t) => {
    t.equal(explain(encodeNlmsg({ type, flags, sequence: 7 }, fromHex(body))), text);
    t.end();
  });
}

t.test("each message of a datagram is a line", (t) => {
  const done = encodeNlmsg({ type: 3, flags: 0, sequence: 7 }, fromHex("00000000"));
  t.equal(explain(Uint8Array.from([...done, ...done])), "NLMSG_DONE #7 errno 0\nNLMSG_DONE #7 errno 0");
  t.end();
});

t.test("bytes that are not netlink are named as such", (t) => {
  const text = "20 bytes that are not netlink messages: a message of 21 bytes where 20 are left";
  t.equal(explain(fromHex(`15000000 ${"00".repeat(16)}`)), text);
  t.end();
});

t.test("any bytes are explained", (t) => {
  const seed = testSeed();
  const random = randomFrom(seed);
  for (let i = 0; i < 300; i++) {
    const body = Uint8Array.from({ length: 60 * random() }, () => 256 * random() ** 3);
    const type = random() < 0.5 ? 16 + 40 * random() : 0x0a00 + 24 * random();
    t.ok(explain(encodeNlmsg({ type, flags: 0, sequence: i }, body)).length > 0, `seed ${seed}`);
  }
  t.end();
});
