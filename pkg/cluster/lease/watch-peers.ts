/**
 * Follows the other hosts' leases by the store's watch, and reports the differences to what was last reported: a snapshot after an
 * outage then costs no more than its changes.
 */
import type { LeaseEvent, Malformed, OwnEvent, Snapshot, Watch } from "./event.ts";
import {
  formatSubnets,
  type Lease,
  type LeaseId,
  type Subnets,
  sameAttributes,
  sameSubnets,
  subnetsOverlap,
} from "./lease.ts";
import type { LeaseChanges, LeaseRemedies, PeerHandler } from "./manager.ts";

/** A source of lease events. */
export interface WatchSource {
  /**
   * Reports a snapshot first, then every change. After a lost connection it resumes by itself, where it was or with a new snapshot.
   *
   * @param trouble Called when the store is lost (with the error) and when it answers again (undefined).
   */
  watch(event: (event: LeaseEvent) => void, trouble: (why: Error | undefined) => void): Watch;
}

/** This host's own lease, which is never among the peers. */
export interface OwnLease {
  lease(): Pick<Lease, "id" | "ipv4" | "ipv6">;
  /** Called with each event of it. */
  take(event: OwnEvent): void;
}

export interface PeerWatch {
  /** Returns the peers as the store has them. */
  peers(): ReadonlyMap<LeaseId, Lease>;
  /** Returns the malformed leases that are in the store now, with the reason. */
  malformed(): ReadonlyMap<LeaseId, string>;
  stop(): void;
}

export function watchPeers(
  source: WatchSource,
  own: OwnLease,
  handler: PeerHandler,
  remedies: Pick<LeaseRemedies, "overlap">,
): PeerWatch {
  const peers = new Peers(own, handler, remedies.overlap);
  const watch = source.watch((event) => peers.take(event), handler.trouble);
  return {
    peers: () => peers.known,
    malformed: () => peers.malformed,
    stop() {
      watch.stop();
      peers.stop();
    },
  };
}

class Peers {
  /** The peers as the store has them. */
  readonly known = new Map<LeaseId, Lease>();
  readonly malformed = new Map<LeaseId, string>();
  private readonly own: OwnLease;
  private readonly handler: PeerHandler;
  private readonly overlapRemedy: string;
  /** The peers as the handler knows them. */
  private readonly told = new Map<LeaseId, Lease>();
  private hasBegun = false;
  /** Leases that may differ between `known` and `told`. */
  private readonly touched = new Set<LeaseId>();
  private isDue = false;
  private isStopped = false;

  constructor(own: OwnLease, handler: PeerHandler, overlapRemedy: string) {
    this.own = own;
    this.handler = handler;
    this.overlapRemedy = overlapRemedy;
  }

  take(event: LeaseEvent): void {
    if (event.kind === "snapshot") this.replace(event.snapshot);
    else if (event.kind === "put") this.put(event.lease);
    else if (event.kind === "gone") this.remove(event.id);
    else this.refuse(event.malformed);
  }

  stop(): void {
    this.isStopped = true;
  }

  private put(lease: Lease): void {
    const own = this.own.lease();
    const isOwn = lease.id === own.id;
    if (!isOwn && subnetsOverlap(lease, own)) {
      this.refuse({ id: lease.id, reason: `${overlapsOurs(own)}. To fix: ${this.overlapRemedy}` });
      return;
    }
    this.malformed.delete(lease.id);
    if (isOwn) this.own.take({ kind: "put", lease });
    else this.set(lease.id, lease);
  }

  private remove(id: LeaseId): void {
    this.malformed.delete(id);
    if (id === this.own.lease().id) this.own.take({ kind: "gone" });
    else this.set(id, undefined);
  }

  /** Records a malformed lease. A peer keeps its last valid state; our own lease counts as gone. */
  private refuse({ id, reason }: Malformed): void {
    if (this.malformed.get(id) === reason) return;
    this.malformed.set(id, reason);
    this.handler.malformed({ id, reason });
    if (id === this.own.lease().id) this.own.take({ kind: "gone" });
  }

  private replace({ leases, malformed }: Snapshot): void {
    const ids = new Set([...leases, ...malformed].map(({ id }) => id));
    for (const id of this.known.keys()) if (!ids.has(id)) this.set(id, undefined);
    for (const id of this.malformed.keys()) if (!ids.has(id)) this.malformed.delete(id);
    for (const lease of leases) this.put(lease);
    for (const one of malformed) this.refuse(one);
    if (!ids.has(this.own.lease().id)) this.own.take({ kind: "gone" });
    this.tellSoon();
  }

  private set(id: LeaseId, lease: Lease | undefined): void {
    if (lease) this.known.set(id, lease);
    else this.known.delete(id);
    this.touched.add(id);
    this.tellSoon();
  }

  /** Reports changes after all events that the store has delivered together. */
  private tellSoon(): void {
    if (this.isDue) return;
    this.isDue = true;
    queueMicrotask(() => {
      this.isDue = false;
      if (!this.isStopped) this.tell();
    });
  }

  private tell(): void {
    const changes = this.takeChanges();
    if (!this.hasBegun) this.handler.peers(changes.changed);
    else if (changes.changed.length + changes.gone.length > 0) this.handler.changed(changes);
    this.hasBegun = true;
  }

  private takeChanges(): LeaseChanges {
    const changed: Lease[] = [];
    const gone: LeaseId[] = [];
    for (const id of this.touched) {
      const [before, now] = [this.told.get(id), this.known.get(id)];
      const isSame = before && now && sameSubnets(before, now) && sameAttributes(before.attributes, now.attributes);
      if (now && !isSame) changed.push(now);
      if (before && !now) gone.push(id);
      if (isSame)
        this.known.set(id, { ...now, ...subnetsOf(before), attributes: before.attributes }); // the handler has these objects already
      else if (now) this.told.set(id, now);
      else this.told.delete(id);
    }
    this.touched.clear();
    return { changed, gone };
  }
}

const subnetsOf = ({ ipv4, ipv6 }: Lease): Subnets => ({ ...(ipv4 && { ipv4 }), ...(ipv6 && { ipv6 }) });

const overlapsOurs = (own: Subnets): string =>
  `overlaps our own lease ${formatSubnets(own)}: its host cannot be reached`;
