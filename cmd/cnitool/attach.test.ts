import t from "tap";
import { containerIdOf } from "../../pkg/runtime/container-id.ts";
import { absolutePath, capabilityArgs, cniArgs, refuseNameAsPath, refusePathAsName } from "./attach.ts";

t.test("the container ID is the one that the Go tool makes of the path", async (t) => {
  // CNI_CONTAINERID of `cnitool add` 1.3.1
  t.equal(containerIdOf("/var/run/netns/testing"), "cnitool-77383ca0a0715733ca6f");
  t.equal(containerIdOf("/var/run/netns/t2"), "cnitool-337675cd22f2c06b2d70");
  t.equal(containerIdOf("/x"), "cnitool-7d368988110efa22d5ba");
});

const paths: [path: string, absolute: string][] = [
  ["/run/netns/a", "/run/netns/a"],
  ["a", "/work/here/a"],
  ["./a/", "/work/here/a"],
  ["../a", "/work/a"],
  ["//run//netns/./b/../a", "/run/netns/a"],
  ["/..", "/"],
];
for (const [path, absolute] of paths) {
  t.test(`the namespace ${path} is ${absolute}`, async (t) => {
    t.equal(
      absolutePath(path, () => "/work/here"),
      absolute,
    );
  });
}

t.test("an empty path is refused", async (t) => {
  t.throws(() => absolutePath(""), { code: 4, msg: "the path of the namespace is empty" });
});

t.test("a namespace's name is refused where it cannot be a path", async (t) => {
  const having =
    (...paths: string[]) =>
    (path: string) =>
      paths.includes(path);
  for (const exists of [having("/run/netns/try"), having()])
    t.throws(() => refuseNameAsPath("try", exists), {
      code: 4,
      msg: '"try" is a namespace\'s name, must be its path',
      details: "To fix: write /run/netns/try, or ./try for a file of this directory",
    });
  for (const [operand, exists] of [
    ["try", having("try", "/run/netns/try")],
    ["./try", having()],
    ["/run/netns/try", having("/run/netns/try", "/run/netns//run/netns/try")],
    ["", having("/run/netns/")],
  ] as const)
    t.doesNotThrow(() => refuseNameAsPath(operand, exists), operand);
});

t.test("a path where the network's name is wanted is refused", async (t) => {
  t.throws(() => refusePathAsName("/run/netns/try"), {
    code: 4,
    msg: 'the first argument must be the network\'s name, "/run/netns/try" is a path',
  });
  t.doesNotThrow(() => refusePathAsName("podnet"));
});

t.test("CNI_ARGS are pairs with both sides", async (t) => {
  t.strictSame(cniArgs(""), []);
  t.strictSame(cniArgs("A=1;B=2"), [
    ["A", "1"],
    ["B", "2"],
  ]);
  for (const text of ["A", "A=1;", "A=1=2"]) t.throws(() => cniArgs(text), { code: 4 }, text);
  t.throws(() => cniArgs("A=;B=2"), { code: 4, msg: 'invalid CNI_ARGS pair "A="' });
  t.throws(() => cniArgs("=1"), { code: 4, msg: 'invalid CNI_ARGS pair "=1"' });
});

t.test("CAP_ARGS are a JSON object", async (t) => {
  t.strictSame(capabilityArgs(""), {});
  t.strictSame(capabilityArgs('{"mac":"0a:58:0a:01:00:02"}'), { mac: "0a:58:0a:01:00:02" });
  t.throws(() => capabilityArgs("[]"), { code: 4, msg: "CAP_ARGS is [], must be a JSON object" });
  t.throws(() => capabilityArgs("{'mac'"), {
    code: 4,
    msg: 'CAP_ARGS is not JSON: line 1, column 2: "\'" where a key is expected',
  });
});
