// The loopback interface, which has 127.0.0.1/8 on every machine, is the witness.
import t from "tap";
import { type Prefix, parsePrefix } from "../ip/address.ts";
import { hasIPv4Address } from "./ipv4-address.ts";

const cases: [ifName: string, prefix: string, isThere: boolean, claim: string][] = [
  ["lo", "127.0.0.1/8", true, "an address that the link has"],
  ["lo", "127.0.0.1/16", false, "the address with another prefix length"],
  ["lo", "127.0.0.2/8", false, "another address of the same network"],
  ["no-such-link", "127.0.0.1/8", false, "a link that does not exist"],
];
for (const [ifName, prefix, isThere, claim] of cases) {
  t.test(`hasIPv4Address of ${claim}`, async (t) => {
    t.equal(hasIPv4Address(ifName, parsePrefix(prefix) as Prefix), isThere);
  });
}
