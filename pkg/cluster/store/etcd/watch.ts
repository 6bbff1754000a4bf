/**
 * The leases as they change, for as long as somebody wants to know.
 *
 * Whatever ends a watch (a lost connection, a restart, a compaction, a member without a leader), it begins again with the whole
 * list, from which it follows on without a gap. Rejected: to resume at the last revision, as flannel does: it saves a list of
 * some 100 ms after an outage, and needs the list all the same where etcd was compacted meanwhile.
 */
import type { IEvent, IRangeResponse, IWatchResponse } from "etcd3";
import type { LeaseEvent, Watch } from "../../lease/store.ts";
import { ANSWER_MS, CallError, type Connection, callError, type WatchStream } from "./connection.ts";
import { type ServerError, storeError } from "./errors.ts";
import { type ExpiryOf, eventOf, type Keys, nextRevision, snapshotOf } from "./keys.ts";
import { CANCELLED, DEADLINE_EXCEEDED, type EtcdServer, UNAVAILABLE } from "./server.ts";

export interface Following {
  /** Followed one at a time. Of this watch alone: their connections are renewed. */
  members: readonly EtcdServer[];
  keys: Keys;
  endOf: ExpiryOf;
  event(event: LeaseEvent): void;
  trouble(why: Error | undefined): void;
}

/** As flannel waits. */
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5000;

export interface EtcdWatch extends Watch {
  /** Begins again, with the list, over a new connection. */
  reconnect(): void;
}

export function followLeases(following: Following): EtcdWatch {
  const follower = new Follower(following);
  void follower.run(); // does not fail for etcd's sake; an exception of `event` ends the process, as it should
  return { stop: () => follower.stop(), reconnect: () => follower.reconnect() };
}

class Follower {
  private readonly to: Following;
  private isStopped = false;
  /** Members that have failed one after the other. */
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

  /** @returns why it has ended; undefined: it has only to begin again */
  private async follow(member: EtcdServer): Promise<unknown> {
    const begun = await member.ask(open(this.to.keys)).then(
      (opened) => this.begin(opened),
      (error: unknown) => ({ ended: error }),
    );
    return await begun.ended;
  }

  /** Waits for nothing: what waits for the end would keep the list for as long, some kilobytes for each lease. */
  private begin({ list, stream }: Opened): { ended: unknown } {
    const { keys, endOf, event } = this.to;
    if (!this.isStopped) event({ kind: "snapshot", snapshot: snapshotOf(list.kvs, keys, endOf) }); // may take its time, or stop
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
      stream.on("end", () => end(new CallError(UNAVAILABLE, "it has ended the watch")));
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
      const event = eventOf(change, this.to.keys, this.to.endOf);
      if (event && !this.isStopped) this.to.event(event);
    }
  }

  private connect(): void {
    this.isConnected = true;
    this.refusals = [];
    this.pauseMs = FIRST_PAUSE_MS;
    this.report(undefined);
  }

  /** The next member at once, unless this one has been left in the middle, or was the last that was left to try. */
  private async recover(): Promise<void> {
    const isRoundOver = this.refusals.length >= this.to.members.length;
    const isLost = this.isConnected;
    this.isConnected = false;
    if (isRoundOver) this.report(storeError({ ...this.to.keys, doing: "tell of the leases", refusals: this.refusals }));
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

/** The list first: by it a member that was restarted asks for a new login, which the watch could not ask for. */
const open =
  ({ leases }: Keys) =>
  async (connection: Connection): Promise<Opened> => ({
    list: await connection.kv.range(leases),
    stream: await connection.watch(),
  });

/** @returns undefined: compacted before the watch has come so far; etcd gives no other reason then */
function whyCanceled({ compact_revision, cancel_reason }: IWatchResponse): Error | undefined {
  return compact_revision === "0" ? new CallError(CANCELLED, cancel_reason || "it has canceled the watch") : undefined;
}
