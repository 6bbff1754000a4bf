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
    }),
    {
      name: "net",
      mtu: 1400,
      plugins: [{ type: "x", password: LEFT_OUT, nested: { apiKey: LEFT_OUT, isGateway: true } }],
      args: { cni: { labels: [{ key: LEFT_OUT, value: "y" }] } },
    },
  );
});

const texts: [what: string, text: string, expected: string][] = [
  ["a message", "cannot find eth0: link not found", "cannot find eth0: link not found"],
  ["a variable", "run with DB_PASSWORD=hunter2 and A=b", "run with DB_PASSWORD=(left out) and A=b"],
  ["a flag", "x --token=abc.def-1 --mtu=1400", "x --token=(left out) --mtu=1400"],
  ["a URL", "https://me:hunter2@host/x", "https://(left out)@host/x"],
  ["JSON", '{"password": "hun\\"ter2", "mtu": 1}', '{"password": "(left out)", "mtu": 1}'],
  ["JSON in JSON", '"{\\"secret\\":\\"s3\\",\\"a\\":\\"b\\"}"', '"{\\"secret\\":\\"(left out)\\",\\"a\\":\\"b\\"}"'],
  ["a header", "Authorization: Bearer abcdefgh12345678", "Authorization: Bearer (left out)"],
  ["a token", "got eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrIn0.c2ln here", "got (left out) here"],
  ["a key", "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\n", "(left out)\n"],
  [
    "CNI_ARGS, of which any value may be one",
    'CNI_ARGS is "K8S_POD_NAME=web;X=hunter2"; write IgnoreUnknown=1',
    'CNI_ARGS is "K8S_POD_NAME=(left out);X=(left out)"; write IgnoreUnknown=1',
  ],
];
for (const [what, text, expected] of texts)
  t.test(`secrets are left out of ${what}`, async (t) => {
    t.equal(textWithoutSecrets(text), expected);
  });
