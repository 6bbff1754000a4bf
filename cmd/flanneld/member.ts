/**
 * This host as a member of the cluster: its lease kept, the peers' entries in the kernel, and both following what changes: in the store, in
 * the kernel, on the interface that leads to the other hosts.
 */
import type { Backend, ExternalInterface } from "../../pkg/backend/backend.ts";
import { sameExternal, selectExternalInterface } from "../../pkg/backend/external-interface.ts";
import type { InterfaceWish } from "../../pkg/backend/interface-wish.ts";
import { formatAddress } from "../../pkg/ip/address.ts";
import { type Connection, NETLINK_ROUTE, NetlinkError } from "../../pkg/netlink/connection.ts";
import type { Frame } from "../../pkg/netlink/frame.ts";
import { RTM_DELADDR, RTM_NEWADDR } from "../../pkg/netlink/rtnetlink/address.ts";
import { RTM_DELLINK, RTM_NEWLINK } from "../../pkg/netlink/rtnetlink/link.ts";
import {
  RTMGRP_IPV4_IFADDR,
  RTMGRP_IPV4_ROUTE,
  RTMGRP_IPV6_IFADDR,
  RTMGRP_IPV6_ROUTE,
  RTMGRP_LINK,
  RTMGRP_NEIGH,
  type Watching,
  watch,
} from "../../pkg/netlink/watch.ts";
import type { Log } from "../../pkg/observe/log.ts";
import { systemClock } from "../../pkg/subnet/clock.ts";
import { type Keeper, keepLease } from "../../pkg/subnet/keep.ts";
import { type Lease, type LeaseAttributes, printAttributes } from "../../pkg/subnet/lease.ts";
import type { NetworkConfig } from "../../pkg/subnet/network-config.ts";
import { type Following, followPeers } from "../../pkg/subnet/peers.ts";
import type { Store } from "../../pkg/subnet/store.ts";
import { type Soon, soon } from "../../pkg/sys/soon.ts";
import type { Metrics } from "./metrics.ts";
import { keepOverlay, type Overlay } from "./overlay.ts";
import type { Membership } from "./status/report.ts";

/** As flannel leases: a day, from each renewal on. */
export const LEASE_MS = 24 * 3600_000;

const RETRY_MS = 5000;
/** The interface is looked at when it has been quiet for a tenth of a second, and each second while it goes on changing. */
const FOLLOWING = { quietMs: 100, latestMs: 1000 };

export interface Parts {
  store: Store;
  network: NetworkConfig;
  backend: Backend;
  route: Connection;
  external: ExternalInterface;
  wish: InterfaceWish;
  lease: Lease;
  renewMarginMs: number;
  log: Log;
  metrics: Metrics;
  /** Our lease is somebody else's. */
  lost(reason: string): void;
  /** It is ours: after each renewal, and when it is ours again. */
  held(lease: Lease): void;
  /** The backend has another MTU. Called again after it has thrown. */
  resized(): void;
  /** The store is lost (with why) or there again (undefined). */
  trouble(why: Error | undefined): void;
}

/** What our lease says. */
export const attributesOf = (backend: Backend, { publicIP, publicIPv6 }: ExternalInterface): LeaseAttributes => ({
  ...(publicIP && { publicIP }),
  ...(publicIPv6 && { publicIPv6 }),
  ...backend.attributes(),
});

/** For `selectExternalInterface`. */
export const familiesWanted = ({ ipv4, ipv6 }: NetworkConfig) => ({
  ipv4: ipv4 !== undefined,
  ipv6: ipv6 !== undefined,
});

