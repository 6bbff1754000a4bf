import t from "tap";
import { parseAttributes, printAttributes } from "./attributes.ts";

t.test("attributes are read as they were written", async (t) => {
  const whole = {
    mac: Uint8Array.of(2, 0, 0, 0, 0, 1),
    promiscuous: true,
    mtu: 1400,
    allMulticast: false,
    txQueueLength: 0,
  };
  t.strictSame(parseAttributes(printAttributes(whole)), whole);
  t.strictSame(parseAttributes(printAttributes({ mtu: 0xffff_ffff })), { mtu: 0xffff_ffff });
});

t.test("what no attribute can be is left out, whatever wrote it", async (t) => {
  for (const mtu of [-1, 1.5, 1e99, 2 ** 32, Number.NaN, "1400", null, [], {}])
    t.strictSame(parseAttributes({ mtu, txQLen: mtu, promisc: true }), { promiscuous: true }, String(mtu));
  t.strictSame(parseAttributes({ mac: "no", promisc: 1, allmulti: "true", txQLen: 5 }), { txQueueLength: 5 });
});
