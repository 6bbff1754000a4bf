/**
 * Makes a lease that overlaps no other, although many hosts try at once.
 *
 * A key names the subnets of both families: that it is not there does not say that both are free. So all keys are listed, and the
 * new one is written on condition that none was created since; renewals, which write keys that are there, do not count. That
 * lets one host through at a time: 50 take 1 s, 200 take 10 s (measured with all of them, and etcd, on two cores).
 *
 * IPv4 alone needs no queue: subnets of one length overlap where they begin at one address, which keys begin with. Only while
 * SubnetLen is being changed may a host that read the old one and a host that read the new one meet between list and condition.
 *
 * Rejected: a key for each family's half, which flannel's daemons would not write; to write first and to look then, since the
 * others would see what must not be, and a crash would leave it there.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { CompareResult, CompareTarget, type ICompare, type IKeyValue, type ITxnRequest } from "etcd3";
import { racePauseMs } from "../../lease/clock.ts";
import { keyOf, parseKey, type Subnets, subnetsOverlap } from "../../lease/lease.ts";
import { StoreError } from "../../lease/store.ts";
import type { Cluster } from "./cluster.ts";
import { NONE } from "./etcd-lease.ts";
import { type Keys, nextRevision } from "./keys.ts";

export interface NewLease {
  subnets: Subnets;
  value: Buffer;
  /** What etcd calls so: the ID of the clock that runs out for it, and for nothing else; or `NONE`. */
  lease: string;
}

/** Each time somebody else has made a lease. */
const ATTEMPTS = 100;

/** @returns false: there is one that overlaps it. @throws StoreError */
export async function createLease(cluster: Cluster, keys: Keys, wanted: NewLease): Promise<boolean> {
  const doing = `make the lease ${keyOf(wanted.subnets)}`;
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
    `etcd does not ${doing}: other hosts have made leases in between, ${ATTEMPTS} times. To fix: start fewer hosts at once`,
  );
}

function isOverlapping(name: string, subnets: Subnets): boolean {
  const found = parseKey(name);
  return found !== undefined && subnetsOverlap(found, subnets);
}

/** It was made the first time, but the answer was lost. */
const isOurs = (entry: IKeyValue, { lease }: NewLease): boolean => lease !== NONE && entry.lease === lease;

/** The first condition is for an etcd before 3.3, which compares no ranges: it takes the second for one on a key that is not there. */
function unlessTaken({ subnets, value, lease }: NewLease, keys: Keys, listed: string): ITxnRequest {
  const key = keys.lease(subnets);
  const othersToo =
    subnets.ipv4 && !subnets.ipv6 ? absent(keys.leasesAt(subnets.ipv4.address)) : noneSince(listed, keys);
  return { compare: [absent({ key }), othersToo], success: [{ request_put: { key, value, lease } }] };
}

/** What is there has a version. */
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