export class Member {
  /** Done when the kernel has the peers that there were at the start. */
  readonly programmed: Promise<void>;
  external: ExternalInterface;
  readonly #parts: Parts;
  readonly #keeper: Keeper;
  readonly #overlay: Overlay;
  readonly #following: Following;
  readonly #move: Soon;
  /** What the lease says, or will as soon as the store is there. */
  #said: string;
  /** The subnet file has it. */
  #writtenMtu: number;
  #kernel: Watching | undefined;
  #retry: NodeJS.Timeout | undefined;
  #isInTrouble = false;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.external = parts.external;
    const attributes = attributesOf(parts.backend, parts.external);
    this.#said = printAttributes(attributes);
    this.#writtenMtu = parts.backend.mtu;
    this.#overlay = keepOverlay(parts.backend, parts);
    this.#move = soon(() => this.#followInterface(), FOLLOWING);
    this.#keeper = keepLease(parts.store, parts.lease, {
      attributes,
      ttlMs: LEASE_MS,
      renewMarginMs: parts.renewMarginMs,
      clock: systemClock,
      log: parts.log,
      lost: parts.lost,
      renewed: parts.held,
    });
    const { promise, resolve } = promiseWithResolver();
    this.programmed = promise;
    this.#following = this.#followPeers(resolve);
    this.#kernel = this.#watchKernel();
  }

  get lease(): Lease {
    return this.#keeper.lease();
  }

  /** For whoever wants to know how it is. */
  facts(): Membership {
    const { backend, route, renewMarginMs } = this.#parts;
    const peers = [...this.#following.peers().values()];
    const { lease, external } = this;
    return { lease, external, backend, route, renewMarginMs, peers, malformed: this.#following.malformed() };
  }

  /** What the kernel has stays, and so does the lease. */
  stop(): void {
    this.#kernel?.stop();
    this.#following.stop();
    this.#keeper.stop();
    this.#overlay.stop();
    this.#move.stop();
    clearTimeout(this.#retry);
  }

  #followPeers(begun: () => void): Following {
    const { store, metrics, log } = this.#parts;
    return followPeers(store, {
      own: () => this.lease,
      peers: (all) => {
        metrics.peers(all.length);
        this.#overlay.setPeers(all);
        log.info("follows the other hosts", { peers: all.length });
        begun();
      },
      changed: (changes) => {
        metrics.peers(this.#following.peers().size);
        this.#kernel?.read();
        this.#overlay.changePeers(changes);
        this.#kernel?.read(); // later, after more changes, these would look like somebody else's
      },
      ownEvent: (event) => this.#keeper.own(event),
      malformed: ({ key, reason }) => log.warn("a lease cannot be understood: it is skipped", { key, reason }),
      trouble: (why) => this.#takeTrouble(why),
    });
  }

  #takeTrouble(why: Error | undefined): void {
    const { log } = this.#parts;
    if (why !== undefined) log.warn("the store does not answer: what there is stays as it is", { error: why.message });
    else if (this.#isInTrouble) log.info("the store answers again");
    this.#isInTrouble = why !== undefined;
    this.#keeper.trouble(why);
    this.#parts.trouble(why);
  }

  #watchKernel(): Watching {
    return watch(NETLINK_ROUTE, GROUPS, {
      messages: (frames) => {
        if (this.#concernBackend(frames)) this.#overlay.repairSoon();
        if (frames.some(isOfInterfaces)) this.#move.ask();
      },
      lost: () => {
        this.#overlay.repairSoon();
        this.#move.ask();
      },
    });
  }

  /** Where so much changes that the kernel cannot say what there is, something may have. */
  #concernBackend(frames: readonly Frame[]): boolean {
    try {
      return frames.some((frame) => this.#parts.backend.concerns(frame));
    } catch (error) {
      if (error instanceof NetlinkError) return true;
      throw error;
    }
  }

  /** What fails is tried again: an interface may come back, an address may be on its way. */
  #followInterface(): void {
    const { route, wish, network, log } = this.#parts;
    try {
      const found = selectExternalInterface(route, wish, familiesWanted(network), { current: this.external });
      if (!sameExternal(found, this.external)) this.#moveTo(found);
      this.#tellMtu();
    } catch (error) {
      log.warn("cannot follow the interface to the other hosts: trying again", { error: (error as Error).message });
      clearTimeout(this.#retry);
      this.#retry = setTimeout(this.#move.ask, RETRY_MS);
    }
  }

  #moveTo(found: ExternalInterface): void {
    const { backend, log, store } = this.#parts;
    log.warn("the interface to the other hosts has changed", { from: show(this.external), to: show(found) });
    backend.follow(found);
    if (!sameExternal(found, { ...this.external, mtu: found.mtu })) store.reconnect();
    const attributes = attributesOf(backend, found);
    const said = printAttributes(attributes);
    if (said !== this.#said) this.#keeper.changeAttributes(attributes);
    this.#said = said;
    this.external = found; // last: until then all of it is done again
    this.#overlay.repairSoon();
  }

  /** On its own: a full disk must not let containers keep an MTU that is too large. */
  #tellMtu(): void {
    const { backend, resized } = this.#parts;
    if (backend.mtu === this.#writtenMtu) return;
    resized();
    this.#writtenMtu = backend.mtu;
  }
}

const GROUPS =
  RTMGRP_LINK | RTMGRP_NEIGH | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_IFADDR | RTMGRP_IPV6_ROUTE;

const OF_INTERFACES = [RTM_NEWLINK, RTM_DELLINK, RTM_NEWADDR, RTM_DELADDR];
const isOfInterfaces = ({ type }: Frame): boolean => OF_INTERFACES.includes(type);

const show = ({ name, mtu, publicIP, publicIPv6 }: ExternalInterface): string =>
  [name, publicIP && formatAddress(publicIP), publicIPv6 && formatAddress(publicIPv6), `mtu ${mtu}`]
    .filter(Boolean)
    .join(" ");

function promiseWithResolver(): { promise: Promise<void>; resolve: () => void } {
  let resolve = () => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
