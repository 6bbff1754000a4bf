/** A message about a place in a file. Pure. */

import type { CniError } from "../../../pkg/cni/error.ts";
import { printableLines } from "../../../pkg/command-line/table.ts";
import { type JsonNode, type JsonPath, type Position, positionOf } from "../../../pkg/config/json.ts";

export interface Finding extends Position {
  file: string;
  /** An error prevents the network from working, or from working as its author intended; a note is about what is as it should be. */
  severity: "error" | "warning" | "note";
  text: string;
  hint: string | undefined;
}

/** One part of a document. */
export interface Location {
  file: string;
  document: JsonNode;
  path: JsonPath;
}

export const inside = (place: Location, ...steps: JsonPath): Location => ({
  ...place,
  path: [...place.path, ...steps],
});

/** Makes a finding at the place, or at the nearest enclosing part that is in the text. */
export function findingAt(
  { file, document, path }: Location,
  severity: Finding["severity"],
  text: string,
  hint?: string,
): Finding {
  let around = path;
  let position = positionOf(document, around);
  while (position === undefined) {
    around = around.slice(0, -1);
    position = positionOf(document, around);
  }
  return { file, ...position, severity, text, hint };
}

/** Makes a finding from an error; its remedy becomes the hint. */
export function findingOf(place: Location, { msg, details }: CniError): Finding {
  const text = msg.startsWith(`${place.file}: `) ? msg.slice(place.file.length + 2) : msg;
  return findingAt(place, "error", text, details.replaceAll("To fix: ", "") || undefined);
}

/** Formats like a compiler's message, so that editors find the place. */
export function printFinding({ file, line, column, severity, text, hint }: Finding): string {
  return printableLines(
    `${file}:${line}:${column}: ${severity}: ${text}\n${hint === undefined ? "" : `    ${hint}\n`}`,
  );
}

/** Sorts by position and removes duplicates: two schemas may refuse the same value. */
export function sorted(findings: readonly Finding[]): Finding[] {
  const once = new Map(findings.map((finding) => [printFinding(finding), finding]));
  return [...once.values()].sort(
    (one, other) => compare(one.file, other.file) || one.line - other.line || one.column - other.column,
  );
}

const compare = (one: string, other: string): number => (one < other ? -1 : one > other ? 1 : 0);
