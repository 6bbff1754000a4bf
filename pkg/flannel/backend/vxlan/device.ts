/**
 * Ensures that a VXLAN device is as it should be: creates, adopts, changes or replaces it. An existing device keeps its MAC, which
 * the peers have in their tables; a deleted one is created again with the MAC that it had.
 */

import type { Log } from "../../../cluster/log/log.ts";
import { compareAddresses, formatPrefix, isIPv4 } from "../../../ip/address.ts";
import { deleteLink, setMac, setMtu, setUp } from "../../../link/link.ts";
import { formatMac, randomMac } from "../../../link/mac.ts";
import { trySysctl } from "../../../link/sysctl.ts";
import {
  addVxlan,
  changeVxlan,
  findVxlan,
  listVxlans,
  type VxlanLink,
  type VxlanSettings,
} from "../../../link/vxlan.ts";
import type { Connection } from "../../../netlink/connection.ts";
import { isErrno } from "../../../sys/errno.ts";
import { addressRequests, type DeviceAddress, prefixOf } from "../device-address.ts";

export interface DeviceSettings extends VxlanSettings {
  name: string;
  mtu: number;
  /** The MAC that it had before; undefined: that of an existing device, else `publishedMac`. */
  mac: Uint8Array | undefined;
  /** The MAC of a device that is created and had none before; undefined: a random one. */
  publishedMac: Uint8Array | undefined;
}

/** @throws Error says why it cannot be created, with the remedy */
export function ensureDevice(rtnl: Connection, settings: DeviceSettings, log: Log): VxlanLink {
  const present = findVxlan(rtnl, settings.name);
  if (present === undefined) return createDevice(rtnl, settings);
  const obstacle = whyNot(present, settings);
  if (obstacle === undefined && change(rtnl, present, settings, log)) return needDevice(rtnl, settings);
  log.warn("creating the device anew: it does not match the configuration", {
    device: settings.name,
    why: obstacle ?? "it cannot be changed",
  });
  deleteLink(rtnl, settings.name);
  return createDevice(rtnl, { ...settings, mac: settings.mac ?? (present.vxlan && present.mac) });
}

/** Returns the first difference that can be corrected only by creating the device anew; undefined: there is none. */
function whyNot({ vxlan }: VxlanLink, settings: DeviceSettings): string | undefined {
  if (vxlan === undefined) return "it is not a vxlan device";
  if (vxlan.vni !== settings.vni) return `its VNI is ${vxlan.vni}, wanted ${settings.vni}`;
  if (settings.port > 0 && vxlan.port !== settings.port) return `its port is ${vxlan.port}, wanted ${settings.port}`;
  if (vxlan.gbp !== settings.gbp) return `group policy is ${vxlan.gbp ? "on" : "off"}`;
  if (vxlan.hasGroup) return "it has a multicast group or a fixed remote address";
  if (vxlan.l2Miss) return "it reports unknown destinations (l2miss)";
  if (vxlan.local !== undefined && isIPv4(vxlan.local) !== isIPv4(settings.local))
    return "its tunnel uses the other address family";
  return undefined;
}

/** Changes the device in place. @returns false: the kernel refuses a change */
function change(rtnl: Connection, present: VxlanLink, settings: DeviceSettings, log: Log): boolean {
  const { index, vxlan, mtu, mac } = present;
  const sameEnds =
    vxlan?.local && compareAddresses(vxlan.local, settings.local) === 0 && vxlan.parent === settings.parent;
  const requests = [
    ...(sameEnds && vxlan.learning === settings.learning ? [] : [changeVxlan(index, settings)]),
    ...(mtu === settings.mtu ? [] : [setMtu(index, settings.mtu)]),
    ...(settings.mac === undefined || sameMac(mac, settings.mac) ? [] : [setMac(index, settings.mac)]),
  ];
  const refusals = rtnl.attemptAll(requests).filter((refusal) => refusal !== undefined);
  for (const refusal of refusals)
    log.debug("cannot change the device", { device: settings.name, error: refusal.message });
  if (requests.length > refusals.length) log.info("changed the device", { device: settings.name, mtu: settings.mtu });
  return refusals.length === 0;
}

