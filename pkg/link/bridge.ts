/** A Linux bridge and its ports, as `ip link add type bridge`, `bridge link` and `bridge vlan` handle them. */
import { CniError, ErrorCode, invalidConf } from "../cni/error.ts";
import { notAvailable } from "../cni/status.ts";
import { formats, isInterfaceName } from "../config/formats.ts";
import { type Connection, NetlinkError, query, type Request, request } from "../netlink/connection.ts";
import {
  BRIDGE_VLAN_INFO_PVID,
  BRIDGE_VLAN_INFO_RANGE_BEGIN,
  BRIDGE_VLAN_INFO_RANGE_END,
  BRIDGE_VLAN_INFO_UNTAGGED,
  bridgeLinkMessage,
} from "../netlink/rtnetlink/bridge-link.ts";
import { AF_BRIDGE } from "../netlink/rtnetlink/family.ts";
import { IFF_UP } from "../netlink/rtnetlink/link/interface.ts";
import { RTEXT_FILTER_BRVLAN, RTM_DELLINK, RTM_GETLINK, RTM_SETLINK } from "../netlink/rtnetlink/link.ts";
import { isErrno } from "../sys/errno.ts";
import { addLink, findLink, type Link, needLink, setPromiscuous, setUp } from "./link.ts";
import { randomMac } from "./mac.ts";
import { trySysctl } from "./sysctl.ts";

export interface BridgeOptions {
  name: string;
  /** The MTU of a new bridge; 0: the kernel's default. */
  mtu: number;
  vlanFiltering: boolean;
  promiscuous: boolean;
}

/**
 * Returns the bridge of that name, or alternative name. Creates it when it is missing, and sets it up. An existing one keeps its MTU and its
 * other settings.
 *
 * @throws CniError 999: a link of another kind has the name. 7: it is missing, and no link can get the name
 */
export function ensureBridge(rtnl: Connection, options: BridgeOptions): Link {
  const bridge = findLink(rtnl, options.name) ?? createBridge(rtnl, options);
  if (bridge.kind !== "bridge") throw notABridge(bridge);
  trySysctl(`ipv6/conf/${bridge.name}/accept_ra`, "0"); // the host must not configure itself by router advertisements of containers
  const changes: Request[] = [];
  if (options.promiscuous && !bridge.promiscuous) changes.push(setPromiscuous(bridge.index));
  if (!bridge.up) changes.push(setUp(bridge.index));
  rtnl.requestAll(changes);
  return bridge;
}

/**
 * Makes sure, for STATUS, that the bridge can be created with VLAN filtering, unless it is there. The request has a VLAN protocol that does
 * not exist: a kernel with VLAN filtering refuses that before it makes anything, one without does not look at it, and refuses the filtering.
 *
 * @throws CniError 50: it cannot
 */
export function needVlanFiltering(rtnl: Connection, name: string): void {
  if (findLink(rtnl, name) !== undefined) return;
  const data = { vlanFiltering: true, vlanProtocol: NO_VLAN_PROTOCOL };
  const [refusal] = rtnl.attemptAll([addLink({ linkInfo: { kind: "bridge", data } })]);
  if (refusal !== undefined && isErrno(refusal, "EOPNOTSUPP")) throw notAvailable(notCreated(refusal, name, true));
}

/** An EtherType of no VLAN: that of IPv4. */
const NO_VLAN_PROTOCOL = 0x0800;

function createBridge(rtnl: Connection, { name, mtu, vlanFiltering }: BridgeOptions): Link {
  if (!isInterfaceName(name)) {
    throw invalidConf(
      `"bridge" is ${JSON.stringify(name)}, must be ${formats.ifname.allowed}`,
      "no bridge has it as an alternative name either: correct it, or make that bridge first",
    );
  }
  try {
    rtnl.request(
      addLink({
        flags: IFF_UP,
        change: IFF_UP,
        ifName: name,
        address: randomMac(), // without one, a bridge's MAC changes with its ports
        ...(mtu !== 0 && { mtu }),
        linkInfo: { kind: "bridge", ...(vlanFiltering && { data: { vlanFiltering: true } }) },
      }),
    );
  } catch (error) {
    if (!isErrno(error, "EEXIST")) throw notMade(error, name, vlanFiltering); // EEXIST: another container was faster
  }
  return needLink(rtnl, name);
}

function notMade(error: unknown, name: string, vlanFiltering: boolean): unknown {
  return error instanceof NetlinkError ? notCreated(error, name, vlanFiltering) : error;
}

