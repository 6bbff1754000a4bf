/**
 * Creates a lease that overlaps no other, even when many hosts try at the same time.
 *
 * A key names the subnets of both families: its absence does not mean that both are free. So all keys are listed, and the new one is
 * written on condition that none was created since; renewals, which write existing keys, do not count. This admits one host at a
 * time: 50 take 1 s, 200 take 10 s (measured with all of them, and etcd, on two cores).
 *
 * IPv4 alone does not serialize hosts: subnets of one length overlap only if their base address is the same, and keys begin with it.
 * Only while SubnetLen is being changed can two hosts, with the old and the new length, conflict between list and condition.
 *
 * Rejected: one key per family, which flannel's daemons would not write; to write first and to check afterwards, since other hosts
 * would see an overlapping lease, and a crash would leave it there.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { CompareResult, CompareTarget, type ICompare, type IKeyValue, type ITxnRequest } from "etcd3";
import { keyOf, parseKey, type Subnets, subnetsOverlap } from "../../lease/lease.ts";
import { racePauseMs } from "../../lease/race-pause.ts";
import { StoreError } from "../../lease/store-error.ts";
import type { Cluster } from "./cluster.ts";
import { NONE } from "./etcd-lease.ts";
import { type Keys, nextRevision } from "./keys.ts";

export interface NewLease {
  subnets: Subnets;
  value: Buffer;
  /** The ID of the etcd lease that expires with this key only; or `NONE`. */
  lease: string;
}

/** Each attempt fails only because another host has created a lease. */
const ATTEMPTS = 100;

/** @returns false: an existing one overlaps it. @throws StoreError */
export async function createLease(cluster: Cluster, keys: Keys, wanted: NewLease): Promise<boolean> {
  const doing = `create the lease ${keyOf(wanted.subnets)}`;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const { kvs, header } = await cluster.ask(doing, ({ kv }) => kv.range({ ...keys.leases, keys_only: true }));
    const inTheWay = kvs.filter(({ key }) => isOverlapping(keys.nameOf(key), wanted.subnets));
    if (inTheWay.length > 0) return inTheWay.some((entry) => isOurs(entry, wanted));
    const write = unlessTaken(wanted, keys, header.revision);
    const { succeeded } = await cluster.ask(doing, ({ kv }) => kv.txn(write));
    if (succeeded) return true;
    await sleep(racePauseMs(attempt, Math.random));
  }
  throw new StoreError(
    `etcd: cannot ${doing}: other hosts created leases at the same time, in each of ${ATTEMPTS} attempts. To fix: start fewer hosts at once`,
  );
}

function isOverlapping(name: string, subnets: Subnets): boolean {
  const found = parseKey(name);
  return found !== undefined && subnetsOverlap(found, subnets);
}

/** Reports whether an earlier attempt of ours created the entry and only its answer was lost. */
const isOurs = (entry: IKeyValue, { lease }: NewLease): boolean => lease !== NONE && entry.lease === lease;

/**
 * Builds the transaction. The first condition is for etcd before 3.3, which cannot compare ranges: it takes the second one for a
 * comparison of a key that does not exist.
 */
function unlessTaken({ subnets, value, lease }: NewLease, keys: Keys, listed: string): ITxnRequest {
  const key = keys.lease(subnets);
  const othersToo =
    subnets.ipv4 && !subnets.ipv6 ? absent(keys.leasesAt(subnets.ipv4.address)) : noneSince(listed, keys);
  return { compare: [absent({ key }), othersToo], success: [{ request_put: { key, value, lease } }] };
}

/** The condition that no such key exists: existing keys have a version above 0. */
const absent = (what: Pick<ICompare, "key" | "range_end">): ICompare => ({
  ...what,
  target: CompareTarget.Version,
  result: CompareResult.Equal,
  version: 0,
});

const noneSince = (revision: string, { leases }: Keys): ICompare => ({
  ...leases,
  target: CompareTarget.Create,
  result: CompareResult.Less,
  create_revision: nextRevision(revision),
});
