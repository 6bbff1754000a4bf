import { native } from "#native";

/** Encodes as UTF-8. */
export const encode = (text: string): Uint8Array => native.encode(text);

/** Decodes UTF-8; ill-formed sequences become U+FFFD. @throws RangeError when from..to is out of bounds. */
export const decode = (bytes: Uint8Array, from?: number, to?: number): string =>
  native.decode(bytes, from ?? 0, to ?? bytes.length);
