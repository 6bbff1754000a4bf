/** Adapts the backend, our lease and the subnet file to changes of the external interface. */

import { type Debounced, debounce } from "../../pkg/cluster/event-loop/debounce.ts";
import { type LeaseAttributes, printAttributes } from "../../pkg/cluster/lease/lease.ts";
import type { LeaseManager, Membership } from "../../pkg/cluster/lease/manager.ts";
import type { Log } from "../../pkg/cluster/log/log.ts";
import type { Backend, ExternalInterface } from "../../pkg/flannel/backend/backend.ts";
import { sameExternal } from "../../pkg/flannel/backend/interface/external-interface.ts";
import { formatAddress } from "../../pkg/ip/address.ts";
import type { BackendLoop } from "./backend-loop.ts";

const RETRY_MS = 5000;
/** The interface is checked when it has not changed for a tenth of a second, and every second while it keeps changing. */
const FOLLOWING = { quietMs: 100, latestMs: 1000 };

export interface InterfaceFollowerOptions {
  external: ExternalInterface;
  /** Selects the interface anew. @throws Error there is none that fits */
  findExternal(current: ExternalInterface): ExternalInterface;
  /** Writes the subnet file with the backend's MTU. @throws Error it cannot be written */
  writeSubnetFile(): void;
  backend: Backend;
  entries: Pick<BackendLoop, "repairSoon">;
  manager: Pick<LeaseManager, "reconnect">;
  membership: Pick<Membership, "changeAttributes">;
  log: Log;
}

export interface InterfaceFollower {
  external(): ExternalInterface;
  /** Schedules a check of the interface. */
  checkSoon(): void;
  stop(): void;
}

/** Returns the attributes of our lease. */
export const attributesOf = (backend: Backend, { publicIP, publicIPv6 }: ExternalInterface): LeaseAttributes => ({
  ...(publicIP && { publicIP }),
  ...(publicIPv6 && { publicIPv6 }),
  ...backend.attributes(),
});

export function startInterfaceFollower(options: InterfaceFollowerOptions): InterfaceFollower {
  const follower = new Follower(options);
  return { external: () => follower.external, checkSoon: () => follower.checkSoon(), stop: () => follower.stop() };
}

class Follower {
  external: ExternalInterface;
  readonly #options: InterfaceFollowerOptions;
  readonly #check: Debounced;
  /** The attributes of the lease, or those that it will have as soon as the store answers. */
  #publishedAttributes: string;
  /** The MTU in the subnet file. */
  #writtenMtu: number;
  #retry: NodeJS.Timeout | undefined;

  constructor(options: InterfaceFollowerOptions) {
    this.#options = options;
    this.external = options.external;
    this.#publishedAttributes = printAttributes(attributesOf(options.backend, options.external));
    this.#writtenMtu = options.backend.mtu;
    this.#check = debounce(() => this.#follow(), FOLLOWING);
  }

  checkSoon(): void {
    this.#check.ask();
  }

  stop(): void {
    this.#check.stop();
    clearTimeout(this.#retry);
  }

  /** Failures are tried again: interface or address may return. */
  #follow(): void {
    const { findExternal, log } = this.#options;
    try {
      const found = findExternal(this.external);
      if (!sameExternal(found, this.external)) this.#moveTo(found);
      this.#publishMtu();
    } catch (error) {
      log.warn("cannot follow the interface to the other hosts: trying again", { error: (error as Error).message });
      clearTimeout(this.#retry);
      this.#retry = setTimeout(this.#check.ask, RETRY_MS);
    }
  }

  #moveTo(found: ExternalInterface): void {
    const { backend, entries, manager, membership, log } = this.#options;
    log.warn("the interface to the other hosts has changed", { from: show(this.external), to: show(found) });
    backend.follow(found);
    if (!sameExternal(found, { ...this.external, mtu: found.mtu })) manager.reconnect();
    const attributes = attributesOf(backend, found);
    const printed = printAttributes(attributes);
    if (printed !== this.#publishedAttributes) membership.changeAttributes(attributes);
    this.#publishedAttributes = printed;
    this.external = found; // last: after a failure all steps are repeated
    entries.repairSoon();
  }

  /** Writes a changed MTU, independently of `#moveTo`: after a full disk it is tried again, so that containers get the right MTU. */
  #publishMtu(): void {
    const { backend, writeSubnetFile } = this.#options;
    if (backend.mtu === this.#writtenMtu) return;
    writeSubnetFile();
    this.#writtenMtu = backend.mtu;
  }
}

const show = ({ name, mtu, publicIP, publicIPv6 }: ExternalInterface): string =>
  [name, publicIP && formatAddress(publicIP), publicIPv6 && formatAddress(publicIPv6), `mtu ${mtu}`]
    .filter(Boolean)
    .join(" ");
