// Messages as a server (udhcpd 1.35) sent them and read ours, seen on the wire; then whatever bytes there may be.
import t from "tap";
import { fromHex, hex } from "../bytes/hex.ts";
import { leaseOf, resultOf } from "./lease.ts";
import { BOOTREQUEST, decodeMessage, encodeMessage, type Message, type Options } from "./message.ts";
import { codeOf, parseOptionName, readOption } from "./option.ts";
import { arpProbe, broadcastAddress, isClaimOf, udpPacket, udpPayload, unspecifiedAddress } from "./packet.ts";

const zeros = (count: number): string => "00".repeat(count);

/** An ACK with its IP and UDP headers. */
const ack = [
  "450001620000000040116f3e0a4d0001ffffffff", // IP: 10.77.0.1 to everybody
  "00430044014eedd9", // UDP: 67 to 68
  "02010600fe6f6694", // reply, Ethernet, transaction
  "00000000", // seconds, flags
  "000000000a4d000c0000000000000000", // client, your (10.77.0.12), next and relay's address
  `5a827d6cb1f6${zeros(10)}${zeros(192)}63825363`,
  "350105 36040a4d0001 33040000003c 0104ffffff00 03040a4d0001 06080a4d00010a4d0002 0f0665782e6f7267 1a020578",
  "77140161026578036f7267000162026578036f726700 790c10c0a80a4d0005000a4d0001 ff",
]
  .join("")
  .replaceAll(" ", "");

const probe = "00010800060400015a827d6cb1f6000000000000000000000a4d000c";
const mac = fromHex("5a827d6cb1f6");

t.test("an ACK of udhcpd is read", async (t) => {
  const message = decodeMessage(udpPayload(fromHex(ack)) ?? new Uint8Array(0));
  if (message === undefined) throw new Error("is no message");
  t.match(message, { op: 2, transaction: 0xfe6f6694, seconds: 0, broadcast: false });
  t.equal(hex(message.hardwareAddress), "5a827d6cb1f6");
  t.equal(readOption(message.options, "messageType"), 5);
  const lease = leaseOf(message, fromHex("fed39ebd96a0"), 1000);
  t.strictSame(lease, {
    address: "10.77.0.12",
    prefixLength: 24,
    server: "10.77.0.1",
    serverMac: "fed39ebd96a0",
    routers: ["10.77.0.1"],
    classlessRoutes: [
      { destination: "192.168.0.0/16", router: "10.77.0.5" },
      { destination: "0.0.0.0/0", router: "10.77.0.1" },
    ],
    nameServers: ["10.77.0.1", "10.77.0.2"],
    domainName: "ex.org",
    domainSearch: ["a.ex.org", "b.ex.org"],
    mtu: 1400,
    renewAtMs: 31_000,
    rebindAtMs: 52_000,
    expireAtMs: 61_000,
  });
  if (typeof lease === "string") return;
  t.strictSame(resultOf(lease, 7), {
    interfaces: [],
    ips: [{ address: "10.77.0.12/24", gateway: "10.77.0.1" }],
    routes: [
      { dst: "192.168.0.0/16", gw: "10.77.0.5", priority: 7 },
      { dst: "0.0.0.0/0", gw: "10.77.0.1", priority: 7 },
    ],
    dns: { nameservers: ["10.77.0.1", "10.77.0.2"], domain: "ex.org", search: ["a.ex.org", "b.ex.org"] },
  });
});

t.test("a DISCOVER goes out as udhcpd understood it", async (t) => {
  const message: Message = {
    op: BOOTREQUEST,
    transaction: 0xfe6f6694,
    seconds: 0,
    broadcast: false,
    clientAddress: unspecifiedAddress,
    yourAddress: unspecifiedAddress,
    hardwareAddress: mac,
    options: new Map([
      [53, Uint8Array.of(1)],
      [61, fromHex("0063312f6e65742f65746830")],
      [55, fromHex("01790321060f771a")],
    ]),
  };
  const packet = hex(udpPacket(unspecifiedAddress, broadcastAddress, encodeMessage(message)));
  t.equal(packet.slice(0, 56), "45100148000040004011399600000000ffffffff0044004301347557");
  t.equal(packet.slice(56 + 480), `3501013d0c0063312f6e65742f65746830370801790321060f771aff${zeros(32)}`);
  t.strictSame(decodeMessage(encodeMessage(message)), message);
});

