import t from "tap";
import { unknownKeyWarning } from "../config/unknown-keys.ts";
import { encode } from "../sys/text.ts";
import { CniError } from "./error.ts";
import { validateFake } from "./fake.testing.ts";
import { checkedConf, fittingConf, maxConfigurationBytes, problemsOf, readDocument } from "./netconf.ts";

const read = (text: string) => readDocument(encode(text), validateFake);
const check = (conf: object) => checkedConf(read(JSON.stringify({ name: "net", type: "fake", ...conf })), validateFake);

function refusalOf(work: () => unknown): Pick<CniError, "code" | "msg" | "details"> {
  try {
    work();
  } catch (error) {
    if (error instanceof CniError) return { code: error.code, msg: error.msg, details: error.details };
    throw error;
  }
  throw new Error("nothing was refused");
}

const general = "To fix: correct the network's configuration; cnitool validate FILE shows the line";

/** Every row: what is in the configuration beside name and type; what is said. */
const rows: [what: string, conf: object, msg: string, remedy: string][] = [
  [
    "a text for a number",
    { mtu: "1500" },
    '"mtu" is "1500", must be a whole number',
    'To fix: write it without quotes: "mtu": 1500',
  ],
  ["a word for a number", { mtu: "big" }, '"mtu" is "big", must be a whole number', general],
  ["a fraction", { mtu: 1.5 }, '"mtu" is 1.5, must be a whole number', general],
  ["below", { mtu: -1 }, '"mtu" is -1, must be from 0 to 65535', general],
  ["above", { mtu: 70000 }, '"mtu" is 70000, must be from 0 to 65535', general],
  [
    "only one limit",
    { ranges: [[{ subnet: "10.0.0.0/8", weight: -1 }]] },
    '"ranges[0][0].weight" is -1, must be at least 0',
    general,
  ],
  [
    "a text for a boolean",
    { isGateway: "True" },
    '"isGateway" is "True", must be true or false',
    'To fix: write it without quotes: "isGateway": true',
  ],
  ["a number for a boolean", { isGateway: 1 }, '"isGateway" is 1, must be true or false', general],
  [
    "an object for a list",
    { ranges: {} },
    '"ranges" is {}, must be a list',
    'To fix: put it in brackets: "ranges": [{}]',
  ],
  [
    "an object for a list inside",
    { ranges: [{ subnet: "10.0.0.0/8" }] },
    '"ranges[0]" is {"subnet":"10.0.0.0/8"}, must be a list',
    'To fix: put it in brackets: [{"subnet":"10.0.0.0/8"}]',
  ],
  ["a list for an object", { ipam: [] }, '"ipam" is [], must be an object', general],
  ["null in a list", { dns: { nameservers: [null] } }, '"dns.nameservers[0]" is null, must be a string', general],
  [
    "a number for a text",
    { dns: { domain: 5 } },
    '"dns.domain" is 5, must be a string',
    'To fix: write it with quotes: "domain": "5"',
  ],
  [
    "no address",
    { ranges: [[{ subnet: "10.1.0.0" }]] },
    '"ranges[0][0].subnet" is "10.1.0.0", must be an IP address with its prefix length, as "10.1.0.0/16" or "fd00::/64"',
    general,
  ],
  [
    "no hardware address",
    { mac: "0a:58" },
    '"mac" is "0a:58", must be a hardware address, as "0a:58:0a:01:00:02"',
    general,
  ],
  [
    "a key that is missing",
    { ranges: [[{}]] },
    '"ranges[0][0].subnet" is missing',
    "To fix: add it: the pool, as 10.1.0.0/16",
  ],
  [
    "not one of several",
    { mode: "briged" },
    '"mode" is "briged", must be one of "bridge", "vepa", "private"',
    'To fix: did you mean "bridge"?',
  ],
  [
    "several types",
    { limit: true },
    '"limit" is true, must be a whole number or a string',
    'To fix: write it with quotes: "limit": "true"',
  ],
  ["none of several schemas", { owner: "me" }, '"owner" is "me", must be a whole number or true or false', general],
  [
    "a capability",
    { capabilities: { portMappings: "yes" } },
    '"capabilities.portMappings" is "yes", must be true or false',
    general,
  ],
  [
    "a key with a slash",
    { "cni.dev/attachments": [{ containerID: 1, ifname: "x" }] },
    '"cni.dev/attachments[0].containerID" is 1, must be a string',
    'To fix: write it with quotes: "containerID": "1"',
  ],
];
for (const [what, conf, msg, remedy] of rows) {
  t.test(`a configuration that does not fit is refused: ${what}`, async (t) => {
    t.strictSame(
      refusalOf(() => check(conf)),
      {
        code: 7,
        msg,
        details: `in the configuration of network "net". ${remedy}`,
      },
    );
  });
}

