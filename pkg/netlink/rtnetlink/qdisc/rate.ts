// A rate as queueing disciplines and classes take it.
import { s16, struct, u8, u16, u32 } from "../../wire.ts";

export const TC_LINKLAYER_ETHERNET = 1;

/**
 * struct tc_ratespec, linux/pkt_sched.h. With `linkLayer` set the kernel calculates with the rate itself and needs no rate table; without, it guesses
 * from the table that old versions of tc send.
 */
export const rateSpecification = struct({
  cellLog: u8,
  linkLayer: u8,
  overhead: u16,
  cellAlign: s16,
  minimalPacketBytes: u16,
  bytesPerSecond: u32, // or 0xffffffff with a 64 bit attribute beside it
});
