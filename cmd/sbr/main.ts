/** sbr: source-based routing. Packets from an address of the interface leave through that interface. */

import { validate } from "#validate/sbr";
import { CniError, ErrorCode, invalidConf } from "../../pkg/cni/error.ts";
import type { Attachment, Plugin, Request } from "../../pkg/cni/plugin.ts";
import { needPrevResult } from "../../pkg/cni/prev-result.ts";
import type { Result } from "../../pkg/cni/result.ts";
import { withRollback } from "../../pkg/cni/rollback.ts";
import { type Address, compareAddresses, formatAddress } from "../../pkg/ip/address.ts";
import { familyOf } from "../../pkg/ip/family.ts";
import { addressesOf, familyNumber, listAddresses } from "../../pkg/link/address.ts";
import { checkFailure } from "../../pkg/link/check.ts";
import { type Address4Or6, addressOf } from "../../pkg/link/configure.ts";
import { findLink, needLink, openRtnetlink } from "../../pkg/link/link.ts";
import { withLockedNamespace } from "../../pkg/link/lock.ts";
import { findOtherOwner } from "../../pkg/link/owner.ts";
import { leadsThrough, listAllRoutes, tableOf } from "../../pkg/link/route.ts";
import { deleteSourceRule, listRules, type SourceRule, sourceRuleOf, usedTables } from "../../pkg/link/rule.ts";
import type { Connection } from "../../pkg/netlink/connection.ts";
import { RT_TABLE_MAIN } from "../../pkg/netlink/rtnetlink/route.ts";
import type { RuleMessage } from "../../pkg/netlink/rtnetlink/rule.ts";
import { isErrno } from "../../pkg/sys/errno.ts";
import { findNamespace, openNamespace } from "../../pkg/sys/namespace.ts";
import { applyPlan } from "./apply.ts";
import { parseSettings, type SbrConf, type SbrSettings } from "./netconf.ts";
import { type Plan, resultIn, rulesOnly, tableForEach } from "./plan.ts";

export const sbr: Plugin<SbrConf> = {
  name: "sbr",
  about: "routes traffic from the interface's addresses through the interface",
  validate,
  add,
  del,
  check,
  gc() {}, // rules and routes are deleted with the namespace
  status,
};

const UNCHAINED = "This plugin must be called as chained plugin";

function add(attachment: Attachment<SbrConf>): Result {
  const { ifName } = attachment;
  const settings = parseSettings(attachment.conf);
  const result = needPrevResult(attachment, UNCHAINED);
  const addresses = needAddresses(result, ifName);
  const netns = openNamespace(attachment.netns ?? "");

  return withLockedNamespace(netns, () => {
    const rtnl = openRtnetlink(netns);
    const { index } = needLink(rtnl, ifName);
    const rules = listRules(rtnl);
    const state = { rtnl, index, rules, addresses };
    const plan = planOf(state, settings);
    refuseExisting(state, plan);
    withRollback((undo) => applyPlan(plan, { rtnl, index }, undo));
    return resultIn(plan, result);
  });
}

/** Returns the addresses of this interface, and those without an interface. @throws CniError 7: there is none */
function needAddresses(result: Result, ifName: string): Address4Or6[] {
  const addresses = addressesIn(result, ifName);
  if (addresses.length > 0) return addresses;
  throw invalidConf(
    `No IP addresses supplied on interface: ${ifName}`,
    `put "sbr" after a plugin that gives "${ifName}" addresses: that plugin needs "ipam"`,
  );
}

function addressesIn({ ips, interfaces }: Result, ifName: string): Address4Or6[] {
  const isOwn = (index: number | undefined) =>
    (index === undefined ? ifName : (interfaces[index]?.name ?? ifName)) === ifName;
  return ips.filter((ip) => isOwn(ip.interface)).map(addressOf);
}

interface LinkState {
  rtnl: Connection;
  index: number;
  rules: readonly RuleMessage[];
  addresses: readonly Address4Or6[];
}

function planOf({ rtnl, index, rules, addresses }: LinkState, settings: SbrSettings): Plan {
  if (settings.table !== undefined) return rulesOnly(addresses, settings.table);
  const all = listAllRoutes(rtnl);
  const own = all.filter((one) => tableOf(one) === RT_TABLE_MAIN && leadsThrough(one, index));
  return tableForEach(addresses, own, usedTables(rules, all), settings);
}

/**
 * Refuses an address that has a rule already, to the same table or to one with routes through the interface: its owner is not known, and a
 * rollback could not tell it from our own. The first ADD has moved the routes, so a second one would fail on a gateway that nothing reaches.
 */
