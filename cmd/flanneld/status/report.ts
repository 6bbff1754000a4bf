/** Makes the status report of this host on request. */

import type { Lease } from "../../../pkg/cluster/lease/lease.ts";
import type { LeaseManager } from "../../../pkg/cluster/lease/manager.ts";
import type { NetworkConfig } from "../../../pkg/cluster/lease/network-config.ts";
import { CniError } from "../../../pkg/cni/error.ts";
import { isObject, type Json } from "../../../pkg/config/json.ts";
import { droppedInput } from "../../../pkg/firewall/input/dropped-input.ts";
import type { Backend, ExternalInterface } from "../../../pkg/flannel/backend/backend.ts";
import { backendTypes, findBackendType } from "../../../pkg/flannel/backend/backend-registry.ts";
import { type Address, formatAddress, formatPrefix, isIPv4 } from "../../../pkg/ip/address.ts";
import { familyNames } from "../../../pkg/ip/family.ts";
import { findLink } from "../../../pkg/link/link.ts";
import { type Connection, connect, NETLINK_NETFILTER, NetlinkError } from "../../../pkg/netlink/connection.ts";
import type { DaemonState } from "../../../pkg/subnet-env/daemon-state.ts";
import { nowMs } from "../../../pkg/sys/clock.ts";
import { isErrno } from "../../../pkg/sys/errno.ts";
import { findText } from "../../../pkg/sys/file.ts";
import { diagnose, leaseEnd, type NetworkFacts, type PeerPing } from "./diagnose.ts";
import type { LeaseStatus, OwnStatus, PeerStatus, Problem, Reach, StatusReport } from "./format.ts";
import { type PingResult, ping } from "./ping.ts";

/** The state of the daemon. */
export interface DaemonInfo {
  version: string;
  subnetFile: string;
  state: DaemonState;
  store: Pick<LeaseManager, "description" | "remedies"> & { trouble: Error | undefined };
  /** undefined: no lease yet */
  member: NetworkInfo | undefined;
}

export interface NetworkInfo {
  lease: Lease;
  external: ExternalInterface;
  backend: Pick<
    Backend,
    | "mtu"
    | "overheadBytes"
    | "devices"
    | "counters"
    | "missing"
    | "obstacles"
    | "underlayPorts"
    | "probeAddress"
    | "adviceWhenSilent"
  >;
  network: Pick<NetworkConfig, "backend">;
  rtnl: Connection;
  /** undefined: not known yet. */
  peers: readonly Lease[] | undefined;
  /** The reasons, by key. */
  malformed: ReadonlyMap<string, string>;
  configProblem: Problem | undefined;
  interfaceProblem: Problem | undefined;
  renewMarginMs: number;
}

export async function reportStatus({ version, subnetFile, state, store, member }: DaemonInfo): Promise<StatusReport> {
  const facts = member && (await factsOf(member, subnetFile));
  const trouble = store.trouble?.message;
  return {
    version,
    ...state,
    store: { description: store.description, connected: trouble === undefined, trouble: trouble ?? null },
    own: facts ? ownStatus(facts) : null,
    peers: facts && member.peers ? peerStatuses(facts) : null,
    problems: diagnose({ state, store: { ...store, trouble }, member: facts }),
  };
}

async function factsOf(member: NetworkInfo, subnetFile: string): Promise<NetworkFacts> {
  const { lease, external, backend, network, rtnl, peers = [], renewMarginMs } = member;
  return {
    own: lease,
    backendType: network.backend.type,
    mtu: backend.mtu,
    hasMtuKey: "MTU" in (findBackendType(backendTypes, network.backend.type)?.keys ?? {}),
    overheadBytes: backend.overheadBytes,
    adviceWhenSilent: backend.adviceWhenSilent,
    external,
    devices: backend.devices.map(({ name, mtu }) => ({ name, wantedMtu: mtu, mtu: findLink(rtnl, name)?.mtu })),
    subnetFile: { path: subnetFile, text: findText(subnetFile) },
    peers,
    malformed: member.malformed,
    configProblem: member.configProblem,
    interfaceProblem: member.interfaceProblem,
    missing: backend.missing(),
    obstacles: backend.obstacles(),
    closedPorts: closedPortsOf(member),
    renewMarginMs,
    nowMs: nowMs(),
    probes: await probePeers(member),
    counters: await backend.counters?.(),
  };
}

