/** Why something was not reached, by what the kernel says about it, and what to do. Pure. */
import { Errno } from "../../../pkg/sys/errno.ts";

/** What is known of a probe that failed. */
export interface Failure {
  /** Of the socket; undefined: no answer came in time. */
  errno: number | undefined;
  protocol: "icmp" | "tcp";
  hasRoute: boolean;
  /** Whether the neighbour that packets go to has a MAC; undefined: it has not been asked for one. */
  isResolved: boolean | undefined;
  /** What packets go to: the address, or the gateway of the route. */
  nextHop: string;
}

export interface Reason {
  reason: string;
  remedy: string;
}

/** The container has ended since it was listed. */
export const GONE: Reason = {
  reason: "its namespace is gone",
  remedy: "the container has ended meanwhile: run twill ping again",
};

export function reasonOf({ errno, protocol, hasRoute, isResolved, nextHop }: Failure): Reason {
  if (errno === Errno.ECONNREFUSED)
    return {
      reason: "refused: nothing listens at the port, or a firewall rejects it",
      remedy: "start what should listen there, or see the rules on the way: nft list ruleset",
    };
  if (!hasRoute)
    return {
      reason: "no route",
      remedy:
        'give the network a default route ("isDefaultGateway" of bridge, "routes" of the IPAM plugin); for IPv6, a subnet of IPv6',
    };
  if (errno === Errno.ENETUNREACH)
    return {
      reason: "a router on the way has no route to it",
      remedy: "add the route where packets are forwarded, on this host first: ip route get ADDRESS",
    };
  if (errno === Errno.EACCES || errno === Errno.EPERM)
    return {
      reason: "forbidden by a rule of the sender, or a prohibit route",
      remedy: "look inside the container's namespace: nft list chain, ip route get",
    };
  if (isResolved === false)
    return {
      reason: `${nextHop} does not answer ARP or neighbour discovery`,
      remedy:
        "it is gone or down, or frames are lost on the way: is its link up (ip link), a port of the same bridge and VLAN (bridge vlan), not isolated",
    };
  if (errno === Errno.EHOSTUNREACH)
    return {
      reason: "a host or router on the way says that it is unreachable or forbidden",
      remedy: "look at the routes and the rules of the host that forwards: ip route, nft list ruleset; twill doctor",
    };
  if (errno !== undefined)
    return { reason: `the kernel says errno ${errno}`, remedy: "see the kernel's log; run it as root" };
  return {
    reason: "no answer: dropped on the way there or back",
    remedy: `see forwarding and firewalls with twill doctor${protocol === "icmp" ? "; some hosts answer no ICMP: try ADDRESS:PORT" : ""}`,
  };
}
