import t from "tap";
import { checkNetworkName, readParameters, splitPath } from "./environment.ts";

const complete = {
  CNI_CONTAINERID: "some-container.id_1",
  CNI_NETNS: "/run/netns/one",
  CNI_IFNAME: "eth0",
  CNI_ARGS: "IP=10.1.2.3",
  CNI_PATH: "/opt/cni/bin:/usr/lib/cni",
};

/** Which variables a verb cannot do without. */
const required: Record<string, string[]> = {
  ADD: ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"],
  CHECK: ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"],
  DEL: ["CNI_CONTAINERID", "CNI_IFNAME", "CNI_PATH"],
  GC: ["CNI_PATH"],
  STATUS: ["CNI_PATH"],
  VERSION: [],
};

for (const [verb, names] of Object.entries(required)) {
  for (const name of Object.keys(complete)) {
    const isRequired = names.includes(name);
    t.test(`${verb} ${isRequired ? "needs" : "does without"} ${name}`, async (t) => {
      for (const value of [undefined, ""]) {
        const read = () => readParameters({ ...complete, CNI_COMMAND: verb, [name]: value ?? "" });
        if (isRequired) t.throws(read, { code: 4, msg: `required env variables [${name}] missing` });
        else t.match(read(), { verb });
      }
    });
  }
}

t.test("everything that is missing is told at once", async (t) => {
  t.throws(() => readParameters({ CNI_COMMAND: "ADD" }), {
    code: 4,
    msg: "required env variables [CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH] missing",
    details:
      "CNI_COMMAND is ADD. To fix: set them, as CNI_CONTAINERID=example CNI_NETNS=/run/netns/example CNI_IFNAME=eth0 CNI_PATH=/opt/cni/bin",
  });
});

t.test("a value that is wrong outranks one that is missing", async (t) => {
  t.throws(() => readParameters({ CNI_COMMAND: "ADD", CNI_IFNAME: "a/b" }), { code: 4, msg: /^CNI_IFNAME is "a\/b"/ });
});

t.test("values are looked at for verbs that need them only", async (t) => {
  const bad = { ...complete, CNI_CONTAINERID: "no good", CNI_IFNAME: "a:b" };
  for (const verb of ["GC", "STATUS", "VERSION"]) t.match(readParameters({ ...bad, CNI_COMMAND: verb }), { verb });
});

for (const containerId of ["no good", "-begins", ".begins", "a/b", "a:b", "ä", "a\n", "../x"]) {
  t.test(`container ID ${JSON.stringify(containerId)} is refused`, async (t) => {
    t.throws(() => readParameters({ ...complete, CNI_COMMAND: "DEL", CNI_CONTAINERID: containerId }), {
      code: 4,
      msg: `invalid characters in CNI_CONTAINERID ${JSON.stringify(containerId)}: it must begin with a letter or digit, and have only letters, digits, "_", "." and "-"`,
      details: `${containerId}. To fix: the runtime must choose an ID that can be part of a file name`,
    });
  });
}

for (const ifName of [".", "..", "a/b", "a:b", "a b", "a\u0085", "a\u00a0", "0123456789abcdef", "äöüäöüäö"]) {
  t.test(`interface name ${JSON.stringify(ifName)} is refused`, async (t) => {
    t.throws(() => readParameters({ ...complete, CNI_COMMAND: "ADD", CNI_IFNAME: ifName }), {
      code: 4,
      msg: `CNI_IFNAME is ${JSON.stringify(ifName)}, must be an interface name: 1 to 15 bytes, neither "." nor "..", without "/", ":" and white space`,
      details: "To fix: choose another interface name, as eth0",
    });
  });
}

for (const [name, msg] of [
  [undefined, '"name" is missing: the name of the network'],
  ["", '"name" is missing: the name of the network'],
  ["a b", '"name" is "a b": it must begin with a letter or digit, and have only letters, digits, "_", "." and "-"'],
  [
    "../etc",
    '"name" is "../etc": it must begin with a letter or digit, and have only letters, digits, "_", "." and "-"',
  ],
  [5, '"name" is 5: it must begin with a letter or digit, and have only letters, digits, "_", "." and "-"'],
] as const) {
  t.test(`network name ${JSON.stringify(name)} is refused`, async (t) => {
    t.throws(() => checkNetworkName(name), { code: 7, msg });
  });
}

t.test("without CNI_COMMAND there are no parameters", async (t) => {
  t.equal(readParameters(complete), undefined);
  t.equal(readParameters({ ...complete, CNI_COMMAND: "" }), undefined);
});

t.test("all parameters are handed on", async (t) => {
  t.strictSame(readParameters({ ...complete, CNI_COMMAND: "ADD" }), {
    verb: "ADD",
    containerId: "some-container.id_1",
    netns: "/run/netns/one",
    ifName: "eth0",
    args: "IP=10.1.2.3",
    path: ["/opt/cni/bin", "/usr/lib/cni"],
  });
  t.match(readParameters({ ...complete, CNI_COMMAND: "DEL", CNI_NETNS: "" }), { netns: undefined });
});

t.test("empty parts of CNI_PATH do not mean the current directory", async (t) => {
  t.strictSame(splitPath(":/a::/b:"), ["/a", "/b"]);
});
