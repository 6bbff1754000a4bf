/** What `FakeNetwork` has in common with the kernel's rtnetlink. rtnetlink.test.ts runs the list on the fake, e2e/fakes.test.ts on the kernel. */
import type { Test } from "tap";
import { errnoName } from "../../sys/errno.ts";
import { type Connection, type Listener, NetlinkError, query, type Request, request } from "../connection.ts";
import { decode } from "../message.ts";
import { NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, type Nlmsg } from "../nlmsg.ts";
import { addressMessage, RTM_DELADDR, RTM_GETADDR, RTM_NEWADDR } from "../rtnetlink/address.ts";
import {
  BRIDGE_VLAN_INFO_PVID,
  BRIDGE_VLAN_INFO_RANGE_BEGIN,
  BRIDGE_VLAN_INFO_RANGE_END,
  BRIDGE_VLAN_INFO_UNTAGGED,
  bridgeLinkMessage,
} from "../rtnetlink/bridge-link.ts";
import { AF_BRIDGE, AF_INET, AF_INET6 } from "../rtnetlink/family.ts";
import { IFF_ALLMULTI, IFF_LOWER_UP, IFF_PROMISC, IFF_UP } from "../rtnetlink/link/interface.ts";
import {
  type LinkRequest,
  linkMessage,
  RTEXT_FILTER_BRVLAN,
  RTEXT_FILTER_SKIP_STATS,
  RTM_DELLINK,
  RTM_GETLINK,
  RTM_NEWLINK,
  RTM_SETLINK,
} from "../rtnetlink/link.ts";
import {
  NTF_SELF,
  NUD_PERMANENT,
  neighbourMessage,
  RTM_DELNEIGH,
  RTM_GETNEIGH,
  RTM_NEWNEIGH,
} from "../rtnetlink/neighbour.ts";
import {
  type RouteMessage,
  RT_SCOPE_NOWHERE,
  RT_TABLE_MAIN,
  RTM_DELROUTE,
  RTM_GETROUTE,
  RTM_NEWROUTE,
  RTN_UNICAST,
  RTPROT_BOOT,
  routeMessage,
} from "../rtnetlink/route.ts";
import { FR_ACT_TO_TBL, RTM_DELRULE, RTM_GETRULE, RTM_NEWRULE, ruleMessage } from "../rtnetlink/rule.ts";

/** Two network namespaces of a host, each with a loopback link that is down. */
export interface Namespaces {
  host: Connection;
  container: Connection;
  /** The descriptor by which messages name the container's namespace. */
  containerFd: number;
  /** Listens to what is told of routes and neighbours of the host. */
  /** Opens a connection to the host, of which the kernel does not know that dumps are to be filtered. */
  unfiltered(): Connection;
  listen(): Pick<Listener, "next" | "close">;
}

export interface RtnetlinkClaim {
  claim: string;
  /** What the kernel must have, besides links of the kinds veth and bridge. */
  needs?: "macvlan" | "vxlan" | "vrf" | "vlan_filtering";
  holds(t: Test, namespaces: Namespaces): void;
}

const EXCLUSIVE = NLM_F_CREATE | NLM_F_EXCL;

const addLink = (value: LinkRequest, flags = EXCLUSIVE) =>
  request({ name: "NEWLINK", type: RTM_NEWLINK, flags, table: linkMessage, value });
const setLink = (value: LinkRequest) => request({ name: "SETLINK", type: RTM_SETLINK, table: linkMessage, value });
const deleteLink = (value: LinkRequest) => request({ name: "DELLINK", type: RTM_DELLINK, table: linkMessage, value });
const veth = (ifName: string, peer: string, more: LinkRequest = {}) =>
  addLink({ ...more, ifName, linkInfo: { kind: "veth", data: { peer: { ifName: peer } } } });
const bridge = (ifName: string, more: LinkRequest = {}) => addLink({ ...more, ifName, linkInfo: { kind: "bridge" } });
const up = (index: number) => setLink({ index, flags: IFF_UP, change: IFF_UP });
const down = (index: number) => setLink({ index, flags: 0, change: IFF_UP });

const extMask = RTEXT_FILTER_SKIP_STATS;
const getLink = (value: LinkRequest) =>
  query({ name: "GETLINK", type: RTM_GETLINK, table: linkMessage, value: { ...value, extMask } });
const linkIn = (kernel: Connection, ifName: string) => kernel.get(getLink({ ifName }));
const names = (kernel: Connection) => kernel.dump(getLink({})).map(({ ifName }) => ifName);

const bytes = (text: string) => Uint8Array.from(text.split(".").map(Number));
const addressValue = (index: number, text: string) => {
  const [address = "", length] = text.split("/");
  return { family: AF_INET, index, prefixLength: Number(length), local: bytes(address), address: bytes(address) };
};
const addAddress = (index: number, text: string, flags = EXCLUSIVE) =>
  request({ name: "NEWADDR", type: RTM_NEWADDR, flags, table: addressMessage, value: addressValue(index, text) });
const deleteAddress = (index: number, text: string) =>
  request({ name: "DELADDR", type: RTM_DELADDR, table: addressMessage, value: addressValue(index, text) });
