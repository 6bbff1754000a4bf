/** Adapts the backend, our lease and the subnet file to changes of the external interface. */

import {
  type NetlinkHandler,
  RTMGRP_IPV4_IFADDR,
  RTMGRP_IPV6_IFADDR,
  RTMGRP_LINK,
  type Watching,
} from "../../pkg/cluster/event-loop/netlink-watch.ts";
import type { PassResult } from "../../pkg/cluster/event-loop/reconcile-debounce.ts";
import { type ReconcileLoop, startReconcileLoop } from "../../pkg/cluster/event-loop/reconcile-loop.ts";
import { type LeaseAttributes, printAttributes } from "../../pkg/cluster/lease/lease.ts";
import type { LeaseManager, Membership } from "../../pkg/cluster/lease/manager.ts";
import type { Log } from "../../pkg/cluster/log/log.ts";
import type { Backend, ExternalInterface, OwnAttributes } from "../../pkg/flannel/backend/backend.ts";
import { sameExternal } from "../../pkg/flannel/backend/interface/external-interface.ts";
import { formatAddress } from "../../pkg/ip/address.ts";
import type { Nlmsg } from "../../pkg/netlink/nlmsg.ts";
import { RTM_DELADDR, RTM_NEWADDR } from "../../pkg/netlink/rtnetlink/address.ts";
import { RTM_DELLINK, RTM_NEWLINK } from "../../pkg/netlink/rtnetlink/link.ts";
import type { BackendLoop } from "./backend-loop.ts";
import type { Metrics } from "./metrics.ts";
import type { Problem } from "./status/format.ts";

/** The interface is checked when it has not changed for a tenth of a second, and every second while it keeps changing. */
const DEBOUNCE = { quietMs: 100, latestMs: 1000 };
/** Short, since the way to the other hosts may return without an event that says so, as with a route to them. */
const LONGEST_RETRY_MS = 5000;

export interface InterfaceFollowerOptions {
  external: ExternalInterface;
  /** The attributes of our lease, as it was acquired. */
  attributes: LeaseAttributes;
  /** Selects the interface anew. @throws Error there is none that fits */
  findExternal(current: ExternalInterface): ExternalInterface;
  /** Writes the subnet file with the backend's MTU. @throws Error it cannot be written */
  writeSubnetFile(): void;
  backend: Pick<Backend, "mtu">;
  entries: Pick<BackendLoop, "follow">;
  manager: Pick<LeaseManager, "reconnect">;
  membership: Pick<Membership, "changeAttributes">;
  /** Receives the kernel's changes, of the RTMGRP_* groups. */
  watchKernel(handler: NetlinkHandler, groups: number): Watching;
  metrics: Pick<Metrics, "reconciled">;
  log: Log;
}

export interface InterfaceFollower {
  external(): ExternalInterface;
  /** Returns why the last change could not be adapted to, for a status report. */
  problem(): Problem | undefined;
  stop(): Promise<void>;
}

/** Returns the attributes of our lease. */
export const leaseAttributes = (own: OwnAttributes, { publicIP, publicIPv6 }: ExternalInterface): LeaseAttributes => ({
  ...(publicIP && { publicIP }),
  ...(publicIPv6 && { publicIPv6 }),
  ...own,
});

export function startInterfaceFollower(options: InterfaceFollowerOptions): InterfaceFollower {
  const follower = new Follower(options);
  return { external: () => follower.external, problem: () => follower.problem, stop: () => follower.stop() };
}

class Follower {
  external: ExternalInterface;
  problem: Problem | undefined;
  readonly #options: InterfaceFollowerOptions;
  readonly #loop: ReconcileLoop;
  /** The attributes of the lease, or those that it will have as soon as the store answers. */
  #publishedAttributes: string;
  /** The MTU in the subnet file. */
  #writtenMtu: number;

  constructor(options: InterfaceFollowerOptions) {
    this.#options = options;
    this.external = options.external;
    this.#publishedAttributes = printAttributes(options.attributes);
    this.#writtenMtu = options.backend.mtu;
    this.#loop = startReconcileLoop({
      debounce: DEBOUNCE,
      longestPauseMs: 0, // it undoes nobody's changes
      longestRetryMs: LONGEST_RETRY_MS,
      watch: (handler) => options.watchKernel(handler, GROUPS),
      isRelevant: isOfInterfaces,
      reconcile: () => this.#follow(),
      failed: (error) => {
        const { message } = error as Error;
        this.problem = problemOf(message);
        options.log.warn("cannot adapt to a change of the external interface: retrying", { error: message });
      },
      passed: options.metrics.reconciled("interface"),
    });
  }

  stop(): Promise<void> {
    return this.#loop.stop();
  }

  /** Failures are tried again: interface or address may return. */
  async #follow(): Promise<PassResult> {
    const found = this.#options.findExternal(this.external);
    if (!sameExternal(found, this.external)) await this.#moveTo(found);
    this.#publishMtu();
    this.problem = undefined;
    return { repaired: 0 };
  }

  async #moveTo(found: ExternalInterface): Promise<void> {
    const { entries, manager, membership, log } = this.#options;
    log.warn("the external interface has changed", { from: show(this.external), to: show(found) });
    const own = await entries.follow(found);
    if (!sameExternal(found, { ...this.external, mtu: found.mtu })) manager.reconnect();
    const attributes = leaseAttributes(own, found);
    const printed = printAttributes(attributes);
    if (printed !== this.#publishedAttributes) membership.changeAttributes(attributes);
    this.#publishedAttributes = printed;
    this.external = found; // last: after a failure all steps are repeated
  }

  /** Writes a changed MTU, independently of `#moveTo`: after a full disk it is tried again, so that containers get the right MTU. */
  #publishMtu(): void {
    const { backend, writeSubnetFile } = this.#options;
    if (backend.mtu === this.#writtenMtu) return;
    writeSubnetFile();
    this.#writtenMtu = backend.mtu;
  }
}

const problemOf = (message: string): Problem => ({
  text: `flanneld cannot adapt to a change of the external interface: ${message}`,
  remedy: "see the reason; flanneld tries again every few seconds",
});

const GROUPS = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR;

const OF_INTERFACES = [RTM_NEWLINK, RTM_DELLINK, RTM_NEWADDR, RTM_DELADDR];
const isOfInterfaces = ({ type }: Nlmsg): boolean => OF_INTERFACES.includes(type);

const show = ({ name, mtu, publicIP, publicIPv6 }: ExternalInterface): string =>
  [name, publicIP && formatAddress(publicIP), publicIPv6 && formatAddress(publicIPv6), `mtu ${mtu}`]
    .filter(Boolean)
    .join(" ");
