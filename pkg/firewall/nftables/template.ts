// Parts of rules that are encoded when the program is built, with holes for the values that differ from container to container.
//
// Rejected: encoding rules through the wire tables of pkg/netlink while the plugin runs. That takes 40 us a rule, 140 us for the first,
// since an interpreter works through some forty attributes and the memory of their tables is mapped page by page; copying a template and
// filling its holes takes 1 us. The wire tables still define the bytes: the templates are made with them, and rules are decoded with them.
import { encode } from "../../netlink/message.ts";
import { type ExpressionRequest, expressions } from "../../netlink/nftables/expression.ts";

/** Expressions as NFTA_RULE_EXPRESSIONS contains them. */
export interface Template {
  readonly bytes: Uint8Array;
  /** The offsets of the holes, in the order in which the holes were named. */
  readonly holes: readonly number[];
}

/**
 * Returns a placeholder for bytes that are filled in later. It consists of bytes from 0x81 to 0xfd, which rules do not contain otherwise.
 */
export function hole(size: number): Uint8Array {
  holesMade++;
  return Uint8Array.from({ length: size }, (_, i) => 0x81 + ((holesMade * 41 + i * 29) % 0x7d));
}
let holesMade = 0; // only changes while the program is built; does not affect the templates

/** Returns a placeholder for a text of this many ASCII characters. */
export function textHole(length: number): string {
  return String.fromCharCode(...Array.from({ length }, (_, i) => 0x7f - (i & 0x1f)));
}

/** Encodes expressions and finds their holes. @throws Error a hole is not in the expressions exactly once */
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

/** Returns a copy of the template with its holes filled. A value that is shorter than its hole is followed by zeros. */
export function fill({ bytes, holes }: Template, ...values: readonly Uint8Array[]): Uint8Array {
  const filled = bytes.slice();
  for (let i = 0; i < values.length; i++) filled.set(values[i] as Uint8Array, holes[i] as number);
  return filled;
}
