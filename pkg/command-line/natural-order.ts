/** The order in which people count: n2 before n10. Pure. */

/** Compares texts by code units, but runs of digits in them by their numbers. */
export function compareNaturally(one: string, other: string): number {
  const [parts, others] = [partsOf(one), partsOf(other)];
  for (const [i, part] of parts.entries()) {
    const rest = others[i];
    if (rest === undefined) return 1;
    if (part === rest) continue;
    if (!DIGITS.test(part) || !DIGITS.test(rest)) return part < rest ? -1 : 1;
    const [number, otherNumber] = [part, rest].map((digits) => digits.replace(/^0+(?=.)/, ""));
    if (number === undefined || otherNumber === undefined || number === otherNumber) continue;
    return number.length - otherNumber.length || (number < otherNumber ? -1 : 1);
  }
  if (others.length > parts.length) return -1;
  return one === other ? 0 : one < other ? -1 : 1; // as 01 and 1
}

const DIGITS = /^\d+$/;

const partsOf = (text: string): string[] => text.match(/\d+|\D+/g) ?? [];
