/** Sends probes from network namespaces, all at once, and waits for their answers. */
import { type Address, compareAddresses, formatAddress } from "../../../pkg/ip/address.ts";
import { encodeEcho, isEchoReply } from "../../../pkg/ip/icmp-echo.ts";
import { openRtnetlink } from "../../../pkg/link/link.ts";
import { neighbourSummary } from "../../../pkg/link/neighbour.ts";
import { gatewaysOf, lookupRoute } from "../../../pkg/link/route.ts";
import { query } from "../../../pkg/netlink/connection.ts";
import { NUD_FAILED, NUD_INCOMPLETE, RTM_GETNEIGH } from "../../../pkg/netlink/rtnetlink/neighbour.ts";
import { monotonicMs } from "../../../pkg/sys/clock.ts";
import { Errno, SystemError } from "../../../pkg/sys/errno.ts";
import { closeFile } from "../../../pkg/sys/file.ts";
import { connectIcmp, connectTcp, takeSocketError } from "../../../pkg/sys/inet-socket.ts";
import { closeNamespace, type Namespace, openNamespace, within } from "../../../pkg/sys/namespace.ts";
import { POLLIN, POLLOUT, waitReady } from "../../../pkg/sys/poll.ts";
import { processId } from "../../../pkg/sys/process.ts";
import { ask } from "../../../pkg/sys/syscall.ts";
import { type Reason, reasonOf } from "./reason.ts";
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

interface Sent {
  fd: number;
  startedMs: number;
}

/** As many at once: each has a socket. */
const BATCH = 400;

export function sendProbes(probes: readonly Probe[], timeoutMs: number): Answer[] {
  const answers: Answer[] = [];
  for (let from = 0; from < probes.length; from += BATCH)
    answers.push(...sendBatch(probes.slice(from, from + BATCH), timeoutMs));
  return answers;
}

function sendBatch(probes: readonly Probe[], timeoutMs: number): Answer[] {
  const id = processId() & 0xffff;
  const sent = probes.map((probe) => send(probe, id));
  const answers: (Answer | undefined)[] = sent.map((one, i) =>
    typeof one === "number" ? failed(probes[i] as Probe, one) : undefined,
  );
  const end = monotonicMs() + timeoutMs;
  const buffer = new Uint8Array(2048);
  for (;;) {
    const open = sent.flatMap((one, i) => (typeof one !== "number" && answers[i] === undefined ? [{ ...one, i }] : []));
    const left = end - monotonicMs();
    if (open.length === 0 || left <= 0) break;
    const waits = open.map(({ fd, i }) => [fd, probes[i]?.port === undefined ? POLLIN : POLLOUT] as const);
    for (const ready of waitReady(waits, left)) {
      const { fd, startedMs, i } = open[ready] as (typeof open)[number];
      const probe = probes[i] as Probe;
      const outcome = outcomeOf(fd, probe, id, buffer);
      if (outcome === 0) answers[i] = { ms: monotonicMs() - startedMs, failure: undefined };
      else if (outcome !== undefined) answers[i] = failed(probe, outcome);
    }
  }
  for (const one of sent) if (typeof one !== "number") closeFile(one.fd);
  return answers.map((answer, i) => answer ?? failed(probes[i] as Probe, undefined));
}

/** @returns the errno of a refusal */
function send({ netns, address, port }: Probe, id: number): Sent | number {
  try {
    return inside(netns, (namespace) =>
      within(namespace, () => {
        const startedMs = monotonicMs();
        if (port !== undefined) return { fd: connectTcp({ address, port }), startedMs };
        const fd = connectIcmp(address);
        const data = encodeEcho(address, id);
        const result = ask("sendto", fd, data, data.length, 0, 0, 0);
        if (result >= 0) return { fd, startedMs };
        closeFile(fd);
        return -result;
      }),
    );
  } catch (error) {
    if (error instanceof SystemError) return error.errno;
    throw error;
  }
}

/** @returns 0: it has answered; undefined: not yet; else the errno */
function outcomeOf(fd: number, { address, port }: Probe, id: number, buffer: Uint8Array): number | undefined {
  if (port !== undefined) return takeSocketError(fd);
  const size = ask("recvfrom", fd, buffer, buffer.length, 0, 0, 0);
  if (size < 0) return size === -Errno.EAGAIN ? undefined : -size;
  return isEchoReply(buffer.subarray(0, size), address, id) ? 0 : undefined;
}

function failed(probe: Probe, errno: number | undefined): Answer {
  const { netns, address, port } = probe;
  const known = inside(netns, (namespace) => {
    const rtnl = openRtnetlink(namespace);
    const route = lookupRoute(rtnl, address);
    const nextHop = (route === undefined ? undefined : gatewaysOf(route)[0]) ?? address;
    const table = neighbourSummary;
    const entry = rtnl
      .dump(query({ name: "RTM_GETNEIGH", type: RTM_GETNEIGH, table, value: {} }))
      .find(({ destination }) => destination !== undefined && isSame(destination, nextHop));
    const isResolved = entry === undefined ? undefined : (entry.state & (NUD_FAILED | NUD_INCOMPLETE)) === 0;
    return { hasRoute: route !== undefined, isResolved, nextHop: formatAddress(nextHop) };
  });
  const protocol = port === undefined ? "icmp" : "tcp";
  return { ms: undefined, failure: reasonOf({ errno, protocol, ...known }) };
}

const isSame = (one: Address, other: Address): boolean =>
  one.length === other.length && compareAddresses(one, other) === 0;

function inside<T>(path: string, work: (namespace: Namespace) => T): T {
  const namespace = openNamespace(path);
  try {
    return work(namespace);
  } finally {
    closeNamespace(namespace);
  }
}
