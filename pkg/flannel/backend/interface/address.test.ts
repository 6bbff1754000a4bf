import t from "tap";
import { formatAddress, parseAddress, parsePrefix } from "../../../ip/address.ts";
import type { LinkAddress } from "../../../link/address.ts";
import {
  IFA_F_DADFAILED,
  IFA_F_DEPRECATED,
  IFA_F_PERMANENT,
  IFA_F_SECONDARY,
  IFA_F_TENTATIVE,
} from "../../../netlink/rtnetlink/address.ts";
import { bestAddress, isUnicast, usableAddresses } from "./address.ts";

function on(text: string, flags: number): LinkAddress {
  const prefix = parsePrefix(text);
  if (prefix === undefined) throw new Error(`${text} is no prefix`);
  return { prefix, flags, scope: 0 };
}

/** Of SLAAC: neither permanent. */
const stable = on("2001:db8::5/64", 0);
const temporary = on("2001:db8::77/64", IFA_F_SECONDARY);
const deprecated = on("2001:db8::66/64", IFA_F_DEPRECATED);
const tentative = on("2001:db8::88/64", IFA_F_PERMANENT | IFA_F_TENTATIVE);
const duplicate = on("2001:db8::99/64", IFA_F_PERMANENT | IFA_F_DADFAILED);
const byHand = on("2001:db8::1/64", IFA_F_PERMANENT);
const linkLocal = on("fe80::1/64", IFA_F_PERMANENT);
const ipv4 = on("10.0.0.5/24", IFA_F_PERMANENT);

t.test("IPv6: by hand, stable, temporary, tentative, deprecated, link-local; duplicates never", async (t) => {
  const all = [linkLocal, duplicate, deprecated, temporary, ipv4, tentative, stable, byHand];
  t.strictSame(usableAddresses(all, "ipv6").map(formatAddress), [
    "2001:db8::1",
    "2001:db8::5",
    "2001:db8::77",
    "2001:db8::88",
    "2001:db8::66",
    "fe80::1",
  ]);
});

t.test("IPv4: primary before secondary, DHCP behind what was set by hand, 169.254 last", async (t) => {
  const all = [
    on("169.254.7.7/16", IFA_F_PERMANENT),
    on("127.0.0.1/8", IFA_F_PERMANENT),
    on("10.0.0.9/24", 0),
    on("10.0.0.6/24", IFA_F_PERMANENT | IFA_F_SECONDARY),
    ipv4,
    stable,
  ];
  t.strictSame(usableAddresses(all, "ipv4").map(formatAddress), ["10.0.0.5", "10.0.0.6", "10.0.0.9", "169.254.7.7"]);
});

t.test("the current address is kept among equals, and left for a better one", async (t) => {
  const other = on("2001:db8::2/64", IFA_F_PERMANENT);
  t.equal(bestAddress([other, byHand], "ipv6", byHand.prefix.address), byHand.prefix.address);
  t.equal(bestAddress([other, byHand], "ipv6", undefined), other.prefix.address);
  t.equal(bestAddress([temporary, stable], "ipv6", temporary.prefix.address), stable.prefix.address);
  t.equal(bestAddress([other], "ipv6", byHand.prefix.address), other.prefix.address);
  t.equal(bestAddress([ipv4], "ipv6", undefined), undefined);
});

const unicast: Record<string, boolean> = {
  "10.0.0.1": true,
  "169.254.1.1": true,
  "240.0.0.1": true,
  "fe80::1": true,
  "fd00::1": true,
  "0.0.0.0": false,
  "127.0.0.1": false,
  "224.0.0.1": false,
  "255.255.255.255": false,
  "::": false,
  "::1": false,
  "ff02::1": false,
};
for (const [text, is] of Object.entries(unicast)) {
  t.test(`${text} ${is ? "can" : "cannot"} be an end of a tunnel`, async (t) => {
    const address = parseAddress(text);
    t.equal(address && isUnicast(address), is);
  });
}
