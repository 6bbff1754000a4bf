import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { parseList } from "../runtime/network-list.ts";
import { encode } from "../sys/text.ts";
import { reservedAddresses, subnetUsage } from "./reserved-address.ts";

const dataDir = mkdtempSync(join(tmpdir(), "twill-reserved-"));
t.teardown(() => rmSync(dataDir, { recursive: true }));
const listOf = (ipam: object) =>
  parseList(
    encode(
      JSON.stringify({ cniVersion: "1.0.0", name: "net", plugins: [{ type: "bridge", ipam: { dataDir, ...ipam } }] }),
    ),
    "x",
  );
const list = listOf({
  type: "host-local",
  ranges: [[{ subnet: "10.5.0.0/24", rangeStart: "10.5.0.8", rangeEnd: "10.5.0.11" }], [{ subnet: "fd00::/64" }]],
});

t.test("addresses are listed in their order, with owner and time; other files are none", async (t) => {
  mkdirSync(join(dataDir, "net"));
  const reserve = (name: string, text: string) => writeFileSync(join(dataDir, "net", name), text);
  for (const address of ["10.5.0.10", "10.5.0.9", "fd00::2"]) reserve(address, `${address}-id\r\neth0`);
  for (const name of ["lock", "last_reserved_ip.0"]) reserve(name, "10.5.0.9");
  reserve("10.5.0.11", "");
  utimesSync(join(dataDir, "net/10.5.0.9"), 1000, 1000);
  t.match(reservedAddresses(list), [
    { address: "10.5.0.9", containerId: "10.5.0.9-id", ifName: "eth0", sinceMs: 1_000_000 },
    { address: "10.5.0.10" },
    { address: "10.5.0.11", containerId: undefined },
    { address: "fd00::2", containerId: "fd00::2-id" },
  ]);
});

t.test("what is used and free is counted for each subnet, also where that is more than a number can say", async (t) => {
  t.strictSame(subnetUsage(list), [
    { subnet: "10.5.0.0/24", used: 3, free: 1n },
    { subnet: "fd00::/64", used: 1, free: 2n ** 64n - 3n },
  ]);
});

t.test("other IPAM plugins, and a network without one, have nothing", async (t) => {
  for (const ipam of [{ type: "dhcp" }, { type: "static", addresses: [] }, {}])
    t.strictSame([reservedAddresses(listOf(ipam)), subnetUsage(listOf(ipam))], [[], []]);
});

t.test("ranges that are mistaken hide no reservations", async (t) => {
  const mistaken = listOf({ type: "host-local", ranges: [[{ subnet: "10.5.0.0/33" }]] });
  t.match(reservedAddresses(mistaken)[0], { address: "10.5.0.9", containerId: "10.5.0.9-id" });
  t.throws(() => subnetUsage(mistaken), { code: 7 });
});
