/** Base64 with padding (RFC 4648), as Go writes bytes in JSON. QuickJS has it built in, Node 20 does not. Pure. */

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const valueOfLetter = new Map([...alphabet].map((letter, value) => [letter, value]));

export function encodeBase64(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 3) {
    const [a = 0, b, c] = bytes.subarray(at, at + 3);
    const bits = (a << 16) | ((b ?? 0) << 8) | (c ?? 0);
    text += letter(bits >> 18) + letter(bits >> 12);
    text += b === undefined ? "==" : letter(bits >> 6) + (c === undefined ? "=" : letter(bits));
  }
  return text;
}

const letter = (bits: number): string => alphabet[bits & 63] ?? "";

/** Decodes. Returns undefined when the text is not base64. */
export function decodeBase64(text: string): Uint8Array | undefined {
  if (text.length % 4 !== 0) return undefined;
  const letters = text.replace(/={1,2}$/, "");
  const bytes = new Uint8Array(Math.floor((letters.length * 3) / 4));
  let bits = 0;
  for (let i = 0; i < letters.length; i++) {
    const value = valueOfLetter.get(letters[i] ?? "");
    if (value === undefined) return undefined;
    bits = ((bits << 6) | value) & 0xffffff;
    if (i % 4 > 0) bytes[Math.floor((i * 3) / 4)] = bits >> (6 - 2 * (i % 4));
  }
  return bytes;
}
