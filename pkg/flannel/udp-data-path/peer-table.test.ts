import t from "tap";
import { addressNumber, createPeerTable } from "./peer-table.ts";
import type { PeerSubnet } from "./protocol.ts";

const row = (subnet: string, n: number, port = 8285): PeerSubnet => ({ subnet, address: `192.0.2.${n}`, port });
const hostOf = (address: number) => (address & 0xff) as number;

function tableOf(...rows: PeerSubnet[]) {
  const table = createPeerTable();
  table.change(rows, []);
  const find = (address: string) => {
    const peer = table.find(addressNumber(address));
    return peer && hostOf(peer.address);
  };
  return { ...table, lookUp: find };
}

t.test("the longest subnet that holds an address decides, in whatever order they came", async (t) => {
  const rows = [
    row("10.1.0.0/16", 1),
    row("10.1.3.0/24", 2),
    row("10.1.3.128/25", 3),
    row("10.1.3.129/32", 4),
    row("0.0.0.0/0", 9),
  ];
  for (const order of [rows, rows.toReversed()]) {
    const { lookUp } = tableOf(...order);
    t.strictSame(["10.1.200.1", "10.1.3.1", "10.1.3.200", "10.1.3.129", "200.1.2.3"].map(lookUp), [1, 2, 3, 4, 9]);
  }
});

t.test("addresses above 127.255.255.255 are found, and host bits of a subnet do not matter", async (t) => {
  const { lookUp } = tableOf(row("172.31.5.9/24", 1), row("223.255.255.0/24", 2));
  t.strictSame(["172.31.5.0", "172.31.5.255", "172.31.6.0", "223.255.255.255"].map(lookUp), [1, 1, undefined, 2]);
});

t.test("a change sets and removes rows, and leaves the others", async (t) => {
  const table = tableOf(row("10.1.2.0/24", 2), row("10.1.3.0/24", 3), row("10.1.4.0/24", 4));
  table.change([row("10.1.3.0/24", 33), row("10.1.5.0/24", 5)], ["10.1.2.0/24", "10.1.99.0/24"]);
  t.strictSame(["10.1.2.1", "10.1.3.1", "10.1.4.1", "10.1.5.1"].map(table.lookUp), [undefined, 33, 4, 5]);
});

t.test("a sender is one while a subnet of it is left, by address and port", async (t) => {
  const table = tableOf(row("10.1.2.0/24", 2), row("10.1.3.0/24", 2), row("10.1.4.0/24", 4, 9000));
  const has = (n: number, port = 8285) => table.has(addressNumber(`192.0.2.${n}`), port);
  t.strictSame([has(2), has(4), has(4, 9000), has(5)], [true, false, true, false]);
  table.change([], ["10.1.2.0/24"]);
  t.ok(has(2));
  table.change([row("10.1.3.0/24", 7)], []);
  t.strictSame([has(2), has(7)], [false, true]);
});

t.test("what is no IPv4 is refused by name", async (t) => {
  const table = createPeerTable();
  t.throws(() => table.change([row("fd00::/64", 2)], []), new Error('"fd00::/64" is no IPv4 subnet'));
  t.throws(
    () => table.change([{ subnet: "10.1.2.0/24", address: "host", port: 1 }], []),
    new Error('"host" is no IPv4 address'),
  );
});
