/** Diagnoses problems of this host's membership in the cluster from collected facts. Pure. */

import { formatSubnets, type Lease } from "../../../pkg/cluster/lease/lease.ts";
import type { LeaseRemedies } from "../../../pkg/cluster/lease/manager.ts";
import { overlappingLeases } from "../../../pkg/cluster/lease/overlaps.ts";
import { type Address, formatAddress, isIPv4 } from "../../../pkg/ip/address.ts";
import type { DaemonState } from "../../../pkg/subnet-env/daemon-state.ts";
import type { Problem } from "./format.ts";
import type { PingResult } from "./ping.ts";

export interface DiagnosisInput {
  state: DaemonState;
  store: { description: string; remedies: StoreRemedies; trouble: string | undefined };
  /** undefined: no lease yet */
  member: NetworkFacts | undefined;
}

type StoreRemedies = Pick<LeaseRemedies, "malformed" | "overlap" | "severalLeases">;

export interface NetworkFacts {
  own: Lease;
  /** As configured: the leases of udp and alloc do not have it. */
  backendType: string;
  /** The counters of a data path in user space. */
  counters: Readonly<Record<string, number>> | undefined;
  /** The backend's MTU, which FLANNEL_MTU must have. */
  mtu: number;
  /** Whether "MTU" in Backend sets it; else it follows the external interface's. */
  hasMtuKey: boolean;
  /** The bytes that the backend adds to each packet. */
  overheadBytes: number;
  /** The backend's advice for a peer that does not answer. */
  adviceWhenSilent: string;
  external: { name: string; mtu: number };
  /** The backend's devices, found by name; without `mtu`: the device is missing. */
  devices: readonly { name: string; wantedMtu: number; mtu: number | undefined }[];
  subnetFile: { path: string; text: string | undefined };
  peers: readonly Lease[];
  /** The results of pings; fewer than peers if some cannot be pinged. */
  probes: readonly PeerPing[] | "not permitted";
  /** Keys in the store that are not leases, with the reason. */
  malformed: ReadonlyMap<string, string>;
  /** The difference of the store's network configuration to the one in use. */
  configProblem: Problem | undefined;
  /** Why the backend cannot adapt to a change of the external interface. */
  interfaceProblem: Problem | undefined;
  /** The backend's list of missing kernel entries. */
  missing: readonly string[];
  /** The backend's list of problems that a repair cannot correct. */
  obstacles: readonly Problem[];
  /** The ports of the backend that a firewall of this host closes for other hosts: the firewall, and the command that opens the port. */
  closedPorts: readonly { port: number; by: string; command: string }[];
  /** How long before its expiry a lease is renewed. */
  renewMarginMs: number;
  nowMs: number;
}

export interface PeerPing {
  peer: Lease;
  address: Address;
  /** The size of the larger packet in bytes. */
  size: number;
  answer: PingResult;
}

export function diagnose({ state, store, member }: DiagnosisInput): Problem[] {
  return [
    ...stateProblems(state, store),
    ...storeProblems(store),
    ...(member
      ? [
          ...(member.configProblem ? [member.configProblem] : []),
          ...(member.interfaceProblem ? [member.interfaceProblem] : []),
          ...mtuProblems(member),
          ...entryProblems(member),
          ...member.closedPorts.map(closedPortProblem),
          ...leaseProblems(member, store.remedies),
          ...malformedProblems(member, store.remedies),
          ...reachProblems(member),
        ]
      : []),
  ];
}

function stateProblems({ state, reason }: DaemonState, { trouble }: DiagnosisInput["store"]): Problem[] {
  if (state === "waiting")
    return [
      reason === trouble
        ? {
            text: "this host has no subnet yet",
            remedy: "see the next problem; flanneld continues by itself when the store answers",
          }
        : {
            text: `this host has no subnet yet: ${reason}`,
            remedy: "see the reason; flanneld continues by itself when it no longer applies",
          },
    ];
  if (state === "lost")
    return [
      {
        text: `this host has lost its lease: ${reason}`,
        remedy:
          "its containers may have the same addresses as another host's: see which host has the subnet now, then restart flanneld",
      },
    ];
  return [];
}

