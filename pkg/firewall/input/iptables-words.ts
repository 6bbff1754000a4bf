/** Evaluates the parts of iptables' rules as iptables-save prints them, for a packet. Pure. */
import { contains, parsePrefix } from "../../ip/address.ts";
import {
  NF_CT_STATE_ESTABLISHED,
  NF_CT_STATE_INVALID,
  NF_CT_STATE_NEW,
  NF_CT_STATE_RELATED,
  NF_CT_STATE_UNTRACKED,
} from "../../netlink/nftables/expression/ct.ts";
import { type CanonicalRule, parseRuleLine } from "../iptables/canonical.ts";
import { both, type Certainty, certainly, not, type Packet } from "./packet.ts";
import type { Action, Chains, EvaluatedRule } from "./traversal.ts";

/** Evaluates one part, such as `-i eth0`, `! -s 10.0.0.0/8` or `-m udp --dport 8472`. */
export function evaluatePart(part: string, packet: Packet): Certainty {
  const [option = "", ...values] = part.split(" ");
  if (option === "!") return not(evaluatePart(values.join(" "), packet));
  const [value = ""] = values;
  switch (option) {
    case "-i":
      return certainly(isInterface(value, packet.inInterface.name));
    case "-o":
      return packet.outInterface === undefined ? "unknown" : certainly(isInterface(value, packet.outInterface.name));
    case "-p":
      if (value === "all" || value === "0") return "yes";
      return ofProtocol(packet, ["udp", "17"].includes(value));
    case "-s":
      return isWithin(value, packet.source);
    case "-d":
      return isWithin(value, packet.destination);
    case "-m":
      return evaluateMatch(value, values.slice(1), packet);
    default:
      return "unknown";
  }
}

/** Returns whether a condition about the protocol holds, which a packet without port may have any. @param isUdp Whether it holds for UDP */
const ofProtocol = ({ destinationPort }: Packet, isUdp: boolean): Certainty =>
  destinationPort === undefined ? "unknown" : certainly(isUdp);

const isInterface = (pattern: string, name: string): boolean =>
  pattern.endsWith("+") ? name.startsWith(pattern.slice(0, -1)) : name === pattern;

function isWithin(network: string, address: Packet["source"]): Certainty {
  if (address === undefined) return "unknown";
  const prefix = parsePrefix(network.includes("/") ? network : `${network}/${8 * address.length}`);
  return prefix === undefined ? "unknown" : certainly(contains(prefix, address));
}

type Options = readonly { option: string; isNegated: boolean; value: string }[];

function evaluateMatch(name: string, words: readonly string[], packet: Packet): Certainty {
  if (name === "comment") return "yes";
  const options = optionsOf(words);
  if (options === undefined) return "unknown";
  return options.reduce<Certainty>((all, { option, isNegated, value }) => {
    const one = evaluateOption(name, option, value, packet);
    return both(all, isNegated ? not(one) : one);
  }, "yes");
}

/** Returns `! --ctstate NEW` and the like one by one; undefined when there is an option without a value, or with several. */
function optionsOf(words: readonly string[]): Options | undefined {
  const options: { option: string; isNegated: boolean; value: string }[] = [];
  for (let at = 0; at < words.length; ) {
    const isNegated = words[at] === "!";
    const [option = "", value] = words.slice(isNegated ? at + 1 : at);
    if (!option.startsWith("--") || value === undefined) return undefined;
    options.push({ option, isNegated, value });
    at += isNegated ? 3 : 2;
  }
  return options;
}

const STATES: Readonly<Record<string, number>> = {
  INVALID: NF_CT_STATE_INVALID,
  ESTABLISHED: NF_CT_STATE_ESTABLISHED,
  RELATED: NF_CT_STATE_RELATED,
  NEW: NF_CT_STATE_NEW,
  UNTRACKED: NF_CT_STATE_UNTRACKED,
  SNAT: 0, // the packet's addresses were not translated: its destination is this host
  DNAT: 0,
};

function evaluateOption(match: string, option: string, value: string, packet: Packet): Certainty {
  switch (`${match} ${option}`) {
    case "udp --dport":
    case "multiport --dports":
      return isAmongPorts(value, packet.destinationPort);
    case "conntrack --ctstate":
    case "state --state": {
      const states = value.split(",").map((name) => STATES[name]);
      if (states.includes(undefined)) return "unknown";
      return certainly(states.some((state) => (packet.state & (state ?? 0)) !== 0));
    }
    case "addrtype --dst-type":
      return certainly(value.split(",").includes(packet.outInterface === undefined ? "LOCAL" : "UNICAST"));
    case "tcp --dport":
    case "tcp --sport":
      return ofProtocol(packet, false);
    default:
      return "unknown";
  }
}

const isAmongPorts = (list: string, port: number | undefined): Certainty =>
  port === undefined ? "unknown" : certainly(list.split(",").some((range) => includesPort(range, port)));

function includesPort(range: string, port: number): boolean {
  const [first = "", last = first] = range.split(":");
  return Number(first) <= port && port <= Number(last === "" ? 65535 : last);
}

/** The targets that let the packet continue, whatever else they do. */
const CONTINUES = new Set(["LOG", "NFLOG", "MARK", "CONNMARK", "TRACE", "TOS", "DSCP", "SET", "AUDIT", "CHECKSUM"]);

/** Returns the action of a target that is not a chain. */
export function actionOfTarget(target: string): Action {
  if (target === "ACCEPT") return "accept";
  if (target === "DROP" || target === "REJECT") return "drop";
  if (target === "RETURN") return "return";
  return CONTINUES.has(target) ? "continue" : "unknown";
}

/** Parses the output of `iptables-save -t TABLE`, for any number of packets. */
export function evaluateSave(printed: string): (packet: Packet) => Chains {
  const chains = new Set<string>();
  const rules = new Map<string, CanonicalRule[]>();
  for (const line of printed.split("\n")) {
    const [, declared] = /^:(\S+) /.exec(line) ?? [];
    const [, chain = "", words] = /^-A (\S+) (.*)$/.exec(line) ?? [];
    if (declared !== undefined) chains.add(declared);
    if (words === undefined) continue;
    const ofChain = rules.get(chain) ?? [];
    ofChain.push(parseRuleLine(words));
    rules.set(chain, ofChain);
  }
  return (packet) => ({
    rulesOf: (chain) => (rules.get(chain) ?? []).map((parts) => evaluateParts(parts, packet, chains)),
  });
}

function evaluateParts(parts: CanonicalRule, packet: Packet, chains: ReadonlySet<string>): EvaluatedRule {
  const isTarget = (part: string) => /^-[jg] /.test(part);
  const matches = parts
    .filter((part) => !isTarget(part))
    .reduce<Certainty>((all, part) => both(all, evaluatePart(part, packet)), "yes");
  const [how, target = ""] = parts.find(isTarget)?.split(" ") ?? [];
  if (how === "-g") return { matches, action: { goto: target } };
  if (how === "-j") return { matches, action: chains.has(target) ? { jump: target } : actionOfTarget(target) };
  return { matches, action: "continue" };
}
