// Deletes conntrack entries when a port mapping changes. Packets of a tracked flow go to where its first packet went, however long ago that
// was: a UDP client that keeps its source port (or an SCTP association that lasts) would never reach the port's new container. After the
// deletion, the next packet is translated by the present rules.

import { type Address, formatAddress } from "../../ip/address.ts";
import { type Connection, connect, NETLINK_NETFILTER, query, type Request, request } from "../../netlink/connection.ts";
import {
  FILTER_IP_DST,
  FILTER_PROTO_DST_PORT,
  FILTER_PROTO_NUM,
  type FlowMessage,
  flowMessage,
  IPCTNL_MSG_CT_DELETE,
  IPCTNL_MSG_CT_GET,
} from "../../netlink/conntrack/flow.ts";
import { IPS_DST_NAT } from "../../netlink/nftables/expression/ct.ts";
import { isErrno } from "../../sys/errno.ts";
import { type Family, nfproto } from "../family.ts";
import { type HostPort, PROTOCOL_NUMBERS } from "./port-mapping.ts";

/** Selects flows to a port of this host. */
export interface FlowsTo extends HostPort {
  family: Family;
  /** Selects only flows that are translated to this container; otherwise all to the port, translated or not. */
  container?: Address | undefined;
}

/** Reports whether a flow of the protocol can stay in conntrack beyond what its client regards as a connection. */
export const keepsFlows = ({ protocol }: HostPort): boolean => protocol !== "tcp";

/**
 * The number of ports above which all flows of the protocol are read at once: for each filtered dump the kernel walks through its whole
 * table.
 */
const SEPARATE_LOOKS = 16;

/**
 * Deletes the flows to the targets, where their protocol keeps flows.
 *
 * @param isLocal Reports whether an address is one of this host's: forwarded flows to the same port number elsewhere are left alone.
 * @throws NetlinkError the kernel has no netlink interface to connection tracking
 */
export function deleteFlows(
  targets: readonly FlowsTo[],
  isLocal: (address: Address) => boolean,
  open = () => connect(NETLINK_NETFILTER),
): void {
  const wanted = targets.filter(keepsFlows);
  if (wanted.length === 0) return;
  const netfilter = open();
  const families = new Set(wanted.map(({ family, protocol }) => `${family} ${protocol}`));
  for (const name of families) {
    const group = wanted.filter(({ family, protocol }) => `${family} ${protocol}` === name);
    const [first, ...others] = group;
    if (first === undefined) continue;
    const flows =
      others.length < SEPARATE_LOOKS
        ? group.flatMap((target) => listFlows(netfilter, target, { exactly: true }))
        : listFlows(netfilter, first);
    const ports = new Set(group.map(({ hostPort }) => hostPort));
    const toDelete = flows
      .filter((flow) => ports.has(portOf(flow)))
      .filter((flow) => group.some((target) => target.hostPort === portOf(flow) && isMeant(flow, target, isLocal)));
    for (const refusal of netfilter.attemptAll(toDelete.map(deleteFlow))) {
      if (refusal !== undefined && !isErrno(refusal, "ENOENT")) throw refusal; // it may have ended by itself
    }
  }
}

/**
 * Returns flows of the protocol.
 *
 * @param exactly Only those to the target's port and address; older kernels cannot filter and return all.
 */
function listFlows(
  netfilter: Connection,
  { family, protocol, hostPort, hostIp }: FlowsTo,
  { exactly = false } = {},
): FlowMessage[] {
  const number = PROTOCOL_NUMBERS[protocol];
  const address = exactly ? hostIp : undefined;
  return netfilter
    .dump(
      query({
        name: "IPCTNL_MSG_CT_GET",
        type: IPCTNL_MSG_CT_GET,
        table: flowMessage,
        value: {
          family: nfproto[family],
          original: {
            ip: address === undefined ? {} : family === "ip" ? { destination4: address } : { destination6: address },
            protocol: { number, ...(exactly && { destinationPort: hostPort }) },
          },
          filter: {
            originalFlags:
              FILTER_PROTO_NUM | (exactly ? FILTER_PROTO_DST_PORT : 0) | (address === undefined ? 0 : FILTER_IP_DST),
          },
        },
      }),
    )
    .filter(({ original }) => original?.protocol?.number === number);
}

const portOf = ({ original }: FlowMessage): number => original?.protocol?.destinationPort ?? 0;

function isMeant(
  { original, reply, status = 0 }: FlowMessage,
  { hostIp, container }: FlowsTo,
  isLocal: (address: Address) => boolean,
): boolean {
  const to = original?.ip?.destination4 ?? original?.ip?.destination6;
  const from = reply?.ip?.source4 ?? reply?.ip?.source6;
  if (to === undefined || from === undefined) return false;
  if (hostIp !== undefined && !isSame(to, hostIp)) return false;
  if ((status & IPS_DST_NAT) !== 0) return container === undefined || isSame(from, container);
  return container === undefined && (hostIp !== undefined || isLocal(to));
}

const isSame = (one: Address, other: Address): boolean => formatAddress(one) === formatAddress(other);

function deleteFlow({ family, original, id, zone }: FlowMessage): Request {
  return request({
    name: "IPCTNL_MSG_CT_DELETE",
    type: IPCTNL_MSG_CT_DELETE,
    table: flowMessage,
    value: { family, original, zone, id },
  });
}