function refuseExisting({ rtnl, index, rules }: LinkState, { tables }: Plan): void {
  const existing = rules
    .flatMap((rule) => sourceRuleOf(rule) ?? [])
    .filter((rule) => tables.some(({ source }) => isFrom(source, rule)));
  if (existing.length === 0) return;
  const through = listAllRoutes(rtnl).filter((route) => tableOf(route) !== RT_TABLE_MAIN && leadsThrough(route, index));
  const taken = [...tables.map(({ table }) => table), ...through.map(tableOf)];
  const twice = existing.find(({ table }) => taken.includes(table));
  if (twice === undefined) return;
  throw new CniError({
    code: ErrorCode.internal,
    msg: `rule "from ${formatAddress(twice.source)} lookup ${twice.table}" already exists in the container`,
    remedy: "delete the attachment that made it (DEL), or remove it by hand: `ip rule delete …` in the namespace",
  });
}

const isFrom = (address: Address, { source }: SourceRule): boolean => compareAddresses(address, source) === 0;

/** Deletes the rules, which would stay; routes are deleted with the interface. */
function del(attachment: Attachment<SbrConf>): void {
  const netns = findNamespace(attachment.netns);
  if (netns === undefined) return;
  withLockedNamespace(netns, () => {
    const rtnl = openRtnetlink(netns);
    const { table } = attachment.conf;
    const sources = sourcesOf(rtnl, attachment);
    const rules = listRules(rtnl)
      .flatMap((rule) => sourceRuleOf(rule) ?? [])
      .filter((rule) => table === undefined || rule.table === table)
      .filter((rule) => sources.some((source) => isFrom(source, rule)));
    for (const refusal of rtnl.attemptAll(rules.map(deleteSourceRule)))
      if (refusal !== undefined && !isErrno(refusal, "ENOENT", "ESRCH")) throw refusal;
  });
}

/** Returns the interface's addresses, and those that it has lost since ADD, unless another interface has them now. */
function sourcesOf(rtnl: Connection, attachment: Attachment<SbrConf>): Address[] {
  const { ifName, prevResult } = attachment;
  const link = findOtherOwner(rtnl, attachment) === undefined ? findLink(rtnl, ifName) : undefined;
  const own = link === undefined ? [] : addressesOf(rtnl, link.index).map(({ prefix }) => prefix.address);
  const given = prevResult === undefined ? [] : addressesIn(prevResult, ifName).map(({ prefix }) => prefix.address);
  const lost = without(given, own);
  const elsewhere = lost.length === 0 ? [] : [...listAddresses(rtnl).values()].flat();
  return [
    ...own,
    ...without(
      lost,
      elsewhere.map(({ prefix }) => prefix.address),
    ),
  ];
}

const without = (addresses: readonly Address[], others: readonly Address[]): Address[] =>
  addresses.filter((address) => !others.some((other) => compareAddresses(address, other) === 0));

function check(attachment: Attachment<SbrConf>): void {
  const { ifName } = attachment;
  const { table, gateways } = parseSettings(attachment.conf);
  const addresses = needAddresses(needPrevResult(attachment, UNCHAINED), ifName);
  const rtnl = openRtnetlink(openNamespace(attachment.netns ?? ""));
  const rules = listRules(rtnl).flatMap((rule) => sourceRuleOf(rule) ?? []);
  const routes = table === undefined ? listAllRoutes(rtnl) : [];
  for (const { prefix, gateway } of addresses) {
    const source = formatAddress(prefix.address);
    const tables = rules.filter((rule) => isFrom(prefix.address, rule)).map((rule) => rule.table);
    if (table !== undefined) {
      if (!tables.includes(table)) throw checkFailure(`rule "from ${source} lookup ${table}" is missing`);
      continue;
    }
    if (tables.length === 0) throw checkFailure(`the rule from ${source} to a table of its own is missing`);
    const isReachable = gateway !== undefined || gateways.some((one) => familyOf(one) === familyOf(prefix.address));
    const hasDefault = routes.some(
      (one) =>
        one.family === familyNumber(prefix.address) && one.destinationLength === 0 && tables.includes(tableOf(one)),
    );
    if (isReachable && !hasDefault)
      throw checkFailure(
        `the default route in table ${tables.join(" and ")}, for what comes from ${source}, is missing`,
      );
  }
}

function status({ conf }: Request<SbrConf>): void {
  parseSettings(conf);
}
