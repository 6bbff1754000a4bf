import t from "tap";
import { argumentsOf, lineReader, type Settings, settingsOf } from "./protocol.ts";

const settings: Settings = {
  socket: "/run/a dir/subnet.udp",
  device: "flannel%d",
  address: "192.0.2.1",
  port: 8285,
  version: "1-3f=2",
};

t.test("arguments say the settings", async (t) => {
  t.strictSame(settingsOf(argumentsOf(settings)), { ...settings, takeover: false, without: [] });
  t.ok(settingsOf(argumentsOf({ ...settings, takeover: true })).takeover);
  t.strictSame(settingsOf(argumentsOf({ ...settings, without: ["udp-gro", "vnet-header"] })).without, [
    "vnet-header",
    "udp-gro",
  ]);
});

const wrong: [args: string[], message: string][] = [
  [argumentsOf(settings).slice(1), "--socket= is missing"],
  [argumentsOf({ ...settings, port: 0 }), "--port=0 is no port"],
  [argumentsOf({ ...settings, port: Number.NaN }), "--port=NaN is no port"],
  [["--mtu=1472"], 'unknown argument "--mtu=1472"'],
];
for (const [args, message] of wrong) {
  t.test(`refused: ${message}`, async (t) => {
    t.throws(() => settingsOf(args), new Error(message));
  });
}

t.test("a line that does not end is not kept", async (t) => {
  const read = lineReader();
  const chunk = "x".repeat(1 << 20);
  t.throws(() => {
    for (let i = 0; i < 33; i++) read(chunk);
  }, new RangeError("a line has more than 33554432 characters"));
});

t.test("lines are read from chunks that end anywhere", async (t) => {
  const text = '{"until":1}\n{"counters":true}\n{"stop":true}\n';
  const expected = text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as unknown);
  for (let size = 1; size <= text.length; size++) {
    const read = lineReader();
    const values: unknown[] = [];
    for (let from = 0; from < text.length; from += size) values.push(...read(text.slice(from, from + size)));
    t.strictSame(values, expected, `chunks of ${size}`);
  }
});
