// A host whose backend runs in this process, on sockets of a throw-away namespace; what comes of it is told by `ip` and `bridge`.

import {
  RTMGRP_IPV4_IFADDR,
  RTMGRP_IPV4_ROUTE,
  RTMGRP_IPV6_IFADDR,
  RTMGRP_IPV6_ROUTE,
  RTMGRP_LINK,
  RTMGRP_NEIGH,
} from "../../pkg/cluster/event-loop/netlink-watch.ts";
import type { Lease, LeaseAttributes } from "../../pkg/cluster/lease/lease.ts";
import type { NetworkConfig } from "../../pkg/cluster/lease/network-config.ts";
import { storeRemedies } from "../../pkg/cluster/lease/store-manager.ts";
import { logOf } from "../../pkg/cluster/log/log.ts";
import type { JsonObject } from "../../pkg/config/json.ts";
import type { Backend, ExternalInterface } from "../../pkg/flannel/backend/backend.ts";
import { createBackend } from "../../pkg/flannel/backend/create-backend.ts";
import { type Address, type Prefix, parseAddress, parsePrefix } from "../../pkg/ip/address.ts";
import { openRtnetlink } from "../../pkg/link/link.ts";
import { type Listener, listen, NETLINK_ROUTE } from "../../pkg/netlink/connection.ts";
import type { Nlmsg } from "../../pkg/netlink/nlmsg.ts";
import { openNamespace, within } from "../../pkg/sys/namespace.ts";
import { type Host, type HostOptions, newHost } from "../lab/host.ts";

const GROUPS =
  RTMGRP_LINK | RTMGRP_NEIGH | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_IFADDR | RTMGRP_IPV6_ROUTE;

export interface BackendHost extends Host {
  /** Its `eth0`, with 192.0.2.<n> and fd00:a::<n>; the other end is `eth1` of its first container. */
  external: ExternalInterface;
  /** A backend as a daemon has it that starts now; it has its lease. */
  start(
    settings?: JsonObject,
    external?: ExternalInterface,
    families?: Families,
    published?: LeaseAttributes,
  ): Promise<Backend>;
  /** What the backend logged, a line each, since it was last asked. */
  logged(): string[];
  /** What the kernel has told everybody since it was last asked. */
  events(): Nlmsg[];
  /** Routes, permanent neighbours and forwarding entries of the overlay, sorted, in the words of `ip`. */
  entries(): string[];
}

type Test = Parameters<typeof newHost>[0];

export const address = (text: string): Address => needed(parseAddress(text), text);
export const prefix = (text: string): Prefix => needed(parsePrefix(text), text);

function needed<T>(value: T | undefined, text: string): T {
  if (value === undefined) throw new Error(`${text} cannot be read`);
  return value;
}

/** @param n Its number: 1 has 10.5.1.0/24 and fd00:5:0:1::/64. */
export function newBackendHost(t: Test, n = 1, options: HostOptions = {}): BackendHost {
  const host = newHost(t, options);
  host.sh(`ip link add eth0 type veth peer name eth1 ${host.containers[0] ? `netns ${host.containers[0].name}` : ""}
           ip link set eth0 up
           ip address add 192.0.2.${n}/24 dev eth0
           ip address add fd00:a::${n}/64 dev eth0`);
  host.containers[0]?.sh("ip link set eth1 up");
  const namespace = openNamespace(host.path);
  const rtnl = openRtnetlink(namespace);
  const listener = listen(NETLINK_ROUTE, GROUPS, namespace);
  const lines: string[] = [];
  const log = logOf((level, message, fields) => {
    if (level !== "debug") lines.push(`${level} ${message} ${JSON.stringify(fields)}`);
  });
  const external = externalOf(host, n);
  return {
    ...host,
    external,
    async start(settings = { Type: "vxlan" }, over = external, families = dualStack, published) {
      const network = {
        ...families,
        nftables: false,
        noMasquerade: [],
        backend: { type: String(settings["Type"]), settings },
      };
      const backend = entered(
        namespace,
        createBackend({
          ...{ rtnl, external: over, network, published, log },
          statePath: `${host.varLib}/subnet`,
          remedies: storeRemedies,
        }),
      );
      await backend.attributes();
      const ipv6 = families.ipv6 && { ipv6: prefix(`fd00:5:0:${n}::/64`) };
      await backend.setOwnLease({ ipv4: prefix(`10.5.${n}.0/24`), ...ipv6 });
      return backend;
    },
    logged: () => lines.splice(0),
    events: () => arrived(listener),
    entries: () => entriesOf(host),
  };
}

type Families = Pick<NetworkConfig, "ipv4" | "ipv6">;
export const onlyIPv4: Families = { ipv4: { network: prefix("10.5.0.0/16") } };
const dualStack: Families = { ...onlyIPv4, ipv6: { network: prefix("fd00:5::/48") } };