const addressesIn = (kernel: Connection, index: number) =>
  kernel
    .dump(query({ name: "GETADDR", type: RTM_GETADDR, table: addressMessage, value: { family: AF_INET } }))
    .filter((one) => one.index === index)
    .map(({ local, prefixLength }) => `${local?.join(".")}/${prefixLength}`);

interface RouteParts {
  table?: number;
  via?: string;
  metric?: number;
}
const routeValue = (outputIndex: number | undefined, text: string, { table, via, metric }: RouteParts = {}) => {
  const [address = "", length] = text.split("/");
  return {
    family: AF_INET,
    destinationLength: Number(length),
    ...(table === undefined ? { table: RT_TABLE_MAIN } : { longTable: table }),
    ...(length !== "0" && { destination: bytes(address) }),
    ...(via !== undefined && { gateway: bytes(via) }),
    ...(outputIndex !== undefined && { outputIndex }),
    ...(metric !== undefined && { priority: metric }),
  };
};
const addRoute = (index: number | undefined, text: string, parts: RouteParts = {}, flags = NLM_F_CREATE) =>
  request({
    name: "NEWROUTE",
    type: RTM_NEWROUTE,
    flags,
    table: routeMessage,
    value: { ...routeValue(index, text, parts), protocol: RTPROT_BOOT, type: RTN_UNICAST },
  });
const deleteRoute = (index: number | undefined, text: string, parts: RouteParts = {}) =>
  request({
    name: "DELROUTE",
    type: RTM_DELROUTE,
    table: routeMessage,
    value: { ...routeValue(index, text, parts), scope: RT_SCOPE_NOWHERE },
  });
const routesIn = (kernel: Connection) =>
  kernel
    .dump(
      query({
        name: "GETROUTE",
        type: RTM_GETROUTE,
        table: routeMessage,
        value: { family: AF_INET, table: RT_TABLE_MAIN },
      }),
    )
    .map(routeText);
const routeText = ({ destination, destinationLength, gateway, priority }: RouteMessage) =>
  [
    destination === undefined ? "default" : `${destination.join(".")}/${destinationLength}`,
    ...(gateway ? [`via ${gateway.join(".")}`] : []),
    ...(priority ? [`metric ${priority}`] : []),
  ].join(" ");

const MAC = Uint8Array.of(2, 0, 0, 0, 0, 9);
const neighbour = (index: number, text: string, flags: number) =>
  request({
    name: "NEWNEIGH",
    type: RTM_NEWNEIGH,
    flags,
    table: neighbourMessage,
    value: { family: AF_INET, index, state: NUD_PERMANENT, destination: bytes(text), linkAddress: MAC },
  });
const deleteNeighbour = (index: number, text: string) =>
  request({
    name: "DELNEIGH",
    type: RTM_DELNEIGH,
    table: neighbourMessage,
    value: { family: AF_INET, index, destination: bytes(text) },
  });
const forwarding = (index: number, text: string, flags: number) =>
  request({
    name: "NEWNEIGH",
    type: RTM_NEWNEIGH,
    flags,
    table: neighbourMessage,
    value: {
      family: AF_BRIDGE,
      index,
      state: NUD_PERMANENT,
      flags: NTF_SELF,
      destination: bytes(text),
      linkAddress: MAC,
    },
  });
const entriesIn = (kernel: Connection, index: number, family: number) =>
  kernel
    .dump(
      query({ name: "GETNEIGH", type: RTM_GETNEIGH, table: neighbourMessage, value: { family, outputIndex: index } }),
    )
    .filter((one) => one.index === index && one.destination !== undefined && (one.state & NUD_PERMANENT) !== 0)
    .map(({ destination, linkAddress }) => `${destination?.join(".")} ${linkAddress?.join(":")}`);

interface RuleParts {
  from: string;
  table: number;
  priority?: number;
}
const rule = (
  name: "NEWRULE" | "DELRULE",
  { from, table, priority }: RuleParts,
  flags = name === "NEWRULE" ? EXCLUSIVE : 0,
) =>
  request({
    name,
    type: name === "NEWRULE" ? RTM_NEWRULE : RTM_DELRULE,
    flags,
    table: ruleMessage,
    value: {
      family: AF_INET,
      sourceLength: 32,
      source: bytes(from),
      action: FR_ACT_TO_TBL,
      ...(table < 256 ? { table } : { longTable: table }),
      ...(priority !== undefined && { priority }),
    },
  });
const rulesIn = (kernel: Connection, family: number) =>
  kernel
    .dump(query({ name: "GETRULE", type: RTM_GETRULE, table: ruleMessage, value: { family } }))
    .map(
      ({ priority = 0, source, table, longTable = table }) => `${priority}: ${source?.join(".") ?? "all"} ${longTable}`,
    );

const vlans = (name: "SETLINK" | "DELLINK", index: number, ...vlans: { id: number; flags: number }[]) =>
  request({
    name,
    type: name === "SETLINK" ? RTM_SETLINK : RTM_DELLINK,
    table: bridgeLinkMessage,
    value: { family: AF_BRIDGE, index, bridge: { vlans } },
  });
