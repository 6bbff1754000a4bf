/**
 * Finds what is left on this node of attachments that no runtime remembers: links, rules, reservations. Whether their containers are gone
 * cannot be told from here, since a runtime may keep its cache elsewhere. What is left of attachments that runtimes do remember, and whose
 * namespace is gone, is GC's: see `CachedAttachment`.
 */
import type { AttachmentId } from "../../../pkg/cni/attachment-id.ts";
import { isObject, type JsonObject } from "../../../pkg/config/json.ts";
import { type MarkedRule, ownersFor } from "../../../pkg/firewall/marked-rules.ts";
import { openOwnerIndex } from "../../../pkg/ipam/host-local/owner-index.ts";
import type { Owner } from "../../../pkg/ipam/host-local/reservation.ts";
import { reservationDirectory } from "../../../pkg/ipam/host-local/reservation-directory.ts";
import {
  findReservation,
  findStore,
  forEachReserved,
  isOwner,
  pathOf,
} from "../../../pkg/ipam/host-local/reservation-files.ts";
import { findEntry } from "../../../pkg/ipam/host-local/scan.ts";
import type { Link } from "../../../pkg/link/link.ts";
import { ownerOf } from "../../../pkg/link/owner.ts";
import { keyOf } from "./cached-attachments.ts";

export interface LeftoverLink {
  link: Link;
  owner: AttachmentId;
}

/** Returns the links that are marked for none of these attachments: host ends of veth pairs, ifb devices, and others. */
export function leftoverLinks(links: readonly Link[], remembered: readonly AttachmentId[]): LeftoverLink[] {
  const known = new Set(remembered.map(keyOf));
  return links.flatMap((link) => {
    const owner = ownerOf(link);
    return owner === undefined || known.has(keyOf(owner)) ? [] : [{ link, owner }];
  });
}

/** Returns the rules whose comments name none of these attachments. */
export function leftoverRules(rules: readonly MarkedRule[], remembered: readonly AttachmentId[]): MarkedRule[] {
  const owners = ownersFor(remembered);
  return rules.filter((rule) => !rule.isOf(owners));
}

export interface Reservation {
  network: string;
  /** The file. */
  path: string;
  address: string;
  /** "torn": the file is empty, and the address unused; "unknown": the file is not a reservation, and the address may be used. */
  owner: Owner | "torn" | "unknown";
  /** Whether it was certainly made before this boot, so that its container is gone. */
  isOfEarlierBoot: boolean;
}

/** Returns host-local's reservations in a directory of a network; none when it does not exist. */
export function readReservations(directory: string, network: string): Reservation[] {
  const store = findStore(directory);
  if (store === undefined) return [];
  const index = openOwnerIndex(store);
  const found: Reservation[] = [];
  forEachReserved(store, (address) => {
    const owner = findReservation(store, address);
    if (owner === undefined) return; // released in between
    const entry = isOwner(owner) ? findEntry(index, store, address, owner) : undefined;
    const isOfEarlierBoot = entry !== undefined && entry.bootId !== index.bootId;
    found.push({ network, path: pathOf(store, address), address, owner, isOfEarlierBoot });
  });
  return found;
}

/** Returns the reservations of none of these attachments. Old releases wrote no interface: any of the container's counts. */
export function leftoverReservations(
  reservations: readonly Reservation[],
  remembered: readonly AttachmentId[],
): Reservation[] {
  const keys = remembered.flatMap(({ network, containerId, ifName }) => [
    reservationKey(network, { containerId, ifName }),
    reservationKey(network, { containerId, ifName: undefined }),
  ]);
  const known = new Set(keys);
  return reservations.filter(
    ({ network, owner }) => typeof owner === "object" && !known.has(reservationKey(network, owner)),
  );
}

const reservationKey = (network: string, { containerId, ifName = "" }: Owner): string =>
  JSON.stringify([network, containerId.trim(), ifName]);

/** Returns the directories of host-local's reservations that the plugins of a network use. */
export function reservationDirectories(network: string, plugins: readonly JsonObject[]): string[] {
  const directories = plugins.flatMap(({ ipam }) => {
    return isObject(ipam) && ipam["type"] === "host-local" ? [reservationDirectory(network, ipam)] : [];
  });
  return [...new Set(directories)];
}

/** Returns those in which an attachment of the network may have an address: also the usual one, since the configuration may have got its own since. */
export const everyReservationDirectory = (network: string, plugins: readonly JsonObject[]): string[] => [
  ...new Set([...reservationDirectories(network, plugins), reservationDirectory(network, undefined)]),
];
