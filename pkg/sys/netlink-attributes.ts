import { native } from "#native";

/**
 * Finds the netlink attributes in `from..to` whose types are wanted: `wanted[type]` is not 0. Returns where they begin, in their order. One
 * whose length cannot be right is the last. @throws RangeError `from..to` is out of bounds.
 */
export const findAttributes = (bytes: Uint8Array, from: number, to: number, wanted: Uint8Array): number[] =>
  native.findAttributes(bytes, from, to, wanted);
