import t from "tap";
import { editDistance, nearest } from "./edit-distance.ts";
import type { Json } from "./json.ts";
import { normalize } from "./normalize.ts";
import type { JsonSchema } from "./schema.ts";
import { shapeOf } from "./shape.ts";

const shape = shapeOf({
  type: "object",
  properties: {
    isGateway: { type: "boolean" },
    mac: { type: "string", format: "mac" },
    domain: { type: "string" },
    kind: { type: "string" },
    runtimeConfig: { type: "object", properties: { bandwidth: { type: "object", properties: { ingressRate: {} } } } },
    sysctl: { type: "object", additionalProperties: { type: "string" } },
    ipam: {
      type: "object",
      properties: {
        ranges: { type: "array", items: { type: "object", properties: { subnet: {} }, additionalProperties: false } },
        ipMasq: {},
        kind: {},
        Kind: {},
      },
      additionalProperties: false,
    },
  },
  additionalProperties: false,
} as const satisfies JsonSchema);

const rows: [what: string, given: Json, normalized: Json][] = [
  ["keys get the schema's spelling", { ISGATEWAY: true }, { isGateway: true }],
  [
    "also inside",
    { RuntimeConfig: { bandWidth: { ingressrate: 1 } } },
    { runtimeConfig: { bandwidth: { ingressRate: 1 } } },
  ],
  ["also in lists", { ipam: { Ranges: [{ Subnet: "x" }] } }, { ipam: { ranges: [{ subnet: "x" }] } }],
  ["letters that only Unicode folds", { "\u212aind": "a" }, { kind: "a" }],
  [
    "of two keys that differ in case only, each takes its own spelling, the first one all others",
    { ipam: { kind: 1, Kind: 2 } },
    { ipam: { kind: 1, Kind: 2 } },
  ],
  ["other spellings are the first one's", { ipam: { Kind: 2, KIND: 3 } }, { ipam: { Kind: 2, kind: 3 } }],
  ["keys of maps are data", { sysctl: { "net.A": "1", "net.a": "2" } }, { sysctl: { "net.A": "1", "net.a": "2" } }],
  ["null in a map is absent", { sysctl: { "net.a": null, "net.b": "1" } }, { sysctl: { "net.b": "1" } }],
  ["null is as good as absent", { isGateway: null, ipam: { ranges: null } }, { ipam: {} }],
  ["an empty address is as good as absent", { mac: "", domain: "" }, { domain: "" }],
  ["unknown keys stay", { x: { isGATEWAY: 1 }, y: null }, { x: { isGATEWAY: 1 }, y: null }],
  ["wrong types stay, to be told", { ipam: [1], isGateway: { a: 1 } }, { ipam: [1], isGateway: { a: 1 } }],
  ["a list is no object", ["isGATEWAY"], ["isGATEWAY"]],
];
for (const [what, given, normalized] of rows) {
  t.test(`normalize: ${what}`, async (t) => {
    const before = JSON.stringify(given);
    t.strictSame(normalize(given, shape).value, normalized);
    t.equal(JSON.stringify(given), before, "the document is left as it is");
  });
}

t.test("normalize: a dangerous key is a key like others", async (t) => {
  const { value } = normalize(JSON.parse('{"__proto__": {"isGateway": true}}') as Json, shape);
  t.ok(Object.hasOwn(value as object, "__proto__"));
  t.equal(Object.getPrototypeOf(value), Object.prototype);
});

t.test("normalize: of several spellings the last counts, and it says that the order matters", async (t) => {
  t.match(normalize({ isGateway: true, ISGATEWAY: false }, shape), { value: { isGateway: false }, isAmbiguous: true });
  t.match(normalize({ isGateway: true, ISGATEWAY: null }, shape), { value: { isGateway: true }, isAmbiguous: false });
});

t.test("normalize: unknown keys are found where the schema knows all, with what they should be", async (t) => {
  const { unknownKeys } = normalize(
    {
      isGatway: true,
      subnet: "10.0.0.0/8",
      "cni.dev/future": 1,
      zzz: 1,
      ipam: { rangs: [], ranges: [{ subnets: 1 }] },
      runtimeConfig: { portMappings: [] },
      sysctl: { anything: "1" },
    },
    shape,
  );
  t.strictSame(unknownKeys, [
    { path: ["isGatway"], suggestion: "isGateway" },
    { path: ["subnet"], suggestion: "ipam.ranges[].subnet" },
    { path: ["zzz"], suggestion: undefined },
    { path: ["ipam", "rangs"], suggestion: "ranges" },
    { path: ["ipam", "ranges", 0, "subnets"], suggestion: "subnet" },
  ]);
});

t.test("nearest: a word of 100,000 letters is compared with none that is much shorter", async (t) => {
  const word = "x".repeat(100_000);
  const untouched = (length: number) => {
    const text = new String("y".repeat(length)) as string;
    return Object.assign(text, { toLowerCase: () => t.fail("is compared") }) as unknown as string;
  };
  t.equal(nearest(word, [untouched(5), untouched(1000), untouched(66_000)]), undefined);
});

t.test("nearest: a slip of the finger is recognised, another word is not", async (t) => {
  const keys = ["isGateway", "isDefaultGateway", "mtu", "vlan", "hairpinMode"];
  for (const [word, meant] of [
    ["isGatewya", "isGateway"],
    ["ISGATEWAY", "isGateway"],
    ["hairpin", undefined],
    ["hairpinmod", "hairpinMode"],
    ["mut", "mtu"],
    ["vlna", "vlan"],
    ["type", undefined],
    ["", undefined],
  ] as const) {
    t.equal(nearest(word, keys), meant, word);
  }
});

t.test("editDistance", async (t) => {
  for (const [one, other, distance] of [
    ["", "", 0],
    ["", "abc", 3],
    ["abc", "abc", 0],
    ["abc", "acb", 1],
    ["abc", "ab", 1],
    ["abc", "xbc", 1],
    ["kitten", "sitting", 3],
  ] as const) {
    t.equal(editDistance(one, other), distance, `${one} ${other}`);
    t.equal(editDistance(other, one), distance, `${other} ${one}`);
  }
});
