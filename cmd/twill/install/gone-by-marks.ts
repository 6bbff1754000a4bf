/**
 * Tells which attachments that no runtime remembers are certainly gone. Rules alone are no proof: the runtime may keep its cache elsewhere, and macvlan,
 * ipvlan, tap and others leave no link on the host.
 */
import type { AttachmentId } from "../../../pkg/cni/attachment-id.ts";
import { type MarkedRule, ownersFor } from "../../../pkg/firewall/marked-rules.ts";
import type { Link } from "../../../pkg/link/link.ts";
import { aliasOf, ownerOf } from "../../../pkg/link/owner.ts";
import type { NetworkList } from "../../../pkg/runtime/network-list.ts";
import { keyOf } from "../node/cached-attachments.ts";
import {
  everyReservationDirectory,
  leftoverReservations,
  type Reservation,
  readReservations,
  reservationDirectories,
} from "../node/leftovers.ts";

export interface Marks {
  /** Of the host. */
  links: readonly Link[];
  rules: readonly MarkedRule[];
  /** The networks whose configuration is on the node. */
  configured: readonly Pick<NetworkList, "name" | "plugins">[];
}

/**
 * Returns a function that reports whether an attachment that no runtime remembers is gone. None is while a link of the host has its mark. Besides,
 * either proves it:
 *
 * - It had a veth pair, which rules of masquerade and MAC spoof checks tell, and each veth on the host has a mark, another's.
 * - Its network gives addresses by host-local, and it has no reservation there, or one of an earlier boot. So `twill gc` decides, too.
 */
export function goneByMarks({ links, rules, configured }: Marks): (owner: AttachmentId) => boolean {
  const linked = new Set(links.flatMap((link) => ownerOf(link) ?? []).map(keyOf));
  const areVethsMarked = links.every((link) => link.kind !== "veth" || ownerOf(link) !== undefined);
  const rulesOfVeths = rules.filter(({ isOfVeth }) => isOfVeth);
  const reservations = new Map<string, readonly Reservation[] | undefined>();
  return (owner) => {
    if (linked.has(keyOf(owner)) || aliasOf(owner) === undefined) return false;
    const own = ownersFor([owner]);
    if (areVethsMarked && rulesOfVeths.some((rule) => rule.isOf(own))) return true;
    const { network } = owner;
    if (!reservations.has(network)) reservations.set(network, reservationsOf(network, configured));
    return isReleased(owner, reservations.get(network));
  };
}

/** Returns undefined where a plugin of the network may give addresses otherwise. */
function reservationsOf(network: string, configured: Marks["configured"]): Reservation[] | undefined {
  const lists = configured.filter(({ name }) => name === network);
  if (lists.length === 0 || lists.some(({ plugins }) => reservationDirectories(network, plugins).length === 0))
    return undefined;
  const directories = new Set(lists.flatMap(({ plugins }) => everyReservationDirectory(network, plugins)));
  return [...directories].flatMap((directory) => readReservations(directory, network));
}

/** A file that cannot be read may be its reservation. */
function isReleased(owner: AttachmentId, reservations: readonly Reservation[] | undefined): boolean {
  if (reservations === undefined || reservations.some((one) => one.owner === "unknown")) return false;
  const others = new Set(leftoverReservations(reservations, [owner]));
  return reservations.every((one) => one.owner === "torn" || one.isOfEarlierBoot || others.has(one));
}
