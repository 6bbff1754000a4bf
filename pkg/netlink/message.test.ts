import t from "tap";
import { fromHex, hexLines } from "./golden.testing.ts";
import { attribute, attributeAt, decode, encode, message, type RequestOf } from "./message.ts";
import {
  array,
  bool,
  bytes,
  cstring,
  fixedBytes,
  flag,
  list,
  mac,
  named,
  nested,
  netByteOrder,
  numbered,
  repeated,
  reserved,
  s16,
  s32,
  s32be,
  selected,
  struct,
  structWithArray,
  text,
  u8,
  u16,
  u16be,
  u32,
  u32be,
  u64,
  u64be,
  type Wire,
} from "./wire.ts";

const color = message({ source: "test", attributes: { red: attribute(1, "C_RED", u8) } });
const sound = message({ source: "test", attributes: { pitch: attribute(1, "S_PITCH", u16) } });

const sample = message({
  source: "test",
  header: { family: u8, reserved: reserved(1), type: u16, index: u32 },
  attributes: {
    number: attribute(1, "T_NUMBER", u32),
    name: attribute(2, "T_NAME", cstring),
    nest: attribute(3, "T_NEST", nested(color)),
    several: attribute(4, "T_SEVERAL", repeated(u16)),
    members: attribute(5, "T_MEMBERS", nested(list(1, "T_MEMBER", nested(color)))),
    kind: attribute(6, "T_KIND", text),
    data: attribute(7, "T_DATA", nested(selected("kind", { color, sound }))),
    flag: attribute(8, "T_FLAG", flag),
    big: attribute(9, "T_BIG", netByteOrder(u32be)),
    raw: attribute(10, "T_RAW", bytes),
  },
});

const noHeader = "0000 0000 00000000";

/** The text of what `work` throws. */
function complaint(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    return String(error);
  }
  return "";
}

function encodes(name: string, value: RequestOf<typeof sample>, wire: string): void {
  t.test(name, (t) => {
    t.equal(hexLines(encode(sample, value)), hexLines(fromHex(`${noHeader} ${wire}`)));
    t.end();
  });
}

encodes(
  "an attribute is padded to 4 bytes, its length does not say so",
  { name: "eth0" },
  "0900 0200 65746830 00 000000",
);
encodes(
  "attributes are sent in the order in which the value names them",
  { name: "", number: 7 },
  "0500 0200 00 000000  0800 0100 07000000",
);
encodes("undefined leaves an attribute out", { number: undefined, nest: undefined }, "");
encodes("a flag is there when it is true", { flag: true }, "0400 0800");
encodes("a flag is not there when it is false", { flag: false }, "");
encodes("a nest has NLA_F_NESTED", { nest: { red: 5 } }, "0c00 0380  0500 0100 05 000000");
encodes("an empty nest is there", { nest: {} }, "0400 0380");
encodes("network byte order has NLA_F_NET_BYTEORDER", { big: 1 }, "0800 0940 00000001");
encodes(
  "a repeated attribute is there once for each element",
  { several: [1, 2] },
  "0600 0400 0100 0000  0600 0400 0200 0000",
);
encodes("a repeated attribute without elements is not there", { several: [] }, "");
encodes(
  "a list has an attribute for each element",
  { members: [{ red: 1 }, {}] },
  "1400 0580  0c00 0180 0500 0100 01 000000  0400 0180",
);
encodes(
  "the kind tells the table of the data",
  { kind: "sound", data: { pitch: 258 } },
  "0900 0600 736f756e 64 000000  0c00 0780  0600 0100 0201 0000",
);
encodes(
  "unknown attributes come last, with their flags",
  { unknown: [{ type: 0x8063, bytes: fromHex("010203") }], number: 1 },
  "0800 0100 01000000  0700 6380 010203 00",
);

t.test("header fields that are not given are zero, and are read", (t) => {
  t.equal(hexLines(encode(sample, { type: 0x102, index: 3 })), "00 00 02 01\n03 00 00 00");
  t.strictSame(decode(sample, encode(sample, { index: 3 })), { family: 0, type: 0, index: 3 });
  t.end();
});

t.test("what has no row is kept with its flags, and encodes to the same bytes", (t) => {
  const wire = fromHex(`${noHeader} 0800 0100 01000000 0700 6380 010203 00 0500 6400 ff 000000`);
  const value = decode(sample, wire);
  t.strictSame(value.unknown, [
    { type: 0x8063, bytes: fromHex("010203") },
    { type: 0x64, bytes: fromHex("ff") },
  ]);
  t.equal(hexLines(encode(sample, value)), hexLines(wire));
  t.end();
});

