/**
 * A fake rtnetlink of the kernel for unit tests: network namespaces with links, addresses, routes, rules, neighbours and forwarding entries,
 * and the kernel's refusals. README.md of pkg/netlink shows its use; `rtnetlinkClaims` says what it has in common with the kernel.
 *
 * Listeners are told of routes, neighbours and forwarding entries that are set and deleted, but not of what goes with a link.
 *
 * Not simulated, so that a test which needs it fails with `NotSimulated`: VLANs of bridges themselves, qdiscs, multipath routes. The local table, link-local addresses and duplicate address detection are left out. No packet is ever sent.
 */
import { hex } from "../../bytes/hex.ts";
import type { ErrnoName } from "../../sys/errno.ts";
import { AF_NETLINK, openSocket, SOCK_RAW } from "../../sys/socket.ts";
import { Connection, type Listener, NETLINK_ROUTE } from "../connection.ts";
import { decode, encode } from "../message.ts";
import { NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, type Nlmsg } from "../nlmsg.ts";
import {
  type AddressMessage,
  addressMessage,
  IFA_F_PERMANENT,
  IFA_F_SECONDARY,
  RTM_DELADDR,
  RTM_GETADDR,
  RTM_NEWADDR,
} from "../rtnetlink/address.ts";
import {
  BRIDGE_VLAN_INFO_PVID,
  BRIDGE_VLAN_INFO_RANGE_BEGIN,
  BRIDGE_VLAN_INFO_RANGE_END,
  BRIDGE_VLAN_INFO_UNTAGGED,
  bridgeLinkMessage,
} from "../rtnetlink/bridge-link.ts";
import { AF_BRIDGE, AF_INET, AF_INET6, AF_UNSPEC } from "../rtnetlink/family.ts";
import { IFF_LOWER_UP, IFF_PROMISC, IFF_UP } from "../rtnetlink/link/interface.ts";
import {
  IF_OPER_DOWN,
  IF_OPER_LOWERLAYERDOWN,
  IF_OPER_UP,
  type LinkMessage,
  linkMessage,
  RTM_DELLINK,
  RTM_GETLINK,
  RTM_NEWLINK,
  RTM_SETLINK,
} from "../rtnetlink/link.ts";
import {
  type NeighbourMessage,
  NTF_PROXY,
  NTF_SELF,
  neighbourMessage,
  RTM_DELNEIGH,
  RTM_GETNEIGH,
  RTM_NEWNEIGH,
} from "../rtnetlink/neighbour.ts";
import { RTNH_F_ONLINK } from "../rtnetlink/nexthop.ts";
import {
  type RouteMessage,
  RT_SCOPE_LINK,
  RT_SCOPE_NOWHERE,
  RT_TABLE_DEFAULT,
  RT_TABLE_LOCAL,
  RT_TABLE_MAIN,
  RT_TABLE_UNSPEC,
  RTM_DELROUTE,
  RTM_GETROUTE,
  RTM_NEWROUTE,
  RTN_LOCAL,
  RTN_UNICAST,
  RTPROT_BOOT,
  RTPROT_KERNEL,
  routeMessage,
} from "../rtnetlink/route.ts";
import {
  FR_ACT_TO_TBL,
  RTM_DELRULE,
  RTM_GETRULE,
  RTM_NEWRULE,
  type RuleMessage,
  ruleMessage,
} from "../rtnetlink/rule.ts";
import type { AnyWire, Wire } from "../wire.ts";
import {
  answer,
  done,
  errorAnswer,
  type Faults,
  fakeChannel,
  isDump,
  NotSimulated,
  type Refusal,
  type Sent,
} from "./channel.testing.ts";
import { addressText, macText } from "./ruleset-text.testing.ts";

interface FakeLink {
  namespace: FakeNamespace;
  index: number;
  name: string;
  /** "" for the loopback. */
  readonly kind: string;
  flags: number;
  mtu: number;
  txQueueLength: number;
  mac: Uint8Array;
  alias: string;
  group: number;
  master: FakeLink | undefined;
  /** The other end of a veth pair, or the parent of a macvlan and its like. */
  lower: FakeLink | undefined;
  /** IFLA_INFO_DATA as it was given, but not of a veth pair. */
  data: object | undefined;
  addresses: AddressMessage[];
  neighbours: NeighbourMessage[];
  /** What `bridge link set` has set. */
  port: object;
  /** The VLANs of a port of a bridge. */
  vlans: Vlan[];
}

interface Vlan {
  id: number;
  /** BRIDGE_VLAN_INFO_PVID, BRIDGE_VLAN_INFO_UNTAGGED */
  flags: number;
}

class Refused extends Error {
  readonly refusal: Refusal;

  constructor(errno: ErrnoName, message?: string) {
    super(errno);
    this.refusal = { errno, ...(message !== undefined && { message }) };
  }
}

/** The kinds of links that can be made, and whether they lie on a parent. */
const KINDS: Readonly<Record<string, { onParent: boolean }>> = {
  bridge: { onParent: false },
  dummy: { onParent: false },
  ipvlan: { onParent: true },
  macvlan: { onParent: true },
  veth: { onParent: false },
  vlan: { onParent: true },
  vrf: { onParent: false },
  vxlan: { onParent: false },
};
const [MIN_MTU, MAX_MTU] = [68, 65535];
const DEFAULT_MTU = 1500;
const DEFAULT_TX_QUEUE_LENGTH = 1000;
const VLAN_PROTOCOLS: readonly unknown[] = [undefined, 0x8100, 0x88a8];
const MAX_VLAN = 4094;
/** The VLANs that a port of a bridge begins with. */
const FIRST_VLANS: readonly Vlan[] = [{ id: 1, flags: BRIDGE_VLAN_INFO_PVID | BRIDGE_VLAN_INFO_UNTAGGED }];
const ALIAS_MAX = 255;
const LOOPBACK_MTU = 65536;
const IPV6_PRIORITY = 1024;
const IPV6_CONNECTED_PRIORITY = 256;

/** A host: network namespaces that links can be moved between. */
export class FakeNetwork {
  /** The kinds of links that the kernel lacks. */
  readonly lacking = new Set<string>();
  /** Whether it has CONFIG_BRIDGE_VLAN_FILTERING. */
  hasVlanFiltering = true;
  readonly #namespaces = new Map<number, FakeNamespace>();

