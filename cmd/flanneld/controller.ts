/**
 * Runs this host's membership in the cluster: renews its lease, keeps the peers' entries in the kernel, and reacts to changes in the store,
 * in the kernel, and of the external interface.
 */

import { type Debounced, debounce } from "../../pkg/cluster/event-loop/debounce.ts";
import {
  RTMGRP_IPV4_IFADDR,
  RTMGRP_IPV4_ROUTE,
  RTMGRP_IPV6_IFADDR,
  RTMGRP_IPV6_ROUTE,
  RTMGRP_LINK,
  RTMGRP_NEIGH,
  type Watching,
  watchNetlink,
} from "../../pkg/cluster/event-loop/netlink-watch.ts";
import { systemClock } from "../../pkg/cluster/lease/clock.ts";
import { type Lease, type LeaseAttributes, printAttributes } from "../../pkg/cluster/lease/lease.ts";
import type { NetworkConfig } from "../../pkg/cluster/lease/network-config.ts";
import { type LeaseRenewer, startRenewal } from "../../pkg/cluster/lease/renew.ts";
import type { Store } from "../../pkg/cluster/lease/store.ts";
import { type PeerWatch, watchPeers } from "../../pkg/cluster/lease/watch-peers.ts";
import type { Log } from "../../pkg/cluster/log/log.ts";
import type { Backend, ExternalInterface } from "../../pkg/flannel/backend/backend.ts";
import { sameExternal, selectExternalInterface } from "../../pkg/flannel/backend/interface/external-interface.ts";
import type { InterfaceSelector } from "../../pkg/flannel/backend/interface/selector.ts";
import { formatAddress } from "../../pkg/ip/address.ts";
import { type Connection, NETLINK_ROUTE, NetlinkError } from "../../pkg/netlink/connection.ts";
import type { Frame } from "../../pkg/netlink/frame.ts";
import { RTM_DELADDR, RTM_NEWADDR } from "../../pkg/netlink/rtnetlink/address.ts";
import { RTM_DELLINK, RTM_NEWLINK } from "../../pkg/netlink/rtnetlink/link.ts";
import { type BackendLoop, startBackendLoop } from "./backend-loop.ts";
import type { Metrics } from "./metrics.ts";
import type { NetworkInfo } from "./status/report.ts";

/** The TTL of our lease, one day from each renewal, as flannel's. */
export const LEASE_MS = 24 * 3600_000;

const RETRY_MS = 5000;
/** The interface is checked when it has not changed for a tenth of a second, and every second while it keeps changing. */
const FOLLOWING = { quietMs: 100, latestMs: 1000 };

export interface ControllerOptions {
  store: Store;
  network: NetworkConfig;
  backend: Backend;
  route: Connection;
  external: ExternalInterface;
  selector: InterfaceSelector;
  lease: Lease;
  renewMarginMs: number;
  log: Log;
  metrics: Metrics;
  /** Called when another host has our lease. */
  lost(reason: string): void;
  /** Called after each renewal, and when the lease is ours again. */
  held(lease: Lease): void;
  /** Called when the backend has another MTU; called again later if it throws. */
  resized(): void;
  /** Called when the store is lost (with the error) and when it answers again (undefined). */
  trouble(why: Error | undefined): void;
}

/** Returns the attributes of our lease. */
export const attributesOf = (backend: Backend, { publicIP, publicIPv6 }: ExternalInterface): LeaseAttributes => ({
  ...(publicIP && { publicIP }),
  ...(publicIPv6 && { publicIPv6 }),
  ...backend.attributes(),
});

/** Returns the network's families, for `selectExternalInterface`. */
export const configuredFamilies = ({ ipv4, ipv6 }: NetworkConfig) => ({
  ipv4: ipv4 !== undefined,
  ipv6: ipv6 !== undefined,
});

export class Controller {
  /** Resolved when the kernel has the entries of the peers that existed at the start. */
  readonly programmed: Promise<void>;
  external: ExternalInterface;
  readonly #options: ControllerOptions;
  readonly #renewer: LeaseRenewer;
  readonly #backendLoop: BackendLoop;
  readonly #peerWatch: PeerWatch;
  readonly #move: Debounced;
  /** The attributes of the lease, or those that it will have as soon as the store answers. */
  #publishedAttributes: string;
  /** The MTU in the subnet file. */
  #writtenMtu: number;
  #kernel: Watching | undefined;
  #retry: NodeJS.Timeout | undefined;
  #isInTrouble = false;