function notCreated(error: NetlinkError, name: string, vlanFiltering: boolean): CniError {
  const lacking = isErrno(error, "EOPNOTSUPP");
  return new CniError({
    code: ErrorCode.internal,
    msg: lacking
      ? `this kernel cannot create bridge "${name}"${vlanFiltering ? " with VLAN filtering" : ""}`
      : `the kernel refuses to create bridge "${name}"`,
    details: error.message,
    remedy: lacking
      ? `load the module (\`modprobe bridge\`)${vlanFiltering ? " or use a kernel with CONFIG_BRIDGE_VLAN_FILTERING" : ""}`
      : `run as root with CAP_NET_ADMIN, and check "mtu" of the network`,
    cause: error,
  });
}

function notABridge({ name, kind }: Link): CniError {
  return new CniError({
    code: ErrorCode.internal,
    msg: `"${name}" already exists but is not a bridge${kind === "" ? "" : ` (it is of kind ${kind})`}`,
    remedy: `set "bridge" to another name, or remove that link: ip link delete ${name}`,
  });
}

/** `bridge link set dev <index> hairpin on isolated on` */
export function setPort(index: number, settings: { hairpin?: boolean; isolated?: boolean }): Request {
  return request({
    name: "RTM_SETLINK",
    type: RTM_SETLINK,
    table: bridgeLinkMessage,
    value: { family: AF_BRIDGE, index, port: settings },
  });
}

/** A port of a bridge. */
export interface BridgePort {
  index: number;
  name: string;
  /** The bridge's index. */
  bridge: number;
  /** Whether no frame passes between it and other isolated ports. */
  isolated: boolean;
}

/** Returns the ports of all bridges, as `bridge -d link` lists them. */
export const listPorts = (rtnl: Connection): BridgePort[] =>
  rtnl
    .dump(query({ name: "RTM_GETLINK", type: RTM_GETLINK, table: bridgeLinkMessage, value: { family: AF_BRIDGE } }))
    .flatMap(({ index, ifName = "", master = 0, port }) =>
      port === undefined ? [] : [{ index, name: ifName, bridge: master, isolated: port.isolated === true }],
    );

/** A range of VLAN IDs on a port. */
export interface VlanRange {
  first: number;
  last: number;
  /** BRIDGE_VLAN_INFO_* */
  flags: number;
}

/** Returns the VLANs of a port, as `bridge vlan show` lists them. */
export function vlansOf(rtnl: Connection, index: number): VlanRange[] {
  const value = { family: AF_BRIDGE, extMask: RTEXT_FILTER_BRVLAN };
  const ports = rtnl.dump(query({ name: "RTM_GETLINK", type: RTM_GETLINK, table: bridgeLinkMessage, value }));
  const vlans = ports.find((port) => port.index === index)?.bridge?.vlans ?? [];
  return vlans.map(({ flags, id }) => ({ first: id, last: id, flags }));
}

/** `bridge vlan add dev <index> vid 10 pvid untagged` for an access VLAN, `bridge vlan add dev <index> vid 100-105` for others. */
export function addVlans(index: number, vlans: readonly VlanRange[]): Request {
  return vlanRequest("RTM_SETLINK", RTM_SETLINK, index, vlans);
}

export function deleteVlans(index: number, vlans: readonly VlanRange[]): Request {
  return vlanRequest("RTM_DELLINK", RTM_DELLINK, index, vlans);
}

/** Returns the VLAN of untagged frames in both directions (pvid, untagged). */
export const accessVlan = (id: number): VlanRange => ({
  first: id,
  last: id,
  flags: BRIDGE_VLAN_INFO_PVID | BRIDGE_VLAN_INFO_UNTAGGED,
});

export const taggedVlans = (first: number, last: number): VlanRange => ({ first, last, flags: 0 });

function vlanRequest(name: string, type: number, index: number, ranges: readonly VlanRange[]): Request {
  const vlans = ranges.flatMap(({ first, last, flags }) =>
    first === last
      ? [{ id: first, flags }]
      : [
          { id: first, flags: flags | BRIDGE_VLAN_INFO_RANGE_BEGIN },
          { id: last, flags: flags | BRIDGE_VLAN_INFO_RANGE_END },
        ],
  );
  return request({ name, type, table: bridgeLinkMessage, value: { family: AF_BRIDGE, index, bridge: { vlans } } });
}
