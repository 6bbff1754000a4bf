/** What a daemon says of itself: page `/status`, and `flanneld --status --json`. */
import type { DaemonState } from "../../../pkg/subnet-env/daemon-state.ts";

/** Addresses and prefixes as text; times as "2026-01-31T12:00:00.000Z"; null for what there is none of. */
export interface StatusReport extends DaemonState {
  version: string;
  store: { description: string; connected: boolean; trouble: string | null };
  own: OwnStatus | null;
  peers: PeerStatus[];
  problems: Problem[];
}

export interface LeaseStatus {
  /** IPv4 before IPv6. */
  subnets: string[];
  publicIPs: string[];
  backend: string;
  /** Of vxlan's device there. */
  vtepMac: string | null;
  /** A time, "never", or "unknown": etcd does not tell it of others' leases. */
  expires: string;
}

export interface OwnStatus extends LeaseStatus {
  /** null: the backend needs none, or it is missing (then a problem says so). */
  device: string | null;
  /** FLANNEL_MTU. */
  mtu: number;
  interface: string;
  interfaceMtu: number;
}

export interface PeerStatus extends LeaseStatus {
  reach: Reach;
}

/** What answers there; "small packets" only: not those of the size that our containers may send. */
export type Reach = "yes" | "small packets" | "no" | "not asked";

export interface Problem {
  /** One sentence without full stop: on which object, found and wanted. */
  text: string;
  remedy: string;
}
