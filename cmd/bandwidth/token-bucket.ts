/**
 * A limit as a token bucket filter of the kernel: `tc qdisc add dev <link> root handle 1: tbf rate … burst … latency …`.
 *
 * Its numbers are computed as in the reference plugin, rounding included: CHECK of either plugin compares the exact numbers of the
 * other.
 */
import { CniError, ErrorCode } from "../../pkg/cni/error.ts";
import { checkFailure } from "../../pkg/link/check.ts";
import type { Link } from "../../pkg/link/link.ts";
import { type Connection, type Request, request } from "../../pkg/netlink/connection.ts";
import { NLM_F_CREATE, NLM_F_EXCL } from "../../pkg/netlink/nlmsg.ts";
import { qdiscMessage, RTM_DELQDISC, RTM_NEWQDISC, TC_H_ROOT } from "../../pkg/netlink/rtnetlink/qdisc.ts";
import { isErrno } from "../../pkg/sys/errno.ts";
import { listQdiscs, refusedTrafficControl } from "./traffic-control.ts";

export interface TokenBucket {
  bytesPerSecond: number;
  /** Size of the queue: more is dropped. */
  limitBytes: number;
  /** The burst as the time that it takes at the rate. */
  bufferTicks: number;
}

const MICROSECONDS = 1_000_000;
/** The kernel's PSCHED_SHIFT, 6 since 2.6.31: a tick is 64 ns. /proc/net/psched has the same number. */
const TICKS_PER_MICROSECOND = 1000 / 64;
const HANDLE = 0x10000; // 1:
/** The largest 32-bit number. */
const LARGEST = 0xffffffff;
const LONGEST_BURST_US = LARGEST / TICKS_PER_MICROSECOND;

const bytesOf = (bits: number): number => Math.floor(bits / 8);

/** Returns the shortest burst: the kernel refuses one that takes less than a microsecond. @param rateBits At least 8 */
export const shortestBurstBits = (rateBits: number): number => 8 * Math.ceil(bytesOf(rateBits) / MICROSECONDS);

/**
 * Computes the bucket. Numbers above 32 bits are capped: a burst of more than 275 s at its rate, a queue of more than 4 GB. The queue has
 * room for the burst that the kernel allows, not for the one that was asked for: packets would wait in it for minutes.
 */
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
  const bytesIn = (us: number) => Math.floor((bytesPerSecond * us) / MICROSECONDS);
  const allowedBytes = burstUs > LONGEST_BURST_US ? bytesIn(LONGEST_BURST_US) : burstBytes;
  return {
    bytesPerSecond,
    limitBytes: Math.min(bytesIn(latencyUs) + allowedBytes, LARGEST),
    bufferTicks: Math.min(Math.floor(burstUs * TICKS_PER_MICROSECOND), LARGEST),
  };
}

/**
 * Limits what the link sends. An existing bucket, of an earlier ADD or of the reference plugin, is changed.
 *
 * @throws CniError 999: the link has another queueing discipline, or the kernel lacks this one
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
    remedy: `find out what added it (tc qdisc show dev ${link.name}): a link has only one, so only that one or bandwidth can limit the traffic`,
  });
}

/** Removes our limit; another queueing discipline stays. */
export function unlimit(host: Connection, link: Link): void {
  const value = { index: link.index, handle: HANDLE, parent: TC_H_ROOT, kind: "tbf" };
  const [refusal] = host.attemptAll([
    request({ name: "RTM_DELQDISC", type: RTM_DELQDISC, table: qdiscMessage, value }),
  ]);
  const isNotThere = refusal === undefined || isErrno(refusal, "ENOENT", "ENODEV", "EINVAL"); // EINVAL: another kind or handle
  if (!isNotThere) throw refusal;
}

/** Checks the limit. @throws CniError 999: the link has no limit, or a different one */
export function checkLimit(host: Connection, link: Link, wanted: TokenBucket): void {
  const found = findBucket(host, link);
  if (found === undefined) throw checkFailure(`"${link.name}" is not limited: Failed to find qdisc`);
  for (const [name, text] of Object.entries(mismatches) as [keyof TokenBucket, string][]) {
    // where we cap the burst, the reference plugin took it modulo 2^32; and its queue, like that of our earlier builds, is for all of it
    const isCapped = wanted[name] === LARGEST || (name === "limitBytes" && wanted.bufferTicks === LARGEST);
    if (found[name] !== wanted[name] && !isCapped)
      throw checkFailure(`${text}: "${link.name}" has ${name} ${found[name]}, must have ${wanted[name]}`);
  }
}

/** The texts of the reference plugin. */
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
