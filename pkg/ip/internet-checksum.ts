/** The checksum of IPv4, ICMP, TCP and UDP (RFC 1071). */

/** Adds up 16-bit words in the checksum's arithmetic (RFC 1071). An odd byte at the end is the upper half of a word. @returns 16 bits */
export function sumOf(view: DataView, at: number, size: number): number {
  // two sums over 32-bit words in the processor's order: 64 kB overflow neither. RFC 1071 (2B): swapping the bytes of the sum is enough
  let low = 0;
  let high = 0;
  const end = at + size;
  const wordsEnd = end - 15;
  let i = at;
  for (; i < wordsEnd; i += 16) {
    const a = view.getInt32(i, true);
    const b = view.getInt32(i + 4, true);
    const c = view.getInt32(i + 8, true);
    const d = view.getInt32(i + 12, true);
    low = (low + (a & 0xffff) + (b & 0xffff) + (c & 0xffff) + (d & 0xffff)) | 0;
    high = (high + (a >>> 16) + (b >>> 16) + (c >>> 16) + (d >>> 16)) | 0;
  }
  for (; i + 1 < end; i += 2) low = (low + view.getUint16(i, true)) | 0;
  if (i < end) low = (low + view.getUint8(i)) | 0;
  const sum = folded((low & 0xffff) + (low >>> 16) + (high & 0xffff) + (high >>> 16));
  return ((sum & 0xff) << 8) | (sum >> 8);
}

/** Folds a sum of up to 32 bits into 16. */
export function folded(sum: number): number {
  const once = (sum & 0xffff) + (sum >>> 16);
  return (once & 0xffff) + (once >>> 16);
}
