import t from "tap";
import { randomFrom, testSeed } from "../../sys/random.testing.ts";
import { cidr, ip } from "./fake.testing.ts";
import {
  keyOf,
  type LeaseAttributes,
  parseKey,
  printAttributes,
  readAttributes,
  readLease,
  sameSubnets,
} from "./lease.ts";

t.test("a lease's key is flannel's, and read back", async (t) => {
  const cases = [
    { key: "10.12.13.0-24", subnets: { ipv4: cidr("10.12.13.0/24") } },
    { key: "10.0.0.0-8", subnets: { ipv4: cidr("10.0.0.0/8") } },
    { key: "10.12.13.2-31", subnets: { ipv4: cidr("10.12.13.2/31") } },
    {
      key: "10.12.13.0-24&fd00:12:13::-56",
      subnets: { ipv4: cidr("10.12.13.0/24"), ipv6: cidr("fd00:12:13::/56") },
    },
    { key: "10.12.13.0-24&fc00::2-127", subnets: { ipv4: cidr("10.12.13.0/24"), ipv6: cidr("fc00::2/127") } },
  ];
  for (const { key, subnets } of cases) {
    t.equal(keyOf(subnets), key);
    t.strictSame(parseKey(key), subnets);
  }
  t.throws(() => keyOf({ ipv6: cidr("fd00::/64") }), { message: /^fd00::\/64 has no IPv4 subnet/ });
});

t.test("what is no key is not guessed at", async (t) => {
  const keys = [
    // flannel refuses these as well
    ..."|10|10.12.13.0|10.12.13-24|10.12.13.300-24|10.12.13.0-24hi|10.12.13.0-32|10.12.13.0-|10.12.13.0-x".split("|"),
    ...["2001::-56", ":12:13:-56", "20011::-56", "2001-56", "2001::", "2001::-56hi", "", "2001::-128"]
      .flatMap((six) => [`10.12.13.0-24&${six}`, `&${six}`])
      .filter((key) => key !== "10.12.13.0-24&2001::-56"),
    // flannel takes these for something else than they say
    "hi10.12.13.0-24",
    "x/10.12.13.0-24",
    "10.12.13.0-24 ",
    "10.12.13.0-24\n",
    "10a12b13.0-24",
    "10.12.13.7-24",
    "10.12.13.0-024",
    "0.0.0.0-0",
    "0.0.0.0-0&fd00::-64",
    "10.12.13.0-24&2001:0::-56",
    "10.12.13.0-24&2001::1-56",
    "10.12.13.0-24&::ffff:a00:0-104",
  ];
  for (const key of keys) t.equal(parseKey(key), undefined, JSON.stringify(key));
});

t.test("attributes are written byte for byte as flannel writes them, and read back", async (t) => {
  const vxlan = { VNI: 1, VtepMAC: "aa:bb:cc:dd:ee:ff" };
  const cases: { text: string; attributes: LeaseAttributes }[] = [
    { text: '{"PublicIP":"1.2.3.4","PublicIPv6":null}', attributes: { publicIP: ip("1.2.3.4"), backendType: "" } },
    { text: '{"PublicIP":"0.0.0.0","PublicIPv6":null}', attributes: { backendType: "" } },
    {
      text: '{"PublicIP":"1.2.3.4","PublicIPv6":null,"BackendType":"host-gw"}',
      attributes: { publicIP: ip("1.2.3.4"), backendType: "host-gw" },
    },
    {
      text: '{"PublicIP":"1.2.3.4","PublicIPv6":"2001:db8::1","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"aa:bb:cc:dd:ee:ff"},"BackendV6Data":{"VNI":1,"VtepMAC":"aa:bb:cc:dd:ee:ff"}}',
      attributes: {
        publicIP: ip("1.2.3.4"),
        publicIPv6: ip("2001:db8::1"),
        backendType: "vxlan",
        backendData: vxlan,
        backendV6Data: vxlan,
      },
    },
    {
      text: '{"PublicIP":"1.2.3.4","PublicIPv6":null,"BackendType":"extension","BackendData":"a \\u003c b"}',
      attributes: { publicIP: ip("1.2.3.4"), backendType: "extension", backendData: "a < b" },
    },
  ];
  for (const { text, attributes } of cases) {
    t.equal(printAttributes(attributes), text);
    t.strictSame(readAttributes(text), attributes);
  }
});

