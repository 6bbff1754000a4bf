// host-device with host-local, as the fault tests call it.
import { newHost } from "../host.ts";
import { filesBelow } from "../snapshot.ts";
import { type Subject, withoutRoundRobin } from "./faults.ts";

const conf = {
  cniVersion: "1.1.0",
  name: "net",
  type: "host-device",
  device: "dev0",
  dataDir: "/var/lib/host-device",
  ipam: { type: "host-local", ranges: [[{ subnet: "10.1.0.0/24" }]] },
};

/** The device is down from the start, as DEL leaves it. */
export function hostDevice(t: Parameters<typeof newHost>[0]): Subject {
  const node = newHost(t);
  node.sh("ip link add dev0 type veth peer name peer0; ip link set dev0 alias 'to the storage'");
  const look = () => ({
    links: [node, ...node.containers].map(({ sh }) => sh("ip -o address; ip -o link").split("\n")),
    ...withoutRoundRobin({ namespaces: {}, files: filesBelow(node.varLib) }),
  });
  return { node, plugin: "host-device", conf, look };
}
