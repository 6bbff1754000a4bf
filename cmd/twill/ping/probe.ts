/** Sends probes from network namespaces, all at once, and waits for their answers. */

import { equal } from "../../../pkg/bytes/equal.ts";
import { type Address, formatAddress } from "../../../pkg/ip/address.ts";
import { encodeEcho, isEchoReply } from "../../../pkg/ip/icmp-echo.ts";
import { withRtnetlink } from "../../../pkg/link/in-namespace.ts";
import { neighbourSummary } from "../../../pkg/link/neighbour.ts";
import { gatewaysOf, lookupRoute } from "../../../pkg/link/route.ts";
import { type Connection, query } from "../../../pkg/netlink/connection.ts";
import { NUD_FAILED, NUD_INCOMPLETE, RTM_GETNEIGH } from "../../../pkg/netlink/rtnetlink/neighbour.ts";
import { monotonicMs } from "../../../pkg/sys/clock.ts";
import { Errno, SystemError } from "../../../pkg/sys/errno.ts";
import { closeFile } from "../../../pkg/sys/file.ts";
import { connectIcmp, connectTcp, takeSocketError } from "../../../pkg/sys/inet-socket.ts";
import { closeNamespace, findNamespace, type Namespace, within } from "../../../pkg/sys/namespace.ts";
import { POLLIN, POLLOUT, waitReady } from "../../../pkg/sys/poll.ts";
import { processId } from "../../../pkg/sys/process.ts";
import { ask } from "../../../pkg/sys/syscall.ts";
import { type Failure, GONE, type Reason, reasonOf } from "./reason.ts";
import type { Target } from "./target.ts";

export interface Probe extends Target {
  /** Path of the namespace that it is sent from. */
  netns: string;
}

export interface Answer {
  /** undefined: none came. */
  ms: number | undefined;
  failure: Reason | undefined;
}

/** As many at once: each has a socket. */
const BATCH = 400;
/** After as many probes the answers to the earlier ones are read: sending one takes about 0.1 ms, which must not count as theirs. */
const SENT_BETWEEN = 4;

export function sendProbes(probes: readonly Probe[], timeoutMs: number): Answer[] {
  const answers: Answer[] = [];
  for (let from = 0; from < probes.length; from += BATCH)
    answers.push(...sendBatch(probes.slice(from, from + BATCH), timeoutMs));
  return answers;
}

/** A probe that waits for its answer. */
interface Waiting extends Sent {
  probe: Probe;
}

interface Sent {
  fd: number;
  startedMs: number;
}

/** Milliseconds until the answer; the errno of a refusal, undefined: no answer came; "gone": the namespace that it was to be sent from. */
type Outcome = { ms: number } | { errno: number | undefined } | "gone";

/** Why a probe failed is found out last: what that takes must not count as the time of an answer. */
function sendBatch(probes: readonly Probe[], timeoutMs: number): Answer[] {
  const id = processId() & 0xffff;
  const outcomes = new Map<Probe, Outcome>();
  const waiting = new Set<Waiting>();
  for (const [i, probe] of probes.entries()) {
    const sent = send(probe, id);
    if (typeof sent === "object" && "fd" in sent) waiting.add({ probe, ...sent });
    else outcomes.set(probe, sent);
    if (i % SENT_BETWEEN === SENT_BETWEEN - 1) receive(waiting, outcomes, id, 0);
  }
  const end = monotonicMs() + timeoutMs;
  for (let leftMs = timeoutMs; waiting.size > 0 && leftMs > 0; leftMs = end - monotonicMs())
    receive(waiting, outcomes, id, leftMs);
  for (const { fd } of waiting) closeFile(fd);
  return probes.map((probe) => answerOf(probe, outcomes.get(probe) ?? { errno: undefined }));
}

function send({ netns, address, port }: Probe, id: number): Sent | Outcome {
  try {
    return inside(netns, (namespace) =>
      within(namespace, (): Sent | Outcome => {
        const startedMs = monotonicMs();
        if (port !== undefined) return { fd: connectTcp({ address, port }), startedMs };
        const fd = connectIcmp(address);
        const data = encodeEcho(address, id);
        const result = ask("sendto", fd, data, data.length, 0, 0, 0);
        if (result >= 0) return { fd, startedMs };
        closeFile(fd);
        return { errno: -result };
      }),
    );
  } catch (error) {
    if (error instanceof SystemError) return { errno: error.errno };
    throw error;
  }
}

/** Waits until some have their outcome; those wait no longer. */
function receive(waiting: Set<Waiting>, outcomes: Map<Probe, Outcome>, id: number, timeoutMs: number): void {
  const buffer = new Uint8Array(2048);
  const open = [...waiting];
  const ready = waitReady(
    open.map(({ fd, probe }) => [fd, probe.port === undefined ? POLLIN : POLLOUT] as const),
    timeoutMs,
  );
  const nowMs = monotonicMs();
  for (const i of ready) {
    const one = open[i] as Waiting;
    const errno = outcomeOf(one.fd, one.probe, id, buffer);
    if (errno === undefined) continue;
    outcomes.set(one.probe, errno === 0 ? { ms: nowMs - one.startedMs } : { errno });
    waiting.delete(one);
    closeFile(one.fd);
  }
}

/** @returns 0: it has answered; undefined: not yet; else the errno */
function outcomeOf(fd: number, { address, port }: Probe, id: number, buffer: Uint8Array): number | undefined {
  if (port !== undefined) return takeSocketError(fd);
  const size = ask("recvfrom", fd, buffer, buffer.length, 0, 0, 0);
  if (size < 0) return size === -Errno.EAGAIN ? undefined : -size;
  return isEchoReply(buffer.subarray(0, size), address, id) ? 0 : undefined;
}

function answerOf(probe: Probe, outcome: Outcome): Answer {
  if (outcome === "gone") return { ms: undefined, failure: GONE };
  return "ms" in outcome ? { ms: outcome.ms, failure: undefined } : failed(probe, outcome.errno);
}

function failed({ netns, address, port }: Probe, errno: number | undefined): Answer {
  const known = inside(netns, (namespace) => withRtnetlink(namespace, (rtnl) => knownOf(address, rtnl)));
  if (known === "gone") return { ms: undefined, failure: GONE };
  const protocol = port === undefined ? "icmp" : "tcp";
  return { ms: undefined, failure: reasonOf({ errno, protocol, ...known }) };
}

/** What the kernel says about the way to an address. */
function knownOf(address: Address, rtnl: Connection): Pick<Failure, "hasRoute" | "isResolved" | "nextHop"> {
  const route = lookupRoute(rtnl, address);
  const nextHop = (route === undefined ? undefined : gatewaysOf(route)[0]) ?? address;
  const table = neighbourSummary;
  const entry = rtnl
    .dump(query({ name: "RTM_GETNEIGH", type: RTM_GETNEIGH, table, value: {} }))
    .find(({ destination }) => destination !== undefined && equal(destination, nextHop));
  const isResolved = entry === undefined ? undefined : (entry.state & (NUD_FAILED | NUD_INCOMPLETE)) === 0;
  return { hasRoute: route !== undefined, isResolved, nextHop: formatAddress(nextHop) };
}

/** @returns what `work` returns; "gone": the path is no namespace any more, since its container has ended */
function inside<T>(path: string, work: (namespace: Namespace) => T): T | "gone" {
  const namespace = findNamespace(path);
  if (namespace === undefined) return "gone";
  try {
    return work(namespace);
  } finally {
    closeNamespace(namespace);
  }
}