/** Returns the ports of the backend that a firewall of this host closes for other hosts. */
function closedPortsOf({ backend, external, peers = [] }: NetworkInfo): NetworkFacts["closedPorts"] {
  const { underlayPorts = [] } = backend;
  if (underlayPorts.length === 0) return [];
  const netfilter = connect(NETLINK_NETFILTER);
  try {
    return underlayPorts.flatMap(({ family, port }) => {
      const destination = external[family];
      if (destination === undefined) return [];
      const sources = peers.flatMap(
        ({ attributes }) => (family === "ipv4" ? attributes.publicIP : attributes.publicIPv6) ?? [],
      );
      return droppedInput(netfilter, { inInterface: external, sources, destination, port }).map((one) => ({
        ...one,
        port,
      }));
    });
  } catch (error) {
    if (error instanceof NetlinkError || error instanceof CniError) return []; // of rules that cannot be read nothing is certain
    throw error;
  } finally {
    netfilter.close();
  }
}

async function probePeers(member: NetworkInfo): Promise<NetworkFacts["probes"]> {
  const asked = probesOf(member);
  try {
    const answers = await ping(asked);
    return asked.map((one, i): PeerPing => ({ ...one, answer: answers[i] ?? "no" }));
  } catch (error) {
    if (isErrno(error, "EPERM", "EACCES")) return "not permitted";
    throw error;
  }
}

/** Returns what is asked of the peers: packets as large as the way through the backend allows. */
export const probesOf = ({ lease, external, backend, peers = [] }: ProbedNetwork): Omit<PeerPing, "answer">[] =>
  peers.flatMap((peer) =>
    addressesOf(peer, lease, backend).map((address) => {
      const family = isIPv4(address) ? "ipv4" : "ipv6";
      return { peer, address, size: backend.devices.find((one) => one.family === family)?.mtu ?? external.mtu };
    }),
  );

interface ProbedNetwork extends Pick<NetworkInfo, "lease" | "peers"> {
  external: Pick<ExternalInterface, "mtu">;
  backend: Pick<Backend, "devices" | "probeAddress">;
}

/** Returns the addresses to ping on a peer with our backend, of the families that we have. */
function addressesOf(peer: Lease, own: Lease, backend: ProbedNetwork["backend"]): Address[] {
  if (peer.attributes.backendType !== own.attributes.backendType) return [];
  return familyNames.flatMap((family) => (own[family] && backend.probeAddress(peer, family)) ?? []);
}

function ownStatus(facts: NetworkFacts): OwnStatus {
  const { own, mtu, external, devices, counters } = facts;
  const present = devices.flatMap(({ name, mtu }) => (mtu === undefined ? [] : [{ name, mtu }]));
  const device = present.length > 0 ? present.map(({ name }) => name).join(", ") : null;
  return {
    ...leaseStatus(own, own.expiresMs ?? "never", facts),
    device,
    devices: present,
    dataPath: counters ?? null,
    mtu,
    interface: external.name,
    interfaceMtu: external.mtu,
  };
}

function peerStatuses(facts: NetworkFacts): PeerStatus[] {
  const { peers, probes, nowMs } = facts;
  const reaches = new Map<Lease, Reach>();
  for (const { peer, answer } of probes === "not permitted" ? [] : probes)
    reaches.set(peer, worse(answer, reaches.get(peer)));
  return peers.map((peer) => ({
    ...leaseStatus(peer, leaseEnd(peer, nowMs), facts),
    reach: reaches.get(peer) ?? "not asked",
  }));
}

/** Returns the worse of two results, for a peer with both families. */
const worse = (answer: PingResult, other: Reach = "yes"): Reach =>
  (["no", "small packets"] as const).find((reach) => answer === reach || other === reach) ?? "yes";

function leaseStatus(
  { ipv4, ipv6, attributes }: Lease,
  end: number | "never" | "unknown",
  { own, backendType }: NetworkFacts,
): LeaseStatus {
  const { publicIP, publicIPv6, backendData, backendV6Data } = attributes;
  const isOurs = attributes.backendType === own.attributes.backendType; // "" for both of udp and alloc
  return {
    subnets: [ipv4, ipv6].flatMap((subnet) => (subnet ? [formatPrefix(subnet)] : [])),
    publicIPs: [publicIP, publicIPv6].flatMap((address) => (address ? [formatAddress(address)] : [])),
    backend: isOurs ? backendType : attributes.backendType,
    vtepMac: vtepMac(backendData) ?? vtepMac(backendV6Data) ?? null,
    expires: typeof end === "number" ? new Date(end).toISOString() : end,
  };
}

const vtepMac = (data: Json | undefined): string | undefined =>
  isObject(data) && typeof data["VtepMAC"] === "string" ? data["VtepMAC"] : undefined;
