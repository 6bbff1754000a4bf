/** The lease manager of stores that keep leases under keys: chooses this host's subnet itself, and renews the lease. */

import { type Clock, systemClock } from "../event-loop/clock.ts";
import type { Log } from "../log/log.ts";
import { acquireLease } from "./acquire.ts";
import type { LeaseManager, LeaseRemedies } from "./manager.ts";
import { isDivided } from "./network-config.ts";
import { startRenewal } from "./renew.ts";
import type { Store } from "./store.ts";
import { watchPeers } from "./watch-peers.ts";

/** The TTL of our lease, one day from each renewal, as flannel's. */
const LEASE_MS = 24 * 3600_000;

export const storeRemedies: LeaseRemedies = {
  malformed: "correct or delete it",
  incomplete: "correct its lease, or restart flanneld on its host, which writes it again",
  ourAddress: "delete the lease if this host had it before, else give each host its own address",
  overlap: "delete the lease that is wrong",
  severalLeases:
    "if one host has them, delete those that it does not use from the store; if several hosts have them, give each its own --public-ip",
  peerSubnet:
    'keep leases out of the hosts\' own networks: choose another "Network", or "SubnetMin" and "SubnetMax" that leave them out; then delete the lease, and restart flanneld on its host',
  ownSubnet:
    "stop the containers of this host and flanneld, delete its lease from the store and the subnet file, and start flanneld again: it acquires another subnet",
  ownFamily: "delete the lease's key from the store, and restart flanneld",
};

export interface StoreManagerOptions {
  /** How long before its expiry the lease is renewed. */
  renewMarginMs: number;
  log: Log;
  clock?: Clock;
}

export function createStoreManager(
  store: Store,
  { renewMarginMs, log, clock = systemClock }: StoreManagerOptions,
): LeaseManager {
  return {
    description: store.description,
    readConfig: () => store.readConfig(),
    findPublished: async () => undefined, // after a reboot the lease gets the new MAC, which the peers learn at once
    subnets: "chosen",
    remedies: storeRemedies,
    async acquire(network, request) {
      if (!isDivided(network)) throw new Error("a subnet is chosen out of a network that is not divided into subnets");
      return acquireLease(store, network, { ...request, ttlMs: LEASE_MS }, { clock, log, random: Math.random });
    },
    follow(own, handler) {
      const renewer = startRenewal(store, own, {
        attributes: own.attributes,
        ttlMs: LEASE_MS,
        renewMarginMs,
        clock,
        log,
        leaseLost: handler.leaseLost,
        renewed: handler.leaseHeld,
      });
      const watch = watchPeers(
        store,
        renewer,
        {
          ...handler,
          trouble(why) {
            handler.trouble(why);
            renewer.trouble(why);
          },
        },
        storeRemedies,
      );
      return {
        lease: renewer.lease,
        peers: watch.peers,
        malformed: watch.malformed,
        changeAttributes: renewer.changeAttributes,
        stop() {
          watch.stop();
          renewer.stop();
        },
      };
    },
    reconnect: () => store.reconnect(),
    close: () => store.close(),
  };
}
