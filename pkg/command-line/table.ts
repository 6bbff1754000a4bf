/** Tables and JSON for the terminal. Pure. */

/** @param rows The first one is the heading. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => (row[i] ?? "").length)));
  const line = (row: readonly string[]): string => row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join("  ");
  return rows.map((row) => `${line(row).trimEnd()}\n`).join("");
}

export const printed = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

/** Formats two columns, indented, as help texts have them. */
export function columns(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...rows.map(([first]) => first.length));
  return rows.map(([first, second]) => `  ${first.padEnd(width)}  ${second}`);
}

/** Returns a name from outside as it can be printed: quoted and escaped when it has blanks, quotes or control characters. */
export const printable = (name: string): string =>
  /^[\p{L}\p{N}\p{P}\p{S}]+$/u.test(name) && !/["'`]/.test(name) ? name : escaped(name);

const escaped = (name: string): string =>
  JSON.stringify(name).replace(
    /[\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
