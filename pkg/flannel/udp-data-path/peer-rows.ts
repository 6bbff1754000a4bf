/**
 * The rows of the table that the threads have, by which a whole table becomes what differs from it: flanneld sends the whole one at each look at its entries, and while a thread
 * builds ten thousand rows it carries no packets. Pure.
 */
import { addressNumber, networkOf } from "./peer-table.ts";
import type { PeerSubnet } from "./protocol.ts";

export interface RowChanges {
  set: readonly PeerSubnet[];
  /** Subnets; carried out before `set`. */
  remove: readonly string[];
}

/** Each method returns what is to be changed in the threads' tables. @throws Error what they could not use; nothing has changed then */
export interface PeerRows {
  replace(peers: readonly PeerSubnet[]): RowChanges;
  change(set: readonly PeerSubnet[], remove: readonly string[]): RowChanges;
}

export function createPeerRows(): PeerRows {
  let rows = new Map<string, PeerSubnet>();
  return {
    replace(peers) {
      const next = new Map(peers.map((peer) => [keyOfRow(peer), peer]));
      const remove = [...rows].flatMap(([key, { subnet }]) => (next.has(key) ? [] : [subnet]));
      const set = [...next].flatMap(([key, peer]) => (isSame(rows.get(key), peer) ? [] : [peer]));
      rows = next;
      return { set, remove };
    },
    change(set, remove) {
      const removed = remove.map(keyOf);
      const added = set.map((peer): [string, PeerSubnet] => [keyOfRow(peer), peer]);
      for (const key of removed) rows.delete(key);
      for (const [key, peer] of added) rows.set(key, peer);
      return { set, remove };
    },
  };
}

const isSame = (one: PeerSubnet | undefined, other: PeerSubnet): boolean =>
  one?.address === other.address && one.port === other.port;

/** The subnet without host bits. */
function keyOf(subnet: string): string {
  const { network, length } = networkOf(subnet);
  return `${network}/${length}`;
}

function keyOfRow({ subnet, address, port }: PeerSubnet): string {
  addressNumber(address);
  if (!Number.isInteger(port) || port < 1 || port > 65535) throw new Error(`${JSON.stringify(port)} is no port`);
  return keyOf(subnet);
}
