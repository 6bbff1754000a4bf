/** The format of the status report: page `/status`, and `flanneld --status --json`. */
import type { DaemonState } from "../../../pkg/subnet-env/daemon-state.ts";

/** The report, with addresses and prefixes as text, times as "2026-01-31T12:00:00.000Z", and null for absent values. */
export interface StatusReport extends DaemonState {
  version: string;
  store: { description: string; connected: boolean; trouble: string | null };
  own: OwnStatus | null;
  /** null: not known yet. */
  peers: PeerStatus[] | null;
  problems: Problem[];
}

export interface LeaseStatus {
  /** IPv4 before IPv6. */
  subnets: string[];
  publicIPs: string[];
  backend: string;
  /** The MAC that the host has published for its tunnel device; null with backends that have none. */
  vtepMac: string | null;
  /** A time, "never", or "unknown": some stores do not report it for other hosts' leases. */
  expires: string;
}

export interface OwnStatus extends LeaseStatus {
  /** null: the backend needs none, or it is missing (then there is a problem about it). */
  device: string | null;
  /** The devices that exist, with their MTU now. */
  devices: { name: string; mtu: number }[];
  /** What a data path in user space has carried and dropped since it was started; null: the kernel carries the packets, or it does not run. */
  dataPath: Readonly<Record<string, number>> | null;
  /** FLANNEL_MTU. */
  mtu: number;
  interface: string;
  interfaceMtu: number;
}

export interface PeerStatus extends LeaseStatus {
  reach: Reach;
}

/** Whether a peer answers pings; "small packets": it does not answer those of the size that our containers may send. */
export type Reach = "yes" | "small packets" | "no" | "not asked";

export interface Problem {
  /** One sentence without full stop: the object, what was found and what was expected. */
  text: string;
  remedy: string;
}
