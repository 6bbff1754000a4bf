// Rows for what is counted instead of timed: it is the same on every machine and in every run, or nearly so.
import { type Row, Samples } from "./figures.ts";
import type { Counts } from "./launcher.ts";

/** A row each: where it stands in Counts, how it is called, in which unit. */
const counted: readonly [keyof Counts, string, Row["unit"]][] = [
  ["systemCalls", "system calls", "calls"],
  ["pageFaults", "page faults in user mode", "faults"],
  ["instructions", "instructions in user mode", "M"],
];

/** Calls are counted so often; what differs between them is the kernel's timing. */
export const COUNTED_ROUNDS = 3;

/** The counts of calls, by who and verb. */
export class CountSamples {
  readonly #samples = new Samples();

  add(who: string, verb: string, counts: Counts): void {
    for (const [key, name, unit] of counted) {
      const value = counts[key];
      if (value !== undefined) this.#samples.add(`${who} ${verb} ${name}`, unit === "M" ? value / 1e6 : value);
    }
  }

  /** Returns a row for each verb and each thing that could be counted. @param goals The most of ours, by verb and thing. */
  rows(
    section: string,
    verbs: readonly string[],
    goals: Readonly<Record<string, Partial<Record<keyof Counts, number>>>> = {},
  ): Row[] {
    return verbs.flatMap((verb) =>
      counted.flatMap(([key, thing, unit]): Row[] => {
        const figures = this.#samples.figures(`${verb} ${thing}`);
        const [value, limit] = [figures.twill?.median, goals[verb]?.[key]];
        if (value === undefined) return [];
        const goal = limit === undefined ? [] : [{ of: unit, value, limit }];
        return [{ section: `${section}: counts`, name: `${verb}, ${thing}`, unit, figures, goals: goal }];
      }),
    );
  }
}