const vlansIn = (kernel: Connection, index: number) => {
  const value = { family: AF_BRIDGE, extMask: RTEXT_FILTER_BRVLAN };
  const ports = kernel.dump(query({ name: "GETLINK", type: RTM_GETLINK, table: bridgeLinkMessage, value }));
  return ports.find((port) => port.index === index)?.bridge?.vlans?.map(({ id, flags }) => `${id}:${flags}`);
};
const ACCESS = BRIDGE_VLAN_INFO_PVID | BRIDGE_VLAN_INFO_UNTAGGED;

function notificationText({ type, body }: Nlmsg): string | undefined {
  if (type === RTM_NEWNEIGH || type === RTM_DELNEIGH) {
    const { destination } = decode(neighbourMessage, body);
    return `${type === RTM_NEWNEIGH ? "NEWNEIGH" : "DELNEIGH"} ${destination?.join(".")}`;
  }
  if (type !== RTM_NEWROUTE && type !== RTM_DELROUTE) return undefined;
  return `${type === RTM_NEWROUTE ? "NEWROUTE" : "DELROUTE"} ${routeText(decode(routeMessage, body))}`;
}

/** Performs one request. @returns "done" or the refusal, such as "NEWLINK: EEXIST" */
function send(kernel: Connection, one: Request): string {
  try {
    kernel.request(one);
    return "done";
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error;
    return `${error.request}: ${errnoName(error.errno)}`;
  }
}

