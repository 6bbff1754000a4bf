/**
 * The other hosts' leases, as the store's watch tells them: changes between what was last told and what is there now, so that a
 * snapshot after an outage costs no more than what it brings.
 */
import { overlaps, type Prefix } from "../../ip/address.ts";
import { formatSubnets, keyOf, type Lease, type Subnets, sameAttributes, sameSubnets } from "./lease.ts";
import type { OwnEvent } from "./renew.ts";
import type { LeaseEvent, Malformed, Snapshot, Store } from "./store.ts";

export interface LeaseChanges {
  /** New or changed; not those that were renewed only. */
  put: readonly Lease[];
  gone: readonly Subnets[];
}

export interface PeerHandler {
  /** This host's subnets: never among the peers. */
  own(): Subnets;
  /** Everybody, once, first. A dual-stack lease keeps both parts, also where this host has one family. */
  peers(all: readonly Lease[]): void;
  /** What arrived together is told together. */
  changed(changes: LeaseChanges): void;
  /** What happens to our own key; for `startRenewal`. */
  ownEvent(event: OwnEvent): void;
  /** Skipped, once per key and reason. A peer whose lease becomes malformed stays as it was last. */
  malformed(malformed: Malformed): void;
  /** The store is lost (with why) or there again (undefined). */
  trouble(why: Error | undefined): void;
}

export interface PeerWatch {
  /** As the store has them, by key. */
  peers(): ReadonlyMap<string, Lease>;
  /** Those there now, reason by key. */
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
  /** What the store has. */
  readonly known = new Map<string, Lease>();
  readonly malformed = new Map<string, string>();
  private readonly handler: PeerHandler;
  /** What the follower was told. */
  private readonly told = new Map<string, Lease>();
  private hasBegun = false;
  /** Keys that may differ between the two. */
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

  /** A peer stays as it was. Our own lease is as good as gone. */
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

  /** After all that the store has told in one go. */
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
    if (!this.hasBegun) this.handler.peers(changes.put);
    else if (changes.put.length + changes.gone.length > 0) this.handler.changed(changes);
    this.hasBegun = true;
  }

  private takeChanges(): LeaseChanges {
    const put: Lease[] = [];
    const gone: Subnets[] = [];
    for (const key of this.touched) {
      const [before, now] = [this.told.get(key), this.known.get(key)];
      const isSame = before && now && sameAttributes(before.attributes, now.attributes);
      if (now && !isSame) put.push(now);
      if (before && !now) gone.push(subnetsOf(before));
      if (isSame)
        this.known.set(key, { ...now, ...subnetsOf(before), attributes: before.attributes }); // the follower has those already
      else if (now) this.told.set(key, now);
      else this.told.delete(key);
    }
    this.touched.clear();
    return { put, gone };
  }
}

const subnetsOf = ({ ipv4, ipv6 }: Lease): Subnets => ({ ...(ipv4 && { ipv4 }), ...(ipv6 && { ipv6 }) });

const overlap = (one: Subnets, other: Subnets): boolean =>
  overlapIn(one.ipv4, other.ipv4) || overlapIn(one.ipv6, other.ipv6);

const overlapIn = (one: Prefix | undefined, other: Prefix | undefined): boolean =>
  one !== undefined && other !== undefined && overlaps(one, other);

const overlapsOurs = (own: Subnets): string =>
  `overlaps our own lease ${formatSubnets(own)}: its host is not reached. To fix: delete the one that is wrong`;