t.test("data of a kind without a table are kept", (t) => {
  const wire = fromHex(`${noHeader} 0700 0600 666f6f 00  0800 0780 01020304`);
  const value = decode(sample, wire);
  t.strictSame(value.unknown, [{ type: 0x8007, bytes: fromHex("01020304") }]);
  t.equal(hexLines(encode(sample, value)), hexLines(wire));
  t.end();
});

t.test("flags in the type do not matter when reading", (t) => {
  t.equal(decode(sample, fromHex(`${noHeader} 0800 01c0 07000000`)).number, 7);
  t.strictSame(decode(sample, fromHex(`${noHeader} 0c00 0300 0500 0100 05 000000`)).nest, { red: 5 });
  t.end();
});

t.test("repeated attributes are collected", (t) => {
  const value = decode(sample, fromHex(`${noHeader} 0600 0400 0100 0000 0800 0100 07000000 0600 0400 0200 0000`));
  t.strictSame(value.several, [1, 2]);
  t.end();
});

t.test("values are copies: they outlive the buffer that is received into", (t) => {
  const wire = encode(sample, { raw: fromHex("0102"), unknown: [{ type: 99, bytes: fromHex("03") }] });
  const { raw, unknown } = decode(sample, wire);
  wire.fill(0xff);
  t.strictSame([raw, unknown?.[0]?.bytes], [fromHex("0102"), fromHex("03")]);
  t.end();
});

t.test("a message larger than the first buffer is whole", (t) => {
  const raw = new Uint8Array(60_000).map((_, i) => i);
  const name = "n".repeat(5000);
  const value = { family: 0, type: 0, index: 9, raw, name, several: Array.from({ length: 3000 }, (_, i) => i) };
  t.strictSame(decode(sample, encode(sample, value)), value);
  t.end();
});

const refused: { name: string; work: () => unknown; text: string }[] = [
  {
    name: "a header cut short",
    work: () => decode(sample, fromHex("000000")),
    text: "WireError: 3 bytes, needs 8",
  },
  {
    name: "an attribute longer than what is left",
    work: () => decode(sample, fromHex(`${noHeader} 0900 0100 00000000`)),
    text: "WireError: an attribute of 9 bytes where 8 are left",
  },
  {
    name: "an attribute shorter than its own header",
    work: () => decode(sample, fromHex(`${noHeader} 0000 0100 00000000`)),
    text: "WireError: an attribute of 0 bytes where 8 are left",
  },
  {
    name: "a value shorter than its type, with the way to it",
    work: () => decode(sample, fromHex(`${noHeader} 0900 0600 636f6c6f72 000000  0800 0780  0400 0100`)),
    text: "WireError: T_DATA > C_RED: 0 bytes, needs 1",
  },
  {
    name: "a number too large for its type",
    work: () => encode(sample, { members: [{}, { red: 256 }] }),
    text: "WireError: T_MEMBERS > T_MEMBER[1] > C_RED: 256 is not in 0..255",
  },
  {
    name: "NaN",
    work: () => encode(sample, { number: Number.NaN }),
    text: "WireError: T_NUMBER: NaN is not in 0..4294967295",
  },
  {
    name: "a header field that does not fit",
    work: () => encode(sample, { type: -1 }),
    text: "WireError: type: -1 is not in 0..65535",
  },
  {
    name: "an attribute longer than 65,535 bytes",
    work: () => encode(sample, { raw: new Uint8Array(65_532) }),
    text: "WireError: T_RAW: 65536 bytes, an attribute holds at most 65535",
  },
  {
    name: "a key that is in no row",
    work: () => encode(sample, { nmae: "eth0" } as RequestOf<typeof sample>),
    text: 'WireError: no attribute "nmae"',
  },
  {
    name: "data without a kind",
    work: () => encode(sample, { data: { red: 1 } } as unknown as RequestOf<typeof sample>),
    text: 'WireError: T_DATA: no table for kind "undefined"',
  },
];
for (const { name, work, text } of refused) {
  t.test(`refused: ${name}`, (t) => {
    t.equal(complaint(work), text);
    t.end();
  });
}

