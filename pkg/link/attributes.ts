/** The attributes of a link that `ip link set … address … mtu … promisc … allmulticast … txqueuelen …` sets. */
import type { JsonObject } from "../config/json.ts";
import { type Connection, query, type Request, request } from "../netlink/connection.ts";
import { only } from "../netlink/message.ts";
import { IFF_ALLMULTI, IFF_PROMISC } from "../netlink/rtnetlink/link/interface.ts";
import { linkMessage, RTEXT_FILTER_SKIP_STATS, RTM_GETLINK, RTM_SETLINK } from "../netlink/rtnetlink/link.ts";
import { formatMac, parseMac } from "./mac.ts";

/** Attributes of a link; those that are absent are not changed. */
export interface LinkAttributes {
  mac?: Uint8Array;
  promiscuous?: boolean;
  mtu?: number;
  allMulticast?: boolean;
  txQueueLength?: number;
}

const attributesSummary = only(linkMessage, ["address", "mtu", "txQueueLength", "extMask", "ifName"]);

/** Returns the attributes of a link; undefined when there is no such link. */
export function findAttributes(
  rtnl: Connection,
  ifName: string,
): (Required<LinkAttributes> & { index: number }) | undefined {
  const value = { ifName, extMask: RTEXT_FILTER_SKIP_STATS };
  const answer = rtnl.find(query({ name: "RTM_GETLINK", type: RTM_GETLINK, table: attributesSummary, value }));
  return (
    answer && {
      index: answer.index,
      mac: answer.address ?? new Uint8Array(6),
      mtu: answer.mtu ?? 0,
      txQueueLength: answer.txQueueLength ?? 0,
      promiscuous: (answer.flags & IFF_PROMISC) !== 0,
      allMulticast: (answer.flags & IFF_ALLMULTI) !== 0,
    }
  );
}

/** Sets the attributes with one message. When the kernel refuses one of them, it may have set others already. */
export function setAttributes(index: number, attributes: LinkAttributes): Request {
  const { mac, mtu, txQueueLength, promiscuous, allMulticast } = attributes;
  const flag = (bit: number, wanted: boolean | undefined) =>
    wanted === undefined ? { flags: 0, change: 0 } : { flags: wanted ? bit : 0, change: bit };
  const [promisc, allmulti] = [flag(IFF_PROMISC, promiscuous), flag(IFF_ALLMULTI, allMulticast)];
  return request({
    name: "RTM_SETLINK",
    type: RTM_SETLINK,
    table: linkMessage,
    value: {
      index,
      flags: promisc.flags | allmulti.flags,
      change: promisc.change | allmulti.change,
      ...(mac && { address: mac }),
      ...(mtu !== undefined && { mtu }),
      ...(txQueueLength !== undefined && { txQueueLength }),
    },
  });
}

/** Returns those of the wanted attributes that the link does not have. */
export function differing(found: Required<LinkAttributes>, wanted: LinkAttributes): LinkAttributes {
  const { mac, ...others } = wanted;
  const different = Object.entries(others).filter(([name, value]) => found[name as keyof typeof others] !== value);
  return { ...(mac && formatMac(mac) !== formatMac(found.mac) && { mac }), ...Object.fromEntries(different) };
}

/** Returns the attributes as a document keeps them, by the keys of the reference tuning plugin's backups. */
export function printAttributes({ mac, promiscuous, mtu, allMulticast, txQueueLength }: LinkAttributes): JsonObject {
  return {
    ...(mac && { mac: formatMac(mac) }),
    ...(promiscuous !== undefined && { promisc: promiscuous }),
    ...(mtu !== undefined && { mtu }),
    ...(allMulticast !== undefined && { allmulti: allMulticast }),
    ...(txQueueLength !== undefined && { txQLen: txQueueLength }),
  };
}

/** Reads what `printAttributes` made; leaves out what is not of the right type, or a number that no attribute can be. */
export function parseAttributes({ mac, promisc, mtu, allmulti, txQLen }: JsonObject): LinkAttributes {
  const address = typeof mac === "string" ? parseMac(mac) : undefined;
  return {
    ...(address && { mac: address }),
    ...(typeof promisc === "boolean" && { promiscuous: promisc }),
    ...(isU32(mtu) && { mtu }),
    ...(typeof allmulti === "boolean" && { allMulticast: allmulti }),
    ...(isU32(txQLen) && { txQueueLength: txQLen }),
  };
}

const isU32 = (value: unknown): value is number =>
  typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff;
