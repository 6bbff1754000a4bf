/** A flag of flanneld, and the types of its values. */

/** The types of values, as in Go's package flag; a list flag is given once for each item. */
export interface Kinds {
  text: string;
  boolean: boolean;
  whole: number;
  list: readonly string[];
}
export type Kind = keyof Kinds;

export interface Flag<K extends Kind = Kind> {
  kind: K;
  default: Kinds[K];
  /** The placeholder of the value in `--help`; "" for booleans. */
  value: string;
  about: string;
  /** Whether logs must not show the value. */
  isSecret?: boolean;
  /** Whether it requests something other than running the daemon; it has no variable. */
  isQuestion?: boolean;
}

type Traits = Pick<Flag, "isSecret" | "isQuestion">;

export const text = (
  value: string,
  about: string,
  { default: initial = "", ...traits }: Traits & { default?: string } = {},
) => ({ kind: "text", default: initial, value, about, ...traits }) satisfies Flag<"text"> as Flag<"text">;
export const list = (value: string, about: string): Flag<"list"> => ({ kind: "list", default: [], value, about });
export const whole = (value: string, initial: number, about: string): Flag<"whole"> => ({
  kind: "whole",
  default: initial,
  value,
  about,
});
export const boolean = (initial: boolean, about: string, traits: Traits = {}): Flag<"boolean"> => ({
  kind: "boolean",
  default: initial,
  value: "",
  about,
  ...traits,
});

export type FlagTable = Readonly<Record<string, Flag>>;

/** A value for each flag of a table. */
export type ValuesOf<Flags extends FlagTable> = { [Name in keyof Flags]: Kinds[Flags[Name]["kind"]] };
