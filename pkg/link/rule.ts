/** Routing policy rules, as `ip rule` handles them. */
import type { Address } from "../ip/address.ts";
import { type Connection, query, type Request, request } from "../netlink/connection.ts";
import { NLM_F_CREATE, NLM_F_EXCL } from "../netlink/nlmsg.ts";
import { AF_INET, AF_INET6, AF_UNSPEC } from "../netlink/rtnetlink/family.ts";
import {
  type RouteMessage,
  RT_TABLE_COMPAT,
  RT_TABLE_DEFAULT,
  RT_TABLE_LOCAL,
  RT_TABLE_MAIN,
  RT_TABLE_UNSPEC,
} from "../netlink/rtnetlink/route.ts";
import {
  FIB_RULE_INVERT,
  FR_ACT_TO_TBL,
  RTM_DELRULE,
  RTM_GETRULE,
  RTM_NEWRULE,
  type RuleMessage,
  ruleMessage,
} from "../netlink/rtnetlink/rule.ts";
import { familyNumber } from "./address.ts";
import { tableOf } from "./route.ts";

/** A rule that looks up packets from one address in a table. */
export interface SourceRule {
  source: Address;
  table: number;
}

/** Returns the rules of `ip rule show`, of both families. */
export function listRules(connection: Connection): RuleMessage[] {
  return connection
    .dump(query({ name: "RTM_GETRULE", type: RTM_GETRULE, table: ruleMessage, value: { family: AF_UNSPEC } }))
    .filter(({ family }) => family === AF_INET || family === AF_INET6);
}

/** Returns the rule if it selects by one source address and nothing else; otherwise undefined. */
export function sourceRuleOf(rule: RuleMessage): SourceRule | undefined {
  const { source, sourceLength, destinationLength, tos, flags, action } = rule;
  if (source === undefined || sourceLength !== 8 * source.length) return undefined;
  const isPlain =
    action === FR_ACT_TO_TBL &&
    destinationLength === 0 &&
    tos === 0 &&
    (flags & FIB_RULE_INVERT) === 0 &&
    !selects(rule);
  return isPlain ? { source, table: tableOf(rule) } : undefined;
}

function selects({
  inputName,
  outputName,
  mark,
  tunnelId,
  uids,
  ipProtocol,
  sourcePorts,
  destinationPorts,
}: RuleMessage) {
  const selectors = [inputName, outputName, mark, tunnelId, uids, ipProtocol, sourcePorts, destinationPorts];
  return selectors.some((selector) => selector !== undefined);
}

/** `ip rule add from <source> lookup <table>`: before all rules but the first. The kernel takes the same rule again, with another priority. */
export function addSourceRule(rule: SourceRule): Request {
  return sourceRequest("RTM_NEWRULE", NLM_F_CREATE | NLM_F_EXCL, rule);
}

/** `ip rule delete from <source> lookup <table>` */
export function deleteSourceRule(rule: SourceRule): Request {
  return sourceRequest("RTM_DELRULE", 0, rule);
}

function sourceRequest(name: "RTM_NEWRULE" | "RTM_DELRULE", flags: number, { source, table }: SourceRule): Request {
  return request({
    name,
    type: name === "RTM_NEWRULE" ? RTM_NEWRULE : RTM_DELRULE,
    flags,
    table: ruleMessage,
    value: {
      family: familyNumber(source),
      sourceLength: 8 * source.length,
      action: FR_ACT_TO_TBL,
      table: table < 256 ? table : RT_TABLE_UNSPEC,
      source,
      ...(table >= 256 && { longTable: table }),
    },
  });
}

/** Returns the numbers of tables that a rule names, that have routes, or that have a special meaning. */
export function usedTables(rules: readonly RuleMessage[], routes: readonly RouteMessage[]): Set<number> {
  const own = [RT_TABLE_UNSPEC, RT_TABLE_COMPAT, RT_TABLE_DEFAULT, RT_TABLE_MAIN, RT_TABLE_LOCAL];
  return new Set([...own, ...rules.map(tableOf), ...routes.map(tableOf)]);
}

/** Returns the lowest number from `first` on that is not used. */
export function freeTable(used: ReadonlySet<number>, first: number): number {
  let table = first;
  while (used.has(table)) table++;
  return table;
}
