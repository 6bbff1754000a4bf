import { failureOf, partsOfDetails } from "../../../pkg/cni/error.ts";
import { readRecord as readInstallation } from "../install/record.ts";
import type { Check, Observation } from "./finding.ts";

export const damagedRecords: Check = {
  id: "damaged-records",
  about: "files of the runtimes' caches, reservations and the record of twill install that cannot be read",
  severity: "unknown",
  find({ cache, reservations }) {
    const torn = reservations.filter(({ owner }) => owner === "torn");
    const strange = reservations.filter(({ owner }) => owner === "unknown");
    return [
      ...found(
        cache.damaged.map(({ path, reason }) => `${path}: ${reason}`),
        (count) => `${count} files of the runtimes' cache are damaged: whose they are is unknown`,
        "delete the container through its runtime; if it is gone already, remove the file and run twill gc",
      ),
      ...found(
        torn.map(({ path }) => path),
        (count) => `${count} reservations have no content, as after a crash: nothing uses these addresses`,
        "none is needed: host-local gives these addresses out when it has no others; or remove the files",
      ).map((observation): Observation => ({ ...observation, severity: "warning" })),
      ...found(
        strange.map(({ path }) => path),
        (count) => `${count} files among the reservations are none: their addresses stay reserved`,
        "find out who wrote them, and remove them if nothing uses the addresses",
      ),
      ...installation(),
    ];
  },
};

function found(evidence: readonly string[], text: (count: number) => string, remedy: string): Observation[] {
  return evidence.length === 0 ? [] : [{ text: text(evidence.length), evidence, remedy }];
}

function installation(): Observation[] {
  try {
    readInstallation();
    return [];
  } catch (error) {
    const { msg, details } = failureOf(error);
    const { reason, remedy } = partsOfDetails(details);
    return [{ text: msg, evidence: [], remedy: remedy || reason }];
  }
}
