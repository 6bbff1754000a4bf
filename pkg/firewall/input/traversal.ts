/**
 * Finds out what can become of a packet in the chains of a table, when some conditions of rules are unknown: then both ways are followed.
 * Pure.
 */
import type { Certainty } from "./packet.ts";

/** "unknown": the packet may be accepted, or continue. */
export type Action = "accept" | "drop" | "continue" | "return" | "unknown" | { jump: string } | { goto: string };

/** A rule, evaluated for one packet. */
export interface EvaluatedRule {
  matches: Certainty;
  action: Action;
}

export interface Outcomes {
  canBeAccepted: boolean;
  canBeDropped: boolean;
  /** It may come to the end of the chain, or to a rule that returns. */
  canReturn: boolean;
}

/** The chains of a table. Rules of a chain are asked for when the packet can come there. */
export interface Chains {
  rulesOf(chain: string): readonly EvaluatedRule[];
}

/** Returns the outcomes of a base chain. @param entered Receives the names of the chains to which the packet can come. */
export function outcomesOf(
  chains: Chains,
  base: { name: string; policy: "accept" | "drop" },
  entered: Set<string>,
): Outcomes {
  const known = new Map<string, Outcomes>();
  const { canBeAccepted, canBeDropped, canReturn } = traverse(base.name);
  return {
    canBeAccepted: canBeAccepted || (canReturn && base.policy === "accept"),
    canBeDropped: canBeDropped || (canReturn && base.policy === "drop"),
    canReturn: false,
  };

  function traverse(chain: string): Outcomes {
    entered.add(chain);
    let outcomes = known.get(chain);
    outcomes ??= throughRules(chains.rulesOf(chain));
    known.set(chain, outcomes);
    return outcomes;
  }

  function throughRules(rules: readonly EvaluatedRule[]): Outcomes {
    const all: Outcomes = { canBeAccepted: false, canBeDropped: false, canReturn: false };
    for (const { matches, action } of rules) {
      if (matches === "no") continue;
      const { canContinue, ...one } = outcomesOfAction(action);
      all.canBeAccepted ||= one.canBeAccepted;
      all.canBeDropped ||= one.canBeDropped;
      all.canReturn ||= one.canReturn;
      if (matches === "yes" && !canContinue) return all;
    }
    return { ...all, canReturn: true };
  }

  function outcomesOfAction(action: Action): Outcomes & { canContinue: boolean } {
    if (typeof action === "object") {
      if ("goto" in action) return { ...traverse(action.goto), canContinue: false };
      const { canReturn, ...ends } = traverse(action.jump);
      return { ...ends, canReturn: false, canContinue: canReturn };
    }
    return {
      canBeAccepted: action === "accept" || action === "unknown",
      canBeDropped: action === "drop",
      canReturn: action === "return",
      canContinue: action === "continue" || action === "unknown",
    };
  }
}
