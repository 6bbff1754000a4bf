/** Decides when the next pass of a reconcile loop is due: pure, times are milliseconds of any clock that does not jump. */

export interface Debounce {
  /** A burst of changes has ended after this time without one. */
  quietMs: number;
  /** The longest delay after the first change of a burst that does not end. */
  latestMs: number;
}

export interface ScheduleOptions {
  debounce: Debounce;
  /** The interval between passes that nothing asked for, in case a notification was lost; undefined: there are none. */
  resyncMs?: number | undefined;
  /** The longest pause between passes while another program undoes each repair. */
  longestPauseMs: number;
  /** The longest pause before a failed pass is tried again. */
  longestRetryMs: number;
}

/** The result of one pass. */
export interface PassResult {
  /** How many things that another program had changed are correct again. */
  repaired: number;
  /** Something is not as it should be, and will be tried again. */
  isIncomplete?: boolean;
}

/** Repairs are counted for this time; `FIGHT` of them mean that another program keeps undoing them. */
const MEMORY_MS = 60_000;
const FIGHT = 5;
/** The pauses between passes that are undone, and those before a failed pass is tried again, begin with this and double each time. */
const FIRST_PAUSE_MS = 1000;

export class ReconcileDebounce {
  readonly #options: ScheduleOptions;
  #firstAskedMs: number | undefined;
  #askedDueMs: number | undefined;
  #retryDueMs: number | undefined;
  #lastPassMs: number;
  /** The failed passes since the last complete one. */
  #failures = 0;
  #repairedMs: number[] = [];
  /** The pause between passes while another program undoes repairs, else 0. */
  #pauseMs = 0;

  constructor(options: ScheduleOptions, nowMs: number) {
    this.#options = options;
    this.#lastPassMs = nowMs;
  }

  /** Records a change. */
  ask(nowMs: number): void {
    const { quietMs, latestMs } = this.#options.debounce;
    this.#firstAskedMs ??= nowMs;
    this.#askedDueMs = Math.min(nowMs + quietMs, this.#firstAskedMs + latestMs);
  }

  /** Records that a pass is wanted at once. */
  askNow(nowMs: number): void {
    this.#firstAskedMs ??= nowMs;
    this.#askedDueMs = nowMs;
  }

  /** Records that something failed, and is to be tried again. */
  retry(nowMs: number): void {
    this.#retryDueMs ??= nowMs + Math.min(FIRST_PAUSE_MS * 2 ** this.#failures, this.#options.longestRetryMs);
  }

  /** Records that a pass begins: it sees all changes recorded so far. */
  begin(): void {
    this.#firstAskedMs = undefined;
    this.#askedDueMs = undefined;
    this.#retryDueMs = undefined;
  }

  /** Records the end of a pass. @returns whether it shows, for the first time in a series, that another program undoes the repairs */
  end(nowMs: number, { repaired, isIncomplete = false }: PassResult): boolean {
    this.#lastPassMs = nowMs;
    if (isIncomplete) {
      this.retry(nowMs);
      this.#failures++;
    } else this.#failures = 0;
    return this.#countRepairs(nowMs, repaired);
  }

  #countRepairs(nowMs: number, repaired: number): boolean {
    if (nowMs - this.#lastRepairMs > MEMORY_MS + this.#pauseMs) this.#pauseMs = 0;
    this.#repairedMs = this.#repairedMs.filter((atMs) => nowMs - atMs < MEMORY_MS + this.#pauseMs);
    if (repaired === 0) return false;
    this.#repairedMs.push(nowMs);
    if (this.#repairedMs.length < FIGHT && this.#pauseMs === 0) return false;
    const isNews = this.#pauseMs === 0;
    this.#pauseMs = Math.min(isNews ? FIRST_PAUSE_MS : this.#pauseMs * 2, this.#options.longestPauseMs);
    return isNews;
  }

  get #lastRepairMs(): number {
    return this.#repairedMs.at(-1) ?? Number.NEGATIVE_INFINITY;
  }

  /** Returns how many milliseconds later the next pass is due, unless something is recorded before; undefined: none is. */
  waitMs(nowMs: number): number | undefined {
    const { resyncMs } = this.#options;
    const resyncDueMs = resyncMs === undefined ? undefined : this.#lastPassMs + resyncMs;
    const due = [this.#askedDueMs, this.#retryDueMs, resyncDueMs].filter((atMs) => atMs !== undefined);
    if (due.length === 0) return undefined;
    return Math.max(0, Math.min(...due) - nowMs, this.#lastRepairMs + this.#pauseMs - nowMs);
  }
}
