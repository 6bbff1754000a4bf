/**
 * What a rule has to contain to be of interest, and rules that are searched for it again and again, as by the plan of `twill reload`, which asks for a
 * few rules of each of a thousand attachments.
 */
import { decode, encode } from "../../sys/text.ts";

/**
 * Bytes that the rule has to contain; or a text, or one of several. Names and comments are in a rule's bytes as they are (for comments see
 * `inComment`). A function gives the text when there is a first rule to look at.
 */
export type Wanted = Uint8Array | Texts | (() => Texts);
type Texts = string | readonly string[];

/**
 * Returns what a rule's bytes contain when it has this comment, or a comment that begins so: all but the first character. The length before a
 * comment of 127 characters or more is not valid UTF-8, and decoding it may consume the character behind it.
 */
export const inComment = (comment: string): string => comment.slice(1);

type Matcher = (bytes: Uint8Array, from: number, to: number) => boolean;

/** Returns a function that reports whether bytes from..to contain what is wanted. */
export function matcherFor(wanted: Wanted | undefined): Matcher {
  if (wanted === undefined) return () => true;
  if (typeof wanted === "string") return (bytes, from, to) => decode(bytes, from, to).includes(wanted);
  if (wanted instanceof Uint8Array) return (bytes, from, to) => includes(bytes.subarray(from, to), wanted);
  if (typeof wanted === "function") {
    let matcher: Matcher | undefined;
    return (bytes, from, to) => {
      matcher ??= matcherFor(wanted());
      return matcher(bytes, from, to);
    };
  }
  return (bytes, from, to) => {
    const text = decode(bytes, from, to);
    return wanted.some((one) => text.includes(one));
  };
}

/** Reports whether the body contains the bytes anywhere. */
function includes(body: Uint8Array, wanted: Uint8Array): boolean {
  const first = wanted[0] ?? 0;
  for (let at = body.indexOf(first); at >= 0; at = body.indexOf(first, at + 1)) {
    if (wanted.every((byte, i) => body[at + i] === byte)) return true;
  }
  return false;
}

/** The number of rules up to which looking at each costs less than the index. */
const FEW = 16;
/** A text of this length has, wherever it begins, a whole word of the index in it. */
const SHORTEST_INDEXED = 7;
const WORD = 4;

/** Rules that were read once. */
export class ReadRules {
  readonly #bodies: readonly Uint8Array[];
  /** For each 4 bytes at a multiple of 4, the numbers of the rules that have them there, in ascending order. */
  #index: Map<number, number[]> | undefined;
  readonly #groups = new Map<unknown, Map<unknown, Uint8Array[]>>();

  /** @param bodies Of NFT_MSG_NEWRULE, each with a buffer of its own. */
  constructor(bodies: readonly Uint8Array[]) {
    this.#bodies = bodies;
  }

  /** Returns the rules that contain what is wanted, in their order. */
  holding(wanted: Wanted | undefined): Uint8Array[] {
    const all = this.#bodies;
    if (wanted === undefined) return [...all];
    const needles = all.length > FEW ? needlesOf(wanted) : [];
    const isWanted = matcherFor(wanted);
    const isHeld = (body: Uint8Array | undefined): body is Uint8Array =>
      body !== undefined && isWanted(body, 0, body.length);
    if (
      needles.length === 0 ||
      needles.some(({ bytes, isAligned }) => bytes.length < (isAligned ? WORD : SHORTEST_INDEXED))
    )
      return all.filter(isHeld);
    const numbers = new Set(needles.flatMap((needle) => this.#candidates(needle)));
    return [...numbers]
      .sort((one, other) => one - other)
      .map((number) => all[number])
      .filter(isHeld);
  }

  /** Returns the rules that have one of the keys, in their order. @param keysOf The keys of a rule, the same function each time */
  havingKey<K>(keysOf: (body: Uint8Array) => readonly K[], keys: Iterable<K>): Uint8Array[] {
    let groups = this.#groups.get(keysOf);
    if (groups === undefined) {
      groups = new Map();
      for (const body of this.#bodies) for (const key of new Set(keysOf(body))) listIn(groups, key).push(body);
      this.#groups.set(keysOf, groups);
    }
    const found = new Set<Uint8Array>();
    for (const key of keys) for (const body of groups.get(key) ?? []) found.add(body);
    return found.size < 2 ? [...found] : this.#bodies.filter((body) => found.has(body));
  }

  /** Returns the numbers of the rules that may contain the bytes: for each place where they could begin in a word, those that have their rarest word. */
  #candidates({ bytes, isAligned }: Needle): number[] {
    this.#index ??= indexOf(this.#bodies);
    const index = this.#index;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const begins = isAligned ? [0] : [0, 1, 2, 3];
    return begins.flatMap((from) => {
      let rarest: readonly number[] | undefined;
      for (let at = from; at + WORD <= bytes.length; at += WORD) {
        const numbers = index.get(view.getUint32(at)) ?? [];
        if (rarest === undefined || numbers.length < rarest.length) rarest = numbers;
      }
      return rarest ?? [];
    });
  }
}

interface Needle {
  bytes: Uint8Array;
  /** Addresses are values of attributes, which begin at multiples of 4; texts may begin anywhere. */
  isAligned: boolean;
}

function needlesOf(wanted: Wanted): Needle[] {
  if (wanted instanceof Uint8Array) return [{ bytes: wanted, isAligned: true }];
  const texts = typeof wanted === "function" ? wanted() : wanted;
  return (typeof texts === "string" ? [texts] : texts).map((text) => ({ bytes: encode(text), isAligned: false }));
}

function indexOf(bodies: readonly Uint8Array[]): Map<number, number[]> {
  const index = new Map<number, number[]>();
  bodies.forEach((body, number) => {
    const view = new DataView(body.buffer, body.byteOffset, body.length);
    for (let at = 0; at + WORD <= body.length; at += WORD) {
      const word = view.getUint32(at);
      if (word === 0) continue; // padding, in every rule
      const numbers = listIn(index, word);
      if (numbers[numbers.length - 1] !== number) numbers.push(number);
    }
  });
  return index;
}

function listIn<K, V>(lists: Map<K, V[]>, key: K): V[] {
  const known = lists.get(key);
  if (known !== undefined) return known;
  const list: V[] = [];
  lists.set(key, list);
  return list;
}