t.test("an ARP probe asks for nobody, and answers of others count", async (t) => {
  const address = Uint8Array.of(10, 77, 0, 12);
  t.equal(hex(arpProbe(mac, address)), probe);
  const answer = fromHex("0001080006040002 02000000aaaa 0a4d000c 5a827d6cb1f6 00000000".replaceAll(" ", ""));
  t.equal(isClaimOf(answer, address, mac), true);
  t.equal(isClaimOf(answer, Uint8Array.of(10, 77, 0, 13), mac), false);
  t.equal(isClaimOf(fromHex(probe), address, mac), false, "our own");
  t.equal(isClaimOf(answer.subarray(0, 20), address, mac), false, "half of it");
});

t.test("options that are longer than an option come and go in pieces", async (t) => {
  const value = Uint8Array.from({ length: 700 }, (_, i) => i % 251);
  const message = decodeMessage(encodeMessage(messageWith(new Map([[121, value]]))));
  t.strictSame(message?.options.get(121), value);
});

t.test("options that spill over into the fields for names are read", async (t) => {
  const bytes = encodeMessage(messageWith(new Map([[52, Uint8Array.of(3)]])));
  bytes.set([15, 2, 0x61, 0x62, 255], 108);
  bytes.set([12, 1, 0x63, 255], 44);
  const options = decodeMessage(bytes)?.options ?? new Map();
  t.equal(readOption(options, "domainName"), "ab");
  t.equal(readOption(options, "hostName"), "c");
});

const read = (name: Parameters<typeof codeOf>[0], digits: string) =>
  readOption(new Map([[codeOf(name), fromHex(digits.replaceAll(" ", ""))]]), name);

t.test("what an option says, and what is none", async (t) => {
  const cases: [Parameters<typeof codeOf>[0], string, unknown][] = [
    ["subnetMask", "ffffff80", 25],
    ["subnetMask", "00000000", 0],
    ["subnetMask", "ff00ff00", undefined], // ones behind zeros
    ["subnetMask", "ffff", undefined],
    ["routers", "0a000001 0a000002", ["10.0.0.1", "10.0.0.2"]],
    ["routers", "0a0000", undefined],
    ["routers", "", undefined],
    ["leaseSeconds", "ffffffff", 4294967295],
    ["leaseSeconds", "00", undefined],
    ["hostName", "6100", "a"],
    // the reference's own test: classes decide how long a network is
    [
      "staticRoutes",
      "0a000000 0a010203 c0a80100 c0a80203",
      [
        { destination: "10.0.0.0/8", router: "10.1.2.3" },
        { destination: "192.168.1.0/24", router: "192.168.2.3" },
      ],
    ],
    [
      "staticRoutes",
      "ac100000 0a000001 e0000000 0a000001 00000000 0a000001 0a",
      [{ destination: "172.16.0.0/16", router: "10.0.0.1" }],
    ],
    [
      "classlessRoutes",
      "00 0a000001 20 0a000005 00000000",
      [
        { destination: "0.0.0.0/0", router: "10.0.0.1" },
        { destination: "10.0.0.5/32", router: "0.0.0.0" },
      ],
    ],
    ["classlessRoutes", "21 0a000001 00 0a000001", undefined], // 33 bits
    ["classlessRoutes", "18 0a0000", undefined],
    ["domainSearch", "01 61 00", ["a"]],
    ["domainSearch", "01 61 03 6f7267 00 01 62 c0 02", ["a.org", "b.org"]],
    ["domainSearch", "c0 00", undefined], // refers to itself
    ["domainSearch", "01 61 c0 00", undefined], // runs in a circle
    ["domainSearch", "c0 05 00", undefined], // forwards
    ["domainSearch", "05 61", undefined],
    ["domainSearch", "03 61 0a 62 00", undefined], // a line break would write into resolv.conf
  ];
  for (const [name, digits, value] of cases) t.strictSame(read(name, digits), value, `${name} ${digits}`);
});

