// The figures as text: Markdown that is read in a terminal as well.
import { type Goal, isMet, type Quartiles, type Row, ratio } from "./figures.ts";

/** A column and what it shows of a row; "" for nothing. Columns that show nothing are left out of a section. */
const columnsWith = (floor: string): readonly { heading: string; cell: (row: Row) => string }[] => [
  { heading: "", cell: ({ name }) => name },
  { heading: "twill", cell: ({ figures, unit }) => measured(figures.twill, unit) },
  { heading: "earlier", cell: ({ figures, unit }) => measured(figures.earlier, unit) },
  { heading: "of the earlier", cell: (row) => part(ratio(row, "earlier")) },
  { heading: "Go", cell: ({ figures, unit }) => measured(figures.Go, unit) },
  { heading: "of Go's", cell: (row) => part(ratio(row, "Go")) },
  { heading: "by hand", cell: ({ figures, unit }) => measured(figures.hand, unit) },
  { heading: "of by hand", cell: (row) => part(ratio(row, "hand")) },
  { heading: "Docker", cell: ({ figures, unit }) => measured(figures.Docker, unit) },
  { heading: "of Docker's", cell: (row) => part(ratio(row, "Docker")) },
  { heading: `C ${floor}`, cell: ({ figures, unit }) => measured(figures.C, unit) },
  { heading: `of the ${floor}`, cell: (row) => part(ratio(row, "C")) },
  { heading: "/bin/true", cell: ({ bare, unit }) => measured(bare, unit) },
];

/** A table per section: medians, with the quartiles behind them. Last the goals. @param floor What the C program is called. */
export function tables(rows: readonly Row[], floor = "floor"): string {
  const sections = new Map<string, Row[]>();
  for (const row of rows) sections.set(row.section, [...(sections.get(row.section) ?? []), row]);
  const goals = rows.flatMap((row) => row.goals.map((goal) => goalCells(row, goal)));
  return [
    ...[...sections].map(([section, rows]) => `### ${section}\n\n${sectionTable(rows, floor)}`),
    `### goals\n\n${table(["", "is", "goal", ""], goals)}`,
  ].join("\n\n");
}

function sectionTable(rows: readonly Row[], floor: string): string {
  const shown = columnsWith(floor).filter(({ cell }) => rows.some((row) => cell(row) !== ""));
  return table(
    shown.map(({ heading }) => heading),
    rows.map((row) => shown.map(({ cell }) => cell(row))),
  );
}

function goalCells({ section, name }: Row, goal: Goal): string[] {
  return [
    `${section}: ${name}`,
    `${digits(goal.value)} ${goal.of}`,
    `at ${goal.isLeast ? "least" : "most"} ${digits(goal.limit)}`,
    isMet(goal) ? "met" : "**not met**",
  ];
}

/** Lines up the cells: the first column to the left, the others to the right. */
export function table(headings: readonly string[], lines: readonly (readonly string[])[]): string {
  const widths = headings.map((heading, i) =>
    Math.max(3, heading.length, ...lines.map((line) => line[i]?.length ?? 0)),
  );
  const text = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join(" | ")} |`;
  const rule = `| ${widths.map((width, i) => (i === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`)).join(" | ")} |`;
  return [text(headings), rule, ...lines.map(text)].join("\n");
}

function measured(quartiles: Quartiles | undefined, unit: Row["unit"]): string {
  if (quartiles === undefined) return "";
  const { low, median, high, count } = quartiles;
  if (unit === "calls" || unit === "faults") return median.toFixed(0); // the row says of what
  const range = count > 1 ? ` (${digits(low)}-${digits(high)})` : "";
  return `${digits(median)}${unit === "times" ? "x" : ` ${unit}`}${range}`;
}

function part(value: number | undefined): string {
  return value === undefined ? "" : digits(value);
}

/** Three digits that say something, two of them behind the point at most. */
export function digits(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
