/** Etcd leases, which let keys expire, and the expiry times that are known of them. */

import { StoreError } from "../../lease/store-error.ts";
import type { Log } from "../../log/log.ts";
import type { Cluster } from "./cluster.ts";
import type { ExpiryOf } from "./keys.ts";
import { isAboutConnection } from "./server.ts";

/** The lease ID of keys that never expire. */
export const NONE = "0";

/** When a key expires. */
export interface KeyExpiry {
  /** Milliseconds since 1970; undefined: never. */
  expiresMs: number | undefined;
}

export interface EtcdLeases {
  endOf: ExpiryOf;
  /** Returns the expiry as `endOf` does, but asks etcd about leases of other clients; an expired one ends now. */
  askEnd(grantId: string): Promise<number | undefined>;
  /** Reports whether a lease of ours has this expiry. */
  isOurs(endMs: number): boolean;
  /**
   * Writes a key that expires after `ttlMs` (undefined: never).
   *
   * @param write Gets the lease ID to write with. @returns false: nothing is written
   * @returns undefined: nothing is written, and the etcd lease is revoked
   */
  writeFor(ttlMs: number | undefined, write: (grantId: string) => Promise<boolean>): Promise<KeyExpiry | undefined>;
}

/** Reports whether etcd refused the request. Without an answer the key may have been written, and a revocation would delete it. */
const isRefused = (error: unknown): boolean => error instanceof StoreError && !isAboutConnection(error.cause);

export function etcdLeases(cluster: Pick<Cluster, "ask">, log: Log): EtcdLeases {
  const ends = new Map<string, number>();

  const grant = async (ttlMs: number) => {
    const beforeMs = Date.now();
    const ttl = Math.max(1, Math.round(ttlMs / 1000));
    const { ID, TTL } = await cluster.ask("grant a lease", ({ lease }) => lease.leaseGrant({ TTL: ttl }));
    ends.set(ID, beforeMs + Number(TTL) * 1000); // etcd may grant more than requested
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
    const { TTL } = await cluster.ask("read the remaining time of a lease", ({ lease }) =>
      lease.leaseTimeToLive({ ID }),
    );
    return beforeMs + Math.max(0, Number(TTL)) * 1000;
  };

  return {
    endOf: (id) => (id === NONE ? undefined : (ends.get(id) ?? Date.now())),
    askEnd: async (id) => (id === NONE ? undefined : (ends.get(id) ?? (await askEnd(id)))),
    isOurs: (endMs) => [...ends.values()].includes(endMs),
    async writeFor(ttlMs, write) {
      if (ttlMs === undefined) return (await write(NONE)) ? { expiresMs: undefined } : undefined;
      const id = await grant(ttlMs);
      const isWritten = await write(id).catch(async (error: unknown) => {
        if (isRefused(error)) await revoke(id); // a host without permission to write tries again every second: 86,400 etcd leases a day
        throw error;
      });
      const expiresMs = ends.get(id) ?? Date.now();
      if (isWritten) return { expiresMs };
      await revoke(id);
      return undefined;
    },
  };
}
