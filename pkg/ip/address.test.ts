import { IPv4, IPv6 } from "ip-num";
import t from "tap";
import {
  type Address,
  addToAddress,
  compareAddresses,
  contains,
  formatAddress,
  formatPrefix,
  isIPv4,
  lastAddressOf,
  networkOf,
  overlaps,
  parseAddress,
  parsePrefix,
} from "./address.ts";
import { familyOf } from "./family.ts";

const ip = (text: string): Address => {
  const address = parseAddress(text);
  if (!address) throw new Error(`not an address: ${text}`);
  return address;
};
const cidr = (text: string) => {
  const prefix = parsePrefix(text);
  if (!prefix) throw new Error(`not a prefix: ${text}`);
  return prefix;
};

t.test("texts are read as net.ParseIP reads them and printed as net.IP.String() prints them", async (t) => {
  const cases: { text: string; printed: string | undefined }[] = [
    { text: "10.0.0.1", printed: "10.0.0.1" },
    { text: "0.0.0.0", printed: "0.0.0.0" },
    { text: "255.255.255.255", printed: "255.255.255.255" },
    { text: "::", printed: "::" },
    { text: "::1", printed: "::1" },
    { text: "1::", printed: "1::" },
    { text: "2001:DB8::0001", printed: "2001:db8::1" },
    { text: "2001:db8:0:0:1:0:0:1", printed: "2001:db8::1:0:0:1" }, // of two equal runs the first
    { text: "2001:0:0:1:0:0:0:1", printed: "2001:0:0:1::1" }, // the longest
    { text: "2001:db8:0:1:1:1:1:1", printed: "2001:db8:0:1:1:1:1:1" }, // a single zero group stays
    { text: "1:2:3:4:5:6:7::", printed: "1:2:3:4:5:6:7:0" },
    { text: "::2:3:4:5:6:7:8", printed: "0:2:3:4:5:6:7:8" },
    { text: "64:ff9b::192.0.2.33", printed: "64:ff9b::c000:221" },
    { text: "1:2:3:4:5:6:1.2.3.4", printed: "1:2:3:4:5:6:102:304" },
    { text: "::ffff:10.0.0.1", printed: "10.0.0.1" },
    { text: "::FFFF:a00:1", printed: "10.0.0.1" },
    { text: "::ffff:0:1", printed: "0.0.0.1" },
    { text: "::fffe:10.0.0.1", printed: "::fffe:a00:1" },
    ...[
      ["", " ", "10.0.0.1 ", " 10.0.0.1", "10", "10.0.0", "10.0.0.", ".10.0.0", "10..0.1", "10.0.0.1.2", "10.0.0.1."],
      [
        "10.0.0.256",
        "10.0.0.01",
        "010.0.0.1",
        "00.0.0.0",
        "1e1.0.0.1",
        "+1.0.0.1",
        "-1.0.0.1",
        "0x0a.0.0.1",
        "10.0.0.1/24",
      ],
      [
        ":",
        ":::",
        "1:",
        ":1",
        "1::2::3",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9",
        "1:2:3:4:5:6:7:8::",
        "::1:2:3:4:5:6:7:8",
      ],
      [
        "12345::",
        "00001::",
        "g::",
        "fe80::1%eth0",
        "::1.2.3",
        "::1.2.3.4:5",
        "1.2.3.4::",
        "1:2:3:4:5:6:7:1.2.3.4",
        "[::1]",
      ],
      ["::ffff:10.0.0.01", "1:2:3:4:1.2.3.4", "nonsense", "1:2:3:4:5:6:7:8:", ":1:2:3:4:5:6:7:8", "１.0.0.1"],
    ]
      .flat()
      .map((text) => ({ text, printed: undefined })),
  ];
  for (const { text, printed } of cases) {
    const address = parseAddress(text);
    t.equal(address && formatAddress(address), printed, JSON.stringify(text));
  }
});

t.test("prefixes keep their host bits", async (t) => {
  const cases: { text: string; printed: string | undefined; network?: string; last?: string }[] = [
    { text: "10.1.2.3/24", printed: "10.1.2.3/24", network: "10.1.2.0/24", last: "10.1.2.255" },
    { text: "10.1.2.3/0", printed: "10.1.2.3/0", network: "0.0.0.0/0", last: "255.255.255.255" },
    { text: "10.1.2.3/32", printed: "10.1.2.3/32", network: "10.1.2.3/32", last: "10.1.2.3" },
    { text: "192.0.2.200/25", printed: "192.0.2.200/25", network: "192.0.2.128/25", last: "192.0.2.255" },
    { text: "10.1.2.3/024", printed: "10.1.2.3/24", network: "10.1.2.0/24", last: "10.1.2.255" }, // as net.ParseCIDR
    { text: "2001:db8:24:19ff::/63", printed: "2001:db8:24:19ff::/63", network: "2001:db8:24:19fe::/63" },
    { text: "2001:db8::1/64", printed: "2001:db8::1/64", last: "2001:db8::ffff:ffff:ffff:ffff" },
    { text: "::ffff:10.1.2.3/120", printed: "10.1.2.3/24", network: "10.1.2.0/24" },
    ...["10.1.2.3", "10.1.2.3/", "10.1.2.3/33", "10.1.2.3/-1", "10.1.2.3/+1", "10.1.2.3/2 ", "/24", "::/129", "::1/"]
      .concat("10.1.2.3/24/24", "10.1.2.3/255.0.0.0", "::ffff:10.1.2.3/64")
      .map((text) => ({ text, printed: undefined })),
  ];
  for (const { text, printed, network, last } of cases) {
    const prefix = parsePrefix(text);
    t.equal(prefix && formatPrefix(prefix), printed, JSON.stringify(text));
    if (prefix && network) t.equal(formatPrefix(networkOf(prefix)), network, `network of ${text}`);
    if (prefix && last) t.equal(formatAddress(lastAddressOf(prefix)), last, `last of ${text}`);
  }
});

