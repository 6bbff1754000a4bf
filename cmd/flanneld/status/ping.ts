/** Pings many addresses at once, each with a small packet and with one of a given size that must not be fragmented. */

import { setImmediate } from "node:timers/promises";
import { onReadable } from "../../../pkg/cluster/event-loop/on-readable.ts";
import { type Address, isIPv4 } from "../../../pkg/ip/address.ts";
import { type FamilyName, familyNames, familyOf } from "../../../pkg/ip/family.ts";
import { Errno } from "../../../pkg/sys/errno.ts";
import { closeFile } from "../../../pkg/sys/file.ts";
import { randomBytes } from "../../../pkg/sys/random.ts";
import {
  openSocket,
  receiveArrived,
  SO_RCVBUFFORCE,
  SOCK_RAW,
  SOL_SOCKET,
  setSocketOption,
  trySocketOption,
} from "../../../pkg/sys/socket.ts";
import { ask } from "../../../pkg/sys/syscall.ts";
import { type Echo, echoRequest, readEchoReply, SMALLEST_ECHO, TOKEN_LENGTH } from "./icmp.ts";

export interface Target {
  address: Address;
  /** The size of the larger packet in bytes, IP header included. */
  size: number;
}

export type PingResult = "yes" | "small packets" | "no";

/**
 * Pings all targets in parallel, and once more those that did not answer. Sockets are opened before the first wait, in the caller's
 * network namespace.
 *
 * @param timeoutMs When to give up; if all targets answer, it returns sooner.
 * @returns a result per target, in their order
 * @throws SystemError EPERM: raw sockets need CAP_NET_RAW
 */
export async function ping(targets: readonly Target[], timeoutMs = 1000): Promise<PingResult[]> {
  const tally = newTally(targets.length);
  const sockets: EchoSocket[] = [];
  try {
    for (const family of familyNames)
      if (targets.some(({ address }) => familyOf(address) === family)) sockets.push(openEcho(family, targets, tally));
    const begun = performance.now();
    for (const share of [FIRST_SHARE, 1]) {
      for (const socket of sockets) await socket.sendAll();
      await tally.complete(begun + share * timeoutMs);
    }
  } finally {
    for (const socket of sockets) socket.close();
  }
  return tally.answers();
}
/** The part of the timeout after which targets without an answer are pinged again. */
const FIRST_SHARE = 0.4;

/** The answers so far. */
interface Tally {
  isOpen(echo: Echo): boolean;
  heard(echo: Echo): void;
  /** Records that the large packet exceeds the MTU of our own device. */
  tooLarge(index: number): void;
  /** Waits until no target is open, but at most until that time of `performance.now()`. */
  complete(untilMs: number): Promise<void>;
  answers(): PingResult[];
}

function newTally(count: number): Tally {
  const answers = Array<PingResult>(count).fill("no");
  /** Targets from which an answer is still expected. */
  const open = new Set(answers.keys());
  const refused = new Set<number>();
  let whenComplete = () => {};
  const close = (index: number) => {
    open.delete(index);
    if (open.size === 0) whenComplete();
  };
  return {
    isOpen: ({ index, size }) => open.has(index) && (size === "small" ? answers[index] === "no" : !refused.has(index)),
    heard({ index, size }) {
      if (!open.has(index)) return;
      answers[index] = size === "large" ? "yes" : "small packets";
      if (size === "large" || refused.has(index)) close(index);
    },
    tooLarge(index) {
      refused.add(index);
      if (answers[index] === "small packets") close(index);
    },
    complete: (untilMs) =>
      new Promise((resolve) => {
        const late = setTimeout(resolve, untilMs - performance.now());
        whenComplete = () => {
          clearTimeout(late);
          resolve();
        };
        if (open.size === 0) whenComplete();
      }),
    answers: () => answers,
  };
}

interface EchoSocket {
  sendAll(): Promise<void>;
  close(): void;
}

/** linux/in.h, linux/in6.h, linux/icmp.h: numbers of the families and socket options. */
const families = {
  ipv4: {
    domain: 2,
    protocol: 1,
    headerLength: 20,
    options: [
      [0, 10, 3], // IP_MTU_DISCOVER: IP_PMTUDISC_PROBE, "don't fragment", ignoring the known path MTU
      [255, 1, ~1], // ICMP_FILTER: echo replies only
    ],
  },
  ipv6: {
    domain: 10,
    protocol: 58,
    headerLength: 40,
    options: [
      [41, 23, 3], // IPV6_MTU_DISCOVER: IPV6_PMTUDISC_PROBE
      [41, 62, 1], // IPV6_DONTFRAG
    ],
  },
} as const;

/** In bytes: thousands of large answers may arrive before they are read. */
const RECEIVE_BUFFER = 16 << 20;
const LARGEST_PACKET = 65536;
/** The number of targets to ping before arrived answers are read. */
const BATCH = 64;

function openEcho(family: FamilyName, targets: readonly Target[], tally: Tally): EchoSocket {
  const { domain, headerLength } = families[family];
  const fd = openRaw(families[family]);
  const token = randomBytes(TOKEN_LENGTH);
  const buffer = new Uint8Array(LARGEST_PACKET);
  const receiveAll = () => {
    for (let packet = receiveArrived(fd, buffer); packet; packet = receiveArrived(fd, buffer)) {
      const echo = readEchoReply(family, packet, token);
      if (echo) tally.heard(echo);
    }
  };
  const stop = onReadable(fd, receiveAll);
  return {
    async sendAll() {
      for (const [index, target] of targets.entries()) {
        if (familyOf(target.address) === family) sendBoth(index, target);
        if (index % BATCH !== BATCH - 1) continue;
        receiveAll();
        await setImmediate();
      }
    },
    close() {
      stop();
      closeFile(fd);
    },
  };

  function sendBoth(index: number, { address, size: largest }: Target): void {
    const to = socketAddress(domain, address);
    for (const size of ["small", "large"] as const) {
      if (!tally.isOpen({ index, size })) continue;
      const length = size === "small" ? SMALLEST_ECHO : Math.max(SMALLEST_ECHO, largest - headerLength);
      const packet = echoRequest(family, { index, size }, token, length);
      const sent = ask("sendto", fd, packet, packet.length, MSG_DONTWAIT, to, to.length); // a refusal counts as no answer
      if (sent === -Errno.EMSGSIZE) tally.tooLarge(index);
    }
  }
}
/** linux/socket.h */
const MSG_DONTWAIT = 0x40;

function openRaw({ domain, protocol, options }: (typeof families)[FamilyName]): number {
  const fd = openSocket(domain, SOCK_RAW, protocol);
  try {
    trySocketOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER);
    for (const [level, option, value] of options) setSocketOption(fd, level, option, value);
    return fd;
  } catch (error) {
    closeFile(fd);
    throw error;
  }
}

/** Makes a struct sockaddr_in or sockaddr_in6. */
function socketAddress(domain: number, address: Address): Uint8Array {
  const [length, at] = isIPv4(address) ? [16, 4] : [28, 8];
  const bytes = new Uint8Array(length);
  bytes[0] = domain;
  bytes.set(address, at);
  return bytes;
}
