import t from "tap";
import { CniError } from "../../cni/error.ts";
import { type Address, formatAddress, parseAddress } from "../../ip/address.ts";
import {
  candidates,
  formatRangeSet,
  parseRangeSets,
  previousInSet,
  type RangeConf,
  type RangeSet,
  sizeOf,
} from "./range.ts";

const settleOne = (conf: RangeConf) => parseRangeSets([[conf]], "1.0.0")[0] as RangeSet;
const subnets = (...names: string[]) => parseRangeSets([names.map((subnet) => ({ subnet }))], "1.0.0")[0] as RangeSet;

t.test("gateway, start and end have defaults", async (t) => {
  const cases: { conf: RangeConf; start: string; end: string; gateway: string }[] = [
    { conf: { subnet: "192.0.2.0/24" }, start: "192.0.2.1", end: "192.0.2.254", gateway: "192.0.2.1" },
    { conf: { subnet: "192.0.2.0/25" }, start: "192.0.2.1", end: "192.0.2.126", gateway: "192.0.2.1" },
    { conf: { subnet: "192.0.2.0/30" }, start: "192.0.2.1", end: "192.0.2.2", gateway: "192.0.2.1" },
    {
      conf: { subnet: "2001:db8:1::/64" },
      start: "2001:db8:1::1",
      end: "2001:db8:1:0:ffff:ffff:ffff:ffff",
      gateway: "2001:db8:1::1",
    },
    {
      conf: { subnet: "192.0.2.0/24", rangeStart: "192.0.2.40", rangeEnd: "192.0.2.50", gateway: "192.0.2.254" },
      start: "192.0.2.40",
      end: "192.0.2.50",
      gateway: "192.0.2.254",
    },
    {
      conf: { subnet: "10.0.0.0/24", rangeStart: "", gateway: "" },
      start: "10.0.0.1",
      end: "10.0.0.254",
      gateway: "10.0.0.1",
    },
    {
      conf: { subnet: "10.0.0.0/24", gateway: "172.16.0.1" },
      start: "10.0.0.1",
      end: "10.0.0.254",
      gateway: "172.16.0.1",
    },
    {
      conf: { subnet: "10.0.0.0/24", rangeStart: "10.0.0.0" },
      start: "10.0.0.0",
      end: "10.0.0.254",
      gateway: "10.0.0.1",
    },
    {
      conf: { subnet: "10.0.0.0/24", rangeEnd: "10.0.0.255" },
      start: "10.0.0.1",
      end: "10.0.0.255",
      gateway: "10.0.0.1",
    },
  ];
  for (const { conf, start, end, gateway } of cases) {
    const [range] = settleOne(conf);
    const texts = range && {
      start: formatAddress(range.start),
      end: formatAddress(range.end),
      gateway: formatAddress(range.gateway),
    };
    t.strictSame(texts, { start, end, gateway }, JSON.stringify(conf));
  }
});

