// The figures as a picture: a bar for each contender, as a part of the time the Go plugin takes.
import { type Row, ratio, type Who } from "./figures.ts";
import { digits } from "./table.ts";

const WIDTH = 880;
const LABELS = 330;
const BARS = 360;
const BAR_HEIGHT = 11;
const GROUP_GAP = 13;
const TOP = 84;

const contenders: readonly { who: Who; title: string; colour: string }[] = [
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
  const parts: string[] = [];
  let y = TOP;
  for (const row of shown) {
    const bars = contenders.filter(({ who }) => row.figures[who] !== undefined);
    parts.push(...groupOf(row, bars, y));
    y += bars.length * BAR_HEIGHT + GROUP_GAP;
  }
  const height = y + 8;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="Time of twill's plugins as a part of the Go plugins' time">
<style>${style}
</style>
<rect class="page" width="${WIDTH}" height="${height}" rx="8"/>
<text class="title" x="20" y="28">Time per call, as a part of what the Go plugin takes (shorter is better)</text>
<text class="faint" x="20" y="48">${escaped(`medians; Linux ${machine["kernel"]}, ${machine["machine"]}`)}</text>
${legend()}
<line class="axis" x1="${LABELS}" x2="${LABELS}" y1="${TOP - 6}" y2="${height - 12}"/>
${parts.join("\n")}
</svg>
`;
}

function groupOf(row: Row, bars: typeof contenders, top: number): string[] {
  const go = row.figures.Go?.median ?? 1;
  const middle = top + (bars.length * BAR_HEIGHT) / 2 + 4;
  const parts = [
    `<text x="${LABELS - 12}" y="${middle}" text-anchor="end">${escaped(row.headline ?? row.name)}</text>`,
  ];
  bars.forEach(({ who, title, colour }, i) => {
    const median = row.figures[who]?.median ?? 0;
    const length = Math.max(1, (median / go) * BARS);
    const y = top + i * BAR_HEIGHT;
    parts.push(
      `<rect x="${LABELS}" y="${y}" width="${length.toFixed(1)}" height="${BAR_HEIGHT - 2}" fill="${colour}"><title>${escaped(`${title}: ${digits(median)} ${row.unit}`)}</title></rect>`,
      `<text class="faint" style="font-size:10px" x="${(LABELS + length + 5).toFixed(1)}" y="${y + BAR_HEIGHT - 2.5}">${digits(median)} ${row.unit}</text>`,
    );
  });
  const part = ratio(row, "Go");
  if (part !== undefined) {
    parts.push(`<text x="${WIDTH - 20}" y="${middle}" text-anchor="end">${factor(part)}</text>`);
  }
  return parts;
}

/** People say "12 times faster"; the table has the ratio. */
function factor(part: number): string {
  const times = Math.max(part, 1 / part);
  return `${times < 10 ? times.toFixed(1) : Math.round(times)}x ${part < 1 ? "faster" : "slower"}`;
}

function legend(): string {
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
