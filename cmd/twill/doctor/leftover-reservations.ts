import { withReservationsIn } from "../../../pkg/ipam/host-local/pool.ts";
import { reclaimEverywhere } from "../../../pkg/ipam/host-local/reclaim.ts";
import { describeOwner } from "../../../pkg/ipam/host-local/reservation.ts";
import { directoryOf } from "../../../pkg/sys/file.ts";
import { grouped } from "../node/grouped.ts";
import { type Reservation, leftoverReservations as reservationsOfNobody } from "../node/leftovers.ts";
import type { Check, Fix, Observation } from "./finding.ts";

export const leftoverReservations: Check = {
  id: "leftover-reservations",
  about: "addresses that are reserved for containers that no runtime remembers, or since before this boot",
  severity: "unknown",
  find({ reservations, remembered }) {
    const left = grouped(reservationsOfNobody(reservations, remembered), ({ path }) => directoryOf(path));
    return [...left].flatMap(([directory, all]) => [
      ...ofEarlierBoot(
        directory,
        all.filter(({ isOfEarlierBoot }) => isOfEarlierBoot),
      ),
      ...ofThisBoot(all.filter(({ isOfEarlierBoot }) => !isOfEarlierBoot)),
    ]);
  },
};

function ofEarlierBoot(directory: string, reservations: readonly Reservation[]): Observation[] {
  const [first] = reservations;
  if (first === undefined) return [];
  return [
    {
      severity: "warning",
      text: `${reservations.length} addresses of network "${first.network}" are reserved since before this boot: their containers are gone`,
      evidence: reservations.map(lineFor),
      remedy:
        'none is needed: host-local frees them when the range is full; "reclaimAfterReboot" in the configuration frees them at once',
      fix: freeing(directory, first.network, reservations.length),
    },
  ];
}

function ofThisBoot(reservations: readonly Reservation[]): Observation[] {
  const [first] = reservations;
  if (first === undefined) return [];
  return [
    {
      text: `${reservations.length} addresses of network "${first.network}" are reserved for containers that no runtime of this node remembers`,
      evidence: reservations.map(lineFor),
      remedy: `whether they run is known to who started them: if they are gone, remove the files in ${directoryOf(first.path)}`,
    },
  ];
}

const lineFor = ({ address, owner }: Reservation): string =>
  `${address}: ${typeof owner === "string" ? owner : describeOwner(owner)}`;

/** Frees what host-local itself would free when the range is full. */
const freeing = (directory: string, network: string, count: number): Fix => ({
  text: `free ${count} addresses of network "${network}" that were reserved before this boot`,
  run: () => void withReservationsIn(directory, network, reclaimEverywhere),
});