function externalOf(host: Host, n: number): ExternalInterface {
  const [link] = host.json("ip", "-j", "link", "show", "eth0") as { ifindex: number; mtu: number }[];
  const [ipv4, ipv6] = [address(`192.0.2.${n}`), address(`fd00:a::${n}`)];
  return { index: link?.ifindex ?? 0, name: "eth0", mtu: link?.mtu ?? 0, ipv4, ipv6, publicIP: ipv4, publicIPv6: ipv6 };
}

/** Each verb inside the namespace: settings under /proc/sys are those of the namespace that the process is in. */
function entered(namespace: { path: string; fd: number }, backend: Backend): Backend {
  return new Proxy(backend, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name);
      if (typeof member !== "function") return member;
      return (...args: unknown[]) => within(namespace, () => Reflect.apply(member, target, args));
    },
  });
}

function arrived(listener: Listener): Nlmsg[] {
  const all: Nlmsg[] = [];
  for (let some = listener.next(0); some !== undefined; some = listener.next(0)) {
    all.push(...some.map((nlmsg) => ({ ...nlmsg, body: nlmsg.body.slice() })));
  }
  return all;
}

interface Told {
  dst?: string;
  gateway?: string;
  dev?: string;
  protocol?: string;
  flags?: string[];
  lladdr?: string;
  mac?: string;
  ifname?: string;
}

function entriesOf(host: Host): string[] {
  const told = (...command: [string, ...string[]]) => host.json(...command) as Told[];
  const routes = ["-4", "-6"].flatMap((family) => told("ip", "-j", family, "route", "show"));
  const neighbours = told("ip", "-j", "neigh", "show", "nud", "permanent");
  const forwarding = told("bridge", "-j", "fdb", "show").filter((one) => one.dst !== undefined);
  return [
    ...routes.filter(isOfOverlay).map(({ dst, gateway, dev, protocol = "boot", flags = [] }) => {
      return `route ${dst} via ${gateway} dev ${dev} proto ${protocol}${flags.includes("onlink") ? " onlink" : ""}`;
    }),
    ...neighbours.filter(isOfOverlay).map(({ dst, dev, lladdr }) => `neighbour ${dst} dev ${dev} lladdr ${lladdr}`),
    ...forwarding.map(({ mac, ifname, dst }) => `fdb ${mac} dev ${ifname} dst ${dst}`),
  ].toSorted();
}

/** Without what the kernel makes for the device's own address. */
const isOfOverlay = ({ dst = "", protocol }: Told): boolean => /^(10\.5\.|fd00:5:)/.test(dst) && protocol !== "kernel";

export interface PeerOptions {
  /** Last byte of its devices' MACs, `n` unless given. */
  mac?: number;
  /** Last part of its public addresses, `n` unless given. */
  host?: number;
  type?: string;
}

/** A host of the cluster: 2 has 10.5.2.0/24 and fd00:5:0:2::/64. */
export function peer(n: number, { mac = n, host = n, type = "vxlan" }: PeerOptions = {}): Lease {
  return {
    id: `10.5.${n}.0-24&fd00:5:0:${n}::-64`,
    ipv4: prefix(`10.5.${n}.0/24`),
    ipv6: prefix(`fd00:5:0:${n}::/64`),
    attributes: {
      publicIP: address(`192.0.2.${host}`),
      publicIPv6: address(`fd00:a::${host}`),
      backendType: type,
      backendData: { VNI: 1, VtepMAC: macOf("04", mac) },
      backendV6Data: { VNI: 1, VtepMAC: macOf("06", mac) },
    },
  };
}

const macOf = (family: string, byte: number): string => `02:00:00:00:${family}:${byte.toString(16).padStart(2, "0")}`;

/** What flannel makes for it (backend/vxlan), with our protocol. */
export function encapsulated(n: number, { mac = n, host = n }: PeerOptions = {}): string[] {
  return [
    `route 10.5.${n}.0/24 via 10.5.${n}.0 dev flannel.1 proto 143 onlink`,
    `neighbour 10.5.${n}.0 dev flannel.1 lladdr ${macOf("04", mac)}`,
    `fdb ${macOf("04", mac)} dev flannel.1 dst 192.0.2.${host}`,
    `route fd00:5:0:${n}::/64 via fd00:5:0:${n}:: dev flannel-v6.1 proto 143 onlink`,
    `neighbour fd00:5:0:${n}:: dev flannel-v6.1 lladdr ${macOf("06", mac)}`,
    `fdb ${macOf("06", mac)} dev flannel-v6.1 dst fd00:a::${host}`,
  ];
}

/** A plain route in each family. */
export function direct(n: number, { host = n }: PeerOptions = {}): string[] {
  return [
    `route 10.5.${n}.0/24 via 192.0.2.${host} dev eth0 proto 143`,
    `route fd00:5:0:${n}::/64 via fd00:a::${host} dev eth0 proto 143`,
  ];
}