t.test("attributes are read as Go reads them", async (t) => {
  const written = { publicIP: ip("1.2.3.4"), backendType: "vxlan" };
  t.strictSame(readAttributes('{"publicip":"1.2.3.4","BACKENDTYPE":"vxlan","Later":[1]}'), written);
  t.strictSame(readAttributes('{"PublicIP":"9.9.9.9","publicIP":"1.2.3.4","BackendType":"vxlan"}'), written);
  t.strictSame(readAttributes('{"PublicIP":"1.2.3.4","BackendType":"vxlan","BackendData":null}'), written);
  t.strictSame(readAttributes("{}"), { backendType: "" }, "flannel up to 0.17 wrote no PublicIPv6");
});

t.test("malformed leases are refused with what is wrong", async (t) => {
  const cases: [key: string, value: string, message: string][] = [
    ["10.12.13-24", "{}", "its name is not a subnet: expected one like 10.12.13.0-24 or 10.12.13.0-24&fd00:12:13::-56"],
    ["10.5.1.0-24", "", "line 1, column 1: nothing where a value is expected"],
    ["10.5.1.0-24", "[]", 'its value is [], not an object like {"PublicIP":"192.0.2.1"}'],
    ["10.5.1.0-24", '{"PublicIP":"1.2.3"}', 'its PublicIP is "1.2.3", not an IPv4 address'],
    ["10.5.1.0-24", '{"PublicIP":"::1"}', 'its PublicIP is "::1", not an IPv4 address'],
    ["10.5.1.0-24", '{"PublicIP":7}', "its PublicIP is 7, not an IPv4 address"],
    ["10.5.1.0-24", '{"PublicIPv6":"1.2.3.4"}', 'its PublicIPv6 is "1.2.3.4", not an IPv6 address'],
    ["10.5.1.0-24", '{"BackendType":1}', 'its BackendType is 1, not a text like "vxlan"'],
  ];
  for (const [key, value, message] of cases) t.throws(() => readLease(key, value, undefined), { message });
});

t.test("a value that is deeper than the stack is refused before anybody compares it", async (t) => {
  const deep = (levels: number) => `{"BackendData":${"[".repeat(levels)}${"]".repeat(levels)}}`;
  t.throws(() => readAttributes(deep(20_000)), { message: "its value has 40016 characters, too many for a lease" });
  t.doesNotThrow(() => printAttributes(readAttributes(deep(2000))));
});

t.test("any text is a lease or is refused: 20,000 altered ones", async (t) => {
  const seed = testSeed();
  t.comment(`seed ${seed}`);
  const random = randomFrom(seed);
  const keys = ["10.12.13.0-24", "10.12.13.0-24&fd00:12:13::-56"];
  const value = '{"PublicIP":"1.2.3.4","PublicIPv6":"2001:db8::1","BackendType":"vxlan","BackendData":{"VNI":1}}';
  let read = 0;
  for (let i = 0; i < 20_000; i++) {
    const key = altered(keys[i % 2] ?? "", random);
    const subnets = parseKey(key);
    if (subnets && keyOf(subnets) !== key) t.fail(`${key} is read as ${keyOf(subnets)}`);
    try {
      const lease = readLease("10.12.13.0-24", altered(value, random), 1);
      if (!sameSubnets(lease, { ipv4: cidr("10.12.13.0/24") })) t.fail("reads another subnet");
      readAttributes(printAttributes(lease.attributes));
      read++;
    } catch (error) {
      if (!(error instanceof Error) || error.constructor === TypeError) throw error;
    }
  }
  t.ok(read > 100, `${read} were still leases`);
});

/** One to three characters replaced, left out or put in. */
function altered(text: string, random: () => number): string {
  const characters = [...text];
  for (let left = 1 + Math.floor(random() * 3); left > 0; left--) {
    const fresh = alphabet[Math.floor(random() * alphabet.length)] ?? "";
    characters.splice(Math.floor(random() * characters.length), random() < 0.5 ? 1 : 0, random() < 0.3 ? "" : fresh);
  }
  return characters.join("");
}
const alphabet = [...'0123456789abcf:.-&/"{}[],\\ \n\0é', "\ud800"];
