// Golden bytes: what dbus-send and dbus-daemon 1.14 and firewalld 1.3 sent, as `strace -xx -e trace=sendmsg,recvmsg dbus-send --system …` shows it.
import t from "tap";
import { randomFrom, testSeed } from "../sys/random.testing.ts";
import { type Call, decodeMessage, encodeCall, FormatError, type Message, sizeOf } from "./message.ts";

const zone = {
  destination: "org.fedoraproject.FirewallD1",
  path: "/org/fedoraproject/FirewallD1",
  interface: "org.fedoraproject.FirewallD1.zone",
};

const calls: { command: string; serial: number; wire: string; call: Call }[] = [
  {
    command: "dbus-send … org.fedoraproject.FirewallD1.zone.addSource string:trusted string:10.1.0.2/32",
    serial: 2,
    wire: `6c0100011c00000002000000a000000001016f001d0000002f6f72672f6665646f726170726f6a6563742f4669726577616c6c4431000000
           02017300210000006f72672e6665646f726170726f6a6563742e4669726577616c6c44312e7a6f6e6500000000000000
           0301730009000000616464536f7572636500000000000000
           060173001c0000006f72672e6665646f726170726f6a6563742e4669726577616c6c443100000000
           08016700027373000700000074727573746564000b00000031302e312e302e322f333200`,
    call: { ...zone, member: "addSource", args: ["trusted", "10.1.0.2/32"] },
  },
  {
    command: "dbus-send … org.fedoraproject.FirewallD1.zone.querySource string:trusted string:10.1.0.2/32",
    serial: 2,
    wire: `6c0100011c00000002000000a000000001016f001d0000002f6f72672f6665646f726170726f6a6563742f4669726577616c6c4431000000
           02017300210000006f72672e6665646f726170726f6a6563742e4669726577616c6c44312e7a6f6e6500000000000000
           030173000b0000007175657279536f757263650000000000
           060173001c0000006f72672e6665646f726170726f6a6563742e4669726577616c6c443100000000
           08016700027373000700000074727573746564000b00000031302e312e302e322f333200`,
    call: { ...zone, member: "querySource", args: ["trusted", "10.1.0.2/32"] },
  },
];

const answers: { what: string; wire: string; message: Message }[] = [
  {
    what: "the bus's answer to Hello",
    wire: `6c02010109000000010000003d00000006017300040000003a312e34000000000501750001000000080167000173000007017300140000006f7267
           2e667265656465736b746f702e4442757300000000040000003a312e3400`,
    message: { kind: "return", replyTo: 1, errorName: undefined, args: [":1.4"] },
  },
  {
    what: "the signal behind it",
    wire: `6c04010109000000020000008d00000001016f00150000002f6f72672f667265656465736b746f702f4442757300000002017300140000006f7267
           2e667265656465736b746f702e444275730000000003017300 0c0000004e616d6541637175697265640000000006017300040000003a312e34
           00000000080167000173000007017300140000006f72672e667265656465736b746f702e4442757300000000040000003a312e3400`,
    message: { kind: "signal", replyTo: 0, errorName: undefined, args: [":1.4"] },
  },
  {
    what: "addSource: the zone",
    wire: `6c0201010c000000700300002d00000006017300040000003a312e34000000000501750002000000080167000173000007017300040000003a312e32
           00000000070000007472757374656400`,
    message: { kind: "return", replyTo: 2, errorName: undefined, args: ["trusted"] },
  },
  {
    what: "querySource: true",
    wire: `6c020101040000007a0300002d00000006017300040000003a312e36000000000501750002000000080167000162000007017300040000003a312e32
           0000000001000000`,
    message: { kind: "return", replyTo: 2, errorName: undefined, args: [true] },
  },
  {
    what: "addSource, the second time: a refusal",
    wire: `6c0301013f000000750300005d00000006017300040000003a312e350000000004017300260000006f72672e6665646f726170726f6a6563742e4669
           726577616c6c44312e457863657074696f6e00000501750002000000080167000173000007017300040000003a312e32000000003a0000005a4f
           4e455f414c52454144595f5345543a202731302e312e302e322f33322720616c726561647920626f756e6420746f2027747275737465642700`,
    message: {
      kind: "error",
      replyTo: 2,
      errorName: "org.fedoraproject.FirewallD1.Exception",
      args: ["ZONE_ALREADY_SET: '10.1.0.2/32' already bound to 'trusted'"],
    },
  },
  {
    what: "querySource: true, by a sender whose numbers are big-endian (the same bytes, written by the specification)",
    wire: `42020101000000040000037a0000002d0601730000000004 3a312e360000000005017500000000020801670001620000070173000000000 43a312e32
           0000000000000001`,
    message: { kind: "return", replyTo: 2, errorName: undefined, args: [true] },
  },
  {
    what: "an answer with something behind the text that is not read (by the specification)",
    wire: `6c020101140000007003000011000000 0501750002000000 08016700037361730000000000000000
           01000000610000000800000003000000 62626200`,
    message: { kind: "return", replyTo: 2, errorName: undefined, args: ["a"] },
  },
];

const fromHex = (text: string): Uint8Array =>
  Uint8Array.from(text.replaceAll(/\s/g, "").match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));
const toHex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

for (const { command, serial, wire, call } of calls) {
  t.test(`encodeCall: ${command}`, async (t) => {
    const bytes = encodeCall(call, serial);
    t.equal(toHex(bytes), toHex(fromHex(wire)));
    t.equal(sizeOf(bytes), bytes.length);
    t.strictSame(decodeMessage(bytes), { kind: "call", replyTo: 0, errorName: undefined, args: call.args });
  });
}

for (const { what, wire, message } of answers) {
  t.test(`decodeMessage: ${what}`, async (t) => {
    const bytes = fromHex(wire);
    t.strictSame(decodeMessage(bytes), message);
    t.equal(sizeOf(bytes), bytes.length);
    t.equal(sizeOf(Uint8Array.from([...bytes, ...bytes])), bytes.length, "whatever follows");
  });

  t.test(`decodeMessage: ${what}, cut anywhere, is a FormatError or a message`, async (t) => {
    const bytes = fromHex(wire);
    for (let length = 0; length < bytes.length; length++)
      t.ok(isHarmless(bytes.subarray(0, length)), `${length} bytes`);
  });
}

t.test("random bytes are a FormatError or a message", async (t) => {
  const seed = testSeed();
  const random = randomFrom(seed);
  for (let round = 0; round < 3000; round++) {
    const [{ wire } = { wire: "" }] = answers.slice(round % answers.length);
    const bytes = fromHex(wire);
    for (let i = 0; i < 3; i++) bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
    if (!isHarmless(bytes)) t.fail(`${toHex(bytes)}, seed ${seed}`);
  }
  t.pass();
});

function isHarmless(bytes: Uint8Array): boolean {
  try {
    sizeOf(bytes);
    decodeMessage(bytes);
    return true;
  } catch (error) {
    return error instanceof FormatError;
  }
}

t.test("sizeOf waits for the beginning, and refuses what nobody sends us", async (t) => {
  t.equal(sizeOf(fromHex("6c020101")), undefined);
  t.throws(() => sizeOf(fromHex("6c020101ffffff7f0100000000000000")), FormatError);
  t.throws(() => sizeOf(fromHex("00020101000000000100000000000000")), FormatError);
});
