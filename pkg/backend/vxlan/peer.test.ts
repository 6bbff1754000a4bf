import t from "tap";
import type { Json } from "../../cni/json.ts";
import { formatAddress, formatPrefix, parseAddress, parsePrefix } from "../../ip/address.ts";
import { formatMac } from "../../link/mac.ts";
import type { Lease } from "../../subnet/lease.ts";
import { ownData, peerOf } from "./peer.ts";

const ipv4 = parsePrefix("10.5.2.0/24");
const publicIP = parseAddress("192.0.2.2");

function lease(attributes: Partial<Lease["attributes"]>): Lease {
  return { ...(ipv4 && { ipv4 }), attributes: { ...(publicIP && { publicIP }), backendType: "vxlan", ...attributes } };
}

/** As Go versions and foreign programs write it. */
for (const data of [
  { VNI: 1, VtepMAC: "aa:bb:cc:dd:ee:0f" },
  { VtepMAC: "AA:BB:CC:DD:EE:0F" },
  { vtepmac: "aa-bb-cc-dd-ee-0f", other: null },
]) {
  t.test(`a peer's MAC is read from ${JSON.stringify(data)}`, async (t) => {
    const peer = peerOf(lease({ backendData: data }), "ipv4");
    t.equal(peer && formatMac(peer.mac), "aa:bb:cc:dd:ee:0f");
    t.equal(peer && formatPrefix(peer.subnet), "10.5.2.0/24");
    t.equal(peer && formatAddress(peer.publicIP), "192.0.2.2");
  });
}

const expected = 'expected one like {"VtepMAC":"0e:2a:00:00:00:01"}';
const unreadable: [data: Json | undefined, message: string][] = [
  [undefined, `its BackendData is null, ${expected}`],
  ["text", `its BackendData is "text", ${expected}`],
  [{ VtepMAC: 5 }, `its BackendData is {"VtepMAC":5}, ${expected}`],
  [{ VtepMAC: "aa:bb" }, `its BackendData is {"VtepMAC":"aa:bb"}, ${expected}`],
  [{ VtepMAC: "aa:bb:cc:dd:ee:ff:00:11" }, `its BackendData is {"VtepMAC":"aa:bb:cc:dd:ee:ff:00:11"}, ${expected}`],
];
for (const [data, message] of unreadable) {
  t.test(`what is no MAC is refused: ${JSON.stringify(data)}`, async (t) => {
    t.throws(() => peerOf(lease(data === undefined ? {} : { backendData: data }), "ipv4"), { message });
  });
}

t.test("a peer of another backend, and one without address, are refused; a family it lacks is no fault", async (t) => {
  t.throws(() => peerOf(lease({ backendType: "host-gw" }), "ipv4"), {
    message: 'its backend is "host-gw", ours is "vxlan"',
  });
  const { publicIP: _, ...nowhere } = lease({}).attributes;
  t.throws(() => peerOf({ ...lease({}), attributes: nowhere }, "ipv4"), { message: "it has no PublicIP" });
  t.equal(peerOf(lease({}), "ipv6"), undefined);
});

t.test("what we say of ourselves is what we read", async (t) => {
  const mac = Uint8Array.of(0xe, 0x2a, 0, 0, 0, 1);
  t.strictSame(peerOf(lease({ backendData: ownData(1, mac) }), "ipv4")?.mac, mac);
});