export const rtnetlinkClaims: readonly RtnetlinkClaim[] = [
  {
    claim: "a veth pair is made and deleted as one, and a name is in use once",
    holds(t, { host }) {
      t.strictSame(names(host), ["lo"]);
      t.equal(send(host, veth("v0", "v1")), "done");
      t.strictSame(names(host), ["lo", "v1", "v0"], "the other end is made first");
      t.equal(send(host, veth("v0", "v2")), "NEWLINK: EEXIST");
      t.equal(send(host, veth("v2", "v1")), "NEWLINK: EEXIST");
      t.strictSame(names(host), ["lo", "v1", "v0"]);
      t.equal(linkIn(host, "v0").link, linkIn(host, "v1").index);
      t.equal(send(host, deleteLink({ ifName: "v1" })), "done");
      t.strictSame(names(host), ["lo"]);
    },
  },
  {
    claim: "an end of a pair is made in another namespace, and goes with the first",
    holds(t, { host, container, containerFd }) {
      const peer = { ifName: "eth0", netnsFd: containerFd };
      const pair = (ifName: string) => addLink({ ifName, linkInfo: { kind: "veth", data: { peer } } });
      t.equal(send(host, pair("v0")), "done");
      t.strictSame(
        [names(host), names(container)],
        [
          ["lo", "v0"],
          ["lo", "eth0"],
        ],
      );
      t.equal(send(host, pair("v1")), "NEWLINK: EEXIST");
      t.equal(send(container, deleteLink({ ifName: "eth0" })), "done");
      t.strictSame([names(host), names(container)], [["lo"], ["lo"]]);
    },
  },
  {
    claim: "links that do not exist, or have no kind that the kernel knows",
    holds(t, { host }) {
      t.equal(send(host, setLink({ index: 4711, mtu: 1400 })), "SETLINK: ENODEV");
      t.equal(send(host, setLink({ ifName: "none", mtu: 1400 })), "SETLINK: ENODEV");
      t.equal(send(host, deleteLink({ ifName: "none" })), "DELLINK: ENODEV");
      t.equal(send(host, deleteLink({ group: 4711 })), "DELLINK: ENODEV");
      t.equal(send(host, addLink({ ifName: "none", mtu: 1400 }, 0)), "NEWLINK: ENODEV");
      t.equal(
        send(host, addLink({ ifName: "x", linkInfo: { kind: "nosuch" } } as unknown as LinkRequest)),
        "NEWLINK: EOPNOTSUPP",
      );
      t.equal(host.find(getLink({ ifName: "none" })), undefined);
      t.equal(send(host, deleteLink({ ifName: "lo" })), "DELLINK: EOPNOTSUPP");
    },
  },
  {
    claim: "an index may be chosen, unless a link has it",
    holds(t, { host }) {
      t.equal(send(host, bridge("b0", { index: 77 })), "done");
      t.equal(linkIn(host, "b0").index, 77);
      t.equal(send(host, bridge("b1", { index: 77 })), "NEWLINK: EEXIST");
      t.equal(send(host, bridge("b0", { index: 78 })), "NEWLINK: EEXIST");
    },
  },
  {
    claim: "MACs and MTUs that a link cannot have",
    holds(t, { host }) {
      t.equal(send(host, bridge("b0", { address: Uint8Array.of(1, 0, 0, 0, 0, 1) })), "NEWLINK: EADDRNOTAVAIL");
      t.equal(send(host, bridge("b0", { mtu: 20 })), "NEWLINK: EINVAL");
      t.equal(send(host, bridge("b0", { mtu: 1400, address: MAC })), "done");
      t.match(linkIn(host, "b0"), { mtu: 1400, address: MAC });
      t.equal(send(host, setLink({ ifName: "b0", mtu: 70_000 })), "SETLINK: EINVAL");
    },
  },
  {
    claim: "an end of a pair has a carrier while both are up",
    holds(t, { host }) {
      send(host, veth("v0", "v1"));
      const hasCarrier = () => (linkIn(host, "v0").flags & IFF_LOWER_UP) !== 0;
      t.equal(hasCarrier(), false);
      send(host, up(linkIn(host, "v0").index));
      t.equal(hasCarrier(), false);
      send(host, up(linkIn(host, "v1").index));
      t.equal(hasCarrier(), true);
      send(host, down(linkIn(host, "v1").index));
      t.equal(hasCarrier(), false);
    },
  },
  {
    claim: "a VRF has a table, and ports that are no VRFs",
    needs: "vrf",
    holds(t, { host }) {
      const vrf = (ifName: string, table?: number) =>
        addLink({ ifName, linkInfo: { kind: "vrf", data: table === undefined ? {} : { table } } });
      t.equal(send(host, vrf("r0")), "NEWLINK: EINVAL");
      t.equal(send(host, vrf("r0", 0)), "NEWLINK: EINVAL");
      t.equal(send(host, vrf("r0", 10)), "done");
      t.equal(send(host, vrf("r1", 11)), "done");
      send(host, veth("v0", "v1"));
      const [master, other, port] = ["r0", "r1", "v0"].map((name) => linkIn(host, name).index) as [
        number,
        number,
        number,
      ];
      t.match(linkIn(host, "r0").linkInfo, { kind: "vrf", data: { table: 10 } });
      t.equal(send(host, setLink({ index: port, master })), "done");
      t.equal(send(host, setLink({ index: other, master })), "SETLINK: EINVAL");
      t.equal(linkIn(host, "v0").master, master);
      t.equal(send(host, deleteLink({ index: master })), "done");
      t.equal(linkIn(host, "v0").master, undefined);
    },
  },
  {
    claim: "flags and the length of the queue are those that were set last, each on its own",
    holds(t, { host }) {
      send(host, veth("v0", "v1", { flags: IFF_PROMISC, change: IFF_PROMISC }));
      const { index, txQueueLength } = linkIn(host, "v0");
      t.equal(txQueueLength, 1000);
      t.equal(send(host, setLink({ index, txQueueLength: 0, flags: IFF_ALLMULTI, change: IFF_ALLMULTI })), "done");
      const shown = () => {
        const { flags, txQueueLength } = linkIn(host, "v0");
        return { txQueueLength, flags: flags & (IFF_UP | IFF_PROMISC | IFF_ALLMULTI) };
      };
      t.strictSame(shown(), { txQueueLength: 0, flags: IFF_PROMISC | IFF_ALLMULTI });
      t.equal(send(host, setLink({ index, change: IFF_PROMISC })), "done");
      t.strictSame(shown(), { txQueueLength: 0, flags: IFF_ALLMULTI });
    },
  },
  {
    claim: "an alias is set, and ignored in the message that makes a link",
    holds(t, { host }) {
      t.equal(send(host, bridge("b0", { alias: "ignored" })), "done");
      t.equal(linkIn(host, "b0").alias, undefined);
      t.equal(send(host, setLink({ ifName: "b0", alias: "cni net c eth0" })), "done");
      t.equal(linkIn(host, "b0").alias, "cni net c eth0");
    },
  },
  {
    claim: "ports of a bridge: their master, and settings that only they have",
    holds(t, { host }) {
      send(host, bridge("b0"));
      send(host, bridge("b1"));
      send(host, veth("v0", "v1"));
      const [master, other, port] = ["b0", "b1", "v0"].map((name) => linkIn(host, name).index) as [
        number,
        number,
        number,
      ];
      const hairpin = request({
        name: "SETLINK",
        type: RTM_SETLINK,
        table: bridgeLinkMessage,
        value: { family: AF_BRIDGE, index: port, port: { hairpin: true } },
      });
      t.equal(send(host, hairpin), "SETLINK: EOPNOTSUPP");
      t.equal(send(host, setLink({ index: port, master })), "done");
      t.equal(linkIn(host, "v0").master, master);
      t.equal(send(host, hairpin), "done");
      t.equal(send(host, setLink({ index: other, master })), "SETLINK: ELOOP");
      t.equal(send(host, setLink({ index: port, master: 4711 })), "SETLINK: EINVAL");
      t.equal(send(host, veth("v2", "v3", { master: 4711 })), "NEWLINK: EINVAL");
      t.notOk(names(host).includes("v2"), "nothing is left of it");
      t.equal(send(host, deleteLink({ index: master })), "done");
      t.equal(linkIn(host, "v0").master, undefined);
    },
  },
  {
    claim: "VLANs of a bridge's port: set, one by one and as a range, and removed",
    needs: "vlan_filtering",
    holds(t, { host }) {
      send(host, addLink({ ifName: "b0", linkInfo: { kind: "bridge", data: { vlanFiltering: true } } }));
      send(host, veth("v0", "v1"));
      const [master, port] = ["b0", "v0"].map((name) => linkIn(host, name).index) as [number, number];
      t.equal(send(host, vlans("SETLINK", port, { id: 10, flags: 0 })), "SETLINK: EOPNOTSUPP", "of no port");
      t.equal(vlansIn(host, port), undefined);
      send(host, setLink({ index: port, master }));
      t.strictSame([vlansIn(host, master), vlansIn(host, port)], [[`1:${ACCESS}`], [`1:${ACCESS}`]]);
      t.equal(send(host, vlans("SETLINK", port, { id: 10, flags: ACCESS })), "done");
      t.strictSame(vlansIn(host, port), [`1:${BRIDGE_VLAN_INFO_UNTAGGED}`, `10:${ACCESS}`], "only one is the PVID");
      t.equal(send(host, vlans("DELLINK", port, { id: 1, flags: 0 })), "done");
      t.equal(send(host, vlans("DELLINK", port, { id: 1, flags: 0 })), "done", "again");
      const range = (first: number, last: number) => [
        { id: first, flags: BRIDGE_VLAN_INFO_RANGE_BEGIN },
        { id: last, flags: BRIDGE_VLAN_INFO_RANGE_END },
      ];
      t.equal(send(host, vlans("SETLINK", port, ...range(20, 22))), "done");
      t.strictSame(vlansIn(host, port), [`10:${ACCESS}`, "20:0", "21:0", "22:0"]);
      t.equal(send(host, vlans("DELLINK", port, ...range(21, 30))), "done");
      t.strictSame(vlansIn(host, port), [`10:${ACCESS}`, "20:0"]);
      for (const id of [0, 4095])
        t.equal(send(host, vlans("SETLINK", port, { id, flags: 0 })), "SETLINK: EINVAL", `${id}`);
      t.equal(send(host, vlans("SETLINK", port, ...range(30, 30))), "SETLINK: EINVAL");
      send(host, setLink({ index: port, master: 0 }));
      t.equal(vlansIn(host, port), undefined);
      t.equal(send(host, vlans("DELLINK", port, { id: 10, flags: 0 })), "DELLINK: EOPNOTSUPP");
    },
  },
  {
    claim: "a bridge with a VLAN protocol that is none is refused, or, without VLAN filtering, one with filtering",
    holds(t, { host }) {
      const filtering = (ifName: string, vlanProtocol?: number) =>
        addLink({
          ifName,
          linkInfo: {
            kind: "bridge",
            data: { vlanFiltering: true, ...(vlanProtocol !== undefined && { vlanProtocol }) },
          },
        });
      const isAble = send(host, filtering("b0")) === "done";
      const refusal = isAble ? "EPROTONOSUPPORT" : "EOPNOTSUPP";
      t.equal(send(host, filtering("b1", 0x0800)), `NEWLINK: ${refusal}`);
      t.equal(send(host, filtering("b2", 0x8100)), isAble ? "done" : "NEWLINK: EOPNOTSUPP");
      if (isAble) return;
      send(host, bridge("b3"));
      send(host, veth("v0", "v1", { master: linkIn(host, "b3").index }));
      const { index } = linkIn(host, "v0");
      t.equal(vlansIn(host, index), undefined);
      t.equal(send(host, vlans("SETLINK", index, { id: 10, flags: 0 })), "SETLINK: EOPNOTSUPP");
      t.equal(send(host, vlans("DELLINK", index, { id: 10, flags: 0 })), "done");
    },
  },
  {
    claim: "rules: the first ones, before the second one, with a priority that is in use, missing",
    holds(t, { host }) {
      const [main, last] = ["32766: all 254", "32767: all 253"];
      t.strictSame(rulesIn(host, AF_INET), ["0: all 255", main, last]);
      t.strictSame(rulesIn(host, AF_INET6), ["0: all 255", main]);
      const wanted = { from: "10.1.0.5", table: 1000 };
      t.equal(send(host, rule("NEWRULE", wanted)), "done");
      t.equal(send(host, rule("NEWRULE", wanted)), "done", "again: it gets another priority");
      t.equal(send(host, rule("NEWRULE", { ...wanted, priority: 32765 })), "NEWRULE: EEXIST");
      t.equal(send(host, rule("NEWRULE", { ...wanted, priority: 32765 }, NLM_F_CREATE)), "done", "unless exclusive");
      t.equal(send(host, rule("NEWRULE", { ...wanted, table: 100, priority: 32766 })), "done");
      const [again, first, behind] = ["32764: 10.1.0.5 1000", "32765: 10.1.0.5 1000", "32766: 10.1.0.5 100"];
      t.strictSame(rulesIn(host, AF_INET), ["0: all 255", again, first, first, main, behind, last]);
      t.equal(send(host, rule("DELRULE", wanted)), "done", "the first of them");
      t.strictSame(rulesIn(host, AF_INET), ["0: all 255", first, first, main, behind, last]);
      t.equal(send(host, rule("DELRULE", { ...wanted, from: "10.1.0.6" })), "DELRULE: ENOENT");
      t.equal(send(host, rule("DELRULE", { ...wanted, priority: 5 })), "DELRULE: ENOENT");
    },
  },
  {
    claim: "dumps have what was asked for; those of addresses and routes all, where the kernel was not told to filter",
    needs: "vxlan",
    holds(t, { host, unfiltered }) {
      send(host, veth("v0", "v1"));
      send(host, addLink({ ifName: "x0", linkInfo: { kind: "vxlan", data: { id: 1, port: 4789 } } }));
      const [first, second, device] = ["v0", "v1", "x0"].map((name) => linkIn(host, name).index) as [
        number,
        number,
        number,
      ];
      for (const index of [first, second, device]) send(host, up(index));
      send(host, addAddress(first, "10.1.0.5/16"));
      send(host, addAddress(second, "10.2.0.5/16"));
      send(host, addRoute(first, "10.9.0.0/16", { table: 1000 }));
      for (const [index, address] of [
        [first, "10.1.0.9"],
        [second, "10.2.0.9"],
      ] as const)
        send(host, neighbour(index, address, EXCLUSIVE));
      send(host, forwarding(device, "192.0.2.1", EXCLUSIVE));
      const dumpsOf = (kernel: Connection) => {
        const addresses = { family: AF_INET, index: first };
        const routes = { family: AF_INET, longTable: 1000 };
        const neighbours = { family: AF_INET, outputIndex: first };
        return [
          kernel
            .dump(query({ name: "GETADDR", type: RTM_GETADDR, table: addressMessage, value: addresses }))
            .map(({ index }) => index),
          kernel
            .dump(query({ name: "GETROUTE", type: RTM_GETROUTE, table: routeMessage, value: routes }))
            .filter(({ type }) => type === RTN_UNICAST)
            .map(routeText),
          kernel
            .dump(query({ name: "GETNEIGH", type: RTM_GETNEIGH, table: neighbourMessage, value: neighbours }))
            .filter(({ state }) => (state & NUD_PERMANENT) !== 0)
            .map(({ index }) => index),
        ];
      };
      t.strictSame(dumpsOf(host), [[first], ["10.9.0.0/16"], [first]]);
      const all = [[first, second].toSorted(), ["10.1.0.0/16", "10.2.0.0/16", "10.9.0.0/16"], [first]];
      const sorted = dumpsOf(unfiltered()).map((one) => one.toSorted());
      t.strictSame(sorted, all);
    },
  },
  {
    claim: "a link that is moved loses its addresses and is down",
    holds(t, { host, container, containerFd }) {
      send(host, veth("v0", "v1"));
      const { index } = linkIn(host, "v0");
      send(host, addAddress(index, "10.1.0.5/16"));
      send(host, up(index));
      t.equal(send(host, setLink({ index, netnsFd: containerFd, ifName: "eth0" })), "done");
      const moved = linkIn(container, "eth0");
      t.equal(moved.flags & IFF_UP, 0);
      t.strictSame(addressesIn(container, moved.index), []);
      t.strictSame(names(host), ["lo", "v1"]);
    },
  },
  {
    claim: "a link that is moved and gets a name that is in use stays moved, under its old name",
    holds(t, { host, container, containerFd }) {
      send(host, veth("v0", "v1"));
      send(container, bridge("v1"));
      const ends = ["v0", "v1"].map((name) => linkIn(host, name).index) as [number, number];
      const moveAs = (index: number, ifName: string) => send(host, setLink({ index, netnsFd: containerFd, ifName }));
      t.equal(moveAs(ends[0], "lo"), "SETLINK: EEXIST");
      t.equal(moveAs(ends[1], "lo"), "SETLINK: EEXIST");
      t.equal(moveAs(ends[1], "other"), "done", "its old name is in use there");
      t.strictSame(names(host), ["lo"]);
      t.strictSame(names(container).sort(), ["lo", "other", "v0", "v1"]);
    },
  },
  {
    claim: "links of a group are deleted together",
    holds(t, { host }) {
      send(host, veth("v0", "v1"));
      send(host, bridge("b0"));
      for (const ifName of ["v0", "b0"]) send(host, setLink({ ifName, group: 9 }));
      t.equal(send(host, deleteLink({ group: 9 })), "done");
      t.strictSame(names(host), ["lo"]);
    },
  },
  {
    claim: "a macvlan needs a parent, and goes with it",
    needs: "macvlan",
    holds(t, { host, container, containerFd }) {
      send(host, veth("v0", "v1"));
      const macvlan = (link: number | undefined) =>
        addLink({
          ifName: "m0",
          ...(link !== undefined && { link }),
          netnsFd: containerFd,
          linkInfo: { kind: "macvlan" },
        });
      t.equal(send(host, macvlan(undefined)), "NEWLINK: EINVAL");
      t.equal(send(host, macvlan(4711)), "NEWLINK: ENODEV");
      t.equal(send(host, macvlan(linkIn(host, "v0").index)), "done");
      t.strictSame(names(container), ["lo", "m0"]);
      t.equal(send(host, deleteLink({ ifName: "v0" })), "done");
      t.strictSame(names(container), ["lo"]);
    },
  },
  {
    claim: "addresses: twice, missing, on a missing link",
    holds(t, { host }) {
      send(host, veth("v0", "v1"));
      const { index } = linkIn(host, "v0");
      t.equal(send(host, addAddress(index, "10.1.0.5/16")), "done");
      t.equal(send(host, addAddress(index, "10.1.0.5/16")), "NEWADDR: EEXIST");
      t.equal(send(host, addAddress(index, "10.1.0.5/16", NLM_F_CREATE)), "NEWADDR: EEXIST");
      t.equal(send(host, addAddress(index, "10.1.0.5/16", NLM_F_CREATE | NLM_F_REPLACE)), "done");
      t.equal(send(host, addAddress(index, "10.1.0.5/24")), "done", "with another prefix length");
      t.equal(send(host, addAddress(index, "10.1.0.5/33")), "NEWADDR: EINVAL");
      t.equal(send(host, addAddress(4711, "10.1.0.5/16")), "NEWADDR: ENODEV");
      t.equal(send(host, deleteAddress(index, "10.1.0.6/16")), "DELADDR: EADDRNOTAVAIL");
      t.equal(send(host, deleteAddress(index, "10.1.0.5/24")), "done");
      t.strictSame(addressesIn(host, index), ["10.1.0.5/16"]);
    },
  },
  {
    claim: "the route of an address's network comes and goes with the link's state",
    holds(t, { host }) {
      send(host, veth("v0", "v1"));
      const { index } = linkIn(host, "v0");
      send(host, addAddress(index, "10.1.0.5/16"));
      t.strictSame(routesIn(host), []);
      send(host, up(index));
      t.strictSame(routesIn(host), ["10.1.0.0/16"]);
      send(host, addAddress(index, "10.2.0.5/24"));
      t.strictSame(routesIn(host), ["10.1.0.0/16", "10.2.0.0/24"]);
      send(host, deleteAddress(index, "10.2.0.5/24"));
      t.strictSame(routesIn(host), ["10.1.0.0/16"]);
      send(host, down(index));
      t.strictSame(routesIn(host), []);
    },
  },
  {
    claim: "routes: over a link that is down, to a gateway that is not reached, with host bits",
    holds(t, { host }) {
      send(host, veth("v0", "v1"));
      const { index } = linkIn(host, "v0");
      send(host, addAddress(index, "10.1.0.5/16"));
      t.equal(send(host, addRoute(index, "10.9.0.0/16")), "NEWROUTE: ENETDOWN");
      t.equal(send(host, addRoute(4711, "10.9.0.0/16")), "NEWROUTE: ENODEV");
      send(host, up(index));
      t.equal(send(host, addRoute(index, "10.9.0.0/16", { via: "10.8.0.1" })), "NEWROUTE: ENETUNREACH");
      t.equal(send(host, addRoute(index, "10.9.0.1/16")), "NEWROUTE: EINVAL");
      t.equal(
        send(host, addRoute(undefined, "10.9.0.0/16", { via: "10.1.0.1" })),
        "done",
        "the link is found by the gateway",
      );
      t.strictSame(routesIn(host), ["10.1.0.0/16", "10.9.0.0/16 via 10.1.0.1"]);
    },
  },
  {
    claim: "several routes to one destination: before, behind, instead, and the same again",
    holds(t, { host }) {
      send(host, veth("v0", "v1"));
      const { index } = linkIn(host, "v0");
      send(host, addAddress(index, "10.1.0.5/16"));
      send(host, up(index));
      const via = (gateway: string, flags?: number) => addRoute(index, "10.9.0.0/16", { via: gateway }, flags);
      t.equal(send(host, via("10.1.0.1")), "done");
      t.equal(send(host, via("10.1.0.1")), "NEWROUTE: EEXIST");
      t.equal(send(host, via("10.1.0.2", EXCLUSIVE)), "NEWROUTE: EEXIST");
      t.equal(send(host, via("10.1.0.2")), "done");
      t.equal(send(host, via("10.1.0.3", NLM_F_CREATE | NLM_F_APPEND)), "done");
      const to = (gateway: string) => `10.9.0.0/16 via ${gateway}`;
      t.strictSame(routesIn(host), ["10.1.0.0/16", to("10.1.0.2"), to("10.1.0.1"), to("10.1.0.3")]);
      t.equal(send(host, via("10.1.0.4", NLM_F_CREATE | NLM_F_REPLACE)), "done");
      t.strictSame(routesIn(host), ["10.1.0.0/16", to("10.1.0.4"), to("10.1.0.1"), to("10.1.0.3")]);
      t.equal(send(host, addRoute(index, "10.9.0.0/16", { via: "10.1.0.1", metric: 5 }, EXCLUSIVE)), "done");
      t.equal(send(host, addRoute(index, "10.7.0.0/16", {}, NLM_F_REPLACE)), "NEWROUTE: ENOENT");
    },
  },
  {
    claim: "routes are deleted by what is named of them",
    holds(t, { host }) {
      send(host, veth("v0", "v1"));
      const { index } = linkIn(host, "v0");
      send(host, addAddress(index, "10.1.0.5/16"));
      send(host, up(index));
      send(host, addRoute(index, "10.9.0.0/16", { via: "10.1.0.1", metric: 5 }));
      send(host, addRoute(index, "0.0.0.0/0", { via: "10.1.0.1" }));
      t.equal(send(host, deleteRoute(index, "10.8.0.0/16")), "DELROUTE: ESRCH");
      t.equal(send(host, deleteRoute(index, "10.9.0.0/16", { metric: 6 })), "DELROUTE: ESRCH");
      t.equal(send(host, deleteRoute(index, "10.9.0.0/16")), "done");
      t.equal(send(host, deleteRoute(index, "10.9.0.0/16")), "DELROUTE: ESRCH");
      t.equal(send(host, deleteRoute(undefined, "0.0.0.0/0")), "done");
      t.strictSame(routesIn(host), ["10.1.0.0/16"]);
    },
  },
  {
    claim: "neighbours: exclusive, replaced, missing",
    holds(t, { host }) {
      send(host, veth("v0", "v1"));
      const { index } = linkIn(host, "v0");
      send(host, up(index));
      t.equal(send(host, neighbour(index, "10.1.0.9", NLM_F_REPLACE)), "NEWNEIGH: ENOENT");
      t.equal(send(host, neighbour(index, "10.1.0.9", EXCLUSIVE)), "done");
      t.equal(send(host, neighbour(index, "10.1.0.9", EXCLUSIVE)), "NEWNEIGH: EEXIST");
      t.equal(send(host, neighbour(index, "10.1.0.9", NLM_F_CREATE | NLM_F_REPLACE)), "done");
      t.strictSame(entriesIn(host, index, AF_INET), ["10.1.0.9 2:0:0:0:0:9"]);
      t.equal(send(host, neighbour(4711, "10.1.0.9", EXCLUSIVE)), "NEWNEIGH: ENODEV");
      t.equal(send(host, deleteNeighbour(index, "10.1.0.8")), "DELNEIGH: ENOENT");
    },
  },
  {
    claim: "forwarding entries of a VXLAN device: exclusive, replaced",
    needs: "vxlan",
    holds(t, { host }) {
      send(host, addLink({ ifName: "x0", linkInfo: { kind: "vxlan", data: { id: 1, port: 4789 } } }));
      const { index } = linkIn(host, "x0");
      t.equal(send(host, forwarding(index, "192.0.2.1", EXCLUSIVE)), "done");
      t.equal(send(host, forwarding(index, "192.0.2.1", EXCLUSIVE)), "NEWNEIGH: EEXIST");
      t.equal(send(host, forwarding(index, "192.0.2.2", NLM_F_CREATE | NLM_F_REPLACE)), "done");
      t.strictSame(entriesIn(host, index, AF_BRIDGE), ["192.0.2.2 2:0:0:0:0:9"]);
    },
  },
  {
    claim: "routes, neighbours and forwarding entries that are set and deleted are told",
    needs: "vxlan",
    holds(t, { host, listen }) {
      send(host, addLink({ ifName: "x0", linkInfo: { kind: "vxlan", data: { id: 1, port: 4789 } } }));
      const { index } = linkIn(host, "x0");
      send(host, addAddress(index, "10.1.0.5/16"));
      send(host, up(index));
      const replace = NLM_F_CREATE | NLM_F_REPLACE;
      const listener = listen();
      const told = () => {
        const names: string[] = [];
        for (let messages = listener.next(0); messages !== undefined; messages = listener.next(0))
          names.push(...messages.flatMap((message) => notificationText(message) ?? []));
        return names;
      };
      told();
      send(host, addRoute(index, "10.9.0.0/16", { via: "10.1.0.1" }));
      send(host, addRoute(index, "10.9.0.0/16", { via: "10.1.0.2" }, replace));
      send(host, addRoute(index, "10.9.0.0/16", { via: "10.1.0.3" }, EXCLUSIVE));
      send(host, deleteRoute(index, "10.9.0.0/16"));
      t.strictSame(told(), [
        "NEWROUTE 10.9.0.0/16 via 10.1.0.1",
        "NEWROUTE 10.9.0.0/16 via 10.1.0.2",
        "DELROUTE 10.9.0.0/16 via 10.1.0.2",
      ]);
      send(host, neighbour(index, "10.1.0.9", replace));
      send(host, neighbour(index, "10.1.0.9", replace));
      send(host, deleteNeighbour(index, "10.1.0.9"));
      const ofNeighbour = told();
      t.strictSame([ofNeighbour[0], ofNeighbour.at(-1)], ["NEWNEIGH 10.1.0.9", "DELNEIGH 10.1.0.9"]);
      send(host, forwarding(index, "192.0.2.1", replace));
      send(host, forwarding(index, "192.0.2.1", replace));
      send(host, forwarding(index, "192.0.2.2", replace));
      t.strictSame(told(), ["NEWNEIGH 192.0.2.1", "NEWNEIGH 192.0.2.2"]);
      listener.close();
    },
  },
];
