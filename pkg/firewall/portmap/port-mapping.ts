/** Ports of a container that are reached through ports of the host, as values: what both backends make true. */
import type { Address, Prefix } from "../../ip/address.ts";
import { IPPROTO_SCTP, IPPROTO_TCP, IPPROTO_UDP } from "../iptables/rule.ts";
import type { Family } from "../iptables/xtables.ts";
import type { Owner } from "../upstream-names.ts";

export type Protocol = "tcp" | "udp" | "sctp";

export interface PortMapping {
  protocol: Protocol;
  hostPort: number;
  containerPort: number;
  /** The one address of the host that it is about; undefined for all. */
  hostIp: Address | undefined;
  /** The only family that it is about, also where `hostIp` is none: `0.0.0.0`. */
  family: Family | undefined;
}

/** What a container publishes in one family. */
export interface MappingSet {
  owner: Owner;
  family: Family;
  /** The container's address, with the length of its network's prefix. */
  container: Prefix;
  /** Of both families, in the order of the configuration: `mappingsFor`. */
  mappings: readonly PortMapping[];
  /** Masquerade what comes from the container's own network and from the host's loopback, which would not find its way back. */
  snat: boolean;
  /** Masquerade everything. */
  masqAll: boolean;
  /** The bit of the packet mark that asks for masquerade. */
  mark: number;
  /** iptables only: a chain of somebody else sets the mark, and masquerades. */
  externalSetMarkChain: string | undefined;
  /** Further matches, in the backend's words. */
  conditions: readonly string[];
}

export const mappingsFor = ({ mappings, family }: Pick<MappingSet, "mappings" | "family">): readonly PortMapping[] =>
  mappings.filter((mapping) => mapping.family === undefined || mapping.family === family);

export const PROTOCOL_NUMBERS: Readonly<Record<Protocol, number>> = {
  tcp: IPPROTO_TCP,
  udp: IPPROTO_UDP,
  sctp: IPPROTO_SCTP,
};

export function protocolOf(number: number | undefined): Protocol | undefined {
  return (Object.keys(PROTOCOL_NUMBERS) as Protocol[]).find((name) => PROTOCOL_NUMBERS[name] === number);
}

/** A port of the host, as a rule or an element has it. */
export type HostPort = Pick<PortMapping, "protocol" | "hostPort" | "hostIp">;
