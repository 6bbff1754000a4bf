/**
 * What a rule has to contain to be of interest, and rules that are searched for it again and again, as by the plan of `twill reload`, which asks for a
 * few rules of each of a thousand attachments.
 */
import { findBytes } from "../../sys/find-bytes.ts";
import { encode } from "../../sys/text.ts";

/**
 * Bytes that the rule has to contain; or a text, or one of several. Names and comments are in a rule's bytes as they are. A function gives the
 * text when there is a first rule to look at.
 */
export type Wanted = Uint8Array | Texts | (() => Texts);
type Texts = string | readonly string[];

type Matcher = (bytes: Uint8Array, from: number, to: number) => boolean;

/** Returns a function that reports whether bytes from..to contain what is wanted. */
export function matcherFor(wanted: Wanted | undefined): Matcher {
  if (wanted === undefined) return () => true;
  if (typeof wanted === "function") {
    let matcher: Matcher | undefined;
    return (bytes, from, to) => {
      matcher ??= matcherFor(wanted());
      return matcher(bytes, from, to);
    };
  }
  const [only, ...more] = wanted instanceof Uint8Array ? [wanted] : textsOf(wanted).map(encode);
  if (only === undefined) return () => false;
  if (more.length === 0) return (bytes, from, to) => findBytes(bytes, only, from, to) >= 0;
  const all = [only, ...more];
  return (bytes, from, to) => all.some((one) => findBytes(bytes, one, from, to) >= 0);
}

const textsOf = (texts: Texts): readonly string[] => (typeof texts === "string" ? [texts] : texts);

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
  readonly #removed = new Set<Uint8Array>();

  /** @param bodies Of NFT_MSG_NEWRULE, or of elements of sets, each with a buffer of its own. */
  constructor(bodies: readonly Uint8Array[]) {
    this.#bodies = bodies;
  }

  /** Returns the rules that contain what is wanted, in their order. */
  holding(wanted: Wanted | undefined): Uint8Array[] {
    const all = this.#bodies;
    const removed = this.#removed;
    if (wanted === undefined) return all.filter((body) => !removed.has(body));
    const needles = all.length > FEW ? needlesOf(wanted) : [];
    const isWanted = matcherFor(wanted);
    const isHeld = (body: Uint8Array | undefined): body is Uint8Array =>
      body !== undefined && !removed.has(body) && isWanted(body, 0, body.length);
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
    for (const key of keys) for (const body of groups.get(key) ?? []) if (!this.#removed.has(body)) found.add(body);
    return found.size < 2 ? [...found] : this.#bodies.filter((body) => found.has(body));
  }

  /** Takes out rules that were deleted since. */
  remove(bodies: Iterable<Uint8Array>): void {
    for (const body of bodies) this.#removed.add(body);
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
        const word = view.getUint32(at);
        if (word === 0) continue; // as in IPv6 addresses: the index does not have it
        const numbers = index.get(word) ?? [];
        if (rarest === undefined || numbers.length < rarest.length) rarest = numbers;
      }
      return rarest ?? this.#bodies.map((_, number) => number);
    });
  }
}

/** Returns what was read when the key was first asked for through a connection. @param memory The connection's */
export function readOnce(memory: Map<string, unknown>, key: string, read: () => readonly Uint8Array[]): ReadRules {
  const known = memory.get(key);
  if (known instanceof ReadRules) return known;
  const found = new ReadRules(read());
  memory.set(key, found);
  return found;
}

interface Needle {
  bytes: Uint8Array;
  /** Addresses are values of attributes, which begin at multiples of 4; texts may begin anywhere. */
  isAligned: boolean;
}

function needlesOf(wanted: Wanted): Needle[] {
  if (wanted instanceof Uint8Array) return [{ bytes: wanted, isAligned: true }];
  const texts = typeof wanted === "function" ? wanted() : wanted;
  return textsOf(texts).map((text) => ({ bytes: encode(text), isAligned: false }));
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
