import t from "tap";
import { createPeerRows } from "./peer-rows.ts";
import { MAX_ROWS } from "./peer-table.ts";

const row = (subnet: string, address = "192.0.2.1", port = 8285) => ({ subnet, address, port });
const nothing = { set: [], remove: [] };

t.test("of a whole table the threads get what differs", async (t) => {
  const rows = createPeerRows();
  const first = [row("10.1.1.0/24"), row("10.1.2.0/24", "192.0.2.2")];
  t.strictSame(rows.replace(first), { set: first, remove: [] });
  t.strictSame(rows.replace(first.map((one) => ({ ...one }))), nothing, "which is nothing in the same one");
  t.strictSame(rows.replace([row("10.1.1.9/24"), first[1] ?? row("")]), nothing, "host bits mean nothing");
  const [moved, onPort] = [row("10.1.1.0/24", "192.0.2.3"), row("10.1.2.0/24", "192.0.2.2", 8286)];
  t.strictSame(rows.replace([moved, onPort]), { set: [moved, onPort], remove: [] }, "another address, another port");
  t.strictSame(rows.replace([row("10.1.1.0/25")]), {
    set: [row("10.1.1.0/25")],
    remove: ["10.1.1.0/24", "10.1.2.0/24"],
  });
  t.strictSame(rows.change([moved], ["10.1.1.0/25"]), { set: [moved], remove: ["10.1.1.0/25"] });
  t.strictSame(rows.replace([moved]), nothing, "after a change");
});

t.test("what the threads could not use changes nothing", async (t) => {
  const rows = createPeerRows();
  rows.replace([row("10.1.1.0/24")]);
  for (const [bad, message] of [
    [row("10.1.2.0"), '"10.1.2.0" is no IPv4 subnet'],
    [row("fd00::/64"), '"fd00::/64" is no IPv4 subnet'],
    [row("10.1.2.0/24", "192.0.2"), '"192.0.2" is no IPv4 address'],
    [row("10.1.2.0/24", "192.0.2.2", 0), "0 is no port"],
  ] as const) {
    t.throws(() => rows.replace([bad]), { message });
    t.throws(() => rows.change([bad], ["10.1.1.0/24"]), { message });
  }
  t.throws(() => rows.change([], ["10.1.1.0"]), { message: '"10.1.1.0" is no IPv4 subnet' });
  t.strictSame(rows.replace([row("10.1.1.0/24")]), nothing);
});

t.test("more rows than the table holds are refused", async (t) => {
  const rows = createPeerRows();
  const full = Array.from({ length: MAX_ROWS }, (_, i) => row(`${10 + (i >> 16)}.${(i >> 8) & 0xff}.${i & 0xff}.0/24`));
  const more = row("172.16.0.0/24");
  const message = /131073 subnets are more than the 131072 that the backend udp holds\. To fix: use another backend/;
  t.throws(() => rows.replace([...full, more]), { message });
  t.equal(rows.replace(full).set.length, MAX_ROWS);
  t.throws(() => rows.change([more], []), { message });
  t.strictSame(rows.change(full.slice(0, 1), []).set, full.slice(0, 1), "a row that is there may change");
});