t.test("the first fault is the message, the others are in the details", async (t) => {
  const { details } = refusalOf(() => check({ mtu: -1, mode: 5 }));
  t.equal(
    details,
    `in the configuration of network "net"; also: "mode" is 5, must be one of "bridge", "vepa", "private". ${general}`,
  );
});

t.test("a missing key of an item is named", async (t) => {
  t.match(
    refusalOf(() => check({ ranges: [[{ weight: 1 }]] })),
    {
      code: 7,
      msg: '"ranges[0][0].subnet" is missing',
      details: `in the configuration of network "net". To fix: add it: the pool, as 10.1.0.0/16`,
    },
  );
});

t.test("a configuration without type fits: the plugin that was called does not read it", async (t) => {
  t.strictSame(checkedConf(read('{"name": "net"}'), validateFake), { name: "net" });
});

t.test("what fits comes back normalized", async (t) => {
  const conf = check({ MTU: 1500, mac: "", isgateway: null, other: { MTU: 1 } });
  t.strictSame(conf, { name: "net", type: "fake", mtu: 1500, other: { MTU: 1 } });
});

t.test("null for a capability is as good as absent", async (t) => {
  const conf = check({ capabilities: { portMappings: null, bandwidth: true } });
  t.strictSame(conf, { name: "net", type: "fake", capabilities: { bandwidth: true } });
});

t.test("of several spellings the last in the text counts", async (t) => {
  const text =
    '{"name": "n", "type": "t", "mtu": 1, "MTU": 2, "mtu": 3, "Mode": "vepa", "mode": "private", "MODE": "vepa"}';
  t.strictSame(read(text).normalizedConf, { name: "n", type: "t", mtu: 3, mode: "vepa" });
});

t.test("problemsOf tells paths, for those who show lines", async (t) => {
  const { normalizedConf: settled } = read('{"type": "t", "ranges": [[{"subnet": "x"}, {}]]}');
  t.strictSame(
    problemsOf(settled, validateFake).map(({ path }) => path),
    [
      ["ranges", 0, 0, "subnet"],
      ["ranges", 0, 1],
    ],
  );
});

t.test("unknown keys are told with what was probably meant", async (t) => {
  const { unknownKeys } = read('{"type": "t", "isGatway": true, "ranges": [[{"subnett": "x"}]], "qqqqq": 1}');
  t.strictSame(unknownKeys.map(unknownKeyWarning), [
    'unknown key "isGatway" is ignored; did you mean "isGateway"?',
    'unknown key "ranges[0][0].subnett" is ignored; did you mean "subnet"?',
    'unknown key "qqqqq" is ignored',
  ]);
});

