import { native } from "#native";

/** Encodes as UTF-8. */
export const encode = (text: string): Uint8Array => native.encode(text);

/** Decodes UTF-8; ill-formed sequences become U+FFFD. @throws RangeError when from..to is out of bounds. */
export const decode = (bytes: Uint8Array, from?: number, to?: number): string =>
  native.decode(bytes, from ?? 0, to ?? bytes.length);

/** Encodes as UTF-8 into a buffer, from `at`; 3 bytes for each unit of `text.length` are enough. Returns the end. @throws RangeError */
export const encodeInto = (bytes: Uint8Array, at: number, text: string): number => native.encodeInto(bytes, at, text);
