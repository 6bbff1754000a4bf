/** An etcd cluster: its members are asked in turn until one answers. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Connection } from "./connection.ts";
import { type ServerError, storeError } from "./errors.ts";
import { type EtcdServer, isAboutConnection, isBetweenLeaders } from "./server.ts";

export interface Cluster {
  /**
   * Asks members until one answers. Takes a few seconds per member that does not answer; the next request goes to the one that did.
   *
   * @param doing For messages: "list the leases".
   * @throws StoreError with each member's error and the remedy
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
  /** @returns the first answer, else the errors of all */
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
        if (!isAboutConnection(error)) break; // the others would refuse it too
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
