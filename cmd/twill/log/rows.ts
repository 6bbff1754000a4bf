/** The rows of `twill log`. Pure. */
import type { FailedCall } from "../../../pkg/cni/failed-calls.ts";
import { detailLines } from "../../../pkg/command-line/run-command.ts";
import { oneLine, printable } from "../../../pkg/command-line/table.ts";

export interface Selection {
  failed: boolean;
  slow: boolean;
  sinceMs: number;
  /** The last so many; 0: all. */
  most: number;
}

export const isShown = ({ error, time }: FailedCall, { failed, slow, sinceMs }: Selection): boolean =>
  (error === undefined ? slow : failed) && Date.parse(time) >= sinceMs;

const HEADING = ["TIME", "PLUGIN", "COMMAND", "NETWORK", "CONTAINER", "INTERFACE", "MS", "CODE", "MESSAGE"];

/** Runtimes' IDs of 64 digits are told apart by fewer; --json has all of them. */
const shortId = (id: string): string => printable(/^[0-9a-f]{64}$/.test(id) ? id.slice(0, 12) : id);

const cellsOf = ({ time, plugin, verb, network, container, ifname, ms, error }: FailedCall): string[] => [
  time.replace(/\.\d+Z$/, "Z"),
  printable(plugin),
  printable(verb),
  network === undefined ? "-" : printable(network),
  container === undefined ? "-" : shortId(container),
  ifname === undefined ? "-" : printable(ifname),
  String(ms),
  error === undefined ? "-" : String(error.code),
  error === undefined ? "slow" : oneLine(error.msg),
];

/** Returns the width of each column. */
export const widthsFor = (calls: readonly FailedCall[]): number[] =>
  HEADING.map((name, i) => Math.max(name.length, ...calls.map((call) => cellsOf(call)[i]?.length ?? 0)));

export interface RowOptions {
  heading: boolean;
  /** Whether an error's details are on lines of their own. */
  details: boolean;
  widths?: readonly number[];
}

export function linesFor(
  calls: readonly FailedCall[],
  { heading, details, widths = widthsFor(calls) }: RowOptions,
): string[] {
  const line = (cells: readonly string[]): string =>
    `${cells.map((cell, i) => (i === HEADING.length - 1 ? cell : cell.padEnd(widths[i] ?? 0))).join("  ")}\n`;
  return [
    ...(heading ? [line(HEADING)] : []),
    ...calls.flatMap((call) => [
      line(cellsOf(call)),
      ...(details ? detailLines(call.error?.details ?? "").map((text) => `    ${oneLine(text)}\n`) : []),
    ]),
  ];
}