t.test("contains and overlaps", async (t) => {
  const inside: [string, string, boolean][] = [
    ["10.0.0.0/8", "10.255.255.255", true],
    ["10.0.0.5/24", "10.0.0.200", true],
    ["10.0.0.0/25", "10.0.0.128", false],
    ["10.0.0.1/32", "10.0.0.1", true],
    ["0.0.0.0/0", "203.0.113.1", true],
    ["::/0", "203.0.113.1", false],
    ["0.0.0.0/0", "::1", false],
    ["2001:db8::/63", "2001:db8:0:1::7", true],
    ["2001:db8::/64", "2001:db8:0:1::7", false],
  ];
  for (const [prefix, address, expected] of inside) {
    t.equal(contains(cidr(prefix), ip(address)), expected, `${prefix} contains ${address}`);
  }
  const pairs: [string, string, boolean][] = [
    ["10.0.0.0/8", "10.1.0.0/16", true],
    ["10.1.0.0/16", "10.0.0.0/8", true],
    ["10.0.0.7/24", "10.0.0.9/24", true],
    ["10.0.0.0/24", "10.0.1.0/24", false],
    ["0.0.0.0/0", "::/0", false],
  ];
  for (const [one, other, expected] of pairs) t.equal(overlaps(cidr(one), cidr(other)), expected, `${one} ${other}`);
});

t.test("arithmetic carries, borrows and wraps", async (t) => {
  const cases: [string, number | bigint, string][] = [
    ["10.0.0.255", 1, "10.0.1.0"],
    ["10.0.1.0", -1, "10.0.0.255"],
    ["10.0.0.0", 65536, "10.1.0.0"],
    ["255.255.255.255", 1, "0.0.0.0"],
    ["0.0.0.0", -1, "255.255.255.255"],
    ["2001:db8::ffff:ffff:ffff:ffff", 1, "2001:db8:0:1::"],
    ["2001:db8:0:1::", -1n, "2001:db8::ffff:ffff:ffff:ffff"],
    ["2001:db8::", 1n << 64n, "2001:db8:0:1::"],
    ["::", -1n, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"],
  ];
  for (const [from, count, to] of cases)
    t.equal(formatAddress(addToAddress(ip(from), count)), to, `${from} + ${count}`);
});

t.test("random addresses: same number, order and round trip as ip-num", async (t) => {
  const random = randomNumbers(20240607);
  const randomAddress = (): Address => {
    const bytes = new Uint8Array(random() % 2 ? 4 : 16);
    // Runs of zeros and of 0xff, where shortening, carries and mapped addresses live, must not be rare.
    for (let at = 0; at < bytes.length; at++) bytes[at] = [0, 0, 0xff, random()][random() % 4] as number;
    return bytes;
  };
  for (let round = 0; round < 3000; round++) {
    const address = randomAddress();
    const text = formatAddress(address);
    const parsed = ip(text);
    if (isIPv4(parsed) === isIPv4(address)) t.strictSame(parsed, address, text);
    t.equal(toBigInt(parsed), foreignValue(text), `${text} by ip-num`);

    const count = random() - 2 ** 23;
    const moved = addToAddress(parsed, count);
    const modulus = 1n << BigInt(parsed.length * 8);
    t.equal(toBigInt(moved), (toBigInt(parsed) + BigInt(count) + modulus) % modulus, `${text} + ${count}`);
    t.strictSame(addToAddress(parsed, BigInt(count)), moved, `${text} + ${count}n`);
    if (familyOf(parsed) === familyOf(moved)) {
      t.equal(
        Math.sign(compareAddresses(parsed, moved)),
        sign(toBigInt(parsed) - toBigInt(moved)),
        `${text} before ${count}`,
      );
    }
    const prefix = { address: parsed, length: random() % (parsed.length * 8 + 1) };
    t.strictSame(parsePrefix(formatPrefix(prefix)), prefix);
    const size = 1n << BigInt(parsed.length * 8 - prefix.length);
    t.equal(toBigInt(networkOf(prefix).address), (toBigInt(parsed) / size) * size, formatPrefix(prefix));
    t.equal(toBigInt(lastAddressOf(prefix)), (toBigInt(parsed) / size) * size + size - 1n, formatPrefix(prefix));
    t.equal(
      contains(prefix, moved),
      toBigInt(moved) / size === toBigInt(parsed) / size,
      `${formatPrefix(prefix)} + ${count}`,
    );
  }
});

function toBigInt(address: Address): bigint {
  return address.reduce((value, byte) => value * 256n + BigInt(byte), 0n);
}

function foreignValue(text: string): bigint {
  return text.includes(":") ? new IPv6(text).getValue() : new IPv4(text).getValue();
}

function sign(value: bigint): number {
  return value === 0n ? 0 : value < 0n ? -1 : 1;
}

/** Numbers below 2^24, the same in every run (a linear congruential generator; its low bits are poor, so they are dropped). */
function randomNumbers(seed: number): () => number {
  let state = BigInt(seed);
  return () => {
    state = (state * 6364136223846793005n + 1442695040888963407n) % (1n << 64n);
    return Number(state >> 40n);
  };
}