const unreadable: [what: string, text: string, msg: string, remedy: string][] = [
  [
    "nothing",
    "",
    "the configuration on stdin is not JSON: line 1, column 1: nothing where a value is expected",
    "correct the configuration file; cnitool validate FILE shows the line",
  ],
  [
    "a comma too many",
    '{"a": 1,}',
    'the configuration on stdin is not JSON: line 1, column 9: "}" after a comma',
    "remove the comma before it",
  ],
  [
    "a list",
    "[1]",
    "the configuration on stdin is [1], must be a JSON object",
    'pass a network configuration, as {"cniVersion": "1.1.0", "name": "net", "type": "bridge"}',
  ],
  [
    "a text",
    '"x"',
    'the configuration on stdin is "x", must be a JSON object',
    'pass a network configuration, as {"cniVersion": "1.1.0", "name": "net", "type": "bridge"}',
  ],
];
for (const [what, text, msg, remedy] of unreadable) {
  t.test(`stdin that is ${what} is refused with code 6`, async (t) => {
    t.strictSame(
      refusalOf(() => read(text)),
      { code: 6, msg, details: `To fix: ${remedy}` },
    );
  });
}

t.test("stdin of more than 8 MiB is refused without being parsed", async (t) => {
  const bytes = new Uint8Array(maxConfigurationBytes + 1).fill(0x20);
  t.match(
    refusalOf(() => readDocument(bytes, validateFake)),
    {
      code: 6,
      msg: "the configuration on stdin has more than 8 MiB",
    },
  );
});

t.test("stdin that is null is an empty object, as Go's decoder takes it", async (t) => {
  t.strictSame(read("null").normalizedConf, {});
});

t.test("broken UTF-8 does not keep a configuration from being read", async (t) => {
  const bytes = encode('{"name": "a?b"}');
  bytes[bytes.indexOf(0x3f)] = 0xff;
  t.strictSame(readDocument(bytes, validateFake).normalizedConf, { name: "a\ufffdb" });
});

t.test("where only types are checked, a value that does not fit will do, also of a choice", async (t) => {
  const loose = (conf: object) =>
    checkedConf(read(JSON.stringify({ name: "net", type: "fake", ...conf })), validateFake, { anyValue: true });
  t.match(loose({ mtu: -1, mac: "nonsense", mode: "other", owner: -1 }), { mtu: -1, owner: -1 });
  t.equal(refusalOf(() => loose({ mtu: "big" })).code, 7);
  t.equal(refusalOf(() => loose({ ranges: [[{}]] })).code, 7);
  t.equal(refusalOf(() => loose({ owner: "root" })).code, 7);
});

const unfit: [what: string, conf: object, left: object, problems: string[]][] = [
  ["nothing", { mtu: 1400 }, { mtu: 1400 }, []],
  ["a value", { mtu: -1, mode: "vepa" }, { mode: "vepa" }, ['"mtu" is -1, must be from 0 to 65535']],
  ["a type", { mtu: "1400" }, {}, ['"mtu" is "1400", must be a whole number']],
  ["a choice", { owner: "root" }, {}, ['"owner" is "root", must be a whole number or true or false']],
  ["an object", { ipam: 5 }, {}, ['"ipam" is 5, must be an object']],
  ["a key of an object", { ipam: { type: 5, x: 1 } }, { ipam: { x: 1 } }, ['"ipam.type" is 5, must be a string']],
  [
    "items of lists",
    { ranges: [[{ subnet: "10.0.0.0/8" }, {}], 7, [{ subnet: "x" }, { subnet: "fd00::/8", weight: "1" }]] },
    { ranges: [[{ subnet: "10.0.0.0/8" }], [{ subnet: "fd00::/8" }]] },
    [
      '"ranges[0][1].subnet" is missing',
      '"ranges[1]" is 7, must be a list',
      '"ranges[2][0].subnet" is "x", must be an IP address with its prefix length, as "10.1.0.0/16" or "fd00::/64"',
      '"ranges[2][1].weight" is "1", must be a whole number',
    ],
  ],
];
for (const [what, conf, left, problems] of unfit) {
  t.test(`fittingConf leaves out what does not fit, and says so: ${what}`, async (t) => {
    const told: string[] = [];
    const document = read(JSON.stringify({ name: "net", type: "fake", ...conf }));
    t.strictSame(
      fittingConf(document, validateFake, (problem) => told.push(problem)),
      {
        name: "net",
        type: "fake",
        ...left,
      },
    );
    t.strictSame(told.toSorted(), problems.toSorted());
  });
}
