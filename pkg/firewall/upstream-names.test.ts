import t from "tap";
import {
  chainName,
  containerIdOf,
  hashedName,
  ifbName,
  masqueradeComment,
  masqueradeId,
  networkId,
  ownerComment,
  ruleComment,
} from "./upstream-names.ts";

// The hashes are those of the reference plugins' own test suites; `printf test1234 | sha512sum` begins with the digits of the first.
t.test("names are those of the reference plugins", (t) => {
  t.equal(chainName({ network: "test", containerId: "1234" }), "CNI-2bbe0c48b91a7d1b8a6753a8");
  t.equal(chainName({ network: "test", containerId: "1234" }, "DN-"), "CNI-DN-2bbe0c48b91a7d1b8a675");
  t.equal(
    masqueradeId({ network: "unit-test", ifName: "eth0", containerId: "one" }),
    "6fd94d501e58f0aa-287fc69eff0574a2",
  );
  t.equal(networkId("unit-test"), "6fd94d501e58f0aa");
  t.equal(ifbName({ network: "mynet", containerId: "c1" }), "bwpf0bca4ac77cd");
  t.equal(hashedName("CNI-DN-", "test1234", 28).length, 28, "an odd number of digits");
  t.equal(
    masqueradeComment({ network: "unit-test", ifName: "eth0", containerId: "one" }),
    "6fd94d501e58f0aa-287fc69eff0574a2, net: unit-test, if: eth0, id: one",
  );
  t.end();
});

t.test("a comment in nftables has 128 characters at most, and no double quotes", (t) => {
  const comment = masqueradeComment({ network: "podnet", ifName: 'e"0', containerId: "c".repeat(80) });
  t.equal(comment.length, 128);
  t.ok(comment.includes("net: podnet, if: e0, id: ccc"), comment);
  t.end();
});

t.test("a comment of iptables has 255 bytes at most, and the owner's is a hash where it is longer", (t) => {
  const owner = { network: "n".repeat(100), containerId: "c".repeat(160), ifName: "eth0" };
  t.equal(ruleComment(owner), `name: "${"n".repeat(100)}" id: "${"c".repeat(141)}`);
  t.equal(ruleComment(owner).length, 255);
  t.equal(ownerComment(owner), `${masqueradeId(owner)} if: "eth0"`);
  t.end();
});

t.test("the container ID is read back from a comment of the network", (t) => {
  const owner = { network: "podnet", containerId: "3f2a-b.c_d" };
  t.equal(ruleComment(owner), 'name: "podnet" id: "3f2a-b.c_d"');
  t.equal(containerIdOf(ruleComment(owner), "podnet"), "3f2a-b.c_d");
  for (const other of ['name: "podnet2" id: "3f2a"', 'dnat name: "podnet" id: "3f2a"', 'name: "podnet" id: "3', ""]) {
    t.equal(containerIdOf(other, "podnet"), undefined, other);
  }
  t.end();
});
