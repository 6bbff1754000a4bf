// The iptables rules that allow forwarding to and from a container, and those that keep bridges apart.
//
//   -A FORWARD … -j CNI-ISOLATION-STAGE-1                            before all other rules
//   -A FORWARD … -j CNI-FORWARD
//   -A CNI-FORWARD … -j CNI-ADMIN                                    the administrator's own rules
//   -A CNI-FORWARD -d 10.22.0.5/32 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
//   -A CNI-FORWARD -s 10.22.0.5/32 -j ACCEPT
//   -A CNI-ISOLATION-STAGE-1 -i cni0 -o cni0 … -j DROP               if isolated
//   -A CNI-ISOLATION-STAGE-1 -i cni0 ! -o cni0 … -j CNI-ISOLATION-STAGE-2
//   -A CNI-ISOLATION-STAGE-1 … -j RETURN
//   -A CNI-ISOLATION-STAGE-2 -o cni0 … -j DROP
//   -A CNI-ISOLATION-STAGE-2 … -j RETURN
//   -A CNI-FORWARD-OWNERS -s 10.22.0.5/32 … -j RETURN                no rule jumps here: see ownership.ts
//
// Source: containernetworking/plugins, plugins/meta/firewall, which makes all of these rules but the last.

import type { Address, Prefix } from "../../ip/address.ts";
import type { Family } from "../family.ts";
import type { Chain, Rule } from "../iptables/rule.ts";
import type { Wanted } from "../iptables/ruleset.ts";
import { type Match, statesOf } from "../iptables/xtables.ts";
import type { Policy } from "./ownership.ts";

export const filter = (family: Family, chain: string): Chain => ({ family, table: "filter", chain });

export const FORWARD = "FORWARD";
export const CNI_FORWARD = "CNI-FORWARD";
export const STAGE_1 = "CNI-ISOLATION-STAGE-1";
export const STAGE_2 = "CNI-ISOLATION-STAGE-2";
export const OWNERS = "CNI-FORWARD-OWNERS";

const comment = (text: string): Match => ({ name: "comment", text });
const commented = (text: string, rule: Rule): Rule => ({ ...rule, matches: [comment(text)] });

const whole = (address: Address): Prefix => ({ address, length: 8 * address.length });

const policyComment = (policy: string) => `CNI firewall plugin rules (ingressPolicy: ${policy})`;
const SHARED = policyComment("same-bridge|isolated");
const ANSWERS: Match = { name: "conntrack", states: statesOf("RELATED", "ESTABLISHED") };

/** Returns the rules that all containers share. */
export function sharedRules(family: Family, adminChain: string): Wanted[] {
  const toOurs = commented("CNI firewall plugin rules", { target: { jump: CNI_FORWARD } });
  const toAdmin = commented("CNI firewall plugin admin overrides", { target: { jump: adminChain } });
  return [
    { ...filter(family, CNI_FORWARD), rules: [] },
    { ...filter(family, adminChain), rules: [] },
    { ...filter(family, FORWARD), rules: [toOurs], at: "first" },
    { ...filter(family, CNI_FORWARD), rules: [toAdmin], at: "first" },
  ];
}

/** Returns the rules of one address: replies come in, everything goes out. */
export function addressRules(address: Address): Rule[] {
  return [
    { destination: whole(address), matches: [ANSWERS], target: "ACCEPT" },
    { source: whole(address), target: "ACCEPT" },
  ];
}

export const TO_STAGE_1 = commented(SHARED, { target: { jump: STAGE_1 } });

/** Returns the rules of a policy: nothing is forwarded between two bridges that have one. */
export function policyRules(family: Family, policy: Policy): Wanted[] {
  const end = commented(SHARED, { target: "RETURN" });
  return [
    { ...filter(family, STAGE_1), rules: [end] },
    { ...filter(family, STAGE_2), rules: [end] },
    { ...filter(family, FORWARD), rules: [TO_STAGE_1], at: "first" },
    { ...filter(family, STAGE_1), rules: bridgeRules(policy), at: "first" },
    { ...filter(family, STAGE_2), rules: [dropInto(policy.bridge)], at: "first" },
  ];
}

/** Returns the bridge's rules in the first stage. Their comments name the policy, so the rules of the two policies always differ. */
export function bridgeRules({ bridge, isolated }: Policy): Rule[] {
  const text = policyComment(isolated ? "isolated" : "same-bridge");
  const inside = commented(text, { inInterface: bridge, outInterface: bridge, target: "DROP" });
  const leaving = commented(text, {
    inInterface: bridge,
    outInterface: { not: bridge },
    target: { jump: STAGE_2 },
  });
  return isolated ? [inside, leaving] : [leaving];
}

export const dropInto = (bridge: string): Rule => commented(SHARED, { outInterface: bridge, target: "DROP" });

/**
 * Returns the rule once with each comment that a release of the reference plugin gives it: in rules that the policies share, old releases
 * name the policy that came first.
 */
export const asAnyRelease = (rule: Rule): Rule[] =>
  [SHARED, policyComment("same-bridge"), policyComment("isolated")].map((text) => commented(text, rule));

/** Returns the rule that records the ownership of an address. */
export const ownerRule = (address: Address, text: string): Rule =>
  commented(text, { source: whole(address), target: "RETURN" });
