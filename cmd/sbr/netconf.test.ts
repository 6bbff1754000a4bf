import t from "tap";
import { formatAddress } from "../../pkg/ip/address.ts";
import { parseSettings } from "./netconf.ts";

t.test("parseSettings: a gateway for each family at most", async (t) => {
  const gateways = (...texts: string[]) => parseSettings({ type: "sbr", gateways: texts }).gateways.map(formatAddress);
  t.strictSame(gateways(), []);
  t.strictSame(gateways("fd00::1", "192.0.2.1"), ["fd00::1", "192.0.2.1"]);
  for (const [texts, msg] of [
    [["192.0.2.1", "192.0.2.2"], 'multiple IPv4 addresses in "gateways": 192.0.2.1, 192.0.2.2'],
    [["fd00::1", "192.0.2.1", "fd00::2"], 'multiple IPv6 addresses in "gateways": fd00::1, 192.0.2.1, fd00::2'],
  ] as const)
    t.throws(() => gateways(...texts), { code: 7, msg });
});