t.test("names of options", async (t) => {
  const cases: [string, number | undefined][] = [
    ["host-name", 12],
    ["dhcp-client-identifier", 61],
    ["subnet-mask", 1],
    ["routers", 3],
    ["user-class", 77],
    ["vendor-class-identifier", 60],
    ["12", 12],
    ["0", 0],
    ["255", 255],
    ["256", undefined],
    ["-1", undefined],
    ["", undefined],
    ["doNotparseMe", undefined],
  ];
  for (const [name, code] of cases) t.equal(parseOptionName(name), code, name);
});

t.test("times: what a server leaves out, or says out of order", async (t) => {
  const times = (options: [number, number][]) => {
    const seconds = options.map(([code, value]): [number, Uint8Array] => [
      code,
      Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value),
    ]);
    const lease = leaseOf(
      messageWith(new Map([[1, fromHex("ffffff00")], [54, fromHex("0a000001")], ...seconds])),
      mac,
      0,
    );
    return typeof lease === "string" ? lease : [lease.renewAtMs, lease.rebindAtMs, lease.expireAtMs];
  };
  t.strictSame(times([]), [1_800_000, 3_060_000, 3_600_000], "an hour");
  t.strictSame(times([[51, 100]]), [50_000, 85_000, 100_000]);
  t.strictSame(
    times([
      [51, 100],
      [58, 10],
      [59, 20],
    ]),
    [10_000, 20_000, 100_000],
  );
  t.strictSame(
    times([
      [51, 100],
      [58, 90],
      [59, 20],
    ]),
    [20_000, 20_000, 100_000],
    "T1 after T2",
  );
  t.strictSame(
    times([
      [51, 100],
      [59, 200],
    ]),
    [50_000, 85_000, 100_000],
    "T2 after the end",
  );
  t.strictSame(times([[51, 0]]), [500, 850, 1000], "a lease of nothing");
});

t.test("an ACK without mask or server is not enough", async (t) => {
  const without = (options: Options) => leaseOf(messageWith(options), mac, 0);
  t.equal(without(new Map([[54, fromHex("0a000001")]])), "DHCP option Subnet Mask not found in DHCPACK");
  t.equal(without(new Map([[1, fromHex("ffffff00")]])), "DHCP option Server Identifier not found in DHCPACK");
});

t.test("whatever the bytes are, there is an answer", async (t) => {
  const packet = fromHex(ack);
  for (let length = 0; length <= packet.length; length++) decode(packet.slice(0, length));
  const random = randomBytes(1);
  for (let round = 0; round < 3000; round++) {
    const bytes = packet.slice();
    for (let i = 0; i < 1 + (round % 20); i++) bytes[random() % bytes.length] = random();
    decode(bytes);
    decode(Uint8Array.from({ length: random() * 2 }, random));
    const options = Uint8Array.from({ length: random() }, random);
    for (const name of names) readOption(new Map([[codeOf(name), options]]), name);
  }
  t.pass("none of them threw, or ran for ever");
});

const names = [
  "subnetMask",
  "routers",
  "staticRoutes",
  "classlessRoutes",
  "domainSearch",
  "domainName",
  "mtu",
] as const;

function decode(bytes: Uint8Array): void {
  const message = decodeMessage(udpPayload(bytes) ?? bytes);
  if (message === undefined) return;
  const lease = leaseOf(message, mac, 0);
  if (typeof lease !== "string") resultOf(lease, undefined);
}

/** A linear congruential generator's high bits: the same in every run. */
function randomBytes(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  };
}

function messageWith(options: Options): Message {
  return {
    op: 2,
    transaction: 1,
    seconds: 0,
    broadcast: true,
    clientAddress: unspecifiedAddress,
    yourAddress: Uint8Array.of(10, 0, 0, 9),
    hardwareAddress: mac,
    options,
  };
}
