/** A network as a drawing: containers, the host's ends of their links, the bridge between these, and the way out. Pure. */

export interface Picture {
  title: string;
  attachments: readonly PicturedAttachment[];
  /** What the attachments meet at: the bridge, or the parent interface, with its addresses. */
  middle: string;
  /** What lies beyond, from there on. */
  beyond: readonly BeyondRow[];
}

export interface PicturedAttachment {
  /** Lines about the container, its name first. */
  container: readonly string[];
  /** The host's end; undefined for an interface that is on the parent itself. */
  hostEnd: string | undefined;
  /** Whether the link is there: it is not when the container is gone. */
  isLinked: boolean;
}

/** A line, and what the column on the left says of it. */
export interface BeyondRow {
  label: string;
  text: string;
}

const LABEL_WIDTH = 12;
const LEAST_COLUMN = 24;
const GAP = 2;
/** The columns of a terminal that nobody has made wider. */
const TERMINAL_WIDTH = 80;

/** Draws in plain characters, no wider than a terminal: containers that do not fit beside each other are drawn below. */
export function drawn({ title, attachments, middle, beyond }: Picture): string {
  const texts = attachments.flatMap(({ container, hostEnd = "" }) => [...container, hostEnd]);
  const column = Math.max(LEAST_COLUMN, ...texts.map((text) => text.length + GAP));
  const perBand = Math.max(1, Math.floor((TERMINAL_WIDTH - LABEL_WIDTH) / column));
  const bands = Array.from({ length: Math.ceil(attachments.length / perBand) }, (_, i) =>
    attachments.slice(i * perBand, (i + 1) * perBand),
  );
  const rows = [
    ...bands.flatMap((band, i) => [...(i === 0 ? [] : [emptyRow]), ...bandRows(band, column, middle)]),
    ...(bands.length === 0 ? [{ label: "host", text: middle }] : []),
    ...beyond,
  ];
  const lines = rows.map(({ label, text }) => (label.padEnd(LABEL_WIDTH) + text).trimEnd());
  return [...(title === "" ? [] : [title, ""]), ...lines].join("\n").replace(/\n{3,}/g, "\n\n");
}

const emptyRow: BeyondRow = { label: "", text: "" };

function bandRows(band: readonly PicturedAttachment[], column: number, middle: string): BeyondRow[] {
  const inColumns = (texts: readonly string[]) => texts.map((text) => text.padEnd(column)).join("");
  const height = Math.max(...band.map(({ container }) => container.length));
  const wires = { label: "", text: inColumns(band.map(({ isLinked }) => (isLinked ? "  |" : ""))) };
  const bus = band.map(({ isLinked }) => (isLinked ? "--+" : "---").padEnd(column, "-")).join("");
  const ports = band.some(({ isLinked }) => isLinked) ? `${bus.slice(0, bus.lastIndexOf("+") + 1)}-- ` : "";
  const hasHostEnds = band.some(({ hostEnd }) => hostEnd !== undefined);
  return [
    ...Array.from({ length: height }, (_, i) => ({
      label: i === 0 ? "containers" : "",
      text: inColumns(band.map(({ container }) => container[i] ?? "")),
    })),
    wires,
    ...(hasHostEnds ? [{ label: "host", text: inColumns(band.map(({ hostEnd = "" }) => hostEnd)) }, wires] : []),
    { label: hasHostEnds ? "" : "host", text: `${ports}${middle}` },
  ];
}

const FONT_SIZE = 13;
/** Of a monospaced font, in its size. */
const CHARACTER_WIDTH = FONT_SIZE * 0.62;
const LINE = 18;
const MARGIN = 24;
const PADDING = 10;
const WIRE = 40;
const BUS = 10;

/** Draws as SVG: the bridge is a bar with the attachments on its right, however many there are. Several pictures are below each other. */
export function svgOf(pictures: readonly Picture[]): string {
  const parts: string[] = [];
  let top = MARGIN;
  let width = 0;
  for (const picture of pictures) {
    const { shapes, bottom, right } = shapesOf(picture, top);
    parts.push(...shapes);
    top = bottom + 2 * MARGIN;
    width = Math.max(width, right);
  }
  const size = `width="${Math.ceil(width + MARGIN)}" height="${Math.ceil(Math.max(top - MARGIN, MARGIN))}"`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" ${size} font-family="monospace" font-size="${FONT_SIZE}">`,
    '<rect width="100%" height="100%" fill="white"/>',
    ...parts,
    "</svg>",
    "",
  ].join("\n");
}

interface Shapes {
  shapes: string[];
  bottom: number;
  right: number;
}

function shapesOf({ title, attachments, middle, beyond }: Picture, top: number): Shapes {
  const shapes = [text(MARGIN, top + LINE / 2, title, 'font-weight="bold"'), text(MARGIN, top + 2 * LINE, middle)];
  const busTop = top + 3 * LINE;
  const hostEndWidth = boxWidth(attachments.map(({ hostEnd = "" }) => hostEnd));
  const containerLeft = MARGIN + BUS + WIRE + hostEndWidth + WIRE;
  const containerWidth = boxWidth(attachments.flatMap(({ container }) => container));
  let y = busTop + PADDING;
  for (const { container, hostEnd, isLinked } of attachments) {
    const height = container.length * LINE + PADDING;
    const centre = y + height / 2;
    if (isLinked) shapes.push(line(MARGIN + BUS, centre, containerLeft, centre));
    if (hostEnd !== undefined)
      shapes.push(...box(MARGIN + BUS + WIRE, centre - (LINE + PADDING) / 2, hostEndWidth, [hostEnd], "#eef"));
    shapes.push(...box(containerLeft, y, containerWidth, container, "#efe"));
    y += height + PADDING;
  }
  const busBottom = Math.max(y, busTop + LINE);
  shapes.push(`<rect x="${MARGIN}" y="${busTop}" width="${BUS}" height="${busBottom - busTop}" fill="#446"/>`);
  const rows = beyond.map((row) => [row.label, row.text.trim()].filter((part) => part !== "").join("  "));
  shapes.push(...rows.map((row, i) => text(MARGIN, busBottom + (i + 1) * LINE, row)));
  const widest = Math.max(...[title, middle, ...rows].map((one) => MARGIN + one.length * CHARACTER_WIDTH));
  return {
    shapes,
    bottom: busBottom + rows.length * LINE,
    right: Math.max(widest, attachments.length === 0 ? 0 : containerLeft + containerWidth),
  };
}

const boxWidth = (texts: readonly string[]): number =>
  Math.max(0, ...texts.map((one) => one.length)) * CHARACTER_WIDTH + 2 * PADDING;

const box = (x: number, y: number, width: number, lines: readonly string[], fill: string): string[] => [
  `<rect x="${x}" y="${y}" width="${width}" height="${lines.length * LINE + PADDING}" rx="4" fill="${fill}" stroke="#446"/>`,
  ...lines.map((one, i) => text(x + PADDING, y + (i + 1) * LINE, one)),
];

const line = (x1: number, y1: number, x2: number, y2: number): string =>
  `<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" stroke="#446"/>`;

const text = (x: number, y: number, content: string, attributes = ""): string =>
  `<text x="${x}" y="${y}" xml:space="preserve" ${attributes}>${escaped(content)}</text>`;

const ENTITIES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

/** Control characters are not allowed in XML at all. */
const escaped = (content: string): string =>
  [...content]
    .map((one) => (one < " " || one === "\u007f" || one > "\ufffd" ? "\ufffd" : (ENTITIES[one] ?? one)))
    .join("");