  /** Makes a network namespace with a loopback link that is down. */
  addNamespace(path: string): FakeNamespace {
    const fd = FIRST_FD + this.#namespaces.size;
    const namespace = new FakeNamespace(this, { path, fd });
    this.#namespaces.set(fd, namespace);
    return namespace;
  }

  get namespaces(): FakeNamespace[] {
    return [...this.#namespaces.values()];
  }

  find(fd: number): FakeNamespace {
    const namespace = this.#namespaces.get(fd);
    if (namespace === undefined) throw new Refused("EBADF");
    return namespace;
  }
}
/** Larger than the descriptors that a test opens, since these are none. */
const FIRST_FD = 1_000_000;

export class FakeNamespace implements Faults {
  refuse: Faults["refuse"];
  before: Faults["before"];
  /** The requests so far; a test may empty it. */
  readonly sent: Sent[] = [];
  /** What functions take that move links here: the descriptor is known only to this network. */
  readonly netns: { path: string; fd: number };
  readonly network: FakeNetwork;
  readonly links: FakeLink[] = [];
  routes: RouteMessage[] = [];
  rules: RuleMessage[] = FIRST_RULES;
  /** Whether dumps of addresses and routes have only what was asked for by link and table, as since Linux 4.20. */
  filtersDumps = true;
  #lastIndex = 0;
  #number = 0;
  #socket: number | undefined;
  readonly #listeners = new Set<FakeListener>();

  constructor(network: FakeNetwork, netns: { path: string; fd: number }) {
    this.network = network;
    this.netns = netns;
    this.addLink({ name: "lo", kind: "", mtu: LOOPBACK_MTU, mac: new Uint8Array(6) });
  }

