/** All members of etcd as one: asked in turn until one answers. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Connection } from "./connection.ts";
import { type ServerError, storeError } from "./errors.ts";
import { type EtcdServer, isAboutConnection, isBetweenLeaders } from "./server.ts";

export interface Cluster {
  /**
   * Takes a few seconds per member that says nothing; the next question goes to the one that has answered.
   *
   * @param doing For messages: "list the leases".
   * @throws StoreError what each has said, and what to do
   */
  ask<T>(doing: string, question: (connection: Connection) => Promise<T>): Promise<T>;
  reconnect(): void;
  close(): void;
}

/** An election takes one to two seconds. */
const ELECTION_MS = 3000;
const PAUSE_MS = 100;

/** @param prefix For messages. */
export function clusterOf(members: readonly EtcdServer[], prefix: string): Cluster {
  let preferred = 0;
  /** @returns the answer of the first that gives one, else what all have said */
  const askInTurn = async <T>(
    question: (connection: Connection) => Promise<T>,
  ): Promise<Answered<T> | ServerError[]> => {
    const refusals: ServerError[] = [];
    for (let i = 0; i < members.length; i++) {
      const at = (preferred + i) % members.length;
      const member = members[at] as EtcdServer;
      try {
        const answer = await member.ask(question);
        preferred = at;
        return { answer };
      } catch (error) {
        refusals.push({ url: member.url, error });
        if (!isAboutConnection(error)) break; // the others would say the same
      }
    }
    return refusals;
  };
  return {
    async ask(doing, question) {
      for (const startMs = Date.now(); ; ) {
        const said = await askInTurn(question);
        if ("answer" in said) return said.answer;
        const isTemporary = said.some(({ error }) => isBetweenLeaders(error)) && Date.now() - startMs < ELECTION_MS;
        if (!isTemporary) throw storeError({ doing, prefix, refusals: said });
        await sleep(PAUSE_MS);
      }
    },
    reconnect() {
      for (const member of members) member.reconnect();
    },
    close() {
      for (const member of members) member.close();
    },
  };
}

interface Answered<T> {
  answer: T;
}
