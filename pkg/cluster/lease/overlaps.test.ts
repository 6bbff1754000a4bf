import t from "tap";
import { attributesOf, subnets } from "./fake.testing.ts";
import { leaseOf } from "./lease.ts";
import { overlappingLeases } from "./overlaps.ts";

const cases: [title: string, keys: string[], pairs: string[]][] = [
  ["none", ["10.3.1.0-24", "10.3.2.0-24", "10.3.0.0-24"], []],
  ["one inside another", ["10.3.5.0-24", "10.3.1.0-24", "10.3.4.0-22"], ["10.3.5.0-24 in 10.3.4.0-22"]],
  [
    "several inside one, and one behind it",
    ["10.3.4.0-22", "10.3.4.0-24", "10.3.6.0-24", "10.3.8.0-24"],
    ["10.3.4.0-24 in 10.3.4.0-22", "10.3.6.0-24 in 10.3.4.0-22"],
  ],
  [
    "one family of two",
    ["10.3.1.0-24&fd00:0:0:1::-64", "10.3.2.0-24&fd00:0:0:1::-64"],
    ["10.3.2.0-24&fd00:0:0:1::-64 in 10.3.1.0-24&fd00:0:0:1::-64"],
  ],
  [
    "the same IPv4 with another IPv6",
    ["10.3.1.0-24", "10.3.1.0-24&fd00:0:0:1::-64"],
    ["10.3.1.0-24&fd00:0:0:1::-64 in 10.3.1.0-24"],
  ],
];
for (const [title, keys, pairs] of cases) {
  t.test(`leases that overlap: ${title}`, async (t) => {
    const leases = keys.map((key) => leaseOf(subnets(key), attributesOf("192.0.2.2"), undefined));
    t.strictSame(
      overlappingLeases(leases).map(([one, other]) => `${one.id} in ${other.id}`),
      pairs,
    );
  });
}
