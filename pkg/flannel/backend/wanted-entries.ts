/**
 * The entries that peers need in the kernel, by ID. A change touches only the entries of the peers that it names. If several peers claim
 * the same ID, as peers with one MAC do, the last one has it; when that one is gone, the previous one has it again. Pure.
 */
import type { Entry, ReadableEntries } from "./entry.ts";

/** One peer's claim on one ID, in a linked list with the last peer first. */
interface Claim {
  readonly order: number;
  readonly entry: Entry;
  readonly next: Claim | undefined;
}

interface Owner {
  /** Increases with each new peer. */
  readonly order: number;
  entries: readonly Entry[];
}

export class WantedEntries implements ReadableEntries {
  readonly #claims = new Map<string, Claim>();
  readonly #owners = new Map<string, Owner>();
  #owned = 0;

  get(id: string): Entry | undefined {
    return this.#claims.get(id)?.entry;
  }

  has(id: string): boolean {
    return this.#claims.has(id);
  }

  *values(): Generator<Entry> {
    for (const { entry } of this.#claims.values()) yield entry;
  }

  /** @returns IDs whose entry may be another one now */
  set(owner: string, entries: readonly Entry[]): string[] {
    const known = this.#owners.get(owner);
    const { order, entries: before } = known ?? { order: this.#owned++, entries: [] };
    for (const { id } of before) this.#withdraw(id, order);
    for (const entry of entries) this.#claim(entry, order);
    if (known) known.entries = entries;
    else this.#owners.set(owner, { order, entries });
    return [...before, ...entries].map(({ id }) => id);
  }

  /** @returns IDs whose entry may be another one now */
  delete(owner: string): string[] {
    const touched = this.set(owner, []);
    this.#owners.delete(owner);
    return touched;
  }

  #claim(entry: Entry, order: number): void {
    this.#claims.set(entry.id, inserted(this.#claims.get(entry.id), entry, order));
  }

  #withdraw(id: string, order: number): void {
    const rest = without(this.#claims.get(id), order);
    if (rest) this.#claims.set(id, rest);
    else this.#claims.delete(id);
  }
}

/** Inserts a claim; a later one of the same peer replaces its earlier one. */
function inserted(list: Claim | undefined, entry: Entry, order: number): Claim {
  if (list === undefined || list.order < order) return { order, entry, next: list };
  if (list.order === order) return { order, entry, next: list.next };
  return { ...list, next: inserted(list.next, entry, order) };
}

function without(list: Claim | undefined, order: number): Claim | undefined {
  if (list === undefined || list.order < order) return list;
  return list.order === order ? list.next : { ...list, next: without(list.next, order) };
}