  constructor(parts: ControllerOptions) {
    this.#options = parts;
    this.external = parts.external;
    const attributes = attributesOf(parts.backend, parts.external);
    this.#publishedAttributes = printAttributes(attributes);
    this.#writtenMtu = parts.backend.mtu;
    this.#backendLoop = startBackendLoop(parts.backend, parts);
    this.#move = debounce(() => this.#followInterface(), FOLLOWING);
    this.#renewer = startRenewal(parts.store, parts.lease, {
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
    this.#peerWatch = this.#followPeers(resolve);
    this.#kernel = this.#watchKernel();
  }

  get lease(): Lease {
    return this.#renewer.lease();
  }

  /** Returns the state for a status report. */
  facts(): NetworkInfo {
    const { backend, route, renewMarginMs } = this.#options;
    const peers = [...this.#peerWatch.peers().values()];
    const { lease, external } = this;
    return { lease, external, backend, route, renewMarginMs, peers, malformed: this.#peerWatch.malformed() };
  }

  /** Stops; kernel entries and the lease remain. */
  stop(): void {
    this.#kernel?.stop();
    this.#peerWatch.stop();
    this.#renewer.stop();
    this.#backendLoop.stop();
    this.#move.stop();
    clearTimeout(this.#retry);
  }

  #followPeers(begun: () => void): PeerWatch {
    const { store, metrics, log } = this.#options;
    return watchPeers(store, {
      own: () => this.lease,
      peers: (all) => {
        metrics.peers(all.length);
        this.#backendLoop.setPeers(all);
        log.info("follows the other hosts", { peers: all.length });
        begun();
      },
      changed: (changes) => {
        metrics.peers(this.#peerWatch.peers().size);
        this.#kernel?.read();
        this.#backendLoop.changePeers(changes);
        this.#kernel?.read(); // later, after more changes, our own would look like another program's
      },
      ownEvent: (event) => this.#renewer.own(event),
      malformed: ({ key, reason }) => log.warn("a lease cannot be understood: it is skipped", { key, reason }),
      trouble: (why) => this.#takeTrouble(why),
    });
  }

  #takeTrouble(why: Error | undefined): void {
    const { log } = this.#options;
    if (why !== undefined) log.warn("the store does not answer: what there is stays as it is", { error: why.message });
    else if (this.#isInTrouble) log.info("the store answers again");
    this.#isInTrouble = why !== undefined;
    this.#renewer.trouble(why);
    this.#options.trouble(why);
  }

  #watchKernel(): Watching {
    return watchNetlink(NETLINK_ROUTE, GROUPS, {
      messages: (frames) => {
        if (this.#concernBackend(frames)) this.#backendLoop.repairSoon();
        if (frames.some(isOfInterfaces)) this.#move.ask();
      },
      overflowed: () => {
        this.#backendLoop.repairSoon();
        this.#move.ask();
      },
    });
  }

  /** Reports whether messages concern the backend; true if the kernel fails to answer because too much is changing. */
  #concernBackend(frames: readonly Frame[]): boolean {
    try {
      return frames.some((frame) => this.#options.backend.concerns(frame));
    } catch (error) {
      if (error instanceof NetlinkError) return true;
      throw error;
    }
  }

  /** Adapts to changes of the external interface. Failures are tried again: interface or address may return. */
  #followInterface(): void {
    const { route, selector, network, log } = this.#options;
    try {
      const found = selectExternalInterface(route, selector, configuredFamilies(network), { current: this.external });
      if (!sameExternal(found, this.external)) this.#moveTo(found);
      this.#tellMtu();
    } catch (error) {
      log.warn("cannot follow the interface to the other hosts: trying again", { error: (error as Error).message });
      clearTimeout(this.#retry);
      this.#retry = setTimeout(this.#move.ask, RETRY_MS);
    }
  }

  #moveTo(found: ExternalInterface): void {
    const { backend, log, store } = this.#options;
    log.warn("the interface to the other hosts has changed", { from: show(this.external), to: show(found) });
    backend.follow(found);
    if (!sameExternal(found, { ...this.external, mtu: found.mtu })) store.reconnect();
    const attributes = attributesOf(backend, found);
    const said = printAttributes(attributes);
    if (said !== this.#publishedAttributes) this.#renewer.changeAttributes(attributes);
    this.#publishedAttributes = said;
    this.external = found; // last: after a failure all steps are repeated
    this.#backendLoop.repairSoon();
  }

  /** Reports a changed MTU, independently of `#moveTo`: after a full disk it is tried again, so that containers get the right MTU. */
  #tellMtu(): void {
    const { backend, resized } = this.#options;
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
