/** Checks the prerequisites on this host before anything is changed. */
import { findText } from "../../pkg/sys/file.ts";
import { loadModule } from "../../pkg/sys/kernel-module.ts";

export interface Needs {
  /** Rules are made with iptables, which sees bridged packets only with br_netfilter. */
  bridgedTraffic: boolean;
  /** Whether `--require-br-netfilter` is given. */
  requireBrNetfilter: boolean;
}

/** Access to the host; tests replace it. */
export interface HostFacts {
  /** Reads a file; undefined: it does not exist. */
  findText(path: string): string | undefined;
  /** Loads a kernel module. @returns why it failed; undefined: it is loaded */
  loadModule(name: string): string | undefined;
}

/** The daemon cannot work here. `message` has the remedy. */
export class PrerequisiteMissing extends Error {
  override name = "PrerequisiteMissing";
}

/**
 * @returns warnings about what may not work, each a sentence with its remedy
 * @throws PrerequisiteMissing
 */
export function checkPrerequisites(needs: Needs, host: HostFacts = thisHost): string[] {
  const warnings = forwardingWarnings(host);
  const problem = needs.bridgedTraffic ? ensureBrNetfilter(host) : undefined;
  if (problem === undefined) return warnings;
  if (needs.requireBrNetfilter) throw new PrerequisiteMissing(problem);
  return [...warnings, problem];
}

/** linux/capability.h: the number of the bit. */
const CAP_NET_ADMIN = 12n;

/** Checks for CAP_NET_ADMIN, without which nothing works, before anything else. @throws PrerequisiteMissing */
export function needNetworkAdmin(host: Pick<HostFacts, "findText"> = thisHost): void {
  const [, capabilities] = /^CapEff:\s*([\da-f]+)$/m.exec(host.findText("/proc/self/status") ?? "") ?? [];
  if (capabilities === undefined || (BigInt(`0x${capabilities}`) >> CAP_NET_ADMIN) & 1n) return;
  throw new PrerequisiteMissing(
    "flanneld may not configure the network: it lacks CAP_NET_ADMIN. To fix: run it as root, or give it the capability (systemd: AmbientCapabilities=CAP_NET_ADMIN; containers: --cap-add NET_ADMIN)",
  );
}

/** @returns what is wrong; undefined: bridged packets traverse the rules */
function ensureBrNetfilter(host: HostFacts): string | undefined {
  if (host.findText(bridgeSetting) !== undefined) return undefined;
  const refusal = host.loadModule("br_netfilter");
  if (refusal === undefined && host.findText(bridgeSetting) !== undefined) return undefined;
  return `kernel module br_netfilter is not loaded (${refusal ?? "modprobe succeeded, but the kernel does not have the setting"}): iptables does not see packets between containers of one bridge. To fix: run modprobe br_netfilter on the host, and add it to /etc/modules-load.d/, or set "EnableNFTables": true in the network configuration`;
}
const bridgeSetting = "/proc/sys/net/bridge/bridge-nf-call-iptables";

/** Warns if IPv4 forwarding is off: the CNI plugins enable it with the first container; other runtimes may not. */
function forwardingWarnings(host: HostFacts): string[] {
  if (host.findText("/proc/sys/net/ipv4/ip_forward")?.trim() !== "0") return [];
  return [
    "net.ipv4.ip_forward is 0: until it is 1, this host does not forward packets between its containers and other hosts. To fix: sysctl -w net.ipv4.ip_forward=1 (plugin bridge does so for its first container)",
  ];
}

const thisHost: HostFacts = { findText, loadModule };
