/**
 * A limit as the kernel's token bucket filter keeps it: `tc qdisc add dev <link> root handle 1: tbf rate … burst … latency …`.
 *
 * Its numbers are made as the reference plugin makes them, rounding included: each one's CHECK compares the other's to the digit.
 */
import { CniError, ErrorCode } from "../../pkg/cni/error.ts";
import { checkFailure } from "../../pkg/link/check.ts";
import type { Link } from "../../pkg/link/link.ts";
import { type Connection, type Request, request } from "../../pkg/netlink/connection.ts";
import { NLM_F_CREATE, NLM_F_EXCL } from "../../pkg/netlink/frame.ts";
import { qdiscMessage, RTM_DELQDISC, RTM_NEWQDISC, TC_H_ROOT } from "../../pkg/netlink/rtnetlink/qdisc.ts";
import { isErrno } from "../../pkg/sys/errno.ts";
import { listQdiscs, refusedTrafficControl } from "./traffic-control.ts";

export interface TokenBucket {
  bytesPerSecond: number;
  /** What may wait: more is dropped. */
  limitBytes: number;
  /** The burst as the time it takes at the rate. */
  bufferTicks: number;
}

const MICROSECONDS = 1_000_000;
/** The kernel's PSCHED_SHIFT has been 6 since 2.6.31: a tick is 64 ns. /proc/net/psched says the same. */
const TICKS_PER_MICROSECOND = 1000 / 64;
const HANDLE = 0x10000; // 1:
/** Of 32 bits. */
const LARGEST = 0xffffffff;

const bytesOf = (bits: number): number => Math.floor(bits / 8);

/** The kernel refuses a burst that is over within a microsecond. @param rateBits At least 8 */
export const shortestBurstBits = (rateBits: number): number => 8 * Math.ceil(bytesOf(rateBits) / MICROSECONDS);

/** What has no room in 32 bits is cut: a burst of more than 275 s at its rate, a queue of more than 4 GB. */
export function bucketOf({
  rateBits,
  burstBits,
  latencyMs,
}: {
  rateBits: number;
  burstBits: number;
  latencyMs: number;
}): TokenBucket {
  const [bytesPerSecond, burstBytes] = [bytesOf(rateBits), bytesOf(burstBits)];
  const latencyUs = latencyMs * 1000;
  const burstUs = Math.floor((burstBytes * MICROSECONDS) / bytesPerSecond);
  return {
    bytesPerSecond,
    limitBytes: Math.min(Math.floor((bytesPerSecond * latencyUs) / MICROSECONDS) + burstBytes, LARGEST),
    bufferTicks: Math.min(Math.floor(burstUs * TICKS_PER_MICROSECOND), LARGEST),
  };
}

/**
 * What the link sends is limited from now on. A bucket that is there already, of an ADD before or of the reference plugin, is adjusted.
 *
 * @throws CniError 999: another discipline is there, or the kernel has no such one
 */
export function limit(host: Connection, link: Link, bucket: TokenBucket): void {
  const [refusal] = host.attemptAll([bucketRequest(link, bucket, NLM_F_CREATE | NLM_F_EXCL)]);
  if (refusal === undefined) return;
  if (!isErrno(refusal, "EEXIST")) throw refusedTrafficControl("tbf", link, refusal);
  const root = rootOf(host, link);
  if (root?.kind !== "tbf" || root.handle !== HANDLE) throw occupied(link, root?.kind);
  host.request(bucketRequest(link, bucket, 0));
}

function bucketRequest(link: Link, { bytesPerSecond, limitBytes, bufferTicks }: TokenBucket, flags: number): Request {
  const rate = { bytesPerSecond: Math.min(bytesPerSecond, LARGEST) };
  return request({
    name: "RTM_NEWQDISC",
    type: RTM_NEWQDISC,
    flags,
    table: qdiscMessage,
    value: {
      index: link.index,
      handle: HANDLE,
      parent: TC_H_ROOT,
      kind: "tbf",
      options: {
        parameters: { rate, limitBytes, bufferTicks },
        ...(bytesPerSecond > LARGEST && { rate64: BigInt(bytesPerSecond) }),
      },
    },
  });
}

const rootOf = (host: Connection, link: Link) => listQdiscs(host, link).find(({ parent }) => parent === TC_H_ROOT);

function occupied(link: Link, kind: string | undefined): CniError {
  return new CniError({
    code: ErrorCode.internal,
    msg: `"${link.name}" has a queueing discipline of kind "${kind}" already`,
    remedy: `find out who put it there (tc qdisc show dev ${link.name}): a link has one only, so either that one or bandwidth can limit it`,
  });
}

/** Takes the limit away; one that is not ours stays. */
export function unlimit(host: Connection, link: Link): void {
  const value = { index: link.index, handle: HANDLE, parent: TC_H_ROOT, kind: "tbf" };
  const [refusal] = host.attemptAll([
    request({ name: "RTM_DELQDISC", type: RTM_DELQDISC, table: qdiscMessage, value }),
  ]);
  const isNotThere = refusal === undefined || isErrno(refusal, "ENOENT", "ENODEV", "EINVAL"); // EINVAL: another kind or handle
  if (!isNotThere) throw refusal;
}

/** @throws CniError 999: the link is not limited, or not like this */
export function checkLimit(host: Connection, link: Link, wanted: TokenBucket): void {
  const found = findBucket(host, link);
  if (found === undefined) throw checkFailure(`"${link.name}" is not limited: Failed to find qdisc`);
  for (const [name, text] of Object.entries(mismatches) as [keyof TokenBucket, string][]) {
    // where we cut a number, the reference plugin has taken it modulo 2^32
    if (found[name] !== wanted[name] && wanted[name] !== LARGEST)
      throw checkFailure(`${text}: "${link.name}" has ${name} ${found[name]}, must have ${wanted[name]}`);
  }
}

/** In the reference plugin's words. */
const mismatches: Record<keyof TokenBucket, string> = {
  bytesPerSecond: "Rate doesn't match",
  limitBytes: "Limit doesn't match",
  bufferTicks: "Buffer doesn't match",
};

function findBucket(host: Connection, link: Link): TokenBucket | undefined {
  const options = rootOf(host, link)?.options;
  if (options === undefined || !("parameters" in options) || options.parameters === undefined) return undefined;
  if (!("limitBytes" in options.parameters)) return undefined; // a class of HTB
  const { rate, limitBytes, bufferTicks } = options.parameters;
  const rate64 = "rate64" in options ? options.rate64 : undefined;
  return { bytesPerSecond: Number(rate64 ?? rate.bytesPerSecond), limitBytes, bufferTicks };
}
