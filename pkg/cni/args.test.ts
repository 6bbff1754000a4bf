import t from "tap";
import { readArgs, readPairs } from "./args.ts";

t.test("readArgs gives the keys that the plugin knows", async (t) => {
  t.strictSame(readArgs("", ["IP"]), {});
  t.strictSame(readArgs("IP=10.1.2.3", ["IP", "GATEWAY"]), { IP: "10.1.2.3" });
  t.strictSame(readArgs("IP=1;IP=2", ["IP"]), { IP: "2" }, "the last one counts");
  t.strictSame(readArgs("IP=", ["IP"]), { IP: "" });
});

for (const ignore of [
  "IgnoreUnknown=1",
  "IgnoreUnknown=true",
  "IgnoreUnknown=TRUE",
  "IgnoreUnknown=0;IgnoreUnknown=1",
]) {
  t.test(`unknown keys are passed over with ${ignore}, wherever it stands`, async (t) => {
    t.strictSame(readArgs(`${ignore};K8S_POD_NAME=x;IP=1`, ["IP"]), { IP: "1" });
    t.strictSame(readArgs(`K8S_POD_NAME=x;IP=1;${ignore}`, ["IP"]), { IP: "1" });
  });
}

const refused: [what: string, args: string, msg: string, details: string][] = [
  [
    "unknown keys",
    "IP=1;FOO=2;BAR=3",
    'CNI_ARGS: ARGS: unknown args ["FOO=2" "BAR=3"]',
    "this plugin has the arguments IP, MAC. To fix: add IgnoreUnknown=1 to CNI_ARGS if they are for another plugin",
  ],
  [
    "keys in lower case",
    "mac=0a:58:0a:01:00:02",
    'CNI_ARGS: ARGS: unknown args ["mac=0a:58:0a:01:00:02"]',
    "this plugin has the arguments IP, MAC. To fix: did you mean MAC? Or add IgnoreUnknown=1 to CNI_ARGS if they are for another plugin",
  ],
  [
    "unknown keys that are not to be ignored",
    "FOO=2;IgnoreUnknown=false",
    'CNI_ARGS: ARGS: unknown args ["FOO=2"]',
    "this plugin has the arguments IP, MAC. To fix: add IgnoreUnknown=1 to CNI_ARGS if they are for another plugin",
  ],
  [
    "a semicolon at the end",
    "IP=1;",
    'CNI_ARGS: ARGS: invalid pair ""',
    'CNI_ARGS is "IP=1;"; each part between semicolons must have exactly one "=". To fix: remove the semicolon at the end',
  ],
  [
    "a value with =",
    "IP=a=b",
    'CNI_ARGS: ARGS: invalid pair "IP=a=b"',
    'CNI_ARGS is "IP=a=b"; each part between semicolons must have exactly one "=". To fix: write it as KEY=VALUE',
  ],
  [
    "a key alone",
    "IP",
    'CNI_ARGS: ARGS: invalid pair "IP"',
    'CNI_ARGS is "IP"; each part between semicolons must have exactly one "=". To fix: write it as KEY=VALUE',
  ],
  [
    "an IgnoreUnknown that is no boolean",
    "IgnoreUnknown=yes",
    'CNI_ARGS: IgnoreUnknown is "yes", must be 1, true, 0 or false',
    "To fix: write IgnoreUnknown=1",
  ],
];
for (const [what, args, msg, details] of refused) {
  t.test(`readArgs refuses ${what}`, async (t) => {
    t.throws(() => readArgs(args, ["IP", "MAC"]), { code: 4, msg, details });
  });
}

t.test("readPairs keeps order and duplicates", async (t) => {
  t.strictSame(readPairs("B=1;A=2;B="), [
    ["B", "1"],
    ["A", "2"],
    ["B", ""],
  ]);
  t.strictSame(readPairs(""), []);
});
