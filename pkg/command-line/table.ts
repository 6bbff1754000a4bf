/** Tables and JSON for the terminal. Pure. */

/** Returns a table of one line for each row, whatever the cells have in them. @param texts The first row is the heading. */
export function table(texts: readonly (readonly string[])[]): string {
  const rows = texts.map((row) => row.map(oneLine));
  const widths = (rows[0] ?? []).map((_, i) => longest(rows.map((row) => row[i] ?? "")));
  const line = (row: readonly string[]): string => row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join("  ");
  return rows.map((row) => `${line(row).trimEnd()}\n`).join("");
}

/** Returns the length of the longest text. A call of Math.max with all of them fails in QuickJS from 65,536 on. */
const longest = (texts: readonly string[]): number => texts.reduce((most, { length }) => Math.max(most, length), 0);

export const printed = (value: unknown): string => `${printableLines(JSON.stringify(value, null, 2))}\n`;

/** Formats two columns, indented, as help texts have them. */
export function columns(rows: readonly (readonly [string, string])[]): string[] {
  const width = longest(rows.map(([first]) => first));
  return rows.map(([first, second]) => `  ${first.padEnd(width)}  ${second}`);
}

/** Returns a name from outside as it can be printed: quoted and escaped when it has blanks, quotes, or what a terminal would obey. */
export const printable = (name: string): string =>
  name !== "" && !/[\s"'`\\]/.test(name) && oneLine(name) === name ? name : oneLine(JSON.stringify(name));

/** Returns a text from outside with control characters, and those that change a line's direction, as escapes of JSON. */
export const oneLine = (text: string): string =>
  text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) => character.split("").map(escaped).join(""));

const escaped = (unit: string): string => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;

/** Does the same with a text of several lines. */
export const printableLines = (text: string): string => text.split("\n").map(oneLine).join("\n");
