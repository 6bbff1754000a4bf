// bandwidth behind bridge.
import { newHost } from "../host.ts";
import { needsKernel } from "../needs.ts";
import type { Subject } from "./faults.ts";

const ipam = { type: "host-local", ranges: [[{ subnet: "10.1.0.0/24" }]] };
const limits = { ingressRate: 8_000_000, ingressBurst: 800_000, egressRate: 8_000_000, egressBurst: 800_000 };
export const needed = needsKernel("ifb", "tbf");

export function bandwidth(t: Parameters<typeof newHost>[0]): Subject {
  const node = newHost(t);
  const bridge = { cniVersion: "1.1.0", name: "net", type: "bridge", bridge: "br0", ipam };
  const { stdout: prevResult } = node.cni("bridge", "ADD", bridge);
  const port = (prevResult as { interfaces: { name: string }[] }).interfaces[1]?.name;
  const conf = { cniVersion: "1.1.0", name: "net", type: "bandwidth", prevResult, ...limits };
  const afterDel = () => node.sh(`tc qdisc del dev ${port} root || true; tc qdisc del dev ${port} ingress || true`);
  return { node, plugin: "bandwidth", conf, afterDel };
}
