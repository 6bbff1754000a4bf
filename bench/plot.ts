// The figures as a picture: a bar for each contender, by default as a part of the time the Go plugin takes.
import { type Row, ratio, type Who } from "./figures.ts";
import { digits } from "./table.ts";

const WIDTH = 880;
const LABELS = 330;
const BARS = 360;
const BAR_HEIGHT = 11;
const GROUP_GAP = 13;
const TOP = 84;

const contenders: readonly Bar[] = [
  { who: "twill", title: "twill", colour: "#2f81f7" },
  { who: "Go", title: "Go plugin", colour: "#8b949e" },
  { who: "C", title: "the kernel's part (C program)", colour: "#d29922" },
];

/** Its own background follows the reader's colour scheme, so that the text can be read on any page. */
const style = `
  text { font: 12px system-ui, sans-serif; fill: #1f2328 }
  .page { fill: #ffffff } .faint { fill: #656d76 } .title { font-size: 15px; font-weight: 600 } .axis { stroke: #d1d9e0 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .page { fill: #0d1117 } .faint { fill: #8d96a0 } .axis { stroke: #3d444d }
  }`;

export function plot(rows: readonly Row[], machine: Readonly<Record<string, string>>): string {
  const shown = rows.filter((row) => row.headline !== undefined && row.figures.Go !== undefined);
  return barChart({
    title: "Time per call, as a part of what the Go plugin takes (shorter is better)",
    subtitle: `medians; Linux ${machine["kernel"]}, ${machine["machine"]}`,
    description: "Time of twill's plugins as a part of the Go plugins' time",
    contenders,
    groups: shown.map((row) => ({ row, whole: row.figures.Go?.median ?? 1, note: factor(ratio(row, "Go")) })),
  });
}

export interface Chart {
  title: string;
  subtitle: string;
  /** For who does not see it. */
  description: string;
  contenders: readonly Bar[];
  groups: readonly BarGroup[];
}

export interface Bar {
  who: Who;
  title: string;
  colour: string;
}

export interface BarGroup {
  row: Row;
  /** The figure whose bar has the whole length. */
  whole: number;
  /** Stands at the right; "" for nothing. */
  note: string;
}

/** Draws a group of bars for each row, one bar for each contender that has a figure. */
export function barChart({ title, subtitle, description, contenders, groups }: Chart): string {
  const parts: string[] = [];
  let y = TOP;
  for (const group of groups) {
    const bars = contenders.filter(({ who }) => group.row.figures[who] !== undefined);
    parts.push(...groupOf(group, bars, y));
    y += bars.length * BAR_HEIGHT + GROUP_GAP;
  }
  const height = y + 8;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="${escaped(description)}">
<style>${style}
</style>
<rect class="page" width="${WIDTH}" height="${height}" rx="8"/>
<text class="title" x="20" y="28">${escaped(title)}</text>
<text class="faint" x="20" y="48">${escaped(subtitle)}</text>
${legend(contenders)}
<line class="axis" x1="${LABELS}" x2="${LABELS}" y1="${TOP - 6}" y2="${height - 12}"/>
${parts.join("\n")}
</svg>
`;
}

function groupOf({ row, whole, note }: BarGroup, bars: readonly Bar[], top: number): string[] {
  const middle = top + (bars.length * BAR_HEIGHT) / 2 + 4;
  const parts = [
    `<text x="${LABELS - 12}" y="${middle}" text-anchor="end">${escaped(row.headline ?? row.name)}</text>`,
  ];
  bars.forEach(({ who, title, colour }, i) => {
    const median = row.figures[who]?.median ?? 0;
    const length = Math.max(1, (median / whole) * BARS);
    const y = top + i * BAR_HEIGHT;
    parts.push(
      `<rect x="${LABELS}" y="${y}" width="${length.toFixed(1)}" height="${BAR_HEIGHT - 2}" fill="${colour}"><title>${escaped(`${title}: ${digits(median)} ${row.unit}`)}</title></rect>`,
      `<text class="faint" style="font-size:10px" x="${(LABELS + length + 5).toFixed(1)}" y="${y + BAR_HEIGHT - 2.5}">${digits(median)} ${row.unit}</text>`,
    );
  });
  if (note !== "") parts.push(`<text x="${WIDTH - 20}" y="${middle}" text-anchor="end">${escaped(note)}</text>`);
  return parts;
}

/** People say "12 times faster"; the table has the ratio. */
function factor(part: number | undefined): string {
  if (part === undefined) return "";
  const times = Math.max(part, 1 / part);
  return `${times < 10 ? times.toFixed(1) : Math.round(times)}x ${part < 1 ? "faster" : "slower"}`;
}

function legend(contenders: readonly Bar[]): string {
  let x = LABELS;
  return contenders
    .map(({ title, colour }) => {
      const at = x;
      x += 34 + 6.4 * title.length;
      return `<rect x="${at}" y="58" width="10" height="10" fill="${colour}"/><text class="faint" x="${at + 15}" y="67">${escaped(title)}</text>`;
    })
    .join("");
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}
