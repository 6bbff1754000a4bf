import { native } from "#native";

/** UTF-8. */
export const encode = (text: string): Uint8Array => native.encode(text);

/** From UTF-8; broken sequences become U+FFFD. @throws RangeError when from..to lies outside. */
export const decode = (bytes: Uint8Array, from?: number, to?: number): string =>
  native.decode(bytes, from ?? 0, to ?? bytes.length);
