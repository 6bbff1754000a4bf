// Text as UTF-8 and back (RFC 3629). Codecs import nothing from outside their folder, and QuickJS has no TextEncoder.

const replacement = 0xfffd;

/** Appends the bytes of `text` to a buffer that has room for them: 3 for each `text.length` is enough. Returns the end. */
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

/** The text in `buffer[from..to)`. What is not UTF-8 becomes U+FFFD: a name that cannot be read must not stop a dump. */
export function readUtf8(buffer: Uint8Array, from: number, to: number): string {
  let text = "";
  for (let i = from; i < to; ) {
    const first = buffer[i] as number;
    if (first < 0x80) {
      text += String.fromCharCode(first);
      i++;
      continue;
    }
    const length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    const code = i + length > to ? replacement : multiByte(buffer, i, length);
    text += String.fromCodePoint(code);
    i += code === replacement ? 1 : length;
  }
  return text;
}

const smallest = [0, 0, 0x80, 0x800, 0x10000]; // by length: a longer form of a smaller code is not UTF-8

function multiByte(buffer: Uint8Array, at: number, length: number): number {
  const first = buffer[at] as number;
  if (first < 0xc2 || first > 0xf4) return replacement;
  let code = first & (0xff >> (length + 1));
  for (let i = at + 1; i < at + length; i++) {
    const next = buffer[i] as number;
    if ((next & 0xc0) !== 0x80) return replacement;
    code = (code << 6) | (next & 0x3f);
  }
  const surrogate = code >= 0xd800 && code < 0xe000;
  return code < (smallest[length] as number) || code > 0x10ffff || surrogate ? replacement : code;
}
