/** The clocks that run out for keys: what etcd calls leases, and what we know of them. */

import { StoreError } from "../../lease/store.ts";
import type { Log } from "../../log/log.ts";
import type { Cluster } from "./cluster.ts";
import type { ExpiryOf } from "./keys.ts";
import { isAboutConnection } from "./server.ts";

/** The ID that keys without a clock have: they stay for ever. */
export const NONE = "0";

/** When a key goes; never unless given. */
export interface KeyExpiry {
  /** Milliseconds since 1970. */
  expiresMs?: number;
}

export interface EtcdLeases {
  endOf: ExpiryOf;
  /** The same, and asks etcd for those that somebody else has started; one that is over ends now. */
  askEnd(grantId: string): Promise<number | undefined>;
  /** Whether one of ours ends then. */
  isOurs(endMs: number): boolean;
  /**
   * Has something written that goes after `ttlMs` (undefined: never).
   *
   * @param write Gets the ID to write with. @returns false: nothing is written
   * @returns undefined: nothing is written, and no clock runs for nothing
   */
  writeFor(ttlMs: number | undefined, write: (grantId: string) => Promise<boolean>): Promise<KeyExpiry | undefined>;
}

/** Whether etcd has said no. Where it has said nothing, the key may be there, and a revocation would take it away. */
const isRefused = (error: unknown): boolean => error instanceof StoreError && !isAboutConnection(error.cause);

export function etcdLeases(cluster: Pick<Cluster, "ask">, log: Log): EtcdLeases {
  const ends = new Map<string, number>();

  const grant = async (ttlMs: number) => {
    const beforeMs = Date.now();
    const ttl = Math.max(1, Math.round(ttlMs / 1000));
    const { ID, TTL } = await cluster.ask("grant a lease", ({ lease }) => lease.leaseGrant({ TTL: ttl }));
    ends.set(ID, beforeMs + Number(TTL) * 1000); // etcd may give more than was asked for
    return ID;
  };
  const revoke = async (ID: string) => {
    ends.delete(ID);
    await cluster
      .ask("revoke a lease", ({ lease }) => lease.leaseRevoke({ ID }))
      .catch((error: Error) => log.debug("an unused lease stays until it expires", { error: error.message }));
  };

  const askEnd = async (ID: string) => {
    const beforeMs = Date.now();
    const { TTL } = await cluster.ask("ask for the time left", ({ lease }) => lease.leaseTimeToLive({ ID }));
    return beforeMs + Math.max(0, Number(TTL)) * 1000;
  };

  return {
    endOf: (id) => (id === NONE ? undefined : (ends.get(id) ?? Date.now())),
    askEnd: async (id) => (id === NONE ? undefined : (ends.get(id) ?? (await askEnd(id)))),
    isOurs: (endMs) => [...ends.values()].includes(endMs),
    async writeFor(ttlMs, write) {
      if (ttlMs === undefined) return (await write(NONE)) ? {} : undefined;
      const id = await grant(ttlMs);
      const isWritten = await write(id).catch(async (error: unknown) => {
        if (isRefused(error)) await revoke(id); // a host that may not write tries again every second: 86,400 clocks a day
        throw error;
      });
      const expiresMs = ends.get(id) ?? Date.now();
      if (isWritten) return { expiresMs };
      await revoke(id);
      return undefined;
    },
  };
}
