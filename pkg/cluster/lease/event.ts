/** Events of a watch on leases. A lease's identity is the store's: in etcd and a directory its key, elsewhere the name of its host. */
import type { Lease, LeaseId } from "./lease.ts";

export interface Snapshot {
  leases: readonly Lease[];
  /** Entries of the store that are not leases, each with the reason: they are skipped, logged and counted. */
  malformed: readonly Malformed[];
}

export interface Malformed {
  id: LeaseId;
  reason: string;
}

/** A change of leases; events come in the order of the store. */
export type LeaseEvent =
  /** The complete set of leases: at the start, and whenever events may have been missed. */
  | { kind: "snapshot"; snapshot: Snapshot }
  /** A lease was created, renewed or changed. */
  | { kind: "put"; lease: Lease }
  /** A lease was deleted or has expired. */
  | { kind: "gone"; id: LeaseId }
  | { kind: "malformed"; malformed: Malformed };

/** An event of this host's own lease. */
export type OwnEvent = { kind: "put"; lease: Lease } | { kind: "gone" };

export interface Watch {
  /** Ends the watch; no event comes afterwards. */
  stop(): void;
}
