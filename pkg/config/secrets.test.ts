import t from "tap";
import { isSecretName, LEFT_OUT, textWithoutSecrets, withoutSecrets } from "./secrets.ts";

t.test("names of secrets", async (t) => {
  for (const name of [
    "password",
    "DB_PASSWD",
    "passphrase",
    "clientSecret",
    "authToken",
    "K8S_POD_TOKEN",
    "apiKey",
    "private-key",
    "client-key-data",
    "psk",
    "key",
    "auth",
    "credentials",
    "pass",
    "DB_PASS",
    "db.pwd",
  ])
    t.ok(isSecretName(name), name);
  for (const name of [
    "author",
    "bridge",
    "keys",
    "ipMasq",
    "name",
    "gateway",
    "subnet",
    "K8S_POD_NAME",
    "monkey",
    "CNI_PATH",
    "bypass",
    "passthrough",
  ])
    t.notOk(isSecretName(name), name);
});

t.test("values of secret names are left out of a document, at any depth, and the others stay", async (t) => {
  t.strictSame(
    withoutSecrets({
      name: "net",
      mtu: 1400,
      plugins: [{ type: "x", password: "hunter2", nested: { apiKey: { a: 1 }, isGateway: true } }],
      args: { cni: { labels: [{ key: "token", value: "y" }] } },
      env: [
        { name: "DB_PASSWORD", value: "hunter2" },
        { name: "A", value: "b" },
        { Name: "apiKey", Value: ["hunter2"] },
        "DB_PASS=hun ter;2",
        "A=b",
      ],
    }),
    {
      name: "net",
      mtu: 1400,
      plugins: [{ type: "x", password: LEFT_OUT, nested: { apiKey: LEFT_OUT, isGateway: true } }],
      args: { cni: { labels: [{ key: "token", value: LEFT_OUT }] } },
      env: [
        { name: "DB_PASSWORD", value: LEFT_OUT },
        { name: "A", value: "b" },
        { Name: "apiKey", Value: LEFT_OUT },
        `DB_PASS=${LEFT_OUT}`,
        "A=b",
      ],
    },
  );
});

const texts: [what: string, text: string, expected: string][] = [
  ["a message", "cannot find eth0: link not found", "cannot find eth0: link not found"],
  ["a variable", "run with DB_PASSWORD=hunter2 and A=b", "run with DB_PASSWORD=(left out) and A=b"],
  ["a variable in escaped quotes", 'TOKEN=\\"hun ter2\\" A=b', "TOKEN=(left out) A=b"],
  ["a variable with a quote, a comma and a backslash", 'TOKEN=a\\"b,c\\\\d, A=b', "TOKEN=(left out), A=b"],
  ["a variable with a blank, in quotes", '["TOKEN=hun ter2","A=b"]', '["TOKEN=(left out)","A=b"]'],
  ["a variable in the value of another one", "env=TOKEN=hunter2", "env=TOKEN=(left out)"],
  ["a variable that is cut off", 'run with TOKEN="hun ter', "run with TOKEN=(left out)"],
  ["a variable that has a token", "TOKEN=eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrIn0.c2ln A=b", "TOKEN=(left out) A=b"],
  ["a flag", "x --token=abc.def-1 --mtu=1400", "x --token=(left out) --mtu=1400"],
  ["a URL", "https://me:hunter2@host/x", "https://(left out)@host/x"],
  ["JSON", '{"password": "hun\\"ter2", "mtu": 1}', '{"password": "(left out)", "mtu": 1}'],
  ["JSON that is cut off", '{"password": "hun\\', '{"password": "(left out)'],
  ["a number in JSON", '{"pwd": 12.5, "mtu": 1}', '{"pwd": (left out), "mtu": 1}'],
  [
    "an entry of a list in JSON",
    '[{"name":"TOKEN","value":"y"},{"name":"A","value":"b"}]',
    '[{"name":"TOKEN","value":"(left out)"},{"name":"A","value":"b"}]',
  ],
  [
    "JSON in JSON, with quotes and backslashes",
    JSON.stringify(JSON.stringify({ secret: 'a"b\\', a: "b" })),
    JSON.stringify(JSON.stringify({ secret: LEFT_OUT, a: "b" })),
  ],
  [
    "JSON in JSON in JSON",
    JSON.stringify(JSON.stringify(JSON.stringify({ secret: 'a"b', a: "b" }))),
    JSON.stringify(JSON.stringify(JSON.stringify({ secret: LEFT_OUT, a: "b" }))),
  ],
  ["JSON in JSON", '"{\\"secret\\":\\"s3\\",\\"a\\":\\"b\\"}"', '"{\\"secret\\":\\"(left out)\\",\\"a\\":\\"b\\"}"'],
  ["a header", "Authorization: Bearer abcdefgh12345678", "Authorization: Bearer (left out)"],
  ["a token", "got eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrIn0.c2ln here", "got (left out) here"],
  ["a key", "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\n", "(left out)\n"],
  [
    "CNI_ARGS, of which any value may be one",
    'CNI_ARGS is "K8S_POD_NAME=web;X=hunter2"; write IgnoreUnknown=1',
    'CNI_ARGS is "K8S_POD_NAME=(left out);X=(left out)"; write IgnoreUnknown=1',
  ],
  ["quoted values in CNI_ARGS", 'CNI_ARGS is "A=\\"hunter2\\";B=x\\\\y"', 'CNI_ARGS is "A=(left out);B=(left out)"'],
  ["CNI_ARGS that are cut off", 'CNI_ARGS is "A=b;B=hunt', 'CNI_ARGS is "A=(left out);B=(left out)'],
];
for (const [what, text, expected] of texts)
  t.test(`secrets are left out of ${what}`, async (t) => {
    t.equal(textWithoutSecrets(text), expected);
  });

/** With a time that grows by its square, one of these takes minutes. */
const LENGTH = 400_000;
t.test(
  "a text that repeats what a pattern begins with takes a time in proportion to its length",
  { timeout: 60_000 },
  async (t) => {
    for (const part of [
      ...'\\ a " - . = : +'.split(" "),
      ...[
        '\\"',
        '\\"a\\":\\"',
        '"a":"\\',
        "a=",
        'a="',
        "eyJ-",
        "eyJhbGciOiJ-",
        "a://",
        "a://b:",
        "bearer ",
        "-----BEGIN ",
      ],
    ])
      t.ok(textWithoutSecrets(`CNI_ARGS ${part.repeat(LENGTH / part.length)}`) !== "", part);
  },
);
