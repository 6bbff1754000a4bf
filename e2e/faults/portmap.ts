// A container with a TCP and a UDP port behind a bridge, as the fault tests publish it.
import { newHost } from "../host.ts";
import type { Subject } from "./faults.ts";

const ipam = { type: "host-local", ranges: [[{ subnet: "10.1.0.0/24" }], [{ subnet: "fd00:1::/64" }]] };

export function portmap(t: Parameters<typeof newHost>[0], backend: "iptables" | "nftables"): Subject {
  const node = newHost(t);
  const bridge = { cniVersion: "1.1.0", name: "net", type: "bridge", bridge: "br0", isGateway: true, ipam };
  const { stdout: prevResult } = node.cni("bridge", "ADD", bridge);
  const portMappings = [
    { hostPort: 8080, containerPort: 80, protocol: "tcp" },
    { hostPort: 53, containerPort: 53, protocol: "udp", hostIP: "192.0.2.1" },
  ];
  const conf = {
    cniVersion: "1.1.0",
    name: "net",
    type: "portmap",
    backend,
    prevResult,
    runtimeConfig: { portMappings },
  };
  return { node, plugin: "portmap", conf };
}
