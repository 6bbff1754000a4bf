// What is recorded of each build: plugins and backends, each as a network to which containers are attached.
import type { Feature } from "../needs.ts";

export interface Case {
  /** The plugins of the network "net". */
  plugins: readonly object[];
  /** How many containers are attached by the build; more than one, so that each can be deleted in another way. */
  attached: number;
  /** Run on the host before. */
  prepare?: string;
  /** CAP_ARGS of a container. */
  capabilities?(container: number): object;
  needs?: readonly Feature[];
  /** The host's iptables are the legacy ones. */
  isLegacy?: true;
}

/** With each of them: DEL with and without the cached result, DEL and GC when the namespace is gone, GC when the result is lost. */
const EVERY_WAY = 5;

const dualStack = { type: "host-local", ranges: [[{ subnet: "10.1.0.0/24" }], [{ subnet: "fd00:1::/64" }]] };
const bridge = {
  type: "bridge",
  bridge: "net0",
  isDefaultGateway: true,
  ipMasq: true,
  hairpinMode: true,
  ipam: dualStack,
};
const ports = (container: number) => ({
  portMappings: [
    { hostPort: 8000 + container, containerPort: 80, protocol: "tcp" },
    { hostPort: 8000 + container, containerPort: 53, protocol: "udp", hostIP: "192.0.2.1" },
  ],
});

const published = (backend: "iptables" | "nftables") => ({
  plugins: [
    { ...bridge, ipMasqBackend: backend },
    { type: "portmap", backend, capabilities: { portMappings: true } },
  ],
  capabilities: ports,
  attached: EVERY_WAY,
});

export const cases: Record<string, Case> = {
  "bridge-portmap-nftables": published("nftables"),
  "bridge-portmap-iptables": published("iptables"),
};
