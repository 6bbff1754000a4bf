/**
 * Runs this host's part in the cluster: hands the leases of the other hosts to the backend, reports what happens to our own, and reacts
 * to changes in the kernel and of the external interface.
 */

import { type NetlinkHandler, type Watching, watchNetlink } from "../../pkg/cluster/event-loop/netlink-watch.ts";
import { formatSubnets, type Lease, type LeaseAttributes, type LeaseId } from "../../pkg/cluster/lease/lease.ts";
import type { LeaseHandler, LeaseManager } from "../../pkg/cluster/lease/manager.ts";
import { overlappingLeases } from "../../pkg/cluster/lease/overlaps.ts";
import type { Log } from "../../pkg/cluster/log/log.ts";
import type { Backend, ExternalInterface } from "../../pkg/flannel/backend/backend.ts";
import { NETLINK_ROUTE } from "../../pkg/netlink/connection.ts";
import { startBackendLoop } from "./backend-loop.ts";
import { startInterfaceFollower } from "./interface-follower.ts";
import type { Metrics } from "./metrics.ts";
import type { StateReporter } from "./state-reporter.ts";
import type { Problem } from "./status/format.ts";

export interface ControllerOptions {
  manager: LeaseManager;
  lease: Lease;
  backend: Backend;
  external: ExternalInterface;
  /** The attributes of our lease, as it was acquired. */
  attributes: LeaseAttributes;
  /** Selects the external interface anew. @throws Error there is none that fits */
  findExternal(current: ExternalInterface): ExternalInterface;
  /** Writes the subnet file with the backend's MTU. @throws Error it cannot be written */
  writeSubnetFile(): void;
  /** Receives the kernel's changes, of the RTMGRP_* groups. */
  watchKernel(handler: NetlinkHandler, groups: number): Watching;
  reporter: Pick<StateReporter, "leaseHeld" | "leaseLost" | "repeat" | "storeTrouble">;
  metrics: Metrics;
  log: Log;
}

export interface Controller {
  /** Resolves when the kernel has the entries of the peers that existed at the start. */
  readonly programmed: Promise<void>;
  /** Returns the state for a status report. */
  facts(): ControllerFacts;
  /** Stops; kernel entries and the lease remain. Resolves when the backend is not used any more. */
  stop(): Promise<void>;
}

export interface ControllerFacts {
  lease: Lease;
  external: ExternalInterface;
  /** Why the last change of the external interface could not be adapted to. */
  interfaceProblem: Problem | undefined;
  /** undefined: the store has not listed them yet. */
  peers: readonly Lease[] | undefined;
  /** Leases that are skipped, with the reason. */
  malformed: ReadonlyMap<LeaseId, string>;
}

export const watchRoutes = (handler: NetlinkHandler, groups: number): Watching =>
  watchNetlink(NETLINK_ROUTE, groups, handler);

export function startController(options: ControllerOptions): Controller {
  const { manager, lease, backend, reporter, metrics, log } = options;
  const { promise: programmed, resolve: isProgrammed } = promiseWithResolver();
  let isInTrouble = false;
  let hasPeers = false;
  metrics.leaseExpires(lease.expiresMs);

  const entries = startBackendLoop(backend, options);
  const leases: LeaseHandler = {
    async peers(all) {
      hasPeers = true;
      metrics.peers(all.length);
      await entries.setPeers(all);
      log.info("watching the leases of other hosts", { peers: all.length });
      for (const [one, other] of overlappingLeases(all))
        log.warn("leases of two other hosts overlap", { lease: formatSubnets(one), other: formatSubnets(other) });
      isProgrammed();
    },
    changed(changes) {
      metrics.peers(membership.peers().size);
      void entries.changePeers(changes);
    },
    malformed: ({ id, reason }) => log.warn("skipped an invalid lease", { key: id, reason }),
    leaseHeld(own) {
      metrics.leaseExpires(own.expiresMs);
      reporter.leaseHeld();
      void entries.setOwnLease(own);
    },
    leaseLost: (reason) => reporter.leaseLost(reason),
    trouble(why) {
      if (why !== undefined)
        log.warn("the store does not answer: existing routes and rules stay in place", { error: why.message });
      else if (isInTrouble) log.info("the store answers again");
      isInTrouble = why !== undefined;
      reporter.storeTrouble(why);
    },
  };
  const membership = manager.follow(lease, leases);
  const follower = startInterfaceFollower({
    ...options,
    entries,
    membership,
    writeSubnetFile() {
      options.writeSubnetFile();
      reporter.repeat();
    },
  });

  return {
    programmed,
    facts: () => ({
      lease: membership.lease(),
      external: follower.external(),
      interfaceProblem: follower.problem(),
      peers: hasPeers ? [...membership.peers().values()] : undefined,
      malformed: membership.malformed(),
    }),
    async stop() {
      membership.stop();
      await Promise.all([entries.stop(), follower.stop()]);
    },
  };
}

function promiseWithResolver(): { promise: Promise<void>; resolve: () => void } {
  let resolve = () => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
