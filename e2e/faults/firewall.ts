// The firewall plugin behind something that has made a bridge and given addresses: it looks at neither.
import { newHost } from "../host.ts";
import type { Subject } from "./faults.ts";

export function firewall(t: Parameters<typeof newHost>[0], backend: "iptables" | "nftables"): Subject {
  const prevResult = {
    cniVersion: "1.1.0",
    interfaces: [{ name: "br0" }],
    ips: [{ address: "10.1.0.2/24" }, { address: "fd00:1::2/64" }],
  };
  const conf = { cniVersion: "1.1.0", name: "net", type: "firewall", backend, ingressPolicy: "isolated", prevResult };
  return { node: newHost(t), plugin: "firewall", conf };
}