t.test("what breaks a rule is refused in the reference plugin's words", async (t) => {
  const v4 = { subnet: "10.1.0.0/24" };
  const cases: { sets: RangeConf[][]; cniVersion?: string; msg: string }[] = [
    { sets: [], msg: "no IP ranges specified" },
    { sets: [[]], msg: "invalid range set 0: empty range set" },
    { sets: [[v4], []], msg: "invalid range set 1: empty range set" },
    {
      sets: [[{ subnet: "192.0.2.12/24" }]],
      msg: "invalid range set 0: Network has host bits set. For a subnet mask of length 24 the network address is 192.0.2.0",
    },
    {
      sets: [[{ subnet: "2001:db8:24:19ff::/63" }]],
      msg: "invalid range set 0: Network has host bits set. For a subnet mask of length 63 the network address is 2001:db8:24:19fe::",
    },
    {
      sets: [[{ subnet: "192.168.127.0/23" }]],
      msg: "invalid range set 0: Network has host bits set. For a subnet mask of length 23 the network address is 192.168.126.0",
    },
    {
      sets: [[{ subnet: "192.0.2.0/31" }]],
      msg: "invalid range set 0: Network 192.0.2.0/31 too small to allocate from",
    },
    {
      sets: [[{ subnet: "192.0.2.7/32" }]],
      msg: "invalid range set 0: Network 192.0.2.7/32 too small to allocate from",
    },
    {
      sets: [[{ subnet: "2001:db8::/127" }]],
      msg: "invalid range set 0: Network 2001:db8::/127 too small to allocate from",
    },
    { sets: [[{ subnet: "10.1.0.0" }]], msg: "invalid range set 0: invalid CIDR address: 10.1.0.0" },
    {
      sets: [[{ subnet: "10.1.0.0/24", rangeStart: "10.1.0.255" }]],
      msg: "invalid range set 0: RangeStart 10.1.0.255 is behind 10.1.0.254, the last address of 10.1.0.0/24 that can be given out",
    },
    { sets: [[{ ...v4, rangeStart: "10.1.0" }]], msg: "invalid range set 0: invalid IP address: 10.1.0" },
    {
      sets: [[{ ...v4, rangeStart: "10.9.9.9" }]],
      msg: "invalid range set 0: RangeStart 10.9.9.9 not in network 10.1.0.0/24",
    },
    {
      sets: [[{ ...v4, rangeStart: "2001:db8::1" }]],
      msg: "invalid range set 0: RangeStart 2001:db8::1 not in network 10.1.0.0/24",
    },
    {
      sets: [[{ ...v4, rangeEnd: "10.1.1.9" }]],
      msg: "invalid range set 0: RangeEnd 10.1.1.9 not in network 10.1.0.0/24",
    },
    {
      sets: [[{ ...v4, rangeEnd: "10.1.0.0" }]],
      msg: "invalid range set 0: RangeEnd 10.1.0.0 not in network 10.1.0.0/24",
    },
    {
      sets: [[{ ...v4, rangeStart: "10.1.0.50", rangeEnd: "10.1.0.40" }]],
      msg: "invalid range set 0: RangeStart 10.1.0.50 not in network 10.1.0.0/24",
    },
    { sets: [[v4, { subnet: "2001:db8::/64" }]], msg: "invalid range set 0: mixed address families" },
    {
      sets: [[v4, v4]],
      msg: "invalid range set 0: subnets 10.1.0.1-10.1.0.254 and 10.1.0.1-10.1.0.254 overlap",
    },
    { sets: [[v4], [{ subnet: "10.2.0.0/24" }], [v4]], msg: "range set 0 overlaps with 2" },
    { sets: [[{ subnet: "10.1.0.0/16" }], [v4]], msg: "range set 0 overlaps with 1" },
    {
      sets: [[v4], [{ subnet: "10.2.0.0/24" }]],
      cniVersion: "0.2.0",
      msg: "CNI version 0.2.0 does not support more than 1 address per family",
    },
    {
      sets: [[{ subnet: "fd00:1::/64" }], [{ subnet: "fd00:2::/64" }]],
      cniVersion: "0.1.0",
      msg: "CNI version 0.1.0 does not support more than 1 address per family",
    },
  ];
  for (const { sets, cniVersion = "0.3.1", msg } of cases) {
    const error = refusalOf(() => parseRangeSets(sets, cniVersion));
    t.equal(error?.msg, msg);
    t.equal(error?.code, 7, msg);
    t.match(error?.details, /To fix: /, msg);
  }
});

t.test("sets without an address in common are accepted", async (t) => {
  const parts = (start: string, end: string) => ({ subnet: "10.1.0.0/24", rangeStart: start, rangeEnd: end });
  const cases: { sets: RangeConf[][]; cniVersion: string }[] = [
    { sets: [[parts("10.1.0.10", "10.1.0.19"), parts("10.1.0.20", "10.1.0.29")]], cniVersion: "0.2.0" },
    { sets: [[parts("10.1.0.10", "10.1.0.19")], [parts("10.1.0.20", "10.1.0.29")]], cniVersion: "0.3.0" },
    { sets: [[{ subnet: "10.1.0.0/24" }], [{ subnet: "fd00::/64" }]], cniVersion: "0.1.0" },
  ];
  for (const { sets, cniVersion } of cases) t.equal(parseRangeSets(sets, cniVersion).length, sets.length);
});

