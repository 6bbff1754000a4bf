/** forwarding: containers are alive whose network the host is the gateway of, and the host does not forward. */
import { enableForwarding } from "../../../pkg/link/sysctl.ts";
import { type Check, type Finding, isRouted } from "./finding.ts";

export const forwarding: Check = {
  id: "forwarding",
  find(node) {
    const routed = new Set(node.networks.filter(isRouted).map(({ name }) => name));
    const alive = node.attachments.filter(({ entry, state }) => state === "alive" && routed.has(entry.networkName));
    const names = [...new Set(alive.map(({ entry }) => entry.networkName))];
    if (names.length === 0 || node.sysctl("ipv4/ip_forward") !== "0") return [];
    return [findingFor(names, alive.length)];
  },
};

function findingFor(networks: readonly string[], containers: number): Finding {
  return {
    id: "forwarding",
    severity: "error",
    text: `the host does not forward IPv4, and is the gateway of ${containers} running attachments`,
    evidence: ["net.ipv4.ip_forward is 0", `networks: ${networks.join(", ")}`],
    remedy: "sysctl -w net.ipv4.ip_forward=1, and find what sets it to 0: look in /etc/sysctl.conf and /etc/sysctl.d",
    fix: { text: "set net.ipv4.ip_forward to 1", run: () => enableForwarding("ipv4") },
  };
}
