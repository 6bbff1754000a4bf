/**
 * Follows the other hosts' leases by the store's watch, and reports the differences to what was last reported: a snapshot after an
 * outage then costs no more than its changes.
 */
import { overlaps, type Prefix } from "../../ip/address.ts";
import { formatSubnets, keyOf, type Lease, type Subnets, sameAttributes, sameSubnets } from "./lease.ts";
import type { OwnEvent } from "./renew.ts";
import type { LeaseEvent, Malformed, Snapshot, Store } from "./store.ts";

export interface LeaseChanges {
  /** New or changed leases; not those that were only renewed. */
  changed: readonly Lease[];
  gone: readonly Subnets[];
}

export interface PeerHandler {
  /** Returns this host's subnets, which are never among the peers. */
  own(): Subnets;
  /** Called first, once, with all peers. A dual-stack lease keeps both subnets even if this host has one family. */
  peers(all: readonly Lease[]): void;
  /** Called with later changes; events that arrive together are reported in one call. */
  changed(changes: LeaseChanges): void;
  /** Called with each event of our own key; for `startRenewal`. */
  ownEvent(event: OwnEvent): void;
  /** Called once per key and reason for leases that are skipped. A peer whose lease becomes malformed keeps its last valid state. */
  malformed(malformed: Malformed): void;
  /** Called when the store is lost (with the error) and when it answers again (undefined). */
  trouble(why: Error | undefined): void;
}

export interface PeerWatch {
  /** Returns the peers as the store has them, by key. */
  peers(): ReadonlyMap<string, Lease>;
  /** Returns the malformed leases that are in the store now: the reason, by key. */
  malformed(): ReadonlyMap<string, string>;
  stop(): void;
}

export function watchPeers(store: Pick<Store, "watch">, handler: PeerHandler): PeerWatch {
  const peers = new Peers(handler);
  const watch = store.watch((event) => peers.take(event), handler.trouble);
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
  readonly known = new Map<string, Lease>();
  readonly malformed = new Map<string, string>();
  private readonly handler: PeerHandler;
  /** The peers as the handler knows them. */
  private readonly told = new Map<string, Lease>();
  private hasBegun = false;
  /** Keys that may differ between `known` and `told`. */
  private readonly touched = new Set<string>();
  private isDue = false;
  private isStopped = false;

  constructor(handler: PeerHandler) {
    this.handler = handler;
  }

  take(event: LeaseEvent): void {
    if (event.kind === "snapshot") this.replace(event.snapshot);
    else if (event.kind === "put") this.put(event.lease);
    else if (event.kind === "gone") this.remove(event.subnets);
    else this.refuse(event.malformed);
  }

  stop(): void {
    this.isStopped = true;
  }

  private put(lease: Lease): void {
    const own = this.handler.own();
    const key = keyOf(lease);
    if (!sameSubnets(lease, own) && overlap(lease, own)) {
      this.refuse({ key, reason: overlapsOurs(own) });
      return;
    }
    this.malformed.delete(key);
    if (sameSubnets(lease, own)) this.handler.ownEvent({ kind: "put", lease });
    else this.set(key, lease);
  }

  private remove(subnets: Subnets): void {
    const key = keyOf(subnets);
    this.malformed.delete(key);
    if (sameSubnets(subnets, this.handler.own())) this.handler.ownEvent({ kind: "gone" });
    else this.set(key, undefined);
  }

  /** Records a malformed lease. A peer keeps its last valid state; our own lease counts as gone. */
  private refuse({ key, reason }: Malformed): void {
    if (this.malformed.get(key) === reason) return;
    this.malformed.set(key, reason);
    this.handler.malformed({ key, reason });
    if (key === keyOf(this.handler.own())) this.handler.ownEvent({ kind: "gone" });
  }

  private replace({ leases, malformed }: Snapshot): void {
    const keys = new Set([...leases.map(keyOf), ...malformed.map(({ key }) => key)]);
    for (const key of this.known.keys()) if (!keys.has(key)) this.set(key, undefined);
    for (const key of this.malformed.keys()) if (!keys.has(key)) this.malformed.delete(key);
    for (const lease of leases) this.put(lease);
    for (const one of malformed) this.refuse(one);
    if (!keys.has(keyOf(this.handler.own()))) this.handler.ownEvent({ kind: "gone" });
    this.tellSoon();
  }

  private set(key: string, lease: Lease | undefined): void {
    if (lease) this.known.set(key, lease);
    else this.known.delete(key);
    this.touched.add(key);
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
    const gone: Subnets[] = [];
    for (const key of this.touched) {
      const [before, now] = [this.told.get(key), this.known.get(key)];
      const isSame = before && now && sameAttributes(before.attributes, now.attributes);
      if (now && !isSame) changed.push(now);
      if (before && !now) gone.push(subnetsOf(before));
      if (isSame)
        this.known.set(key, { ...now, ...subnetsOf(before), attributes: before.attributes }); // the handler has these objects already
      else if (now) this.told.set(key, now);
      else this.told.delete(key);
    }
    this.touched.clear();
    return { changed, gone };
  }
}

const subnetsOf = ({ ipv4, ipv6 }: Lease): Subnets => ({ ...(ipv4 && { ipv4 }), ...(ipv6 && { ipv6 }) });

const overlap = (one: Subnets, other: Subnets): boolean =>
  overlapIn(one.ipv4, other.ipv4) || overlapIn(one.ipv6, other.ipv6);

const overlapIn = (one: Prefix | undefined, other: Prefix | undefined): boolean =>
  one !== undefined && other !== undefined && overlaps(one, other);

const overlapsOurs = (own: Subnets): string =>
  `overlaps our own lease ${formatSubnets(own)}: its host is not reached. To fix: delete the one that is wrong`;