  /** Opens a connection to the rtnetlink of this namespace; several may be open. */
  connect(): Connection {
    // The descriptor is for ioctls that ask for an index which no link has.
    const fd = () => {
      this.#socket ??= openSocket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
      return this.#socket;
    };
    return new Connection(fakeChannel((messages) => this.#perform(messages), fd));
  }

  /** Returns a listener to all groups. @param arrived Called when there is a message */
  listen(arrived: () => void = () => {}): FakeListener {
    const listener = new FakeListener(arrived, () => this.#listeners.delete(listener));
    this.#listeners.add(listener);
    return listener;
  }

  notify<In>(type: number, table: Wire<unknown, In>, value: In): undefined {
    const body = encode(table, value);
    for (const listener of this.#listeners) listener.take({ type, flags: 0, sequence: 0, port: 0, body });
  }

  /** Returns links, addresses, routes, rules but the first ones, and neighbours as text, much like `ip` prints them. */
  text(): string {
    const rules = this.rules.filter((rule) => !FIRST_RULES.includes(rule)).map(ruleText);
    return [
      ...this.inOrder().flatMap(linkLines),
      ...this.routes.map((route) => routeText(this, route)),
      ...rules,
      "",
    ].join("\n");
  }

  inOrder(): FakeLink[] {
    return [...this.links].sort((one, other) => one.index - other.index);
  }

  addLink({
    index,
    ...link
  }: Pick<FakeLink, "name" | "kind" | "mtu" | "mac"> & { index?: number | undefined }): FakeLink {
    const added: FakeLink = {
      flags: 0,
      txQueueLength: DEFAULT_TX_QUEUE_LENGTH,
      alias: "",
      group: 0,
      master: undefined,
      lower: undefined,
      data: undefined,
      addresses: [],
      neighbours: [],
      port: {},
      vlans: [],
      ...link,
      namespace: this,
      index: index || this.#freeIndex(),
    };
    this.links.push(added);
    return added;
  }

  /** Takes in a link from another namespace. */
  adopt(link: FakeLink): void {
    if (this.links.some(({ index }) => index === link.index)) link.index = this.#freeIndex();
    link.namespace = this;
    this.links.push(link);
  }

  #freeIndex(): number {
    do this.#lastIndex++;
    while (this.links.some(({ index }) => index === this.#lastIndex));
    return this.#lastIndex;
  }

  #perform(messages: readonly Nlmsg[]): Uint8Array[] {
    const requests = messages.map((frame): Sent => {
      const { name, table } = handlerOf(frame);
      return {
        name,
        number: ++this.#number,
        get value() {
          return decode(table, frame.body);
        },
      };
    });
    this.sent.push(...requests);
    this.before?.(requests);
    return messages.flatMap((frame, i) => this.#answers(frame, requests[i] as Sent));
  }

  #answers(frame: Nlmsg, request: Sent): Uint8Array[] {
    try {
      const fault = this.refuse?.(request);
      if (fault !== undefined) return [errorAnswer(frame, { errno: fault })];
      const found = handlerOf(frame).perform(this, frame) ?? [];
      if (isDump(frame)) return [...found, done(frame)];
      return frame.flags & NLM_F_ACK ? [...found, errorAnswer(frame)] : found;
    } catch (error) {
      if (error instanceof Refused) return [errorAnswer(frame, error.refusal)];
      throw error;
    }
  }
}

/** A socket that is in multicast groups. */
class FakeListener implements Pick<Listener, "next" | "close"> {
  readonly close: () => void;
  readonly #arrived: () => void;
  #waiting: Nlmsg[] = [];

  constructor(arrived: () => void, close: () => void) {
    this.#arrived = arrived;
    this.close = close;
  }

  take(message: Nlmsg): void {
    this.#waiting.push(message);
    this.#arrived();
  }

  /** Returns the messages that have not been read, without waiting for one. */
  next(): Nlmsg[] | undefined {
    const messages = this.#waiting;
    this.#waiting = [];
    return messages.length > 0 ? messages : undefined;
  }
}

// --- Links -------------------------------------------------------------------------------------------------------------------------------

type Named = Pick<LinkMessage, "index" | "ifName" | "altIfName">;

function findLink({ links }: FakeNamespace, { index, ifName = undefined, altIfName }: Named): FakeLink | undefined {
  if (index !== 0) return links.find((link) => link.index === index);
  return links.find(({ name }) => name === ifName || name === altIfName);
}

function needLink(namespace: FakeNamespace, message: Named): FakeLink {
  const { index, ifName, altIfName } = message;
  if (index === 0 && ifName === undefined && altIfName === undefined) throw new Refused("EINVAL");
  const link = findLink(namespace, message);
  if (link === undefined) throw new Refused("ENODEV");
  return link;
}

function linkAt(namespace: FakeNamespace, index: number | undefined, errno: ErrnoName = "ENODEV"): FakeLink {
  const link = namespace.links.find((one) => one.index === index);
  if (link === undefined) throw new Refused(errno);
  return link;
}

function newLink(namespace: FakeNamespace, frame: Nlmsg): undefined {
  const message = decode(linkMessage, frame.body);
  const found = message.index === 0 && message.ifName === undefined ? undefined : findLink(namespace, message);
  if (found === undefined) {
    if (!(frame.flags & NLM_F_CREATE)) throw new Refused("ENODEV");
    createLink(namespace, message);
    return;
  }
  if (frame.flags & NLM_F_EXCL) throw new Refused("EEXIST");
  if (message.linkInfo?.kind !== undefined && message.linkInfo.kind !== found.kind) throw new Refused("EOPNOTSUPP");
  found.data = { ...found.data, ...message.linkInfo?.data };
  changeLink(found, message);
}

function createLink(namespace: FakeNamespace, message: LinkMessage): void {
  const { linkInfo, index, link: parent } = message;
  const kind = linkInfo?.kind ?? "";
  const known = KINDS[kind];
  if (known === undefined || namespace.network.lacking.has(kind))
    throw new Refused("EOPNOTSUPP", "Unknown device type");
  checkNew(message);
  const home = message.netnsFd === undefined ? namespace : namespace.network.find(message.netnsFd);
  if (known.onParent && parent === undefined) throw new Refused("EINVAL");
  const lower = known.onParent ? linkAt(namespace, parent) : undefined;
  const data = linkInfo?.data;
  if (kind === "vrf" && !(data as { table?: number } | undefined)?.table) throw new Refused("EINVAL");
  if (kind === "bridge") checkBridge(namespace.network, data as BridgeData | undefined);
  const peer = kind === "veth" ? peerOf(namespace, data as { peer?: LinkMessage } | undefined) : undefined;
  const name = freeName(home, message.ifName ?? kind);
  const made = home.addLink({ index, name, kind, mtu: message.mtu ?? lower?.mtu ?? DEFAULT_MTU, mac: macOf(message) });
  made.lower = lower;
  if (peer !== undefined) {
    made.lower = peer;
    peer.lower = made;
  } else {
    made.data = data;
  }
  try {
    changeLink(made, { ...message, netnsFd: undefined, ifName: undefined, alias: undefined, mtu: undefined });
  } catch (error) {
    deleteWith(made);
    throw error;
  }
}

interface BridgeData {
  vlanFiltering?: boolean;
  vlanProtocol?: number;
}

/** A kernel without VLAN filtering does not look at the protocol. */
function checkBridge(
  { hasVlanFiltering }: FakeNetwork,
  { vlanFiltering = false, vlanProtocol }: BridgeData = {},
): void {
  if (hasVlanFiltering && !VLAN_PROTOCOLS.includes(vlanProtocol)) throw new Refused("EPROTONOSUPPORT");
  if (!hasVlanFiltering && vlanFiltering) throw new Refused("EOPNOTSUPP");
}

function checkNew({ address, mtu }: Pick<LinkMessage, "address" | "mtu">): void {
  if (address !== undefined && address.length !== 6) throw new Refused("EINVAL");
  if (address !== undefined && ((address[0] ?? 0) & 1 || address.every((byte) => byte === 0)))
    throw new Refused("EADDRNOTAVAIL");
  if (mtu !== undefined && (mtu < MIN_MTU || mtu > MAX_MTU)) throw new Refused("EINVAL");
}

/** Makes the other end of a veth pair, which the kernel makes first. */
function peerOf(namespace: FakeNamespace, { peer }: { peer?: LinkMessage | undefined } = {}): FakeLink {
  checkNew(peer ?? {});
  const home = peer?.netnsFd === undefined ? namespace : namespace.network.find(peer.netnsFd);
  const name = freeName(home, peer?.ifName ?? "veth");
  return home.addLink({
    index: peer?.index,
    name,
    kind: "veth",
    mtu: peer?.mtu ?? DEFAULT_MTU,
    mac: macOf(peer ?? {}),
  });
}

let macs = 0;
/** Returns the given MAC, or one that no other link has. */
const macOf = ({ address }: Pick<LinkMessage, "address">): Uint8Array =>
  address ?? Uint8Array.of(2, 0, 0, ++macs >> 16, macs >> 8, macs);

/** Returns the name, or for the name of a kind the first free one such as `veth0`. */
function freeName({ links }: FakeNamespace, wanted: string): string {
  const isTaken = (name: string) => links.some((link) => link.name === name);
  if (!(wanted in KINDS)) {
    if (isTaken(wanted)) throw new Refused("EEXIST");
    return wanted;
  }
  let number = 0;
  while (isTaken(`${wanted}${number}`)) number++;
  return `${wanted}${number}`;
}

function setLink(namespace: FakeNamespace, frame: Nlmsg): undefined {
  if (frame.body[0] === AF_BRIDGE) {
    const { index, port, bridge } = decode(bridgeLinkMessage, frame.body);
    const link = portAt(namespace, index);
    for (const vlan of vlansIn(bridge?.vlans)) addVlan(link, vlan);
    link.port = { ...link.port, ...port };
    return;
  }
  const message = decode(linkMessage, frame.body);
  changeLink(needLink(namespace, message), message);
}

function portAt(namespace: FakeNamespace, index: number): FakeLink {
  const link = linkAt(namespace, index);
  if (link.kind === "bridge") throw new NotSimulated("VLANs of bridges themselves");
  if (link.master?.kind !== "bridge") throw new Refused("EOPNOTSUPP");
  return link;
}

/** Returns the VLANs of a message, where a range is its first and its last one. */
function vlansIn(entries: readonly Vlan[] = []): Vlan[] {
  let begin: number | undefined;
  return entries.flatMap(({ id, flags: all }) => {
    if (id === 0 || id > MAX_VLAN) throw new Refused("EINVAL");
    const flags = all & ~(BRIDGE_VLAN_INFO_RANGE_BEGIN | BRIDGE_VLAN_INFO_RANGE_END);
    if (all & BRIDGE_VLAN_INFO_RANGE_BEGIN) {
      begin = id;
      return [];
    }
    const first = begin ?? id;
    begin = undefined;
    if (all & BRIDGE_VLAN_INFO_RANGE_END && first >= id) throw new Refused("EINVAL");
    return Array.from({ length: id - first + 1 }, (_, i) => ({ id: first + i, flags }));
  });
}

/** Adds a VLAN, or sets its flags. A port has one for untagged frames that it receives. */
function addVlan(link: FakeLink, vlan: Vlan): void {
  if (!link.namespace.network.hasVlanFiltering) throw new Refused("EOPNOTSUPP");
  const isPvid = (vlan.flags & BRIDGE_VLAN_INFO_PVID) !== 0;
  const others = link.vlans
    .filter(({ id }) => id !== vlan.id)
    .map((one) => (isPvid ? { ...one, flags: one.flags & ~BRIDGE_VLAN_INFO_PVID } : one));
  link.vlans = [...others, vlan].sort((one, other) => one.id - other.id);
}

function deleteVlans(namespace: FakeNamespace, frame: Nlmsg): undefined {
  const { index, bridge } = decode(bridgeLinkMessage, frame.body);
  const link = portAt(namespace, index);
  const doomed = vlansIn(bridge?.vlans).map(({ id }) => id);
  link.vlans = link.vlans.filter(({ id }) => !doomed.includes(id));
}

function getPorts(namespace: FakeNamespace, frame: Nlmsg): Uint8Array[] {
  if (!isDump(frame)) throw new NotSimulated("a single port of a bridge");
  const ports = namespace.inOrder().filter(({ kind, master }) => kind === "bridge" || master?.kind === "bridge");
  return ports.map(({ index, name, kind, vlans }) =>
    answer(frame, RTM_NEWLINK, bridgeLinkMessage, {
      family: AF_BRIDGE,
      index,
      ifName: name,
      ...(namespace.network.hasVlanFiltering && { bridge: { vlans: kind === "bridge" ? [...FIRST_VLANS] : vlans } }),
    }),
  );
}

type Change = Omit<Partial<LinkMessage>, "netnsFd" | "ifName" | "alias" | "mtu"> & {
  netnsFd?: number | undefined;
  ifName?: string | undefined;
  alias?: string | undefined;
  mtu?: number | undefined;
};

function changeLink(link: FakeLink, message: Change): void {
  const { netnsFd, ifName, mtu, txQueueLength, address, alias, master, group, flags = 0, change = 0 } = message;
  if (netnsFd !== undefined) move(link, link.namespace.network.find(netnsFd), ifName);
  if (ifName !== undefined && ifName !== link.name) link.name = freeName(link.namespace, ifName);
  if (mtu !== undefined && (mtu < MIN_MTU || mtu > MAX_MTU)) throw new Refused("EINVAL");
  link.mtu = mtu ?? link.mtu;
  link.txQueueLength = txQueueLength ?? link.txQueueLength;
  link.mac = address ?? link.mac;
  if (alias !== undefined && alias.length > ALIAS_MAX) throw new Refused("EINVAL");
  link.alias = alias ?? link.alias;
  link.group = group ?? link.group;
  if (master !== undefined) setMaster(link, master);
  const changed = change === 0 ? 0 : change;
  const was = link.flags;
  link.flags = (link.flags & ~changed) | (flags & changed);
  if (!(was & IFF_UP) && link.flags & IFF_UP) for (const one of link.addresses) addConnected(link, one);
  if (was & IFF_UP && !(link.flags & IFF_UP)) goDown(link);
}

function setMaster(link: FakeLink, index: number): void {
  if (index === 0) {
    link.master = undefined;
    return;
  }
  const master = linkAt(link.namespace, index, "EINVAL");
  if (master.kind === "vrf") {
    if (link.kind === "vrf") throw new Refused("EINVAL");
    link.master = master;
    return;
  }
  if (master.kind !== "bridge") throw new Refused("EOPNOTSUPP");
  if (link.kind === "bridge") throw new Refused("ELOOP");
  if (link.kind === "") throw new Refused("EINVAL");
  if (link.master !== master && link.namespace.network.hasVlanFiltering) link.vlans = [...FIRST_VLANS];
  link.master = master;
}

/** Moves a link under its own name, or if that is in use there under the new one. A rename that follows may fail and leaves it moved. */
function move(link: FakeLink, to: FakeNamespace, newName: string | undefined): void {
  if (link.namespace === to) return;
  const isTaken = (name: string) => to.links.some((other) => other.name === name);
  const name = isTaken(link.name) ? newName : link.name;
  if (name === undefined || isTaken(name)) throw new Refused("EEXIST");
  leave(link);
  link.flags &= ~IFF_UP;
  link.name = name;
  to.adopt(link);
}

/** Removes a link from its namespace, with what lies on it there. */
function leave(link: FakeLink): void {
  const { namespace } = link;
  goDown(link);
  link.addresses = [];
  link.master = undefined;
  for (const port of namespace.links) if (port.master === link) port.master = undefined;
  namespace.links.splice(namespace.links.indexOf(link), 1);
}

function goDown(link: FakeLink): void {
  const { namespace } = link;
  link.neighbours = link.neighbours.filter(({ family }) => family === AF_BRIDGE);
  namespace.routes = namespace.routes.filter(({ outputIndex }) => outputIndex !== link.index);
}

function deleteLinks(namespace: FakeNamespace, frame: Nlmsg): undefined {
  if (frame.body[0] === AF_BRIDGE) return deleteVlans(namespace, frame);
  const message = decode(linkMessage, frame.body);
  const { group } = message;
  const isGroup = group !== undefined && message.index === 0 && message.ifName === undefined;
  const doomed = isGroup ? namespace.links.filter((link) => link.group === group) : [needLink(namespace, message)];
  if (doomed.length === 0) throw new Refused("ENODEV");
  if (doomed.some(({ kind }) => kind === "")) throw new Refused("EOPNOTSUPP");
  for (const link of doomed) if (link.namespace.links.includes(link)) deleteWith(link);
}

/** Deletes a link with the other end of its pair, or with the links that lie on it. */
function deleteWith(link: FakeLink): void {
  leave(link);
  if (link.kind === "veth" && link.lower?.namespace.links.includes(link.lower)) leave(link.lower);
  const everywhere = link.namespace.network.namespaces.flatMap(({ links }) => links);
  for (const child of everywhere) if (child.kind !== "veth" && child.lower === link) deleteWith(child);
}

function operStateOf(link: FakeLink): number {
  if (!(link.flags & IFF_UP)) return IF_OPER_DOWN;
  if (link.kind === "veth" && !((link.lower?.flags ?? 0) & IFF_UP)) return IF_OPER_LOWERLAYERDOWN;
  return IF_OPER_UP;
}

function getLinks(namespace: FakeNamespace, frame: Nlmsg): Uint8Array[] {
  if (frame.body[0] === AF_BRIDGE) return getPorts(namespace, frame);
  const found = isDump(frame) ? namespace.inOrder() : [needLink(namespace, decode(linkMessage, frame.body))];
  return found.map((link) =>
    answer(frame, RTM_NEWLINK, linkMessage, {
      index: link.index,
      flags: link.flags | (operStateOf(link) === IF_OPER_UP ? IFF_LOWER_UP : 0),
      ifName: link.name,
      mtu: link.mtu,
      txQueueLength: link.txQueueLength,
      address: link.mac,
      operState: operStateOf(link),
      group: link.group,
      promiscuity: link.flags & IFF_PROMISC ? 1 : 0,
      ...(link.master && { master: link.master.index }),
      ...(link.lower && { link: link.lower.index }),
      ...(link.alias !== "" && { alias: link.alias }),
      ...(link.kind !== "" && { linkInfo: { kind: link.kind, data: link.data } as LinkMessage["linkInfo"] }),
    }),
  );
}

// --- Addresses ---------------------------------------------------------------------------------------------------------------------------

const ownOf = ({ local, address }: AddressMessage): Uint8Array => local ?? address ?? new Uint8Array();

const sameAddress = (one: AddressMessage, other: AddressMessage): boolean =>
  one.family === other.family &&
  hex(ownOf(one)) === hex(ownOf(other)) &&
  (one.family === AF_INET6 || one.prefixLength === other.prefixLength);

/** Returns an address without the bits behind the prefix. */
function networkOf(address: Uint8Array, length: number): Uint8Array {
  return address.map((byte, i) => byte & (0xff00 >> Math.max(0, Math.min(8, length - 8 * i))));
}

const sameSubnet = (one: AddressMessage, other: AddressMessage): boolean =>
  one.family === other.family &&
  one.prefixLength === other.prefixLength &&
  hex(networkOf(ownOf(one), one.prefixLength)) === hex(networkOf(ownOf(other), other.prefixLength));

function newAddress(namespace: FakeNamespace, frame: Nlmsg): undefined {
  const message = decode(addressMessage, frame.body);
  const { family, prefixLength, index, longFlags, flags } = message;
  if (prefixLength > (family === AF_INET ? 32 : 128) || ownOf(message).length === 0) throw new Refused("EINVAL");
  const link = linkAt(namespace, index);
  const found = link.addresses.find((one) => sameAddress(one, message));
  if (found !== undefined && (frame.flags & NLM_F_EXCL || !(frame.flags & NLM_F_REPLACE))) throw new Refused("EEXIST");
  const isSecondary = family === AF_INET && link.addresses.some((one) => one !== found && sameSubnet(one, message));
  const all = (longFlags ?? flags) | IFA_F_PERMANENT | (isSecondary ? IFA_F_SECONDARY : 0);
  const added = { ...message, flags: all & 0xff, longFlags: all };
  link.addresses =
    found === undefined ? [...link.addresses, added] : link.addresses.map((one) => (one === found ? added : one));
  if (link.flags & IFF_UP && found === undefined) addConnected(link, added);
}

/** Adds the route of an address's own network, as the kernel does for links that are up. */
function addConnected({ namespace, index }: FakeLink, address: AddressMessage): void {
  const { family, prefixLength, flags } = address;
  const isIPv4 = family === AF_INET;
  if (flags & IFA_F_SECONDARY || (isIPv4 && prefixLength === 32)) return;
  namespace.routes.push({
    family,
    destinationLength: prefixLength,
    sourceLength: 0,
    tos: 0,
    table: RT_TABLE_MAIN,
    protocol: RTPROT_KERNEL,
    scope: isIPv4 ? RT_SCOPE_LINK : 0,
    type: RTN_UNICAST,
    flags: 0,
    destination: networkOf(ownOf(address), prefixLength),
    outputIndex: index,
    ...(isIPv4 ? { preferredSource: ownOf(address) } : { priority: IPV6_CONNECTED_PRIORITY }),
  });
}

function deleteAddress(namespace: FakeNamespace, frame: Nlmsg): undefined {
  const message = decode(addressMessage, frame.body);
  const link = linkAt(namespace, message.index);
  const found = link.addresses.find((one) => sameAddress(one, message));
  if (found === undefined) throw new Refused("EADDRNOTAVAIL");
  const isPrimary = found.family === AF_INET && !(found.flags & IFA_F_SECONDARY);
  // without promote_secondaries, the secondaries of a subnet go with its primary
  link.addresses = link.addresses.filter((one) => one !== found && !(isPrimary && sameSubnet(one, found)));
  const network = hex(networkOf(ownOf(found), found.prefixLength));
  const isOwn = (route: RouteMessage) =>
    route.protocol === RTPROT_KERNEL &&
    route.outputIndex === link.index &&
    route.destinationLength === found.prefixLength &&
    hex(route.destination ?? new Uint8Array()) === network;
  if (!link.addresses.some((one) => sameSubnet(one, found)))
    namespace.routes = namespace.routes.filter((one) => !isOwn(one));
}

function getAddresses(namespace: FakeNamespace, frame: Nlmsg): Uint8Array[] {
  const { family, index: wanted } = decode(addressMessage, frame.body);
  const index = namespace.filtersDumps ? wanted : 0;
  return namespace
    .inOrder()
    .flatMap(({ addresses, ...link }) => addresses.map((one) => ({ ...one, index: link.index })))
    .filter((one) => (family === AF_UNSPEC || one.family === family) && (index === 0 || one.index === index))
    .map((one) => answer(frame, RTM_NEWADDR, addressMessage, one));
}

// --- Routes ------------------------------------------------------------------------------------------------------------------------------

const NO_BYTES = new Uint8Array();
const tableOf = ({ longTable, table }: Pick<RouteMessage, "longTable" | "table">): number =>
  longTable ?? (table === RT_TABLE_UNSPEC ? RT_TABLE_MAIN : table);
const priorityOf = ({ family, priority }: RouteMessage): number =>
  priority || (family === AF_INET6 ? IPV6_PRIORITY : 0);

const sameDestination = (one: RouteMessage, other: RouteMessage): boolean =>
  one.family === other.family &&
  tableOf(one) === tableOf(other) &&
  one.destinationLength === other.destinationLength &&
  hex(one.destination ?? NO_BYTES) === hex(other.destination ?? NO_BYTES);

const sameHop = (one: RouteMessage, other: RouteMessage): boolean =>
  one.outputIndex === other.outputIndex &&
  hex(one.gateway ?? NO_BYTES) === hex(other.gateway ?? NO_BYTES) &&
  one.type === other.type;

function newRoute(namespace: FakeNamespace, frame: Nlmsg): undefined {
  const message = decode(routeMessage, frame.body);
  const { family, destination, destinationLength, multipath, nexthopId } = message;
  if (multipath !== undefined || nexthopId !== undefined) throw new NotSimulated("routes with several next hops");
  if (destination !== undefined && hex(networkOf(destination, destinationLength)) !== hex(destination))
    throw new Refused("EINVAL");
  const outputIndex = message.type === RTN_UNICAST ? outputOf(namespace, message) : undefined;
  const route: RouteMessage = {
    ...message,
    ...(outputIndex !== undefined && { outputIndex }),
    ...(family === AF_INET6 && { priority: priorityOf(message) }),
  };
  const same = namespace.routes.filter((one) => sameDestination(one, route) && priorityOf(one) === priorityOf(route));
  const [first] = same;
  if (first === undefined && !(frame.flags & NLM_F_CREATE)) throw new Refused("ENOENT");
  if (first !== undefined) {
    if (frame.flags & NLM_F_EXCL) throw new Refused("EEXIST");
    if (frame.flags & NLM_F_REPLACE) {
      namespace.routes = namespace.routes.map((one) => (one === first ? route : one));
      return namespace.notify(RTM_NEWROUTE, routeMessage, route);
    }
    if (same.some((one) => sameHop(one, route))) throw new Refused("EEXIST");
  }
  const isAppended = (frame.flags & NLM_F_APPEND) !== 0;
  namespace.routes =
    isAppended || first === undefined ? [...namespace.routes, route] : insertBefore(namespace.routes, first, route);
  return namespace.notify(RTM_NEWROUTE, routeMessage, route);
}

const insertBefore = (routes: readonly RouteMessage[], first: RouteMessage, route: RouteMessage): RouteMessage[] =>
  routes.flatMap((one) => (one === first ? [route, one] : [one]));

/** Returns the link of a route's next hop, which has to be up and to reach the gateway. */
function outputOf(namespace: FakeNamespace, { family, outputIndex, gateway, flags }: RouteMessage): number {
  if (outputIndex !== undefined) {
    const link = linkAt(namespace, outputIndex);
    if (!(link.flags & IFF_UP)) throw new Refused("ENETDOWN");
    if (gateway === undefined || flags & RTNH_F_ONLINK) return outputIndex;
  }
  if (gateway === undefined) throw new Refused("ENODEV");
  const way = bestRoute(
    namespace.routes.filter((one) => one.gateway === undefined && (outputIndex ?? one.outputIndex) === one.outputIndex),
    family,
    gateway,
  );
  if (way?.outputIndex === undefined) throw new Refused(family === AF_INET ? "ENETUNREACH" : "EHOSTUNREACH");
  return way.outputIndex;
}

function bestRoute(routes: readonly RouteMessage[], family: number, address: Uint8Array): RouteMessage | undefined {
  const leadsTo = (one: RouteMessage) =>
    one.family === family &&
    tableOf(one) === RT_TABLE_MAIN &&
    hex(networkOf(address, one.destinationLength)) === hex(one.destination ?? new Uint8Array(address.length));
  const better = (one: RouteMessage, other: RouteMessage) =>
    other.destinationLength - one.destinationLength || priorityOf(one) - priorityOf(other);
  return routes.filter(leadsTo).sort(better)[0];
}

function deleteRoute(namespace: FakeNamespace, frame: Nlmsg): undefined {
  const wanted = decode(routeMessage, frame.body);
  const found = namespace.routes.find(
    (one) =>
      sameDestination(one, wanted) &&
      (wanted.outputIndex === undefined || wanted.outputIndex === one.outputIndex) &&
      (wanted.gateway === undefined || hex(wanted.gateway) === hex(one.gateway ?? NO_BYTES)) &&
      (!wanted.priority || wanted.priority === priorityOf(one)) &&
      (wanted.protocol === 0 || wanted.protocol === one.protocol) &&
      (wanted.type === 0 || wanted.type === one.type) &&
      (wanted.family !== AF_INET || wanted.scope === RT_SCOPE_NOWHERE || wanted.scope === one.scope),
  );
  if (found === undefined) throw new Refused("ESRCH");
  namespace.routes = namespace.routes.filter((one) => one !== found);
  return namespace.notify(RTM_DELROUTE, routeMessage, found);
}

function getRoutes(namespace: FakeNamespace, frame: Nlmsg): Uint8Array[] {
  const wanted = decode(routeMessage, frame.body);
  if (isDump(frame)) {
    const { longTable, table, family } = wanted;
    const id = namespace.filtersDumps ? (longTable ?? table) : 0;
    const found = namespace.routes.filter(
      (one) => (family === AF_UNSPEC || one.family === family) && (id === 0 || tableOf(one) === id),
    );
    if (found.length === 0 && id !== 0 && id !== RT_TABLE_MAIN && family === AF_INET) throw new Refused("ENOENT");
    return found.map((one) => answer(frame, RTM_NEWROUTE, routeMessage, one));
  }
  const { destination, family } = wanted;
  if (destination === undefined) throw new NotSimulated("a lookup without a destination");
  const own = namespace.links.find((link) => link.addresses.some((one) => hex(ownOf(one)) === hex(destination)));
  if (own !== undefined) {
    return [
      answer(frame, RTM_NEWROUTE, routeMessage, {
        family,
        type: RTN_LOCAL,
        destination,
        destinationLength: 8 * destination.length,
      }),
    ];
  }
  const found = bestRoute(namespace.routes, family, destination);
  if (found === undefined) throw new Refused("ENETUNREACH");
  return [
    answer(frame, RTM_NEWROUTE, routeMessage, { ...found, destination, destinationLength: 8 * destination.length }),
  ];
}

// --- Rules -------------------------------------------------------------------------------------------------------------------------------

/** The rules that every namespace begins with. */
const FIRST_RULES: RuleMessage[] = (
  [
    [AF_INET, 0, RT_TABLE_LOCAL],
    [AF_INET, 32766, RT_TABLE_MAIN],
    [AF_INET, 32767, RT_TABLE_DEFAULT],
    [AF_INET6, 0, RT_TABLE_LOCAL],
    [AF_INET6, 32766, RT_TABLE_MAIN],
  ] as const
).map(([family, priority, table]) =>
  decode(
    ruleMessage,
    encode(ruleMessage, { family, priority, table, longTable: table, action: FR_ACT_TO_TBL, protocol: RTPROT_KERNEL }),
  ),
);

const SIMULATED_RULE = new Set(["family", "sourceLength", "source", "table", "longTable", "priority", "action"]);

function checkedRule(frame: Nlmsg): RuleMessage {
  const rule = decode(ruleMessage, frame.body);
  const isSet = (value: unknown) => value !== undefined && value !== 0 && !(Array.isArray(value) && value.length === 0);
  const others = Object.entries(rule).filter(([key, value]) => !SIMULATED_RULE.has(key) && isSet(value));
  if (others.length > 0) throw new NotSimulated(`rules with ${others.map(([key]) => key).join(", ")}`);
  return rule;
}

const sameRule = (one: RuleMessage, other: RuleMessage): boolean =>
  one.family === other.family &&
  tableOf(one) === tableOf(other) &&
  one.sourceLength === other.sourceLength &&
  hex(one.source ?? NO_BYTES) === hex(other.source ?? NO_BYTES) &&
  (other.priority === undefined || one.priority === other.priority);

/** A rule without a priority gets one that is before the second rule. */
function newRule(namespace: FakeNamespace, frame: Nlmsg): undefined {
  const wanted = checkedRule(frame);
  const { family } = wanted;
  const second = namespace.rules.filter((one) => one.family === family)[1];
  const priority = wanted.priority || Math.max(0, (second?.priority ?? 0) - 1);
  const rule = { ...wanted, longTable: tableOf(wanted), priority };
  if (frame.flags & NLM_F_EXCL && namespace.rules.some((one) => sameRule(one, rule))) throw new Refused("EEXIST");
  const isBefore = (one: RuleMessage) =>
    one.family < family || (one.family === family && (one.priority ?? 0) <= priority);
  namespace.rules = [...namespace.rules.filter(isBefore), rule, ...namespace.rules.filter((one) => !isBefore(one))];
}

function deleteRule(namespace: FakeNamespace, frame: Nlmsg): undefined {
  const wanted = checkedRule(frame);
  const found = namespace.rules.find((one) => sameRule(one, wanted));
  if (found === undefined) throw new Refused("ENOENT");
  namespace.rules = namespace.rules.filter((one) => one !== found);
}

function getRules(namespace: FakeNamespace, frame: Nlmsg): Uint8Array[] {
  if (!isDump(frame)) throw new NotSimulated("a single rule");
  const { family } = decode(ruleMessage, frame.body);
  return namespace.rules
    .filter((one) => family === AF_UNSPEC || one.family === family)
    .map((one) => answer(frame, RTM_NEWRULE, ruleMessage, one));
}

// --- Neighbours and forwarding entries ---------------------------------------------------------------------------------------------------

const isProxy = ({ flags }: NeighbourMessage): boolean => (flags & NTF_PROXY) !== 0;

/** Reports whether two are one entry: of a neighbour table by address, of a forwarding table by MAC and remote endpoint. */
const sameEntry = (one: NeighbourMessage, other: NeighbourMessage): boolean =>
  one.family === other.family &&
  isProxy(one) === isProxy(other) &&
  hex(one.destination ?? NO_BYTES) === hex(other.destination ?? NO_BYTES) &&
  (one.family !== AF_BRIDGE || hex(one.linkAddress ?? NO_BYTES) === hex(other.linkAddress ?? NO_BYTES));

function checkedEntry(namespace: FakeNamespace, frame: Nlmsg): { link: FakeLink; entry: NeighbourMessage } {
  const entry = decode(neighbourMessage, frame.body);
  if (entry.family === AF_BRIDGE) {
    if (entry.linkAddress?.length !== 6) throw new Refused("EINVAL");
    if (!(entry.flags & NTF_SELF)) throw new NotSimulated("forwarding entries of a bridge");
  } else if (entry.destination === undefined) {
    throw new Refused("EINVAL");
  }
  if (entry.index === 0) throw new Refused("EINVAL");
  return { link: linkAt(namespace, entry.index), entry };
}

function newNeighbour(namespace: FakeNamespace, frame: Nlmsg): undefined {
  const { link, entry } = checkedEntry(namespace, frame);
  const found = link.neighbours.find((one) => sameEntry(one, entry));
  if (found !== undefined && frame.flags & NLM_F_EXCL) throw new Refused("EEXIST");
  if (found === undefined && !(frame.flags & NLM_F_CREATE)) throw new Refused("ENOENT");
  // on a VXLAN device, a replaced entry gets the new remote endpoint
  const isReplaced = (one: NeighbourMessage) =>
    one === found ||
    (entry.family === AF_BRIDGE &&
      (frame.flags & NLM_F_REPLACE) !== 0 &&
      one.family === AF_BRIDGE &&
      hex(one.linkAddress ?? NO_BYTES) === hex(entry.linkAddress ?? NO_BYTES));
  link.neighbours = [...link.neighbours.filter((one) => !isReplaced(one)), entry];
  const isSame = found !== undefined && hex(found.linkAddress ?? NO_BYTES) === hex(entry.linkAddress ?? NO_BYTES);
  return isSame ? undefined : namespace.notify(RTM_NEWNEIGH, neighbourMessage, entry);
}

function deleteNeighbour(namespace: FakeNamespace, frame: Nlmsg): undefined {
  const { link, entry } = checkedEntry(namespace, frame);
  const found = link.neighbours.find((one) => sameEntry(one, entry));
  if (found === undefined) throw new Refused("ENOENT");
  link.neighbours = link.neighbours.filter((one) => one !== found);
  return namespace.notify(RTM_DELNEIGH, neighbourMessage, found);
}

function getNeighbours(namespace: FakeNamespace, frame: Nlmsg): Uint8Array[] {
  const wanted = decode(neighbourMessage, frame.body);
  if (!isDump(frame)) throw new NotSimulated("a single neighbour");
  const index = wanted.outputIndex ?? wanted.index;
  return namespace
    .inOrder()
    .filter((link) => index === 0 || link.index === index)
    .flatMap(({ neighbours }) => neighbours)
    .filter((one) => (wanted.family === AF_UNSPEC ? one.family !== AF_BRIDGE : one.family === wanted.family))
    .filter((one) => isProxy(one) === isProxy(wanted))
    .map((one) => answer(frame, RTM_NEWNEIGH, neighbourMessage, one));
}

// --- Messages ----------------------------------------------------------------------------------------------------------------------------

interface Handler {
  name: string;
  table: AnyWire;
  perform(namespace: FakeNamespace, frame: Nlmsg): Uint8Array[] | undefined;
}

const handlers: Readonly<Record<number, Handler>> = {
  [RTM_NEWLINK]: { name: "RTM_NEWLINK", table: linkMessage, perform: newLink },
  [RTM_SETLINK]: { name: "RTM_SETLINK", table: linkMessage, perform: setLink },
  [RTM_DELLINK]: { name: "RTM_DELLINK", table: linkMessage, perform: deleteLinks },
  [RTM_GETLINK]: { name: "RTM_GETLINK", table: linkMessage, perform: getLinks },
  [RTM_NEWADDR]: { name: "RTM_NEWADDR", table: addressMessage, perform: newAddress },
  [RTM_DELADDR]: { name: "RTM_DELADDR", table: addressMessage, perform: deleteAddress },
  [RTM_GETADDR]: { name: "RTM_GETADDR", table: addressMessage, perform: getAddresses },
  [RTM_NEWROUTE]: { name: "RTM_NEWROUTE", table: routeMessage, perform: newRoute },
  [RTM_DELROUTE]: { name: "RTM_DELROUTE", table: routeMessage, perform: deleteRoute },
  [RTM_GETROUTE]: { name: "RTM_GETROUTE", table: routeMessage, perform: getRoutes },
  [RTM_NEWRULE]: { name: "RTM_NEWRULE", table: ruleMessage, perform: newRule },
  [RTM_DELRULE]: { name: "RTM_DELRULE", table: ruleMessage, perform: deleteRule },
  [RTM_GETRULE]: { name: "RTM_GETRULE", table: ruleMessage, perform: getRules },
  [RTM_NEWNEIGH]: { name: "RTM_NEWNEIGH", table: neighbourMessage, perform: newNeighbour },
  [RTM_DELNEIGH]: { name: "RTM_DELNEIGH", table: neighbourMessage, perform: deleteNeighbour },
  [RTM_GETNEIGH]: { name: "RTM_GETNEIGH", table: neighbourMessage, perform: getNeighbours },
};

function handlerOf({ type }: Nlmsg): Handler {
  const handler = handlers[type];
  if (handler === undefined) throw new NotSimulated(`the fake rtnetlink does not know messages of type ${type}`);
  return handler;
}

// --- Text --------------------------------------------------------------------------------------------------------------------------------

function linkLines(link: FakeLink): string[] {
  const { index, name, kind, flags, mtu, master, alias, addresses, neighbours, port, lower } = link;
  const words = [
    `${index < FIRST_CHOSEN_INDEX ? index : "chosen"}: ${name}`,
    kind,
    flags & IFF_UP ? "up" : "down",
    `mtu ${mtu}`,
    ...(flags & IFF_PROMISC ? ["promisc"] : []),
    ...(lower ? [`link ${lower.name}`] : []),
    ...(master ? [`master ${master.name}`] : []),
    ...Object.entries(port).map(([key, value]) => `${key} ${value}`),
    ...vlanWords(link),
    ...dataWords(link),
    ...(alias === "" ? [] : [`alias "${alias}"`]),
  ];
  return [
    words.filter(Boolean).join(" "),
    ...addresses.map((one) => `  address ${addressText(ownOf(one))}/${one.prefixLength}`),
    ...neighbours.map(
      ({ family, flags, destination = NO_BYTES, linkAddress = NO_BYTES }) =>
        `  ${family === AF_BRIDGE ? "fdb" : flags & NTF_PROXY ? "proxy" : "neighbour"} ${addressText(destination)} ${macText(linkAddress)}`,
    ),
  ];
}

/** Returns the VLANs of a bridge's port, unless it has those that it began with. */
function vlanWords({ namespace, master, vlans }: FakeLink): string[] {
  if (master?.kind !== "bridge" || !namespace.network.hasVlanFiltering) return [];
  const isUnchanged = vlans.length === FIRST_VLANS.length && vlans.every((vlan) => FIRST_VLANS.includes(vlan));
  return isUnchanged ? [] : ["vlan", ...(vlans.length === 0 ? ["none"] : vlans.map(vlanText))];
}

const vlanText = ({ id, flags }: Vlan): string =>
  [
    id,
    ...(flags & BRIDGE_VLAN_INFO_PVID ? ["pvid"] : []),
    ...(flags & BRIDGE_VLAN_INFO_UNTAGGED ? ["untagged"] : []),
  ].join(" ");

/** Returns the settings of a link's kind that it was given, but for the numbers of other links. */
const dataWords = ({ kind, data = {} }: FakeLink): string[] =>
  Object.entries(data).flatMap(([key, value]) =>
    value === undefined || key === "unknown" || key === "link"
      ? []
      : [`${kind}.${key} ${value instanceof Uint8Array ? addressText(value) : JSON.stringify(value)}`],
  );

/** Indexes from here on are chosen at random by programs, so they are not printed. */
const FIRST_CHOSEN_INDEX = 2 ** 30;

function routeText(namespace: FakeNamespace, route: RouteMessage): string {
  const { destination, destinationLength, gateway, outputIndex, protocol, scope, priority, preferredSource } = route;
  const words = [
    destination === undefined ? "route default" : `route ${addressText(destination)}/${destinationLength}`,
    ...(gateway ? [`via ${addressText(gateway)}`] : []),
    ...(outputIndex === undefined ? [`type ${route.type}`] : [`dev ${linkAt(namespace, outputIndex).name}`]),
    ...(protocol === RTPROT_BOOT || protocol === RTPROT_KERNEL ? [] : [`proto ${protocol}`]),
    ...(scope === RT_SCOPE_LINK ? ["scope link"] : []),
    ...(preferredSource ? [`src ${addressText(preferredSource)}`] : []),
    ...(priority ? [`metric ${priority}`] : []),
    ...(tableOf(route) === RT_TABLE_MAIN ? [] : [`table ${tableOf(route)}`]),
    ...(route.flags & RTNH_F_ONLINK ? ["onlink"] : []),
  ];
  return words.join(" ");
}

const ruleText = (rule: RuleMessage): string =>
  `rule ${rule.priority}: from ${rule.source === undefined ? "all" : addressText(rule.source)} lookup ${tableOf(rule)}`;
