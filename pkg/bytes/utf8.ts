// Converts text to UTF-8 and back (RFC 3629). Codecs import nothing from outside their folder, and QuickJS has no TextEncoder.

const replacement = 0xfffd;

/** Writes the bytes of `text` to a buffer with enough room: at most 3 for each unit of `text.length`. Returns the end. */
export function writeUtf8(buffer: Uint8Array, at: number, text: string): number {
  let end = at;
  for (let i = 0; i < text.length; i++) {
    let code = text.charCodeAt(i);
    if (code < 0x80) {
      buffer[end++] = code;
      continue;
    }
    if (code >= 0xd800 && code < 0xe000) {
      code = text.codePointAt(i) ?? replacement;
      if (code > 0xffff) i++;
      else code = replacement; // half a surrogate pair
    }
    end = writeMultiByte(buffer, end, code);
  }
  return end;
}

function writeMultiByte(buffer: Uint8Array, at: number, code: number): number {
  let end = at;
  if (code < 0x800) {
    buffer[end++] = 0xc0 | (code >> 6);
  } else {
    if (code < 0x10000) {
      buffer[end++] = 0xe0 | (code >> 12);
    } else {
      buffer[end++] = 0xf0 | (code >> 18);
      buffer[end++] = 0x80 | ((code >> 12) & 0x3f);
    }
    buffer[end++] = 0x80 | ((code >> 6) & 0x3f);
  }
  buffer[end++] = 0x80 | (code & 0x3f);
  return end;
}

/**
 * Returns the text in `buffer[from..to)`. Ill-formed UTF-8 becomes U+FFFD, one for each maximal subpart of a sequence, as in the
 * WHATWG Encoding Standard: a name that cannot be read must not stop a dump.
 */
export function readUtf8(buffer: Uint8Array, from: number, to: number): string {
  let text = "";
  for (let i = from; i < to; ) {
    const first = buffer[i] as number;
    if (first < 0x80) {
      text += String.fromCharCode(first);
      i++;
      continue;
    }
    const length = sequenceLength(first);
    const end = length === 0 ? i + 1 : i + wellFormedStart(buffer, i, Math.min(i + length, to));
    text += end - i === length ? String.fromCodePoint(codePoint(buffer, i, length)) : "\ufffd";
    i = end;
  }
  return text;
}

/** Returns the length of the sequence that this first byte, not an ASCII one, begins. 0: no sequence begins with it. */
function sequenceLength(first: number): number {
  if (first < 0xc2 || first > 0xf4) return 0;
  return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/** Counts the bytes from `at` that can begin a sequence; a second byte that makes it overlong, a surrogate or too large ends them. */
function wellFormedStart(buffer: Uint8Array, at: number, end: number): number {
  const first = buffer[at] as number;
  for (let i = at + 1; i < end; i++) {
    const [low, high] = i === at + 1 ? (secondByte.get(first) ?? continuation) : continuation;
    const byte = buffer[i] as number;
    if (byte < low || byte > high) return i - at;
  }
  return end - at;
}

const continuation: readonly [number, number] = [0x80, 0xbf];
const secondByte: ReadonlyMap<number, readonly [number, number]> = new Map([
  [0xe0, [0xa0, 0xbf]],
  [0xed, [0x80, 0x9f]],
  [0xf0, [0x90, 0xbf]],
  [0xf4, [0x80, 0x8f]],
]);

function codePoint(buffer: Uint8Array, at: number, length: number): number {
  let code = (buffer[at] as number) & (0xff >> (length + 1));
  for (let i = at + 1; i < at + length; i++) code = (code << 6) | ((buffer[i] as number) & 0x3f);
  return code;
}
