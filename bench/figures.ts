// What was measured, in a form that the table, the plot and the JSON file share.

export interface Quartiles {
  low: number;
  median: number;
  high: number;
  count: number;
}

export type Who = "twill" | "Go" | "C";

/** One line of the table: the same thing done by each. Times in milliseconds, sizes in megabytes (10^6 bytes). */
export interface Row {
  section: string;
  name: string;
  unit: "ms" | "s" | "MB" | "%" | "times";
  figures: Partial<Record<Who, Quartiles>>;
  /** /bin/true, started in the same rounds: the cost of starting anything, which is part of every figure. */
  bare?: Quartiles;
  goals: Goal[];
  /** What the plot calls it; rows without one are in the table only. */
  headline?: string;
}

export interface Goal {
  /** What must be at most `limit`: "of Go's", "of the C floor", "ms above /bin/true". */
  of: string;
  value: number;
  limit: number;
}

export const isMet = ({ value, limit }: Goal): boolean => value <= limit;

/** Linear between neighbours, as most programs compute them. @param samples Not empty. */
export function quartiles(samples: readonly number[]): Quartiles {
  const sorted = samples.toSorted((a, b) => a - b);
  const at = (part: number) => {
    const place = part * (sorted.length - 1);
    const [below, above] = [sorted[Math.floor(place)], sorted[Math.ceil(place)]];
    if (below === undefined || above === undefined) throw new RangeError("quartiles of nothing");
    return below + (above - below) * (place - Math.floor(place));
  };
  return { low: at(0.25), median: at(0.5), high: at(0.75), count: sorted.length };
}

/** A figure that was read once, as a file size. */
export const exactly = (value: number): Quartiles => ({ low: value, median: value, high: value, count: 1 });

/** Our median as a part of another's; undefined where one was not measured. */
export function ratio({ figures }: Row, other: Who): number | undefined {
  const [ours, theirs] = [figures.twill, figures[other]];
  return ours && theirs && ours.median / theirs.median;
}

/** A row with its goals: parts of what the others need. */
export function withGoals(row: Omit<Row, "goals">, limits: Partial<Record<Who, number>>): Row {
  const whole: Row = { ...row, goals: [] };
  for (const [who, limit] of Object.entries(limits) as [Who, number][]) {
    const value = ratio(whole, who);
    if (value !== undefined) whole.goals.push({ of: who === "C" ? "of the C floor" : `of ${who}'s`, value, limit });
  }
  return whole;
}

/** Samples by name, in the order of their first appearance. */
export class Samples {
  readonly #all = new Map<string, number[]>();

  add(name: string, value: number): void {
    const samples = this.#all.get(name);
    if (samples === undefined) this.#all.set(name, [value]);
    else samples.push(value);
  }

  find(name: string): Quartiles | undefined {
    const samples = this.#all.get(name);
    return samples && quartiles(samples);
  }

  /** The figures called `twill <name>`, `Go <name>`, `C <name>`. */
  figures(name: string): Row["figures"] {
    const found: Row["figures"] = {};
    for (const who of ["twill", "Go", "C"] as const) {
      const quartiles = this.find(`${who} ${name}`);
      if (quartiles !== undefined) found[who] = quartiles;
    }
    return found;
  }
}
