/** The peers of a backend: their leases become entries, which are kept. */
import type { Connection } from "../netlink/connection.ts";
import type { Frame } from "../netlink/frame.ts";
import type { Log } from "../observe/log.ts";
import { keyOf, type Lease } from "../subnet/lease.ts";
import type { LeaseChanges } from "../subnet/peers.ts";
import type { Programmed } from "./backend.ts";
import type { Entry } from "./entries.ts";
import { keepEntries } from "./kept-entries.ts";
import type { Domain } from "./kernel-entries.ts";
import { type Peer, peerOf, Unreachable, type Viewpoint } from "./peer.ts";

interface Parts {
  route: Connection;
  log: Log;
  /** As it is at the moment. */
  domain(): Domain;
  /** One for each family, as they are at the moment. */
  viewpoints(): readonly Viewpoint[];
  /** What leads to a peer. @throws Unreachable */
  entriesOf(peer: Peer): Entry[];
}

export interface KeptPeers {
  set(peers: readonly Lease[]): Programmed;
  change(changes: LeaseChanges): Programmed;
  /** Works out again what leads to each peer, and compares with what the kernel has. */
  repair(): Programmed;
  missing(): readonly string[];
  concerns(message: Frame): boolean;
  leases(): Iterable<Lease>;
  /** A device has gone, with all entries on it. */
  forget(index: number): void;
}

export function keepPeers({ route, log, domain, viewpoints, entriesOf }: Parts): KeptPeers {
  const kept = keepEntries(route, domain, log);
  const peers = new Map<string, { lease: Lease; entries: Entry[] }>();
  /** Why a peer is left out, by key: told when it is new. */
  const told = new Map<string, string>();

  function put(lease: Lease): void {
    const key = keyOf(lease);
    const { entries, reasons } = waysTo(lease);
    peers.set(key, { lease, entries });
    const reason = reasons.join("; ");
    if (reason !== "" && told.get(key) !== reason) log.warn("a host cannot be reached", { lease: key, reason });
    if (reason === "") told.delete(key);
    else told.set(key, reason);
  }

  /** Of a family that cannot be reached it is said why. */
  function waysTo(lease: Lease): { entries: Entry[]; reasons: string[] } {
    const entries: Entry[] = [];
    const reasons: string[] = [];
    for (const viewpoint of viewpoints()) {
      try {
        const peer = peerOf(lease, viewpoint);
        if (peer !== undefined) entries.push(...entriesOf(peer));
      } catch (error) {
        if (!(error instanceof Unreachable)) throw error;
        reasons.push(error.message);
      }
    }
    return { entries, reasons };
  }

  function remove(key: string): void {
    peers.delete(key);
    told.delete(key);
  }

  function* leases(): Iterable<Lease> {
    for (const { lease } of peers.values()) yield lease;
  }

  const entries = (): Entry[] => [...peers.values()].flatMap((peer) => peer.entries);

  return {
    set(leases) {
      const present = new Set(leases.map(keyOf));
      for (const key of [...peers.keys()]) if (!present.has(key)) remove(key);
      leases.forEach(put);
      return kept.mend(entries());
    },
    change({ put: changed, gone }) {
      for (const subnets of gone) remove(keyOf(subnets));
      changed.forEach(put);
      return kept.want(entries());
    },
    repair() {
      for (const { lease } of [...peers.values()]) put(lease);
      return kept.mend(entries());
    },
    missing: kept.missing,
    concerns: kept.concerns,
    leases,
    forget: kept.forget,
  };
}
