import t from "tap";
import { randomFrom, testSeed } from "../sys/random.testing.ts";
import { fromHex, hexLines } from "./golden.testing.ts";
import { attributeAt } from "./message.ts";
import { ruleMessage } from "./nftables/rule.ts";
import {
  decodeAnswer,
  decodeNlmsgs,
  encodeNlmsg,
  NLM_F_ACK,
  NLM_F_DUMP_INTR,
  NLM_F_MULTI,
  NLM_F_REQUEST,
} from "./nlmsg.ts";
import { WireError } from "./wire.ts";

const decodeFirst = (wire: string) => {
  const [first] = decodeNlmsgs(fromHex(wire));
  if (first === undefined) throw new Error("no message");
  return decodeAnswer(first);
};

t.test("a message is nlmsghdr, body and padding that its length does not count", (t) => {
  const encoded = encodeNlmsg({ type: 20, flags: NLM_F_REQUEST | NLM_F_ACK, sequence: 7 }, fromHex("0102030405"));
  t.equal(hexLines(encoded), hexLines(fromHex("15000000 1400 0500 07000000 00000000 01020304 05000000")));
  t.end();
});

t.test("the messages of a datagram are read one after the other", (t) => {
  const one = encodeNlmsg({ type: 20, flags: NLM_F_MULTI, sequence: 7 }, fromHex("0102030405"));
  const two = encodeNlmsg({ type: 3, flags: NLM_F_MULTI | NLM_F_DUMP_INTR, sequence: 7 }, fromHex("00000000"));
  const found = decodeNlmsgs(Uint8Array.from([...one, ...two]));
  t.strictSame(found, [
    { type: 20, flags: NLM_F_MULTI, sequence: 7, port: 0, body: fromHex("0102030405") },
    { type: 3, flags: NLM_F_MULTI | NLM_F_DUMP_INTR, sequence: 7, port: 0, body: fromHex("00000000") },
  ]);
  t.end();
});

t.test("a datagram may begin anywhere in a larger buffer", (t) => {
  const encoded = encodeNlmsg({ type: 20, flags: 0, sequence: 7 }, fromHex("01020304"));
  const buffer = new Uint8Array(64);
  buffer.set(encoded, 3);
  t.strictSame(decodeNlmsgs(buffer.subarray(3, 3 + encoded.length)), decodeNlmsgs(encoded));
  t.end();
});

// Captured with `strace -e trace=recvmsg -e read=all` as README.md says; these are what capture.mjs leaves out.
const answers = [
  {
    command: "ip link add cni0 type bridge: an acknowledgement, capped",
    wire: "24000000 02000001 aef7006b 43530000 00000000 3c000000 10000506 aef7006b 00000000",
    value: { errno: 0 },
  },
  {
    command: "RTM_NEWLINK without attributes: ENODEV without words",
    wire: `34000000 02000000 00000000 43530000 edffffff 20000000 10000500 00000000 00000000 00000000 00000000 00000000
           00000000`,
    value: { errno: 19 },
  },
  {
    command: "ip route add 10.1.0.0/16 via 10.9.9.9 dev v0: ENETUNREACH in words",
    wire: `68000000 02000002 63fe006b ef100000 9bffffff 34000000 18000506 63fe006b 00000000 02100000 fe030001 00000000
           08000100 0a010000 08000500 0a090909 08000400 03000000 20000100 4e657874 686f7020 68617320 696e7661 6c696420
           67617465 77617900`,
    value: { errno: 101, message: "Nexthop has invalid gateway" },
  },
  {
    command: "nft add rule ip x y accept: ENOENT with its place",
    wire: `74000000 02000002 01000000 3f110000 feffffff 58000000 060a010c 01000000 00000000 02000000 06000100 78000000
           06000200 79000000 34000480 30000180 0e000100 696d6d65 64696174 65000000 1c000280 08000100 00000000 10000280
           0c000280 08000100 00000001 08000200 14000000`,
    value: { errno: 2, offset: 20 },
    attribute: "NFTA_RULE_TABLE",
  },
  {
    command: "nft add rule ip t c counter jump nothere: ENOENT with its place in a list",
    wire: `94000000 02000002 01000000 89150000 feffffff 78000000 060a010c 01000000 00000000 02000000 06000100 74000000
           06000200 63000000 54000480 14000180 0c000100 636f756e 74657200 04000280 3c000180 0e000100 696d6d65 64696174
           65000000 28000280 08000100 00000000 1c000280 18000280 08000100 fffffffd 0c000200 6e6f7468 65726500 08000200
           3c000000`,
    value: { errno: 2, offset: 60 },
    attribute: "NFTA_RULE_EXPRESSIONS > NFTA_LIST_ELEM[1]",
  },
  {
    command: "the end of `nft list table`'s dump",
    wire: "14000000 03000200 00000000 17110000 00000000",
    value: { errno: 0 },
  },
];
for (const { command, wire, value, attribute } of answers) {
  t.test(`answer to ${command}`, (t) => {
    t.strictSame(decodeFirst(wire), value);
    const request = fromHex(wire).subarray(36); // behind the answer's header, the errno and the request's header
    if (attribute !== undefined) t.equal(attributeAt(ruleMessage, request, (value.offset ?? 0) - 16), attribute);
    t.end();
  });
}

t.test("a dump that ends in an error says which, with the kernel's words", (t) => {
  t.strictSame(decodeFirst("14000000 03000200 00000000 00000000 faffffff"), { errno: 6 });
  t.strictSame(decodeFirst("1c000000 03000202 00000000 00000000 faffffff 0700 0100 6e6f00 00"), {
    errno: 6,
    message: "no",
  });
  t.strictSame(decodeFirst("10000000 03000200 00000000 00000000"), { errno: 0 }, "without a code");
  t.end();
});

t.test("a missing attribute is told by its type and the nest that lacks it", (t) => {
  const wire = `34000000 02000003 01000000 00000000 eaffffff 14000000 100a0500 01000000 00000000
                08000500 09000000 08000600 14000000`;
  t.strictSame(decodeFirst(wire), { errno: 22, missingType: 9, missingNest: 20 });
  t.end();
});

t.test("every truncation and any bytes are read or refused", (t) => {
  const seed = testSeed();
  const random = randomFrom(seed);
  let seen = 0;
  for (const { wire } of answers) {
    const bytes = fromHex(wire);
    for (let i = 0; i < 200; i++) {
      const input = bytes.slice(0, Math.min(i, bytes.length));
      if (i >= bytes.length) input[Math.floor(random() * input.length)] = 256 * random();
      try {
        decodeNlmsgs(input).map(decodeAnswer);
      } catch (error) {
        if (!(error instanceof WireError)) t.equal(`${error}\n${hexLines(input)}`, "", `seed ${seed}`);
      }
      seen++;
    }
  }
  t.equal(seen, 200 * answers.length);
  t.end();
});
