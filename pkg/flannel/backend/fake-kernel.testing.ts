/**
 * A fake of the kernel's IPv4 routes (of the main table), neighbours and forwarding entries, for unit tests: a connection's requests change
 * them as the kernel would, and watchers are notified. Metrics and TOS of routes are not simulated, devices always exist.
 */
import type { NetlinkHandler, Watching } from "../../cluster/event-loop/netlink-watch.ts";
import { formatAddress } from "../../ip/address.ts";
import { formatMac } from "../../link/mac.ts";
import { Connection } from "../../netlink/connection.ts";
import {
  answer,
  done,
  errorAnswer,
  fakeChannel,
  NotSimulated,
  type Refusal,
} from "../../netlink/fake/channel.testing.ts";
import { decode, encode } from "../../netlink/message.ts";
import { NLM_F_ACK, NLM_F_EXCL, NLM_F_REPLACE, type Nlmsg } from "../../netlink/nlmsg.ts";
import { RTM_GETADDR } from "../../netlink/rtnetlink/address.ts";
import { AF_BRIDGE } from "../../netlink/rtnetlink/family.ts";
import {
  type NeighbourMessage,
  neighbourMessage,
  RTM_DELNEIGH,
  RTM_GETNEIGH,
  RTM_NEWNEIGH,
} from "../../netlink/rtnetlink/neighbour.ts";
import { RTNH_F_ONLINK } from "../../netlink/rtnetlink/nexthop.ts";
import {
  type RouteMessage,
  RTM_DELROUTE,
  RTM_GETROUTE,
  RTM_NEWROUTE,
  routeMessage,
} from "../../netlink/rtnetlink/route.ts";

type Errno = Refusal["errno"];

export class FakeKernel {
  /** Refuses an addition if it returns an error. */
  refuse: (() => Errno | undefined) | undefined;
  #routes: RouteMessage[] = [];
  #neighbours: NeighbourMessage[] = [];
  readonly #watchers = new Set<{ handler: NetlinkHandler; queue: Nlmsg[] }>();
  readonly #later: (work: () => void) => void;

  /** @param later Calls back when the program waits for messages. */
  constructor(later: (work: () => void) => void) {
    this.#later = later;
  }

