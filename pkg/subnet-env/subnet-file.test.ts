import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { formatPrefix, type Prefix, parsePrefix } from "../ip/address.ts";
import {
  parseEarlierSubnets,
  printSubnetFile,
  readEarlierSubnets,
  type SubnetFile,
  writeSubnetFile,
} from "./subnet-file.ts";

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new Error(text);
  return parsed;
}

const ipv4 = { network: prefix("10.5.0.0/16"), subnet: prefix("10.5.72.0/24") };
const ipv6 = { network: prefix("fd00:5::/48"), subnet: prefix("fd00:5:0:72::/64") };

const familyTexts = (name: string, family: SubnetFile["ipv4"]) =>
  family === undefined
    ? { [`${name}.network`]: undefined, [`${name}.subnet`]: undefined }
    : { [`${name}.network`]: formatPrefix(family.network), [`${name}.subnet`]: formatPrefix(family.subnet) };

const printed: { what: string; file: SubnetFile; lines: string[] }[] = [
  {
    what: "IPv4",
    file: { ipv4, mtu: 1450, ipMasq: true },
    lines: ["FLANNEL_NETWORK=10.5.0.0/16", "FLANNEL_SUBNET=10.5.72.1/24", "FLANNEL_MTU=1450", "FLANNEL_IPMASQ=true"],
  },
  {
    what: "IPv6",
    file: { ipv6, mtu: 1430, ipMasq: false },
    lines: [
      "FLANNEL_IPV6_NETWORK=fd00:5::/48",
      "FLANNEL_IPV6_SUBNET=fd00:5:0:72::1/64",
      "FLANNEL_MTU=1430",
      "FLANNEL_IPMASQ=false",
    ],
  },
  {
    what: "dual stack",
    file: { ipv4, ipv6, mtu: 8951, ipMasq: false },
    lines: [
      "FLANNEL_NETWORK=10.5.0.0/16",
      "FLANNEL_SUBNET=10.5.72.1/24",
      "FLANNEL_IPV6_NETWORK=fd00:5::/48",
      "FLANNEL_IPV6_SUBNET=fd00:5:0:72::1/64",
      "FLANNEL_MTU=8951",
      "FLANNEL_IPMASQ=false",
    ],
  },
];
for (const { what, file, lines } of printed) {
  t.test(`the file of a host with ${what}, and what is read from it`, async (t) => {
    const text = printSubnetFile(file);
    t.equal(text, lines.map((line) => `${line}\n`).join(""));
    t.strictSame(readBack(text), {
      ...familyTexts("ipv4", file.ipv4),
      ...familyTexts("ipv6", file.ipv6),
      problems: [],
    });
  });
}

/** What is read from a text, as texts. */
function readBack(text: string): Record<string, unknown> {
  const problems: string[] = [];
  const { ipv4, ipv6 } = parseEarlierSubnets(text, (problem) => problems.push(problem));
  const shown = (one: Prefix | undefined) => one && formatPrefix(one);
  return {
    "ipv4.network": shown(ipv4.network),
    "ipv4.subnet": shown(ipv4.subnet),
    "ipv6.network": shown(ipv6.network),
    "ipv6.subnet": shown(ipv6.subnet),
    problems,
  };
}

const read: { text: string; subnet?: string; ipv6Subnet?: string; problems?: string[] }[] = [
  { text: "" },
  { text: "# FLANNEL_SUBNET=10.5.72.1/24\n\n  \n" },
  { text: `export FLANNEL_SUBNET="10.5.72.1/24" # ours`, subnet: "10.5.72.0/24" },
  { text: "FLANNEL_SUBNET = '10.5.72.1/24'\r\n", subnet: "10.5.72.0/24" },
  { text: "FLANNEL_SUBNET=10.5.72.1/24 # ours", subnet: "10.5.72.0/24" },
  { text: "FLANNEL_SUBNET=10.1.1.1/24\nFLANNEL_SUBNET=10.5.72.9/24", subnet: "10.5.72.0/24" },
  {
    text: "FLANNEL_SUBNET=10.5.300.1/24,10.5.72.1/24",
    subnet: "10.5.72.0/24",
    problems: ['FLANNEL_SUBNET has "10.5.300.1/24", must be an IPv4 prefix; it is ignored'],
  },
  { text: "FLANNEL_SUBNET=10.5.72.1/24,10.6.0.0/24" },
  {
    text: "FLANNEL_SUBNET=nonsense",
    problems: ['FLANNEL_SUBNET has "nonsense", must be an IPv4 prefix; it is ignored'],
  },
  {
    text: "FLANNEL_SUBNET=fd00::1/64\nFLANNEL_IPV6_SUBNET=fd00::7,fd00:1::1/64",
    ipv6Subnet: "fd00:1::/64",
    problems: [
      'FLANNEL_SUBNET has "fd00::1/64", must be an IPv4 prefix; it is ignored',
      'FLANNEL_IPV6_SUBNET has "fd00::7", must be an IPv6 prefix; it is ignored',
    ],
  },
  {
    text: "FLANNEL_SUBNET\nFLANNEL_IPV6_SUBNET=fd00:1::1/64",
    ipv6Subnet: "fd00:1::/64",
    problems: ['line 1 is not a variable assignment: "FLANNEL_SUBNET"'],
  },
];
for (const { text, subnet, ipv6Subnet, problems = [] } of read) {
  t.test(`the daemon reads ${JSON.stringify(text)}`, async (t) => {
    const found = readBack(text);
    t.strictSame([found["ipv4.subnet"], found["ipv6.subnet"], found["problems"]], [subnet, ipv6Subnet, problems]);
  });
}

t.test("no text makes the daemon's reader fail", async (t) => {
  const pieces = [
    "FLANNEL_SUBNET",
    "FLANNEL_IPV6_NETWORK",
    "=",
    ",",
    '"',
    "'",
    "\\",
    "\n",
    "#",
    "10.1.0.0/16",
    "::/0",
    "\0",
    "é",
  ];
  let seed = 7;
  const next = () => {
    seed = (seed * 1103515245 + 12345) % 2 ** 31;
    return pieces[seed % pieces.length] ?? "";
  };
  for (let i = 0; i < 2000; i++) parseEarlierSubnets(Array.from({ length: i % 40 }, next).join(""), () => {});
  t.pass("it read them all");
});

t.test("the file is for everybody to read, and there is nothing beside it", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), `twill-${process.pid}-subnet-file-`));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "run/flannel/subnet.env");
  const umask = process.umask(0o077);
  t.teardown(() => process.umask(umask));
  for (const mtu of [1450, 1400]) writeSubnetFile(path, { ipv4, mtu, ipMasq: false });
  t.equal(statSync(path).mode % 0o1000, 0o644);
  t.strictSame(readdirSync(join(folder, "run/flannel")), ["subnet.env"]);
  t.match(readFileSync(path, "utf8"), "FLANNEL_MTU=1400\n");
});

t.test("a file that is not there says nothing; what is wrong with one is told with its name", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), `twill-${process.pid}-subnet-file-`));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "subnet.env");
  const problems: string[] = [];
  const report = (problem: string) => problems.push(problem);
  t.strictSame(readEarlierSubnets(path, report), { ipv4: {}, ipv6: {} });
  writeFileSync(path, "FLANNEL_NETWORK=x\n");
  t.strictSame(readEarlierSubnets(path, report), { ipv4: {}, ipv6: {} });
  t.strictSame(problems, [`${path}: FLANNEL_NETWORK has "x", must be an IPv4 prefix; it is ignored`]);
});
