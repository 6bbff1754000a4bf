/**
 * The rows of the table as they were given, by which a whole table becomes what differs from it, and what cannot be used is refused before anything has changed. Pure.
 */
import { addressNumber, MAX_ROWS, networkOf } from "./peer-table.ts";
import type { PeerSubnet } from "./protocol.ts";

export interface RowChanges {
  set: readonly PeerSubnet[];
  /** Subnets; carried out before `set`. */
  remove: readonly string[];
}

/** Each method returns what is to be changed in the table that the threads read. @throws Error what could not be used; nothing has changed then */
export interface PeerRows {
  replace(peers: readonly PeerSubnet[]): RowChanges;
  change(set: readonly PeerSubnet[], remove: readonly string[]): RowChanges;
  /** Returns all of them. */
  all(): PeerSubnet[];
}

export function createPeerRows(): PeerRows {
  let rows = new Map<string, PeerSubnet>();
  return {
    replace(peers) {
      const next = new Map(peers.map((peer) => [keyOfRow(peer), peer]));
      refuseMore(next.size);
      const remove = [...rows].flatMap(([key, { subnet }]) => (next.has(key) ? [] : [subnet]));
      const set = [...next].flatMap(([key, peer]) => (isSame(rows.get(key), peer) ? [] : [peer]));
      rows = next;
      return { set, remove };
    },
    change(set, remove) {
      const removed = remove.map(keyOf);
      const added = set.map((peer): [string, PeerSubnet] => [keyOfRow(peer), peer]);
      refuseMore(rows.size + added.filter(([key]) => !rows.has(key)).length); // before those that go: a change is small
      for (const key of removed) rows.delete(key);
      for (const [key, peer] of added) rows.set(key, peer);
      return { set, remove };
    },
    all: () => [...rows.values()],
  };
}

function refuseMore(count: number): void {
  if (count > MAX_ROWS)
    throw new Error(
      `${count} subnets are more than the ${MAX_ROWS} that the backend udp holds. To fix: use another backend`,
    );
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
