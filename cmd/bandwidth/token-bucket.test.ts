import { readFileSync } from "node:fs";
import t from "tap";
import { bucketOf, shortestBurstBits, type TokenBucket } from "./token-bucket.ts";

/** As the reference plugin sends them (strace), but for those that have no room in 32 bits. */
const cases: [wish: { rateBits: number; burstBits: number }, bucket: TokenBucket][] = [
  [
    { rateBits: 8, burstBits: 8 },
    { bytesPerSecond: 1, limitBytes: 1, bufferTicks: 15_625_000 },
  ],
  [
    { rateBits: 16, burstBits: 8 },
    { bytesPerSecond: 2, limitBytes: 1, bufferTicks: 7_812_500 },
  ],
  [
    { rateBits: 8_000_000, burstBits: 800_000 },
    { bytesPerSecond: 1_000_000, limitBytes: 125_000, bufferTicks: 1_562_500 },
  ],
  [
    { rateBits: 80_000_000_000, burstBits: 16_000_000 },
    { bytesPerSecond: 10_000_000_000, limitBytes: 252_000_000, bufferTicks: 3125 },
  ],
  [
    { rateBits: 2 ** 64, burstBits: 2 ** 35 - 16 },
    { bytesPerSecond: 2 ** 61, limitBytes: 0xffffffff, bufferTicks: 0 },
  ],
  [
    { rateBits: 1_000_000, burstBits: 2 ** 32 - 1 }, // what containerd asks for when it is told a rate alone
    { bytesPerSecond: 125_000, limitBytes: 34_362_863, bufferTicks: 0xffffffff },
  ],
];
for (const [wish, bucket] of cases) {
  t.test(`${wish.burstBits} bits at ${wish.rateBits} bit/s`, async (t) => {
    t.strictSame(bucketOf({ ...wish, latencyMs: 25 }), bucket);
  });
}

t.test("the shortest burst is the first whose time is not 0", async (t) => {
  for (const rateBits of [8, 8_000_000, 8_000_001, 8_000_008, 100e9]) {
    const shortest = shortestBurstBits(rateBits);
    const ticks = (burstBits: number) => bucketOf({ rateBits, burstBits, latencyMs: 25 }).bufferTicks;
    t.ok(ticks(shortest) > 0, `${shortest} bits at ${rateBits} bit/s`);
    t.equal(shortest === 8 ? 0 : ticks(shortest - 8), 0, "and one byte less is 0");
  }
});

t.test("the kernel counts in ticks of 64 ns", async (t) => {
  const [perUs, perTick] = readFileSync("/proc/net/psched", "utf8")
    .split(" ")
    .map((word) => Number.parseInt(word, 16));
  t.equal(1_000_000 / ((perUs ?? 0) / (perTick ?? 1)), 64_000);
});
