/** Bytes as hexadecimal digits. */

/** The digits of all bytes as one text: a list of texts is memory in many places, which a call writes to (it counts who refers to them). */
const DIGITS = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0")).join("");

export function hex(bytes: Uint8Array, separator = ""): string {
  let text = "";
  for (let i = 0; i < bytes.length; i++) {
    const at = 2 * (bytes[i] as number);
    if (i > 0) text += separator;
    text += DIGITS.slice(at, at + 2);
  }
  return text;
}

export const fromHex = (digits: string): Uint8Array =>
  Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
