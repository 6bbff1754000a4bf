// Rules: what is sent is what `ip rule` sends; what a fake kernel makes of it, and what is read of it.
import t from "tap";
import type { Request } from "../netlink/connection.ts";
import { ip, requestsOfCommands } from "../netlink/golden.testing.ts";
import {
  FIB_RULE_INVERT,
  FR_ACT_PROHIBIT,
  FR_ACT_TO_TBL,
  RTM_DELRULE,
  RTM_NEWRULE,
  type RuleMessage,
} from "../netlink/rtnetlink/rule.ts";
import { namespaceWith, outcomeOf, prefix, UNEXPECTED } from "./cases.testing.ts";
import { setUp } from "./link.ts";
import { addRoute, listAllRoutes } from "./route.ts";
import { addSourceRule, deleteSourceRule, freeTable, listRules, sourceRuleOf, usedTables } from "./rule.ts";

requestsOfCommands([
  {
    command: "ip rule add from 10.1.0.5 lookup 100",
    ours: addSourceRule({ source: ip("10.1.0.5"), table: 100 }),
    type: RTM_NEWRULE,
    flags: 0x605,
    wire: "02002000 64000001 00000000 08000200 0a010005",
  },
  {
    command: "ip rule add from 10.1.0.5 lookup 1000",
    ours: addSourceRule({ source: ip("10.1.0.5"), table: 1000 }),
    type: RTM_NEWRULE,
    flags: 0x605,
    wire: "02002000 00000001 00000000 08000200 0a010005 08000f00 e8030000",
  },
  {
    command: "ip -6 rule add from fd01::5 lookup 100",
    ours: addSourceRule({ source: ip("fd01::5"), table: 100 }),
    type: RTM_NEWRULE,
    flags: 0x605,
    wire: "0a008000 64000001 00000000 14000200 fd010000 00000000 00000000 00000005",
  },
  {
    command: "ip rule del from 10.1.0.5 lookup 100",
    ours: deleteSourceRule({ source: ip("10.1.0.5"), table: 100 }),
    type: RTM_DELRULE,
    flags: 0x5,
    wire: "02002000 64000000 00000000 08000200 0a010005",
    differs: { value: { action: FR_ACT_TO_TBL }, because: "no rule of another action is meant" },
  },
]);

t.test("what a rule changes, beside one from 10.1.0.5", async (t) => {
  const from = (source: string, table: number) => ({ source: ip(source), table });
  const cases: [string, Request, string[] | string][] = [
    ["from another address", addSourceRule(from("10.1.0.6", 1000)), ["+ rule 32764: from 10.1.0.6 lookup 1000"]],
    ["from an IPv6 address", addSourceRule(from("fd00::5", 100)), ["+ rule 32765: from fd00::5 lookup 100"]],
    ["the same", addSourceRule(from("10.1.0.5", 100)), ["+ rule 32764: from 10.1.0.5 lookup 100"]],
    ["deleted", deleteSourceRule(from("10.1.0.5", 100)), ["- rule 32765: from 10.1.0.5 lookup 100"]],
    [
      "deleted, but with another table",
      deleteSourceRule(from("10.1.0.5", 101)),
      `999: RTM_DELRULE: ENOENT; ${UNEXPECTED}`,
    ],
  ];
  for (const [what, request, outcome] of cases) {
    const host = namespaceWith();
    host.connect().request(addSourceRule(from("10.1.0.5", 100)));
    t.strictSame(
      outcomeOf(host, () => host.connect().request(request)),
      outcome,
      what,
    );
  }
});

t.test("rules that select by a source address and nothing else", async (t) => {
  const rtnl = namespaceWith().connect();
  rtnl.requestAll([
    addSourceRule({ source: ip("10.1.0.5"), table: 1000 }),
    addSourceRule({ source: ip("fd00::5"), table: 100 }),
  ]);
  const found = listRules(rtnl);
  t.equal(found.length, 7, "those that every namespace has, too");
  const plain = found.flatMap((rule) => sourceRuleOf(rule) ?? []);
  t.strictSame(plain, [
    { source: ip("10.1.0.5"), table: 1000 },
    { source: ip("fd00::5"), table: 100 },
  ]);
  const own = found.find(({ source }) => source !== undefined) as RuleMessage;
  const others: Partial<RuleMessage>[] = [
    { sourceLength: 24 },
    { destinationLength: 8 },
    { tos: 4 },
    { flags: FIB_RULE_INVERT },
    { action: FR_ACT_PROHIBIT },
    { inputName: "eth0" },
    { outputName: "eth0" },
    { mark: 1 },
    { tunnelId: 1n },
    { uids: { start: 0, end: 0 } },
    { ipProtocol: 6 },
    { sourcePorts: { start: 1, end: 2 } },
    { destinationPorts: { start: 1, end: 2 } },
  ];
  for (const other of others) t.equal(sourceRuleOf({ ...own, ...other }), undefined, Object.keys(other).join());
});

t.test("a free table is one that no rule and no route has, and that has no meaning of its own", async (t) => {
  const host = namespaceWith({ ifName: "v0", linkInfo: { kind: "dummy" } });
  const rtnl = host.connect();
  rtnl.requestAll([
    addSourceRule({ source: ip("10.1.0.5"), table: 100 }),
    setUp(2),
    addRoute(2, { destination: prefix("10.9.0.0/16"), table: 101 }),
  ]);
  const used = usedTables(listRules(rtnl), listAllRoutes(rtnl));
  t.equal(freeTable(used, 100), 102);
  t.equal(freeTable(used, 99), 99);
  t.equal(freeTable(used, 252), 256, "252 to 255 are the kernel's");
});