export const sameMac = (one: Uint8Array, other: Uint8Array): boolean => formatMac(one) === formatMac(other);

function createDevice(rtnl: Connection, settings: DeviceSettings): VxlanLink {
  try {
    rtnl.request(
      addVxlan(settings, {
        name: settings.name,
        mac: settings.mac ?? settings.publishedMac ?? randomMac(),
        mtu: settings.mtu,
      }),
    );
  } catch (error) {
    throw new Error(`cannot create the device "${settings.name}": ${reason(rtnl, settings, error)}`, { cause: error });
  }
  trySysctl(`ipv6/conf/${settings.name}/accept_ra`, "0");
  return needDevice(rtnl, settings);
}

function needDevice(rtnl: Connection, { name }: DeviceSettings): VxlanLink {
  const device = findVxlan(rtnl, name);
  if (device?.vxlan !== undefined) return device;
  throw new Error(
    `the device "${name}" was deleted by another process while it was being set up; to find it: ip monitor link`,
  );
}

/** Explains the kernel's error, with the remedy. */
function reason(rtnl: Connection, { vni, port, parent }: DeviceSettings, error: unknown): string {
  if (isErrno(error, "EOPNOTSUPP"))
    return "this kernel lacks vxlan (CONFIG_VXLAN); load the module: modprobe vxlan (Ubuntu on a Raspberry Pi: apt install linux-modules-extra-raspi)";
  if (isErrno(error, "EPERM")) return "not permitted; flanneld needs CAP_NET_ADMIN in the host's network namespace";
  if (isErrno(error, "EEXIST")) {
    const other = listVxlans(rtnl).find(({ vxlan }) => vxlan?.vni === vni && (port === 0 || vxlan.port === port));
    return `VNI ${vni} is used by the device "${other?.name ?? "of another namespace"}"; remove it (ip link delete ${other?.name ?? "<name>"}), or give this network another "VNI"`;
  }
  if (isErrno(error, "EADDRINUSE"))
    return `UDP port ${port || 8472} is used by another program; see ss -ulpn, or give this network another "Port" on every host`;
  if (isErrno(error, "ENODEV"))
    return `the external interface (index ${parent}) is gone; flanneld retries until it is back`;
  return error instanceof Error ? error.message : String(error);
}

/** Sets address and state of the device. @returns whether something had to be changed. @throws Error the kernel refuses */
export function configureDevice(
  rtnl: Connection,
  device: VxlanLink,
  settings: DeviceSettings,
  place: DeviceAddress,
): boolean {
  const requests = [...addressRequests(rtnl, device.index, place), ...(device.isUp ? [] : [setUp(device.index)])];
  try {
    rtnl.requestAll(requests);
  } catch (error) {
    const what = `cannot assign ${formatPrefix(prefixOf(place))} to "${settings.name}" and set it up`;
    throw new Error(`${what}: ${reason(rtnl, settings, error)}`, { cause: error });
  }
  return requests.length > 0;
}

/**
 * Gives the device the MAC that the peers know. Policies such as systemd's rewrite it once after a device has appeared.
 *
 * @returns the device; undefined: it is gone
 * @throws Error the MAC is rewritten again
 */
export function restoreMac(rtnl: Connection, name: string, expected: Uint8Array): VxlanLink | undefined {
  const found = findVxlan(rtnl, name);
  if (found === undefined || sameMac(found.mac, expected)) return found;
  rtnl.attemptAll([setMac(found.index, expected)]);
  const now = findVxlan(rtnl, name);
  if (now === undefined || sameMac(now.mac, expected)) return now;
  throw new Error(
    `the device "${name}" has the MAC ${formatMac(now.mac)}, expected ${formatMac(expected)}; a policy of this host rewrites it (systemd: MACAddressPolicy=none for ${name} in a .link file)`,
  );
}
