/** All members of etcd as one: asked in turn until one answers. */
import type { Connection } from "./connection.ts";
import { isAboutConnection, type Member } from "./member.ts";
import { type Refusal, storeError } from "./refusal.ts";

export interface Cluster {
  /**
   * Takes a few seconds per member that says nothing; the next question goes to the one that has answered.
   *
   * @param doing For messages: "list the leases".
   * @throws StoreError what each has said, and what to do
   */
  ask<T>(doing: string, question: (connection: Connection) => Promise<T>): Promise<T>;
  close(): void;
}

/** @param prefix For messages. */
export function clusterOf(members: readonly Member[], prefix: string): Cluster {
  let preferred = 0;
  return {
    async ask(doing, question) {
      const refusals: Refusal[] = [];
      for (let i = 0; i < members.length; i++) {
        const at = (preferred + i) % members.length;
        const member = members[at] as Member;
        try {
          const answer = await member.ask(question);
          preferred = at;
          return answer;
        } catch (error) {
          refusals.push({ url: member.url, error });
          if (!isAboutConnection(error)) break; // the others would say the same
        }
      }
      throw storeError({ doing, prefix, refusals });
    },
    close() {
      for (const member of members) member.close();
    },
  };
}
