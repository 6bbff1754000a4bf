// Two records of one row side by side: what only one has must be a declared deviation, and every declared one be seen.
import type { Deviation } from "./row.ts";

export interface Comparison {
  /** Differences that nobody declared, "go: ..." or "ours: ...". */
  unexplained: string[];
  /** Patterns of declared deviations that matched nothing. */
  unseen: string[];
}

export function compare(go: readonly string[], ours: readonly string[], deviations: readonly Deviation[]): Comparison {
  const seen = new Set<RegExp>();
  const matches = (pattern: RegExp, line: string) => pattern.test(line) && Boolean(seen.add(pattern));
  const sides = rewrite({ go: without(go, ours), ours: without(ours, go) }, deviations, seen);
  const unexplained = (["go", "ours"] as const).flatMap((side) =>
    sides[side]
      .filter((line) => !deviations.flatMap((deviation) => deviation[side]).some((pattern) => matches(pattern, line)))
      .map((line) => `${side}: ${line}`),
  );
  const unseen = deviations.flatMap(({ title, go, ours, rewritten }) =>
    [...go, ...ours, ...rewritten.map(([pattern]) => pattern)]
      .filter((pattern) => !seen.has(pattern))
      .map((pattern) => `${title}: nothing differs like ${pattern}`),
  );
  return { unexplained, unseen };
}

type Sides = Record<"go" | "ours", string[]>;

/** Takes away the pairs of lines that are equal once Go's is rewritten, by one deviation or several. */
function rewrite({ go, ours }: Sides, deviations: readonly Deviation[], seen: Set<RegExp>): Sides {
  const left = [...ours];
  const all = deviations.flatMap(({ rewritten }) => rewritten);
  const unmatched = go.filter((line) => {
    const match = readings(line, all).find(({ text }) => left.includes(text));
    if (!match) return true;
    left.splice(left.indexOf(match.text), 1);
    for (const pattern of match.by) seen.add(pattern);
    return false;
  });
  return { go: unmatched, ours: left };
}

interface Reading {
  text: string;
  by: RegExp[];
}

/** What a line may become: each rewriting is done or not. */
function readings(line: string, rewritings: Deviation["rewritten"]): Reading[] {
  const known: Reading[] = [{ text: line, by: [] }];
  for (const [pattern, replacement] of rewritings) {
    const applicable = known.filter(({ text }) => pattern.test(text));
    known.push(
      ...applicable.map(({ text, by }) => ({ text: text.replace(pattern, replacement), by: [...by, pattern] })),
    );
  }
  return known;
}

/** The lines of `a` that `b` does not have, as many times as it lacks them. */
function without(a: readonly string[], b: readonly string[]): string[] {
  const left = new Map<string, number>();
  for (const line of b) left.set(line, (left.get(line) ?? 0) + 1);
  return a.filter((line) => {
    const count = left.get(line) ?? 0;
    left.set(line, count - 1);
    return count <= 0;
  });
}