t.test("addresses are tried round robin, gateways left out", async (t) => {
  const cases: { set: RangeSet; last?: string; order: string }[] = [
    { set: subnets("10.0.0.0/29"), order: ".2 .3 .4 .5 .6" }, // .7 is the broadcast address
    { set: subnets("10.0.0.0/29"), last: "10.0.0.3", order: ".4 .5 .6 .2 .3" },
    { set: subnets("10.0.0.0/29"), last: "10.0.0.6", order: ".2 .3 .4 .5 .6" },
    { set: subnets("10.0.0.0/29"), last: "10.0.0.1", order: ".2 .3 .4 .5 .6" },
    { set: subnets("10.0.0.0/29"), last: "10.0.0.128", order: ".2 .3 .4 .5 .6" },
    { set: subnets("10.0.0.0/29"), last: "fd00::1", order: ".2 .3 .4 .5 .6" },
    { set: subnets("10.0.0.0/30", "10.0.1.0/30"), last: "10.0.0.2", order: "1.2 .2" },
    { set: subnets("10.0.0.0/30", "10.0.1.0/30", "10.0.2.0/30"), last: "10.0.2.2", order: ".2 1.2 2.2" },
    { set: settleOne({ subnet: "10.0.0.0/29", gateway: "10.0.0.4" }), order: ".1 .2 .3 .5 .6" },
    { set: settleOne({ subnet: "10.0.0.0/29", gateway: "10.9.9.9" }), last: "10.0.0.6", order: ".1 .2 .3 .4 .5 .6" },
    { set: settleOne({ subnet: "10.0.0.0/29", rangeStart: "10.0.0.1", rangeEnd: "10.0.0.1" }), order: "" },
    { set: settleOne({ subnet: "10.0.0.0/29", rangeStart: "10.0.0.5", rangeEnd: "10.0.0.5" }), order: ".5" },
  ];
  for (const { set, last, order } of cases) {
    const tried = [...candidates(set, last === undefined ? undefined : ip(last))].map(({ address }) =>
      shortText(address),
    );
    t.equal(tried.join(" "), order, `${formatRangeSet(set)} after ${last}`);
    t.equal(sizeOf(set), BigInt(tried.length), `size of ${formatRangeSet(set)}`);
  }
  const [six] = candidates(subnets("2001:db8:1::/64"), undefined);
  t.equal(six && formatAddress(six.address), "2001:db8:1::2");
  t.equal(sizeOf(subnets("2001:db8:1::/64")), 2n ** 64n - 2n);
});

t.test("going back from an address meets the same addresses", async (t) => {
  const set = subnets("10.0.0.0/30", "10.0.1.0/30");
  const back: string[] = [];
  for (let at: Address | undefined = ip("10.0.0.2"); at && back.length < 5; at = previousInSet(set, at)) {
    back.push(shortText(at));
  }
  t.equal(back.join(" "), ".2 .1 1.2 1.1 .2");
  t.equal(previousInSet(set, ip("10.0.7.7")), undefined);
});

/** `.5` for 10.0.0.5, `1.5` for 10.0.1.5. */
function shortText(address: Address): string {
  return formatAddress(address)
    .replace(/^10\.0\.0\./, ".")
    .replace(/^10\.0\./, "");
}

function ip(text: string): Address {
  return parseAddress(text) as Address;
}

function refusalOf(work: () => unknown): CniError | undefined {
  try {
    work();
  } catch (error) {
    if (error instanceof CniError) return error;
    throw error;
  }
  return undefined;
}

t.test("20,000 ranges are compared without looking at each pair", async (t) => {
  const subnets = Array.from({ length: 20_000 }, (_, i) => ({ subnet: `10.${i >> 8}.${i & 255}.0/24` }));
  const reversed = subnets.toReversed();
  t.equal(parseRangeSets([reversed], "1.0.0")[0]?.length, 20_000);
  const twice = [...reversed.slice(0, 50), { subnet: "10.78.31.128/25" }];
  t.throws(() => parseRangeSets([twice], "1.0.0"), { code: 7, message: /overlap/ });
});
