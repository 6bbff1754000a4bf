/** The container ID of a namespace that belongs to no runtime. */
import { hex } from "../bytes/hex.ts";
import { sha512 } from "../sys/sha512.ts";
import { encode } from "../sys/text.ts";

/** What such an ID begins with. */
export const CONTAINER_ID_PREFIX = "cnitool-";

/** Makes the container ID from the namespace's path, as the Go tool cnitool does. */
export const containerIdOf = (netns: string): string =>
  `${CONTAINER_ID_PREFIX}${hex(sha512(encode(netns)).subarray(0, 10))}`;
