// The MAC spoof check on a fake kernel: what an ADD and a DEL make of what is there, with refusals and with others who change the rules.
import t from "tap";
import { NFPROTO_BRIDGE } from "../netlink/nftables/header.ts";
import { differenceBy, disturbedOnce, kernelWith, refusedOnce, thrownBy, type Work } from "./cases.testing.ts";
import { addMacSpoofCheck, removeMacSpoofCheck, restoreMacSpoofCheck } from "./mac-spoof-check.ts";
import { flushChain, newChain, newRule, newTable } from "./nftables/ruleset.ts";
import { commit } from "./nftables/transaction.ts";
import { ACCEPT, jumpTo } from "./nftables/verdict.ts";

const owner = (containerId: string) => ({ network: "podnet", containerId, ifName: "eth0" });
const link = { hostIfName: "veth1", mac: "0a:58:0a:16:00:05" };
const nobodys = () => false;
const add =
  (containerId: string, more = link): Work =>
  (netfilter) =>
    addMacSpoofCheck(owner(containerId), more, nobodys, netfilter);
const remove =
  (containerId: string): Work =>
  (netfilter) =>
    removeMacSpoofCheck(owner(containerId), nobodys, netfilter);

const TABLE = { family: NFPROTO_BRIDGE, table: "nat" };
const chain = (name: string) => ({ ...TABLE, chain: name });
const foreignRule: Work = (netfilter) =>
  commit(netfilter, [newRule(chain("PREROUTING"), { expressions: ACCEPT, comment: "theirs", at: "first" })]);
const foreignTable: Work = (netfilter) => commit(netfilter, [newTable({ ...TABLE, table: "theirs" })]);
/** As the reference plugin leaves it when it is killed: chains without a jump. */
const emptyChains: Work = (netfilter) =>
  commit(netfilter, [
    newTable(TABLE),
    newChain(chain("cni-br-iface-a-eth0")),
    newChain(chain("cni-br-iface-a-eth0-mac")),
  ]);

const checks = [
  'iifname "veth1" jump cni-br-iface-a-eth0 comment "macspoofchk-a-eth0"',
  "chain cni-br-iface-a-eth0 {",
  'jump cni-br-iface-a-eth0-mac comment "macspoofchk-a-eth0"',
  "}",
  "chain cni-br-iface-a-eth0-mac {",
  'ether saddr 0a:58:0a:16:00:05 return comment "macspoofchk-a-eth0"',
  'drop comment "macspoofchk-a-eth0"',
  "}",
];
const came = checks.map((line) => `+ ${line}`);
const gone = checks.map((line) => `- ${line}`);
const rules = (lines: readonly string[]) => lines.filter((line) => line.includes("comment"));
const base = ["+ chain PREROUTING { type filter hook prerouting priority -300; policy accept;", "+ }"];
const macFlushed: Work = (netfilter) => commit(netfilter, [flushChain(chain("cni-br-iface-a-eth0-mac"))]);

const cases: [claim: string, before: Work[], work: Work, expected: string[]][] = [
  [
    "on an empty host",
    [],
    add("a"),
    ["- ", "+ table bridge nat {", ...base, ...came, "+ }", "+ "].filter((line) => line.length > 2),
  ],
  ["beside another container", [add("b")], add("a"), came],
  ["behind somebody else's rule", [add("b"), foreignRule], add("a"), came],
  ["again", [add("b"), add("a")], add("a"), []],
  [
    "with another MAC",
    [add("a")],
    add("a", { ...link, mac: "0a:58:0a:16:00:06" }),
    [
      '- ether saddr 0a:58:0a:16:00:05 return comment "macspoofchk-a-eth0"',
      '+ ether saddr 0a:58:0a:16:00:06 return comment "macspoofchk-a-eth0"',
    ],
  ],
  ["into chains that were left empty", [emptyChains], add("a"), [...base, ...rules(came)]],
  ["a DEL", [add("b"), add("a")], remove("a"), gone],
  [
    "a DEL whose rules were flushed",
    [add("b"), add("a"), macFlushed],
    remove("a"),
    gone.filter((line) => !/ether|drop/.test(line)),
  ],
  [
    "a DEL of chains that were left empty",
    [emptyChains],
    remove("a"),
    gone.filter((line) => !line.includes("comment")),
  ],
  ["a DEL of somebody else", [add("b")], remove("a"), []],
  ["a DEL on an empty host", [], remove("a"), []],
  [
    "a reload of what is complete",
    [add("a")],
    (netfilter) => restoreMacSpoofCheck(netfilter, owner("a"), link, nobodys),
    [],
  ],
  [
    "a reload of what was flushed",
    [add("a"), macFlushed],
    (netfilter) => restoreMacSpoofCheck(netfilter, owner("a"), link, nobodys),
    rules(came).filter((line) => /ether|drop/.test(line)),
  ],
];
for (const [claim, before, work, expected] of cases) {
  t.test(claim, async (t) => {
    t.strictSame(differenceBy(kernelWith(...before), work).sort(), expected.sort());
  });
}

