/** Manages the tunnel device of one family while the daemon runs; remembers the settings for a device that must be created anew. */

import type { Log } from "../../../cluster/log/log.ts";
import { type Address, compareAddresses, formatAddress, type Prefix } from "../../../ip/address.ts";
import { type FamilyName, familyWords } from "../../../ip/family.ts";
import { findVxlan, type VxlanLink } from "../../../link/vxlan.ts";
import type { Connection } from "../../../netlink/connection.ts";
import { decode } from "../../../netlink/message.ts";
import type { Nlmsg } from "../../../netlink/nlmsg.ts";
import { RTM_DELADDR, RTM_NEWADDR } from "../../../netlink/rtnetlink/address.ts";
import { IFF_UP } from "../../../netlink/rtnetlink/link/interface.ts";
import { linkSummary, RTM_DELLINK, RTM_NEWLINK } from "../../../netlink/rtnetlink/link.ts";
import type { ExternalInterface } from "../backend.ts";
import { addressRequests, type DeviceAddress } from "../device-address.ts";
import type { LinkName } from "../entry.ts";
import { ifindexOf } from "../link-message.ts";
import { applyTxChecksum } from "./checksum.ts";
import { configureDevice, type DeviceSettings, ensureDevice, restoreMac, sameMac } from "./device.ts";
import { deviceMtu, type VxlanConfig } from "./settings.ts";

export interface Tunnel {
  readonly family: FamilyName;
  /** Returns the device as last read. */
  device(): VxlanLink;
  link(): LinkName;
  /** Returns the MTU that the device should have. */
  mtu(): number;
  /**
   * Ensures that the device is as it should be over this interface.
   *
   * @returns the index of the previous device, which is gone with its entries, if another had to be created
   * @throws Error says why it cannot be, with the remedy
   */
  ensure(external: ExternalInterface): number | undefined;
  /** Sets the lease's subnet: from now on `ensure` also maintains address and state. */
  take(subnet: Prefix): void;
  /** Reports whether a netlink message may mean that `ensure` has something to do. */
  concerns(message: Nlmsg): boolean;
}

interface Parts {
  rtnl: Connection;
  log: Log;
  config: VxlanConfig;
  family: FamilyName;
  /** The cluster network of this family. */
  network: Prefix;
  /** The MAC that the peers have of an earlier run, for a device that is gone since. */
  publishedMac: Uint8Array | undefined;
}

export function openTunnel({ rtnl, log, config, family, network, publishedMac }: Parts): Tunnel {
  let device: VxlanLink | undefined;
  let settings: DeviceSettings | undefined;
  let place: DeviceAddress | undefined;

  const needDevice = (): VxlanLink => {
    if (device === undefined) throw new Error(`${deviceName(config, family)} is used before it is made`);
    return device;
  };

  function settingsOver(external: ExternalInterface): DeviceSettings {
    const { vni, port, gbp, learning } = config;
    return {
      name: deviceName(config, family),
      mtu: deviceMtu(config, external, family),
      mac: device?.mac,
      publishedMac,
      ...{ vni, port, gbp, learning },
      parent: external.index,
      local: needAddress(external, family),
    };
  }

  function putInPlace(): void {
    if (settings === undefined || place === undefined) return;
    configureDevice(rtnl, needDevice(), settings, place);
    device = restoreMac(rtnl, settings.name, needDevice().mac) ?? needDevice(); // if it is gone, the next `ensure` creates it
  }

  return {
    family,
    device: needDevice,
    link: () => {
      const { index, name } = needDevice();
      return { index, name };
    },
    mtu: () => settings?.mtu ?? needDevice().mtu,
    ensure(external) {
      settings = settingsOver(external);
      const before = device?.index;
      device = ensureDevice(rtnl, settings, log);
      applyTxChecksum(settings.name, config.txChecksum, { isBehindNat: isBehindNat(external, family), log });
      putInPlace();
      return before === device.index ? undefined : before;
    },
    take(subnet) {
      place = { address: subnet.address, network };
      putInPlace();
    },
    concerns(message) {
      if (!ofLinks.includes(message.type) || ifindexOf(message.body) !== needDevice().index) return false;
      if (message.type === RTM_DELLINK || wentDown(message)) return true; // its routes are gone with it, even if it is up again
      return settings !== undefined && !isRight(rtnl, { settings, place, mac: needDevice().mac });
    },
  };
}

const ofLinks = [RTM_NEWLINK, RTM_DELLINK, RTM_NEWADDR, RTM_DELADDR];

const wentDown = ({ type, body }: Nlmsg): boolean =>
  type === RTM_NEWLINK && (decode(linkSummary, body).flags & IFF_UP) === 0;

function isRight(
  rtnl: Connection,
  expected: { settings: DeviceSettings; place: DeviceAddress | undefined; mac: Uint8Array },
): boolean {
  const { settings, place, mac } = expected;
  const now = findVxlan(rtnl, settings.name);
  if (now?.vxlan?.local === undefined || now.mtu !== settings.mtu || !sameMac(now.mac, mac)) return false;
  const { parent, local, learning } = now.vxlan;
  if (parent !== settings.parent || learning !== settings.learning || compareAddresses(local, settings.local) !== 0)
    return false;
  return place === undefined || (now.isUp && addressRequests(rtnl, now.index, place).length === 0);
}

const deviceName = ({ vni }: VxlanConfig, family: FamilyName): string =>
  family === "ipv4" ? `flannel.${vni}` : `flannel-v6.${vni}`;

const addressOf = ({ ipv4, ipv6 }: ExternalInterface, family: FamilyName): Address | undefined =>
  family === "ipv4" ? ipv4 : ipv6;

function needAddress(external: ExternalInterface, family: FamilyName): Address {
  const address = addressOf(external, family);
  if (address !== undefined) return address;
  throw new Error(
    `"${external.name}" has no ${familyWords[family]} address, which the tunnel of ${familyWords[family]} needs; give it one, or name another interface (--iface)`,
  );
}

function isBehindNat(external: ExternalInterface, family: FamilyName): boolean {
  const own = addressOf(external, family);
  const shown = family === "ipv4" ? external.publicIP : external.publicIPv6;
  return shown !== undefined && own !== undefined && formatAddress(shown) !== formatAddress(own);
}