function storeProblems({ description, trouble }: DiagnosisInput["store"]): Problem[] {
  if (trouble === undefined) return [];
  return [
    {
      text: `the store (${description}) does not answer: ${trouble}`,
      remedy:
        "check that it runs and can be reached from here; until then existing routes stay, and changes of other hosts are not seen",
    },
  ];
}

function mtuProblems({ backendType, mtu, overheadBytes, external, devices, subnetFile }: NetworkFacts): Problem[] {
  const problems: Problem[] = [];
  const room = external.mtu - overheadBytes;
  if (mtu > room)
    problems.push({
      text: `containers send packets of up to ${mtu} bytes, but interface ${external.name} (MTU ${external.mtu}) carries at most ${room} with ${backendType}`,
      remedy: `lower "MTU" in the Backend of the network configuration, or raise it on ${external.name}; then restart flanneld`,
    });
  for (const device of devices) {
    if (device.mtu === undefined)
      problems.push({
        text: `device ${device.name} is missing`,
        remedy: "flanneld creates it again within seconds; if it does not, its log says why",
      });
    else if (device.mtu !== device.wantedMtu)
      problems.push({
        text: `device ${device.name} has MTU ${device.mtu}, must have ${device.wantedMtu}`,
        remedy: `flanneld sets it within seconds; if it does not: ip link set ${device.name} mtu ${device.wantedMtu}`,
      });
  }
  return [...problems, ...fileProblems(subnetFile, mtu)];
}

function fileProblems({ path, text }: NetworkFacts["subnetFile"], mtu: number): Problem[] {
  const remedy = "restart flanneld, which writes the file";
  if (text === undefined) return [{ text: `subnet file ${path} is missing: no container can be attached`, remedy }];
  const [, found] = /^FLANNEL_MTU=(.*)$/m.exec(text) ?? [];
  if (found === String(mtu)) return [];
  const has = found === undefined ? "no FLANNEL_MTU" : `FLANNEL_MTU ${found}`;
  return [{ text: `subnet file ${path} has ${has}, must have ${mtu}`, remedy }];
}

const entryProblems = ({ missing, obstacles }: NetworkFacts): Problem[] => [
  ...missing.map((text) => ({
    text,
    remedy: "flanneld repairs it within seconds; if it does not, its log says what the kernel refuses",
  })),
  ...obstacles,
];

const closedPortProblem = ({ port, by, command }: NetworkFacts["closedPorts"][number]): Problem => ({
  text: `${by} drops what other hosts send to UDP port ${port}: containers of other hosts do not reach those of this one`,
  remedy: command,
});

function leaseProblems({ own, peers, renewMarginMs, nowMs }: NetworkFacts, remedies: StoreRemedies): Problem[] {
  const known = peers.filter((peer) => leaseEnd(peer, nowMs) !== "unknown");
  const late = [own, ...known].flatMap((lease) => {
    const leftMs = (lease.expiresMs ?? Number.POSITIVE_INFINITY) - nowMs;
    return leftMs < renewMarginMs / 2 ? [{ lease, leftMs }] : [];
  });
  return [...late.map(lateProblem), ...twins([own, ...peers], remedies), ...overlapProblems(peers, remedies)];
}

/**
 * Returns the expiry of another host's lease, milliseconds since 1970. A lease that exists has not expired: an expiry in the past means
 * that the store does not know it.
 */
export function leaseEnd({ expiresMs }: Lease, nowMs: number): number | "never" | "unknown" {
  if (expiresMs === undefined) return "never";
  return expiresMs > nowMs ? expiresMs : "unknown";
}