t.test("an offset in a message is the name of its attribute", (t) => {
  const body = encode(sample, { number: 1, members: [{ red: 1 }, { red: 2 }], kind: "sound", data: { pitch: 1 } });
  const wanted = new Map([
    [8, "T_NUMBER"],
    [16, "T_MEMBERS"],
    [20, "T_MEMBERS > T_MEMBER[0]"],
    [24, "T_MEMBERS > T_MEMBER[0] > C_RED"],
    [36, "T_MEMBERS > T_MEMBER[1] > C_RED"],
    [44, "T_KIND"],
    [56, "T_DATA"],
    [60, "T_DATA > S_PITCH"],
  ]);
  for (const [offset, name] of wanted) t.equal(attributeAt(sample, body, offset), name, `offset ${offset}`);
  t.equal(attributeAt(sample, body, 4), undefined, "in the header");
  t.equal(attributeAt(sample, body, 400), undefined, "behind the end");
  t.end();
});

t.test("a message is text for people, in the order of its parts", (t) => {
  const body = encode(sample, {
    number: 1,
    name: 'a"b',
    several: [1, 2],
    members: [{ red: 1 }],
    kind: "sound",
    data: { pitch: 3 },
    flag: true,
    raw: fromHex("00ff"),
    unknown: [{ type: 0x8063, bytes: fromHex("01") }],
  });
  t.equal(
    sample.text(decode(sample, body), {}),
    '{family: 0, type: 0, index: 0, number: 1, name: "a\\"b", several: [1, 2], members: [{red: 1}], kind: "sound", ' +
      "data: {pitch: 3}, flag: true, raw: 0x00ff, type 99: 1 bytes}",
  );
  t.end();
});

const one = <Out, In>(wire: Wire<Out, In>) =>
  message({ source: "test", attributes: { value: attribute(1, "T", wire) } });

/** Through an attribute and back. @param text How people see it. */
function wire<Out>(name: string, type: Wire<Out, Out>, value: Out, bytes: string, text: string): void {
  t.test(`${name} ${text}`, (t) => {
    const table = one(type);
    const request = { value } as RequestOf<typeof table>;
    const encoded = encode(table, request);
    t.equal(hexLines(encoded).replace(/^.*\n?/, ""), hexLines(fromHex(bytes)));
    t.strictSame(decode(table, encoded).value, value);
    t.equal(type.text(value, {}), text);
    t.end();
  });
}

wire("u8", u8, 255, "ff 000000", "255");
wire("u16", u16, 0x102, "0201 0000", "258");
wire("u16be", u16be, 0x102, "0102 0000", "258");
wire("s16", s16, -2, "feff 0000", "-2");
wire("u32", u32, 0xfffffffe, "feffffff", "4294967294");
wire("u32be", u32be, 0xfffffffe, "fffffffe", "4294967294");
wire("s32", s32, -2, "feffffff", "-2");
wire("s32be", s32be, -2, "fffffffe", "-2");
wire("u64", u64, 0x0102030405060708n, "08070605 04030201", "72623859790382856");
wire("u64be", u64be, 0xffffffffffffffffn, "ffffffff ffffffff", "18446744073709551615");
wire("bool", bool, true, "01 000000", "true");
wire("named", named(u8, { AF_INET: 2 }), 2, "02 000000", "AF_INET");
wire("named", named(u8, { AF_INET: 2 }), 3, "03 000000", "3");
wire("bytes", bytes, fromHex("0a0b0c0d0e"), "0a0b0c0d 0e 000000", "0x0a0b0c0d0e");
wire("bytes", bytes, fromHex(""), "", "empty");
wire("mac", mac, fromHex("0200000000ff"), "02000000 00ff 0000", "02:00:00:00:00:ff");
wire("fixedBytes", fixedBytes(4), fromHex("0a0b0c0d"), "0a0b0c0d", "0x0a0b0c0d");
wire("cstring", cstring, "lo", "6c6f00 00", '"lo"');
wire("text", text, "lo", "6c6f 0000", '"lo"');
wire("array", array(u16), [1, 2, 3], "0100 0200 0300 0000", "[1, 2, 3]");
wire("numbered", numbered("T_ONE", u8), [7, 8], "0500 0100 07 000000 0500 0200 08 000000", "[7, 8]");
wire(
  "struct, aligned as C does it",
  struct({ a: u8, b: u32, c: u8, d: u16, e: u64 }),
  { a: 1, b: 2, c: 3, d: 4, e: 5n },
  "01 000000 02000000 03 00 0400 00000000 05000000 00000000",
  "{a: 1, b: 2, c: 3, d: 4, e: 5}",
);
wire(
  "struct with an array, which counts it",
  structWithArray(struct({ count: u8 }), { key: "items", element: struct({ x: u16 }), count: "count" }),
  { count: 2, items: [{ x: 1 }, { x: 2 }] },
  "02 00 0100 0200 0000",
  "{count: 2, items: [{x: 1}, {x: 2}]}",
);