  connect(): Connection {
    return new Connection(fakeChannel((messages) => messages.flatMap((message) => this.#perform(message))));
  }

  /** Notifies of changes as `watchNetlink`. */
  watch(handler: NetlinkHandler): Watching {
    const watcher = { handler, queue: [] };
    this.#watchers.add(watcher);
    return { read: () => deliver(watcher), stop: () => void this.#watchers.delete(watcher) };
  }

  /** Drops the notifications that have not been read, as when the socket's buffer is full. */
  overflow(): void {
    for (const watcher of this.#watchers) {
      watcher.queue.length = 0;
      watcher.handler.overflowed();
    }
  }

  /** Returns a line for each entry, sorted; devices are numbers. */
  entries(): string[] {
    return [...this.#routes.map(routeText), ...this.#neighbours.map(neighbourText)].toSorted();
  }

  #perform(message: Nlmsg): Uint8Array[] {
    switch (message.type) {
      case RTM_NEWROUTE:
        return acknowledged(message, this.refuse?.() ?? this.#addRoute(message));
      case RTM_DELROUTE:
        return acknowledged(message, this.#deleteRoute(message));
      case RTM_NEWNEIGH:
        return acknowledged(message, this.refuse?.() ?? this.#setNeighbour(message));
      case RTM_DELNEIGH:
        return acknowledged(message, this.#deleteNeighbour(message));
      case RTM_GETROUTE:
        return [...this.#routes.map((one) => answer(message, RTM_NEWROUTE, routeMessage, one)), done(message)];
      case RTM_GETNEIGH: {
        const { family, outputIndex } = decode(neighbourMessage, message.body);
        const found = this.#neighbours.filter((one) => one.family === family && one.index === outputIndex);
        return [...found.map((one) => answer(message, RTM_NEWNEIGH, neighbourMessage, one)), done(message)];
      }
      case RTM_GETADDR:
        return [done(message)];
      default:
        throw new NotSimulated(`message type ${message.type}`);
    }
  }

  #addRoute({ flags, body }: Nlmsg): Errno | undefined {
    const route = decode(routeMessage, body.slice());
    const present = this.#routes.findIndex((one) => destinationOf(one) === destinationOf(route));
    if (present >= 0 && flags & NLM_F_EXCL) return "EEXIST";
    if (present >= 0 && flags & NLM_F_REPLACE) this.#routes[present] = route;
    else this.#routes.push(route);
    return this.#notify(RTM_NEWROUTE, encode(routeMessage, route));
  }

  #deleteRoute({ body }: Nlmsg): Errno | undefined {
    const wanted = decode(routeMessage, body.slice());
    const found = this.#routes.find(
      (one) =>
        destinationOf(one) === destinationOf(wanted) &&
        (wanted.gateway === undefined || String(one.gateway) === String(wanted.gateway)) &&
        (wanted.protocol === 0 || one.protocol === wanted.protocol),
    );
    if (found === undefined) return "ESRCH";
    this.#routes = this.#routes.filter((one) => one !== found);
    return this.#notify(RTM_DELROUTE, encode(routeMessage, found));
  }

  #setNeighbour({ body }: Nlmsg): Errno | undefined {
    const neighbour = decode(neighbourMessage, body.slice());
    this.#neighbours = [...this.#neighbours.filter((one) => keyOf(one) !== keyOf(neighbour)), neighbour];
    return this.#notify(RTM_NEWNEIGH, encode(neighbourMessage, neighbour));
  }

  #deleteNeighbour({ body }: Nlmsg): Errno | undefined {
    const wanted = decode(neighbourMessage, body.slice());
    const found = this.#neighbours.find((one) => keyOf(one) === keyOf(wanted));
    if (found === undefined) return "ENOENT";
    this.#neighbours = this.#neighbours.filter((one) => one !== found);
    return this.#notify(RTM_DELNEIGH, encode(neighbourMessage, found));
  }

  #notify(type: number, body: Uint8Array): undefined {
    for (const watcher of this.#watchers) {
      watcher.queue.push({ type, flags: 0, sequence: 0, port: 0, body });
      this.#later(() => deliver(watcher));
    }
  }
}

function deliver({ handler, queue }: { handler: NetlinkHandler; queue: Nlmsg[] }): void {
  const messages = queue.splice(0);
  if (messages.length > 0) handler.messages(messages);
}

function acknowledged(message: Nlmsg, errno: Errno | undefined): Uint8Array[] {
  if (errno !== undefined) return [errorAnswer(message, { errno })];
  return message.flags & NLM_F_ACK ? [errorAnswer(message)] : [];
}

const destinationOf = ({ destination, destinationLength }: RouteMessage): string =>
  `${destination === undefined ? "default" : formatAddress(destination)}/${destinationLength}`;

const keyOf = ({ family, index, destination, linkAddress }: NeighbourMessage): string =>
  `${family} ${index} ${family === AF_BRIDGE ? linkAddress : destination}`;

function routeText(route: RouteMessage): string {
  const { gateway, outputIndex, protocol, flags } = route;
  const via = gateway === undefined ? "" : ` via ${formatAddress(gateway)}`;
  return `route ${destinationOf(route)}${via} dev ${outputIndex} proto ${protocol}${flags & RTNH_F_ONLINK ? " onlink" : ""}`;
}

function neighbourText({ family, index, destination, linkAddress }: NeighbourMessage): string {
  const address = destination === undefined ? "none" : formatAddress(destination);
  const mac = linkAddress === undefined ? "none" : formatMac(linkAddress);
  return family === AF_BRIDGE
    ? `fdb ${mac} dev ${index} dst ${address}`
    : `neighbour ${address} dev ${index} lladdr ${mac}`;
}
