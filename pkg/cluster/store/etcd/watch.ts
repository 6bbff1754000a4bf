/**
 * Watches the leases until it is stopped.
 *
 * When a watch ends (a lost connection, a restart, a compaction, a member without a leader), it begins again with a full list and
 * continues at that list's revision without a gap. Rejected: to resume at the last revision, as flannel does: it saves a list of
 * some 100 ms after an outage, and needs the list anyway if etcd was compacted meanwhile.
 */
import type { IEvent, IRangeResponse, IWatchResponse } from "etcd3";
import type { LeaseEvent, Watch } from "../../lease/event.ts";
import { ANSWER_MS, CallError, type Connection, callError, type WatchStream } from "./connection.ts";
import { type ServerError, storeError } from "./errors.ts";
import { type ExpiryOf, eventOf, type Keys, nextRevision, snapshotOf } from "./keys.ts";
import { CANCELLED, DEADLINE_EXCEEDED, type EtcdServer, UNAVAILABLE } from "./server.ts";

export interface Following {
  /** Watched one at a time. Used by this watch only, since it renews their connections. */
  members: readonly EtcdServer[];
  keys: Keys;
  endOf: ExpiryOf;
  event(event: LeaseEvent): void;
  trouble(why: Error | undefined): void;
}

/** flannel's backoff. */
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5000;

export interface EtcdWatch extends Watch {
  /** Begins again with the list over a new connection. */
  reconnect(): void;
}

export function followLeases(following: Following): EtcdWatch {
  const follower = new Follower(following);
  void follower.run(); // errors of etcd do not reject it; an exception of `event` ends the process, as it should
  return { stop: () => follower.stop(), reconnect: () => follower.reconnect() };
}

class Follower {
  private readonly to: Following;
  private isStopped = false;
  /** Errors of members since the last successful watch or report. */
  private refusals: ServerError[] = [];
  private isConnected = false;
  private pauseMs = FIRST_PAUSE_MS;
  private toldTrouble: string | undefined;
  private interrupt: () => void = () => {};

  constructor(to: Following) {
    this.to = to;
  }

  async run(): Promise<void> {
    for (let turn = 0; !this.isStopped; ) {
      const member = this.to.members[turn % this.to.members.length] as EtcdServer;
      const why = await this.follow(member);
      member.renew();
      if (this.isStopped || why === undefined) continue;
      turn++;
      this.refusals.push({ url: member.url, error: why });
      await this.recover();
    }
    for (const member of this.to.members) member.close();
  }

  stop(): void {
    this.isStopped = true;
    this.interrupt();
  }

  reconnect(): void {
    for (const member of this.to.members) member.reconnect();
    this.interrupt();
  }

  /** @returns the error that ended it; undefined: no error, begin again */
  private async follow(member: EtcdServer): Promise<unknown> {
    const begun = await member.ask(open(this.to.keys)).then(
      (opened) => this.begin(opened),
      (error: unknown) => ({ ended: error }),
    );
    return await begun.ended;
  }

  /** Does not await the end: an async function would keep the list in memory until then, some kilobytes for each lease. */
  private begin({ list, stream }: Opened): { ended: unknown } {
    const { keys, endOf, event } = this.to;
    if (!this.isStopped) event({ kind: "snapshot", snapshot: snapshotOf(list.kvs, keys, endOf) }); // `event` may take long, or call stop
    const ended = this.untilEnd(stream);
    if (this.isStopped) this.interrupt();
    else stream.write({ create_request: { ...keys.leases, start_revision: nextRevision(list.header.revision) } });
    return { ended };
  }

  private untilEnd(stream: WatchStream): Promise<Error | undefined> {
    return new Promise((resolve) => {
      let isOver = false;
      const end = (why: Error | undefined) => {
        isOver = true;
        clearTimeout(silence);
        stream.cancel();
        resolve(why);
      };
      const silence = setTimeout(() => end(new CallError(DEADLINE_EXCEEDED, "")), ANSWER_MS);
      this.interrupt = () => end(undefined);
      stream.on("error", (error) => end(callError(error)));
      stream.on("end", () => end(new CallError(UNAVAILABLE, "etcd ended the watch")));
      stream.on("data", (response) => {
        if (isOver) return;
        if (response.canceled) return end(whyCanceled(response));
        clearTimeout(silence);
        if (response.created) this.connect();
        this.tell(response.events);
      });
    });
  }

  private tell(events: readonly IEvent[]): void {
    for (const change of events) {
      if (!this.isStopped) this.to.event(eventOf(change, this.to.keys, this.to.endOf));
    }
  }

  private connect(): void {
    this.isConnected = true;
    this.refusals = [];
    this.pauseMs = FIRST_PAUSE_MS;
    this.report(undefined);
  }

  /** Pauses before the next member only if an established watch was lost or all members have failed; else returns at once. */
  private async recover(): Promise<void> {
    const isRoundOver = this.refusals.length >= this.to.members.length;
    const isLost = this.isConnected;
    this.isConnected = false;
    if (isRoundOver) this.report(storeError({ ...this.to.keys, doing: "watch the leases", refusals: this.refusals }));
    if (isRoundOver) this.refusals = [];
    if (isRoundOver || isLost) await this.pause();
  }

  private report(trouble: Error | undefined): void {
    if (this.toldTrouble === trouble?.message) return;
    this.toldTrouble = trouble?.message;
    this.to.trouble(trouble);
  }

  private pause(): Promise<void> {
    const pauseMs = this.pauseMs;
    this.pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS);
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, pauseMs);
      this.interrupt = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

interface Opened {
  list: IRangeResponse;
  stream: WatchStream;
}

/** Lists before it watches: if a restarted member requires a new login, the list fails with the error that causes it; a watch does not. */
const open =
  ({ leases }: Keys) =>
  async (connection: Connection): Promise<Opened> => ({
    list: await connection.kv.range(leases),
    stream: await connection.watch(),
  });

/** @returns undefined: compacted before the watch reached that revision; etcd gives no other reason then */
function whyCanceled({ compact_revision, cancel_reason }: IWatchResponse): Error | undefined {
  return compact_revision === "0" ? new CallError(CANCELLED, cancel_reason || "etcd canceled the watch") : undefined;
}
