/** Port mappings as values, the input of both backends. */

import type { AttachmentId } from "../../cni/attachment-id.ts";
import type { Address, Prefix } from "../../ip/address.ts";
import type { Family } from "../family.ts";
import { IPPROTO_SCTP, IPPROTO_TCP, IPPROTO_UDP } from "../iptables/rule.ts";

export type Protocol = "tcp" | "udp" | "sctp";

export interface PortMapping {
  protocol: Protocol;
  hostPort: number;
  containerPort: number;
  /** The address of the host whose port is mapped; undefined for all addresses. */
  hostIp: Address | undefined;
  /** The only family of the mapping; undefined for both. It can be given without `hostIp`: `0.0.0.0` means all addresses of IPv4. */
  family: Family | undefined;
}

/** The mappings of an attachment in one family. */
export interface MappingSet {
  owner: AttachmentId;
  family: Family;
  /** The container's address, with the prefix length of its network. */
  container: Prefix;
  /** The mappings of both families, in the order of the configuration; see `mappingsFor`. */
  mappings: readonly PortMapping[];
  /**
   * Whether to masquerade packets from the container's own network and from the host's loopback, since their replies would not come back.
   */
  snat: boolean;
  /** Whether to masquerade packets from everywhere. */
  masqAll: boolean;
  /** The bit of the packet mark that means "masquerade". */
  mark: number;
  /** iptables only: a chain of another program that sets the mark; that program also masquerades. */
  externalSetMarkChain: string | undefined;
  /** Further matches, in the backend's syntax. */
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

/** A port of the host as a rule or an element has it. */
export type HostPort = Pick<PortMapping, "protocol" | "hostPort" | "hostIp">;
