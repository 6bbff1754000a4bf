/** The lease in a server's ACK: an address with its times and options. Pure; a plain value, so that it can be stored in a file. */

import { hex } from "../bytes/hex.ts";
import type { Result, Route } from "../cni/result.ts";
import { formatAddress } from "../ip/address.ts";
import type { Message } from "./message.ts";
import { readOption, type StaticRoute } from "./option.ts";

export interface Lease {
  address: string;
  prefixLength: number;
  /** Option 54: the address that renewals and the release are sent to. */
  server: string;
  /** The MAC that its answer came from, the server's or a relay's, in hexadecimal. */
  serverMac: string;
  routers: readonly string[];
  classlessRoutes?: readonly StaticRoute[];
  staticRoutes?: readonly StaticRoute[];
  nameServers?: readonly string[];
  domainName?: string;
  domainSearch?: readonly string[];
  mtu?: number;
  /** T1, by the clock of the state machine. */
  renewAtMs: number;
  rebindAtMs: number;
  expireAtMs: number;
}

/** RFC 2131, section 4.4.5. */
const T1_PART = 0.5;
const T2_PART = 0.85; // as the reference; RFC 2131 has 0.875
/** The lease time if the server gives none. */
const DEFAULT_LEASE_MS = 60 * 60 * 1000;
const SHORTEST_LEASE_MS = 1000;

/** @returns a sentence if the ACK lacks a required option */
export function leaseOf(ack: Message, serverMac: Uint8Array, nowMs: number): Lease | string {
  const prefixLength = readOption(ack.options, "subnetMask");
  const server = readOption(ack.options, "server");
  if (prefixLength === undefined) return "DHCP option Subnet Mask not found in DHCPACK";
  if (server === undefined) return "DHCP option Server Identifier not found in DHCPACK";
  const { options } = ack;
  return {
    address: formatAddress(ack.yourAddress),
    prefixLength,
    server,
    serverMac: hex(serverMac),
    routers: readOption(options, "routers") ?? [],
    ...given("classlessRoutes", readOption(options, "classlessRoutes")),
    ...given("staticRoutes", readOption(options, "staticRoutes")),
    ...given("nameServers", readOption(options, "nameServers")),
    ...given("domainName", domainOf(readOption(options, "domainName"))),
    ...given("domainSearch", readOption(options, "domainSearch")),
    ...given("mtu", readOption(options, "mtu")),
    ...timesOf(ack, nowMs),
  };
}

function timesOf({ options }: Message, nowMs: number): Pick<Lease, "renewAtMs" | "rebindAtMs" | "expireAtMs"> {
  const seconds = readOption(options, "leaseSeconds");
  const leaseMs = seconds === undefined ? DEFAULT_LEASE_MS : Math.max(seconds * 1000, SHORTEST_LEASE_MS);
  const rebindMs = within(leaseMs, readOption(options, "rebindingSeconds")) ?? leaseMs * T2_PART;
  const renewMs = within(rebindMs, readOption(options, "renewalSeconds")) ?? Math.min(leaseMs * T1_PART, rebindMs);
  return { renewAtMs: nowMs + renewMs, rebindAtMs: nowMs + rebindMs, expireAtMs: nowMs + leaseMs };
}

/** Returns a server's T1 or T2 in milliseconds if it is within its limit. */
const within = (limitMs: number, seconds: number | undefined): number | undefined =>
  seconds !== undefined && seconds > 0 && seconds * 1000 <= limitMs ? seconds * 1000 : undefined;

/** Returns the domain if it is valid in a resolv.conf. */
const domainOf = (name: string | undefined): string | undefined =>
  name !== undefined && /^[A-Za-z0-9._-]+$/.test(name) ? name : undefined;

const SCOPE_LINK = 253;

/** Makes the IPAM result. With classless routes, the other routes and the default route by the router are ignored (RFC 3442). */
export function resultOf(lease: Lease, priority: number | undefined): Result {
  const [gateway] = lease.routers;
  const metric = priority ? { priority } : {};
  return {
    interfaces: [],
    ips: [{ address: `${lease.address}/${lease.prefixLength}`, ...(gateway !== undefined && { gateway }) }],
    routes: routesOf(lease).map((route) => ({ ...route, ...metric })),
    ...dnsOf(lease),
  };
}

function routesOf({ classlessRoutes, staticRoutes = [], routers }: Lease): Route[] {
  if (classlessRoutes !== undefined) {
    return classlessRoutes.map(({ destination, router }) => ({
      dst: destination,
      gw: router,
      ...(router === "0.0.0.0" && { scope: SCOPE_LINK }),
    }));
  }
  const [gateway] = routers;
  return [
    ...staticRoutes.map(({ destination, router }) => ({ dst: destination, gw: router })),
    ...(gateway === undefined ? [] : [{ dst: "0.0.0.0/0", gw: gateway }]),
  ];
}

function dnsOf({ nameServers, domainName, domainSearch }: Lease): Pick<Result, "dns"> {
  if (nameServers === undefined && domainName === undefined && domainSearch === undefined) return {};
  return {
    dns: {
      ...given("nameservers", nameServers),
      ...given("domain", domainName),
      ...given("search", domainSearch),
    },
  };
}

const given = <Key extends string, Value>(key: Key, value: Value | undefined): { [key in Key]?: Value } =>
  (value === undefined ? {} : { [key]: value }) as { [key in Key]?: Value };
