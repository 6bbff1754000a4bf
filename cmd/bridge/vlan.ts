/** VLANs of a container's port, and the interface with the gateway's address in a VLAN. */
import { CniError, ErrorCode } from "../../pkg/cni/error.ts";
import { accessVlan, addVlans, deleteVlans, taggedVlans, type VlanRange, vlansOf } from "../../pkg/link/bridge.ts";
import { findLink, type Link, needLink, setUp } from "../../pkg/link/link.ts";
import { withLockedNamespace } from "../../pkg/link/lock.ts";
import { createVeth } from "../../pkg/link/veth.ts";
import type { Connection } from "../../pkg/netlink/connection.ts";
import { OWN_NAMESPACE, openNamespace } from "../../pkg/sys/namespace.ts";

/** An entry of `vlanTrunk`. */
export interface Trunk {
  id?: number;
  minID?: number;
  maxID?: number;
}

/** The VLAN that every new bridge port is in. */
const DEFAULT_VLAN = 1;

/** Returns the IDs of all entries, sorted, without duplicates. @throws CniError 7, with the texts of the reference plugin */
export function trunkVlans(entries: readonly Trunk[]): number[] {
  const ids = new Set<number>();
  for (const { id, minID, maxID } of entries) {
    if (minID !== undefined || maxID !== undefined) for (const one of rangeOf(minID, maxID)) ids.add(one);
    if (id !== undefined) ids.add(checked(id, "id"));
  }
  return [...ids].sort((a, b) => a - b);
}

function rangeOf(minID: number | undefined, maxID: number | undefined): number[] {
  if (minID === undefined) throw invalidTrunk("minID and maxID should be configured simultaneously, minID is missing");
  if (maxID === undefined) throw invalidTrunk("minID and maxID should be configured simultaneously, maxID is missing");
  checked(minID, "minID");
  checked(maxID, "maxID");
  if (minID > maxID) throw invalidTrunk("minID is greater than maxID in trunk parameter");
  return Array.from({ length: maxID - minID + 1 }, (_, i) => minID + i);
}

function checked(id: number, key: "id" | "minID" | "maxID"): number {
  if (id < 1 || id > 4094) throw invalidTrunk(`incorrect trunk ${key} parameter`);
  return id;
}

function invalidTrunk(msg: string): CniError {
  return new CniError({
    code: ErrorCode.invalidConfig,
    msg,
    remedy: `write each entry of "vlanTrunk" as {"id": 10} or {"minID": 100, "maxID": 105}, IDs between 1 and 4094`,
  });
}

/** Returns the runs of consecutive IDs; each is one range in the message. */
export function rangesOf(ids: readonly number[]): VlanRange[] {
  const ranges: VlanRange[] = [];
  for (const id of ids) {
    const last = ranges.at(-1);
    if (last !== undefined && last.last + 1 === id) last.last = id;
    else ranges.push(taggedVlans(id, id));
  }
  return ranges;
}

export interface PortVlans {
  /** 0: none. */
  vlan: number;
  trunk: readonly number[] | undefined;
  preserveDefaultVlan: boolean;
}

/** Sets `vlan` untagged and the trunk's VLANs tagged; with a trunk alone, untagged packets are in VLAN 1. */
export function setPortVlans(host: Connection, port: Link, { vlan, trunk = [], preserveDefaultVlan }: PortVlans): void {
  if (vlan === 0 && trunk.length === 0) return;
  if (!preserveDefaultVlan) {
    const present = vlansOf(host, port.index);
    if (present.length > 0) apply(host, port, deleteVlans(port.index, present));
  }
  apply(host, port, addVlans(port.index, [accessVlan(vlan === 0 ? DEFAULT_VLAN : vlan)]));
  if (trunk.length > 0) apply(host, port, addVlans(port.index, rangesOf(trunk)));
}

function apply(host: Connection, port: Link, request: Parameters<Connection["request"]>[0]): void {
  const [refusal] = host.attemptAll([request]);
  if (refusal === undefined) return;
  throw new CniError({
    code: ErrorCode.internal,
    msg: `the kernel refuses the VLANs of port "${port.name}"`,
    details: refusal.message,
    remedy: "the bridge needs VLAN filtering: use a kernel with CONFIG_BRIDGE_VLAN_FILTERING",
    cause: refusal,
  });
}

/**
 * Makes `<bridge>.<vlan>`, the host's interface in the VLAN, which has the gateway's address: a veth pair whose other end is a port
 * of the bridge, as in the reference plugin. An existing one is reused.
 *
 * It is set up only after its port is in the VLAN. So one that is down was left by an ADD that was killed or failed, and is
 * completed.
 */
export function ensureVlanGateway(host: Connection, bridge: Link, vlan: number): Link {
  const name = `${bridge.name}.${vlan}`;
  const gateway = findLink(host, name);
  if (gateway?.up) return gateway;
  return withLockedNamespace({ path: OWN_NAMESPACE }, () => completeVlanGateway(host, bridge, { name, vlan }));
}

function completeVlanGateway(host: Connection, bridge: Link, { name, vlan }: { name: string; vlan: number }): Link {
  const gateway = findLink(host, name) ?? createVlanGateway(host, bridge, name);
  if (gateway.kind === "veth") {
    const port = needLink(host, gateway.parent);
    setPortVlans(host, port, { vlan, trunk: [], preserveDefaultVlan: false });
  }
  host.request(setUp(gateway.index));
  return gateway;
}

function createVlanGateway(host: Connection, bridge: Link, name: string): Link {
  const netns = openNamespace(OWN_NAMESPACE);
  return createVeth(host, { netns, container: host, ifName: name, mtu: bridge.mtu, master: bridge.index }).inside;
}
