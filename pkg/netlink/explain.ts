// Formats messages as text by their tables, for TWILL_TRACE=1.

import * as flow from "./conntrack/flow.ts";
import { decode } from "./message.ts";
import * as batch from "./nftables/batch.ts";
import * as chain from "./nftables/chain.ts";
import * as compat from "./nftables/compat.ts";
import * as element from "./nftables/element.ts";
import * as generation from "./nftables/generation.ts";
import * as nftRule from "./nftables/rule.ts";
import * as set from "./nftables/set.ts";
import * as table from "./nftables/table.ts";
import {
  decodeAnswer,
  decodeNlmsgs,
  NLM_F_ACK,
  NLM_F_APPEND,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLM_F_EXCL,
  NLM_F_MULTI,
  NLM_F_REPLACE,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_NOOP,
  NLMSG_OVERRUN,
  type Nlmsg,
} from "./nlmsg.ts";
import * as address from "./rtnetlink/address.ts";
import { bridgeLinkMessage } from "./rtnetlink/bridge-link.ts";
import { AF_BRIDGE } from "./rtnetlink/family.ts";
import * as filter from "./rtnetlink/filter.ts";
import * as link from "./rtnetlink/link.ts";
import * as neighbour from "./rtnetlink/neighbour.ts";
import * as qdisc from "./rtnetlink/qdisc.ts";
import * as route from "./rtnetlink/route.ts";
import * as rule from "./rtnetlink/rule.ts";
import { type AnyWire, WireError } from "./wire.ts";

interface Explained {
  name: string;
  table: AnyWire;
}

/** Returns each message type that a module has a constant for (`RTM_NEWADDR`), with the module's table. */
function typesOf(prefix: RegExp, module: object, table: AnyWire): [number, Explained][] {
  return Object.entries(module).flatMap(([name, value]) =>
    prefix.test(name) && typeof value === "number" ? [[value, { name, table }]] : [],
  );
}

const routeTypes = new Map<number, Explained>([
  ...typesOf(/^RTM_(NEW|DEL|GET|SET)/, link, link.linkMessage),
  ...typesOf(/^RTM_(NEW|DEL|GET)/, address, address.addressMessage),
  ...typesOf(/^RTM_(NEW|DEL|GET)/, route, route.routeMessage),
  ...typesOf(/^RTM_(NEW|DEL|GET)/, neighbour, neighbour.neighbourMessage),
  ...typesOf(/^RTM_(NEW|DEL|GET)/, rule, rule.ruleMessage),
  ...typesOf(/^RTM_(NEW|DEL|GET)/, qdisc, qdisc.qdiscMessage),
  ...typesOf(/^RTM_(NEW|DEL|GET)/, filter, filter.filterMessage),
]);

const netfilterTypes = new Map<number, Explained>([
  ...typesOf(/^IPCTNL_MSG_/, flow, flow.flowMessage),
  ...typesOf(/^NFNL_MSG_/, batch, batch.batchMessage),
  ...typesOf(/^NFNL_MSG_/, compat, compat.compatMessage),
  ...typesOf(/^NFT_MSG_/, generation, generation.generationMessage),
  ...typesOf(/^NFT_MSG_/, table, table.tableMessage),
  ...typesOf(/^NFT_MSG_/, chain, chain.chainMessage),
  ...typesOf(/^NFT_MSG_/, nftRule, nftRule.ruleMessage),
  ...typesOf(/^NFT_MSG_/, set, set.setMessage),
  ...typesOf(/^NFT_MSG_/, element, element.elementMessage),
]);

/**
 * Returns one line for each message of a datagram, sent or received: `RTM_NEWADDR REQUEST|ACK #7 {family: AF_INET, …}`. Does not throw
 * for bytes that cannot be decoded but says so in the line, since traces are read when something is wrong.
 */
export function explain(datagram: Uint8Array): string {
  let messages: Nlmsg[];
  try {
    messages = decodeNlmsgs(datagram);
  } catch (error) {
    return `${datagram.length} bytes that are not netlink messages: ${complaint(error)}`;
  }
  return messages.map(explainNlmsg).join("\n");
}

function explainNlmsg(nlmsg: Nlmsg): string {
  const known = typeOf(nlmsg);
  const name = controlNames.get(nlmsg.type) ?? known?.name ?? `type ${nlmsg.type}`;
  return `${name}${flagsText(nlmsg, name)} #${nlmsg.sequence} ${bodyText(nlmsg, known?.table)}`;
}

/**
 * Returns the type of a message. The begin and end messages of an nf_tables batch have the numbers of RTM_NEWLINK and RTM_DELLINK, but are
 * shorter than struct ifinfomsg.
 */
function typeOf({ type, body }: Nlmsg): Explained | undefined {
  const isBatchEnd = type <= batch.NFNL_MSG_BATCH_END && body.length < link.linkMessage.header.size;
  const known = (isBatchEnd ? undefined : routeTypes.get(type)) ?? netfilterTypes.get(type);
  const ofBridge = known?.table === link.linkMessage && body[0] === AF_BRIDGE;
  return ofBridge ? { name: known.name, table: bridgeLinkMessage } : known;
}

function bodyText(nlmsg: Nlmsg, table: AnyWire | undefined): string {
  try {
    if (nlmsg.type === NLMSG_ERROR || nlmsg.type === NLMSG_DONE) return answerText(nlmsg);
    return table === undefined ? `${nlmsg.body.length} bytes` : table.text(decode(table, nlmsg.body), {});
  } catch (error) {
    return `${nlmsg.body.length} bytes that its table cannot read: ${complaint(error)}`;
  }
}

function answerText(nlmsg: Nlmsg): string {
  const { errno, message, offset } = decodeAnswer(nlmsg);
  const place = offset === undefined ? "" : ` at byte ${offset} of the request`;
  return `errno ${errno}${message === undefined ? "" : ` "${message}"`}${place}`;
}

const controlNames = new Map([
  [NLMSG_NOOP, "NLMSG_NOOP"],
  [NLMSG_ERROR, "NLMSG_ERROR"],
  [NLMSG_DONE, "NLMSG_DONE"],
  [NLMSG_OVERRUN, "NLMSG_OVERRUN"],
]);

const everywhere: readonly (readonly [number, string])[] = [
  [NLM_F_REQUEST, "REQUEST"],
  [NLM_F_MULTI, "MULTI"],
  [NLM_F_ACK, "ACK"],
  [NLM_F_DUMP_INTR, "DUMP_INTR"],
];
const ofReading: typeof everywhere = [[NLM_F_DUMP, "DUMP"]];
const ofMaking: typeof everywhere = [
  [NLM_F_REPLACE, "REPLACE"],
  [NLM_F_EXCL, "EXCL"],
  [NLM_F_CREATE, "CREATE"],
  [NLM_F_APPEND, "APPEND"],
];

function flagsText({ flags }: Nlmsg, name: string): string {
  const special = /GET/.test(name) ? ofReading : /NEW|SET/.test(name) ? ofMaking : [];
  const names = [...everywhere, ...special].filter(([bits]) => (flags & bits) === bits).map(([, text]) => text);
  return names.length === 0 ? "" : ` ${names.join("|")}`;
}

function complaint(error: unknown): string {
  if (error instanceof WireError || error instanceof RangeError) return error.message;
  throw error;
}