t.test("a reload of what is complete changes nothing beside an interface whose name begins alike", async (t) => {
  const tenth: Work = (netfilter) =>
    addMacSpoofCheck({ ...owner("a"), ifName: "eth01" }, { ...link, hostIfName: "veth2" }, nobodys, netfilter);
  const kernel = kernelWith(add("a"), tenth);
  const { generation } = kernel;
  restoreMacSpoofCheck(kernel.connect(), owner("a"), link, nobodys);
  t.equal(kernel.generation, generation);
});

t.test("attachments whose chains would have one name: the second is refused, and the first stays", async (t) => {
  const isFirsts = (hostIfName: string) => hostIfName === link.hostIfName;
  for (const [first, second] of [
    [
      { containerId: "a-b", ifName: "eth0" },
      { containerId: "a", ifName: "b-eth0" },
    ],
    [
      { containerId: "a", ifName: "eth0" },
      { containerId: "a", ifName: "eth0-mac" },
    ],
    [
      { containerId: "a", ifName: "eth0-mac" },
      { containerId: "a", ifName: "eth0" },
    ],
  ] as const) {
    const kernel = kernelWith((netfilter) => addMacSpoofCheck({ network: "net", ...first }, link, nobodys, netfilter));
    const text = kernel.text();
    const other = { network: "net", ...second };
    const message = thrownBy(() =>
      addMacSpoofCheck(other, { ...link, hostIfName: "veth2" }, isFirsts, kernel.connect()),
    );
    t.match(
      message,
      /^the MAC spoof check of container a, interface ".*" has the name of another attachment's: cni-br-/,
    );
    removeMacSpoofCheck(other, isFirsts, kernel.connect());
    t.equal(kernel.text(), text, "DEL of the second");
    removeMacSpoofCheck({ network: "net", ...first }, nobodys, kernel.connect());
    t.notMatch(kernel.text(), "macspoofchk");
  }
});

t.test("a refusal is reported and changes nothing, whichever request it meets", async (t) => {
  t.strictSame(
    refusedOnce(() => kernelWith(), add("a")),
    [],
  );
  t.strictSame(
    refusedOnce(() => kernelWith(add("a"), add("b")), add("a")),
    [],
  );
  t.strictSame(
    refusedOnce(() => kernelWith(add("a"), add("b")), remove("a")),
    [],
  );
});

t.test("what others do meanwhile is kept", async (t) => {
  const works: [string, Work, Work][] = [
    ["ADD beside a table of somebody else", add("a"), foreignTable],
    ["ADD beside a rule of somebody else", add("a"), foreignRule],
    ["ADD beside another ADD", add("a"), add("c")],
    ["ADD beside the same ADD", add("a"), add("a")],
    ["ADD beside another DEL", add("a"), remove("b")],
    ["DEL beside another ADD", remove("b"), add("a")],
    ["DEL beside the same DEL", remove("b"), remove("b")],
  ];
  for (const [what, work, change] of works) {
    const expected = kernelWith(add("b"), change, work).text();
    t.strictSame(
      disturbedOnce(() => kernelWith(add("b")), work, change, expected),
      [],
      what,
    );
  }
});

t.test("a chain that somebody else jumps to is reported, and all of it stays", async (t) => {
  const jump: Work = (netfilter) =>
    commit(netfilter, [
      newChain(chain("theirs")),
      newRule(chain("theirs"), { expressions: jumpTo("cni-br-iface-a-eth0") }),
    ]);
  const kernel = kernelWith(add("a"), jump);
  const before = kernel.text();
  t.match(
    thrownBy(() => remove("a")(kernel.connect())),
    /the kernel refuses the rules of the MAC spoof check/,
  );
  t.equal(kernel.text(), before);
});
