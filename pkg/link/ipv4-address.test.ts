// Asked of the real kernel, in a network namespace of its own: lo has 127.0.0.1/8 as soon as it is up.
import t from "tap";
import { type Prefix, parsePrefix } from "../ip/address.ts";
import { readText } from "../sys/file.ts";
import { unshareNetwork } from "../sys/namespace.ts";
import { hasIPv4Address } from "./ipv4-address.ts";
import { openRtnetlink } from "./link.ts";
import { setUpLoopback } from "./loopback.ts";

const needsRoot = /^Uid:\s+0\s/m.test(readText("/proc/self/status")) ? {} : { skip: "needs root" };

const cases: [ifName: string, prefix: string, isThere: boolean, claim: string][] = [
  ["lo", "127.0.0.1/8", true, "an address that the link has"],
  ["lo", "127.0.0.1/16", false, "the address with another prefix length"],
  ["lo", "127.0.0.2/8", false, "another address of the same network"],
  ["no-such-link", "127.0.0.1/8", false, "a link that does not exist"],
];

t.test("hasIPv4Address tells the address with its prefix length", needsRoot, async (t) => {
  unshareNetwork();
  setUpLoopback(openRtnetlink());
  for (const [ifName, prefix, isThere, claim] of cases)
    t.equal(hasIPv4Address(ifName, parsePrefix(prefix) as Prefix), isThere, claim);
});
