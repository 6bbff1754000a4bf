// flannel with bridge and host-local in the same process, as the fault tests call it.
import { newHost } from "../host.ts";
import type { Subject } from "./faults.ts";

const conf = { cniVersion: "1.1.0", name: "net", type: "flannel", subnetFile: "/var/lib/flannel/subnet.env" };
const subnetFile = [
  "FLANNEL_NETWORK=10.1.0.0/16",
  "FLANNEL_SUBNET=10.1.17.1/24",
  "FLANNEL_IPV6_NETWORK=fd00:1::/48",
  "FLANNEL_IPV6_SUBNET=fd00:1:0:17::1/64",
  "FLANNEL_MTU=1450",
  "FLANNEL_IPMASQ=true",
];

export function flannel(t: Parameters<typeof newHost>[0]): Subject {
  const node = newHost(t);
  node.write(conf.subnetFile, `${subnetFile.join("\n")}\n`);
  return { node, plugin: "flannel", conf };
}
