/** Acquires a lease for the host: its last one, the one reserved for it, or a free one. */
import type { Prefix } from "../../ip/address.ts";
import { type Clock, pause } from "../event-loop/clock.ts";
import type { Log } from "../log/log.ts";
import { type Candidates, chooseSubnet } from "./choose-subnet.ts";
import { formatSubnets, type Lease, type Subnets, sameAttributes, sameSubnets } from "./lease.ts";
import type { LeaseRequest } from "./manager.ts";
import type { DividedNetworkConfig } from "./network-config.ts";
import { racePauseMs } from "./race-pause.ts";
import type { Store } from "./store.ts";
import { StoreError } from "./store-error.ts";

export interface TimedRequest extends LeaseRequest {
  ttlMs: number;
}

export interface AcquireContext {
  clock: Clock;
  log: Log;
  /** Returns a number in [0, 1). */
  random(): number;
}

/** Each lost race means that another host got a subnet; so many in a row mean that the store is broken, not that many hosts start. */
const ATTEMPTS = 100;

/**
 * Tries until it has a lease: when another host takes the chosen subnet first, it chooses again among those that are free then.
 *
 * @throws NoSubnet; StoreError; Error the network has no IPv4
 */
export async function acquireLease(
  store: Store,
  network: DividedNetworkConfig,
  wanted: TimedRequest,
  means: AcquireContext,
): Promise<Lease> {
  let { previous } = wanted;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const listed = await store.list();
    const choice = chooseSubnet(network, listed, {
      publicIP: wanted.attributes.publicIP,
      previous,
      ...(wanted.local && { local: wanted.local }),
    });
    if (choice.kind === "reuse") return takeOver(store, choice.lease, wanted, means);
    if (choice.kind === "delete") {
      means.log.warn("deleting our lease, which does not fit the network configuration", {
        lease: formatSubnets(choice.lease),
      });
      await store.delete(choice.lease);
      previous ??= choice.lease; // so that its subnets that still fit are chosen again
      continue;
    }
    const subnets = pick(choice.candidates, means.random);
    const lease = await store.create(subnets, wanted.attributes, wanted.ttlMs);
    if (lease) return created(lease, listed.leases, wanted, means);
    means.log.info("another host acquired the subnet first: choosing another", {
      lease: formatSubnets(subnets),
    });
    await pause(means.clock, racePauseMs(attempt, means.random));
  }
  throw new StoreError(
    `${store.description} lists subnets as free, but refused each of ${ATTEMPTS} as taken. ` +
      "To fix: check that all its members (or all hosts of the file system) list the same leases",
  );
}

/**
 * Writes our attributes to a lease with our public address. A reservation keeps having no expiry. A lease that cannot be written, as while
 * etcd has no space, is ours all the same: it is used, so that peers are followed, and startRenewal writes it when the store lets it.
 */
async function takeOver(
  store: Store,
  lease: Lease,
  { attributes, ttlMs }: TimedRequest,
  { log }: AcquireContext,
): Promise<Lease> {
  const taken = await store
    .put(lease, attributes, lease.expiresMs === undefined ? undefined : ttlMs)
    .catch((error: unknown) => {
      if (!(error instanceof StoreError)) throw error;
      log.warn("using our existing lease, which cannot be written now", {
        lease: formatSubnets(lease),
        error: error.message,
      });
    });
  if (taken === undefined) return { ...lease, attributes };
  log.info("took over existing lease", {
    lease: formatSubnets(lease),
    reserved: lease.expiresMs === undefined,
    writtenBy: sameAttributes(lease.attributes, attributes) ? "this daemon" : "another device or daemon",
  });
  return taken;
}

function created(lease: Lease, leases: readonly Lease[], { previous }: LeaseRequest, { log }: AcquireContext): Lease {
  const holder = previous && leases.find((one) => sameSubnets(one, previous));
  log.info("acquired a new lease", {
    lease: formatSubnets(lease),
    ...(previous && { previous: formatSubnets(previous) }),
    ...(holder && { why: "another host has the previous one" }),
  });
  return lease;
}

function pick({ ipv4, ipv6 }: Candidates, random: () => number): Subnets {
  return { ipv4: oneOf(ipv4, random), ...(ipv6 && { ipv6: oneOf(ipv6, random) }) };
}

function oneOf(subnets: readonly Prefix[], random: () => number): Prefix {
  const one = subnets[Math.floor(random() * subnets.length)];
  if (!one) throw new RangeError("no candidates");
  return one;
}
