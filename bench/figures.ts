// What was measured, in a form that the table, the plot and the JSON file share.

export interface Quartiles {
  low: number;
  median: number;
  high: number;
  count: number;
}

/** "earlier": a build of ours from before; "hand": the same, made with `ip` and the like. */
export type Who = "twill" | "earlier" | "Go" | "C" | "hand" | "Docker";
const everybody: readonly Who[] = ["twill", "earlier", "Go", "C", "hand", "Docker"];

/** One line of the table: the same thing done by each. Sizes in megabytes are of 10^6 bytes. */
export interface Row {
  section: string;
  name: string;
  unit: "ms" | "s" | "MB" | "%" | "times" | "Gbit/s" | "us" | "kpps" | "s/Gbit" | "bytes" | "calls" | "faults" | "M";
  figures: Partial<Record<Who, Quartiles>>;
  /** /bin/true, started in the same rounds: the cost of starting anything, which is part of every figure. */
  bare?: Quartiles;
  goals: Goal[];
  /** What the plot calls it; rows without one are in the table only. */
  headline?: string;
}

export interface Goal {
  /** What must be at most `limit`, or at least: "of Go's", "of the C floor", "ms above /bin/true". */
  of: string;
  value: number;
  limit: number;
  /** Whether more is better. */
  isLeast?: boolean;
}

export const isMet = ({ value, limit, isLeast = false }: Goal): boolean => (isLeast ? value >= limit : value <= limit);

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

/** Our median as a part of another's; undefined where one was not measured, or there is nothing to compare. */
export function ratio({ figures, unit }: Row, other: Who): number | undefined {
  const [ours, theirs] = [figures.twill, figures[other]];
  return unit === "bytes" ? undefined : ours && theirs && ours.median / theirs.median;
}

/** A row with its goals: parts of what the others need. @param isLeast Whether more is better, as of a throughput. `floor`: what the C program is called. */
export function withGoals(
  row: Omit<Row, "goals">,
  limits: Partial<Record<Who, number>>,
  { isLeast = false, floor = "floor" }: { isLeast?: boolean; floor?: string } = {},
): Row {
  const whole: Row = { ...row, goals: [] };
  const whose: Partial<Record<Who, string>> = {
    C: `of the C ${floor}`,
    hand: "of what is wired by hand",
    earlier: "of the earlier build's",
  };
  for (const [who, limit] of Object.entries(limits) as [Who, number][]) {
    const value = ratio(whole, who);
    if (value !== undefined)
      whole.goals.push({ of: whose[who] ?? `of ${who}'s`, value, limit, ...(isLeast && { isLeast }) });
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

  /** The figures called `twill <name>`, `Go <name>` and so on. */
  figures(name: string): Row["figures"] {
    const found: Row["figures"] = {};
    for (const who of everybody) {
      const quartiles = this.find(`${who} ${name}`);
      if (quartiles !== undefined) found[who] = quartiles;
    }
    return found;
  }
}