/** Makes the problem of a lease with less than half of the margin left, which never happens if the host renews in time. */
function lateProblem({ lease, leftMs }: { lease: Lease; leftMs: number }): Problem {
  const when = leftMs <= 0 ? `ended ${duration(-leftMs)} ago` : `ends in ${duration(leftMs)}`;
  return {
    text: `the lease of ${nameOf(lease)} ${when} and has not been renewed`,
    remedy: "check that flanneld runs there and reaches the store; if the host was removed, nothing needs to be done",
  };
}

function duration(ms: number): string {
  const seconds = Math.round(ms / 1000);
  return seconds < 120 ? `${seconds} s` : `${Math.round(seconds / 60)} min`;
}

/** Finds public IPs with several leases, of which usually all but one are left over. */
function twins(leases: readonly Lease[], { severalLeases }: StoreRemedies): Problem[] {
  const byAddress = new Map<string, Lease[]>();
  for (const lease of leases) {
    const address = publicAddressOf(lease);
    if (address !== undefined) byAddress.set(address, [...(byAddress.get(address) ?? []), lease]);
  }
  return [...byAddress]
    .filter(([, group]) => group.length > 1)
    .map(([address, group]) => ({
      text: `${address} has ${group.length} leases: ${group.map(formatSubnets).join(" and ")}`,
      remedy: severalLeases,
    }));
}

/** Our own lease is not compared: what overlaps it counts as malformed. */
const overlapProblems = (peers: readonly Lease[], { overlap }: StoreRemedies): Problem[] =>
  overlappingLeases(peers).map(([one, other]) => ({
    text: `the lease of ${nameOf(one)} overlaps that of ${nameOf(other)}: one of the two hosts cannot be reached, or only in part`,
    remedy: overlap,
  }));

const malformedProblems = ({ malformed }: NetworkFacts, remedies: StoreRemedies): Problem[] =>
  [...malformed].map(([key, reason]) => ({
    text: `key ${JSON.stringify(key)} in the store is ignored: ${reason}`,
    remedy: `${remedies.malformed}; until then its host cannot be reached`,
  }));

function reachProblems(member: NetworkFacts): Problem[] {
  if (member.probes === "not permitted")
    return [
      {
        text: "the other hosts were not pinged: flanneld lacks CAP_NET_RAW",
        remedy: "give it the capability, or run it as root",
      },
    ];
  return member.probes.flatMap((probe) => reachProblem(probe, member));
}

function reachProblem(
  { peer, address, size, answer }: PeerPing,
  { external, adviceWhenSilent, hasMtuKey }: NetworkFacts,
): Problem[] {
  const asked = formatAddress(address);
  const { name, mtu } = external;
  if (answer === "yes") return [];
  if (answer === "small packets")
    return [
      {
        text: `${nameOf(peer)} answers small packets, but none of ${size} bytes`,
        remedy: `a link between the hosts has an MTU below the ${mtu} of ${name}: raise it, or ${hasMtuKey ? 'set "MTU" in the Backend of the network configuration to it, and restart flanneld on all hosts' : `set it on all hosts, which flanneld follows: ip link set ${name} mtu SIZE`} (try sizes with: ping -M do -s ${size - pingHeaders(address)} ${asked})`,
      },
    ];
  return [
    {
      text: `${nameOf(peer)} does not answer (ping ${asked})`,
      remedy: `${adviceWhenSilent}; if containers reach each other, a firewall drops only pings (ICMP) to the hosts`,
    },
  ];
}
/** Returns the bytes of IP and ICMP headers, which ping adds to its size. */
const pingHeaders = (address: Address): number => (isIPv4(address) ? 28 : 48);

/** Formats a lease for messages, as `10.5.4.0/24 (192.0.2.11)`. */
function nameOf(lease: Lease): string {
  const address = publicAddressOf(lease);
  return address === undefined ? formatSubnets(lease) : `${formatSubnets(lease)} (${address})`;
}

function publicAddressOf({ attributes: { publicIP, publicIPv6 } }: Lease): string | undefined {
  const address = publicIP ?? publicIPv6;
  return address && formatAddress(address);
}
