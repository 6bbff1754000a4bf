// Parts of rules that are encoded when the program is built, with holes for what differs from container to container.
//
// Rejected: to send rules through the tables of pkg/netlink while the plugin runs. That costs 40 us a rule, 140 us for the first, since an interpreter
// works through some forty attributes and the memory of their tables is mapped page by page; copying a template and filling its holes costs 1 us.
// The tables still say what the bytes are: they make the templates, and read rules back.
import { encode } from "../../netlink/message.ts";
import { type ExpressionRequest, expressions } from "../../netlink/nftables/expression.ts";

/** Expressions as they stand in NFTA_RULE_EXPRESSIONS. */
export interface Template {
  readonly bytes: Uint8Array;
  /** Where values go, in the order in which the holes were named. */
  readonly holes: readonly number[];
}

/** Stands for bytes that are filled in later. Its own are from 0x81 to 0xfd, which rules do not consist of otherwise. */
export function hole(size: number): Uint8Array {
  holesMade++;
  return Uint8Array.from({ length: size }, (_, i) => 0x81 + ((holesMade * 41 + i * 29) % 0x7d));
}
let holesMade = 0; // while the program is built; templates do not show it

/** Stands for a text of as many ASCII characters. */
export function textHole(length: number): string {
  return String.fromCharCode(...Array.from({ length }, (_, i) => 0x7f - (i & 0x1f)));
}

/** @throws Error a hole does not stand in the expressions exactly once */
export function template(parts: readonly ExpressionRequest[], ...holes: readonly (Uint8Array | string)[]): Template {
  const bytes = encode(expressions, parts);
  const markers = holes.map((marker) =>
    typeof marker === "string" ? Uint8Array.from(marker, (char) => char.charCodeAt(0)) : marker,
  );
  const places = markers.map((marker) => placeOf(bytes, marker));
  markers.forEach((marker, i) => {
    bytes.fill(0, places[i], (places[i] ?? 0) + marker.length);
  });
  return { bytes: bytes.slice(), holes: places };
}

function placeOf(bytes: Uint8Array, marker: Uint8Array): number {
  const places = Array.from(bytes.keys()).filter((at) => marker.every((byte, i) => bytes[at + i] === byte));
  if (places.length !== 1) throw new Error(`the hole of ${marker.length} bytes stands in ${places.length} places`);
  return places[0] as number;
}

/** A copy with its holes filled. A value that is shorter than its hole is followed by zeros. */
export function fill({ bytes, holes }: Template, ...values: readonly Uint8Array[]): Uint8Array {
  const filled = bytes.slice();
  for (let i = 0; i < values.length; i++) filled.set(values[i] as Uint8Array, holes[i] as number);
  return filled;
}
