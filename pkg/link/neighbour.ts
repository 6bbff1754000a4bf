/** Permanent neighbours and forwarding entries of a link, as `ip neighbour` and `bridge fdb` handle them. */

import type { Address } from "../ip/address.ts";
import type { FamilyName } from "../ip/family.ts";
import { type Connection, query, type Request, request } from "../netlink/connection.ts";
import { only } from "../netlink/message.ts";
import { NLM_F_CREATE, NLM_F_REPLACE } from "../netlink/nlmsg.ts";
import { AF_BRIDGE, AF_INET, AF_INET6 } from "../netlink/rtnetlink/family.ts";
import {
  NTF_PROXY,
  NTF_SELF,
  NUD_PERMANENT,
  neighbourMessage,
  RTM_DELNEIGH,
  RTM_GETNEIGH,
  RTM_NEWNEIGH,
} from "../netlink/rtnetlink/neighbour.ts";
import { familyNumber } from "./address.ts";

/** An entry of the neighbour table, or of a VXLAN device's forwarding table, where `address` is the remote tunnel endpoint. */
export interface Neighbour {
  address: Address;
  mac: Uint8Array;
}

/** `ip neighbour replace <address> lladdr <mac> nud permanent dev <index>` */
export function replaceNeighbour(index: number, { address, mac }: Neighbour): Request {
  return request({
    name: "RTM_NEWNEIGH",
    type: RTM_NEWNEIGH,
    flags: NLM_F_CREATE | NLM_F_REPLACE,
    table: neighbourMessage,
    value: { family: familyNumber(address), index, state: NUD_PERMANENT, destination: address, linkAddress: mac },
  });
}

/** `ip neighbour del <address> dev <index>` */
export function deleteNeighbour(index: number, address: Address): Request {
  const value = { family: familyNumber(address), index, destination: address };
  return request({ name: "RTM_DELNEIGH", type: RTM_DELNEIGH, table: neighbourMessage, value });
}

/** `ip neighbour replace proxy <address> dev <index>`: the link answers ARP or NDP requests for the address. */
export function proxyNeighbour(index: number, address: Address): Request {
  return request({
    name: "RTM_NEWNEIGH",
    type: RTM_NEWNEIGH,
    flags: NLM_F_CREATE | NLM_F_REPLACE,
    table: neighbourMessage,
    value: { family: familyNumber(address), index, state: NUD_PERMANENT, flags: NTF_PROXY, destination: address },
  });
}

/** `bridge fdb replace <mac> dst <address> self permanent dev <index>` */
export function replaceForwarding(index: number, { address, mac }: Neighbour): Request {
  return request({
    name: "RTM_NEWNEIGH",
    type: RTM_NEWNEIGH,
    flags: NLM_F_CREATE | NLM_F_REPLACE,
    table: neighbourMessage,
    value: {
      family: AF_BRIDGE,
      index,
      state: NUD_PERMANENT,
      flags: NTF_SELF,
      linkAddress: mac,
      destination: address,
    },
  });
}

/** `bridge fdb del <mac> dst <address> self dev <index>` */
export function deleteForwarding(index: number, { address, mac }: Neighbour): Request {
  const value = { family: AF_BRIDGE, index, flags: NTF_SELF, linkAddress: mac, destination: address };
  return request({ name: "RTM_DELNEIGH", type: RTM_DELNEIGH, table: neighbourMessage, value });
}

/** The attributes of a neighbour message that are read here. */
export const neighbourSummary = only(neighbourMessage, ["destination", "linkAddress", "outputIndex"]);

/** Returns the permanent entries of a link's neighbour table. The kernel filters since 4.20; for older ones they are filtered here. */
export function listNeighbours(rtnl: Connection, index: number, family: FamilyName): Neighbour[] {
  const value = { family: family === "ipv4" ? AF_INET : AF_INET6, outputIndex: index };
  return listPermanent(rtnl, index, value);
}

/** Returns the permanent entries of a VXLAN device's forwarding table, one for each tunnel endpoint of a MAC. */
export function listForwarding(rtnl: Connection, index: number): Neighbour[] {
  return listPermanent(rtnl, index, { family: AF_BRIDGE, outputIndex: index });
}

function listPermanent(rtnl: Connection, index: number, value: { family: number; outputIndex: number }): Neighbour[] {
  const all = rtnl.dump(query({ name: "RTM_GETNEIGH", type: RTM_GETNEIGH, table: neighbourSummary, value }));
  return all.flatMap(({ index: link, state, destination, linkAddress }) => {
    const isOurs = link === index && (state & NUD_PERMANENT) !== 0;
    return isOurs && destination && linkAddress ? [{ address: destination, mac: linkAddress }] : [];
  });
}
