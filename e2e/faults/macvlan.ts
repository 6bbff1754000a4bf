// macvlan with host-local and hostAccess, as the fault tests call it.
import { newHost } from "../host.ts";
import type { Subject, SystemCall } from "./faults.ts";

const conf = {
  cniVersion: "1.1.0",
  name: "net",
  type: "macvlan",
  master: "uplink",
  hostAccess: true,
  ipam: { type: "host-local", ranges: [[{ subnet: "10.1.0.0/24" }]] },
};

export function macvlan(t: Parameters<typeof newHost>[0]): Subject {
  const node = newHost(t);
  node.sh("ip link add uplink type veth peer name far; ip link set uplink up; ip link set far up");
  node.containers[0]?.sh("echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad");
  return { node, plugin: "macvlan", conf };
}

/** To be killed before any other call leaves the same as to be killed before the next one of these. */
export const isChange = ({ name }: SystemCall): boolean =>
  !["clock_gettime", "close", "fcntl", "getrandom", "read", "recvfrom", "setsockopt", "statfs", "statx"].includes(name);
