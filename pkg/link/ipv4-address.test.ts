// Asked of the real kernel, in a network namespace of its own: lo has 127.0.0.1/8 as soon as it is up.
import t from "tap";
import { type Prefix, parsePrefix } from "../ip/address.ts";
import { readText } from "../sys/file.ts";
import { unshareNetwork } from "../sys/namespace.ts";
import { addAddress } from "./address.ts";
import { hasIPv4Address } from "./ipv4-address.ts";
import { openRtnetlink } from "./link.ts";
import { setUpLoopback } from "./loopback.ts";

const needsRoot = /^Uid:\s+0\s/m.test(readText("/proc/self/status")) ? {} : { skip: "needs root" };

/** In each network namespace. */
const LOOPBACK_INDEX = 1;

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

t.test("hasIPv4Address finds each address of a link, also a secondary one", needsRoot, async (t) => {
  unshareNetwork();
  const rtnl = openRtnetlink();
  setUpLoopback(rtnl);
  for (const text of ["10.9.0.1/24", "10.9.0.2/24", "10.8.0.1/16"])
    rtnl.request(addAddress(LOOPBACK_INDEX, parsePrefix(text) as Prefix));
  for (const [prefix, isThere, claim] of [
    ["127.0.0.1/8", true, "the first one"],
    ["10.9.0.1/24", true, "the first one of another network"],
    ["10.9.0.2/24", true, "a secondary one"],
    ["10.8.0.1/16", true, "the last one"],
    ["10.9.0.2/16", false, "a secondary one with another prefix length"],
    ["10.9.0.3/24", false, "none"],
  ] as const)
    t.equal(hasIPv4Address("lo", parsePrefix(prefix) as Prefix), isThere, claim);
});
