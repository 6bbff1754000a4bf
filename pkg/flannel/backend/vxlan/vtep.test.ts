import t from "tap";
import type { Json } from "../../../config/json.ts";
import { formatMac } from "../../../link/mac.ts";
import { ownData, vtepMac } from "./vtep.ts";

const of = (backendData: Json | undefined) => ({
  backendType: "vxlan",
  ...(backendData !== undefined && { backendData }),
});

/** As Go versions and foreign programs write it. */
for (const data of [
  { VNI: 1, VtepMAC: "aa:bb:cc:dd:ee:0f" },
  { VtepMAC: "AA:BB:CC:DD:EE:0F" },
  { vtepmac: "aa-bb-cc-dd-ee-0f", other: null },
]) {
  t.test(`a peer's MAC is read from ${JSON.stringify(data)}`, async (t) => {
    t.equal(formatMac(vtepMac(of(data), "ipv4")), "aa:bb:cc:dd:ee:0f");
  });
}

const expected = 'expected one like {"VtepMAC":"0e:2a:00:00:00:01"}';
const unreadable: [data: Json | undefined, message: string][] = [
  [undefined, `its BackendData is null, ${expected}`],
  ["text", `its BackendData is "text", ${expected}`],
  [{ VtepMAC: 5 }, `its BackendData is {"VtepMAC":5}, ${expected}`],
  [{ VtepMAC: "aa:bb" }, `its BackendData is {"VtepMAC":"aa:bb"}, ${expected}`],
  [{ VtepMAC: "aa:bb:cc:dd:ee:ff:00:11" }, `its BackendData is {"VtepMAC":"aa:bb:cc:dd:ee:ff:00:11"}, ${expected}`],
  [{ VtepMAC: "00:00:00:00:00:00" }, `its BackendData is {"VtepMAC":"00:00:00:00:00:00"}, ${expected}`],
  [{ VtepMAC: "01:00:5e:00:00:01" }, `its BackendData is {"VtepMAC":"01:00:5e:00:00:01"}, ${expected}`],
  [{ VtepMAC: "ff:ff:ff:ff:ff:ff" }, `its BackendData is {"VtepMAC":"ff:ff:ff:ff:ff:ff"}, ${expected}`],
];
for (const [data, message] of unreadable) {
  t.test(`what is no device's MAC is refused: ${JSON.stringify(data)}`, async (t) => {
    t.throws(() => vtepMac(of(data), "ipv4"), { name: "InvalidPeerLease", message });
  });
}

t.test("what we say of ourselves is what we read, in the family's own key", async (t) => {
  const mac = Uint8Array.of(0xe, 0x2a, 0, 0, 0, 1);
  t.strictSame(vtepMac(of(ownData(1, mac)), "ipv4"), mac);
  t.strictSame(vtepMac({ backendType: "vxlan", backendV6Data: ownData(1, mac) }, "ipv6"), mac);
});
