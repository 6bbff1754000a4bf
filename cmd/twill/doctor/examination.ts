/** Examines the node by all checks, for `twill doctor` and those who pass its findings on. */
import { failureOf, partsOfDetails } from "../../../pkg/cni/error.ts";
import { bridgedTraffic } from "./bridged-traffic.ts";
import { bridges } from "./bridges.ts";
import { configuration } from "./configuration.ts";
import { damagedRecords } from "./damaged-records.ts";
import { deadAttachments } from "./dead-attachments.ts";
import { duplicateMacs } from "./duplicate-macs.ts";
import { failedCalls } from "./failed-calls.ts";
import type { Check, Finding } from "./finding.ts";
import { forwardPolicy } from "./forward-policy.ts";
import { forwarding } from "./forwarding.ts";
import { fullRanges } from "./full-ranges.ts";
import { installedFiles } from "./installed-files.ts";
import { iptablesVariants } from "./iptables-variants.ts";
import { kernel } from "./kernel.ts";
import { leftoverLinks } from "./leftover-links.ts";
import { leftoverReservations } from "./leftover-reservations.ts";
import { leftoverRules } from "./leftover-rules.ts";
import { lostLinks } from "./lost-links.ts";
import { lostRules } from "./lost-rules.ts";
import { mtu } from "./mtu.ts";
import type { NodeView } from "./node-view.ts";
import { overlappingRoutes } from "./overlapping-routes.ts";
import { pluginDirectories } from "./plugin-directories.ts";
import { rpFilter } from "./rp-filter.ts";
import { subnetFile } from "./subnet-file.ts";
import { unknownAttachments } from "./unknown-attachments.ts";

// biome-ignore format: a line for each, so that checks which come at the same time do not meet
export const checks: readonly Check[] = [
  pluginDirectories,
  installedFiles,
  configuration,
  overlappingRoutes,
  kernel,
  bridges,
  forwarding,
  forwardPolicy,
  bridgedTraffic,
  rpFilter,
  iptablesVariants,
  lostRules,
  lostLinks,
  mtu,
  subnetFile,
  fullRanges,
  duplicateMacs,
  deadAttachments,
  unknownAttachments,
  leftoverLinks,
  leftoverRules,
  leftoverReservations,
  damagedRecords,
  failedCalls,
];

/** Returns what all checks find; changes nothing. */
export const examine = (node: NodeView): Finding[] => checks.flatMap((check) => findingsOf(check, node));

/** A finding for programs, as in `twill doctor --json`. */
export const asRecord = ({ id, severity, text, evidence, remedy, fix }: Finding) => ({
  id,
  severity,
  text,
  evidence,
  remedy,
  fix: fix?.text,
});

/** A check that cannot look says so, and the others go on. */
function findingsOf({ id, severity, find }: Check, node: NodeView): Finding[] {
  try {
    return find(node).map((observation) => ({ severity, ...observation, id }));
  } catch (error) {
    const { msg, details } = failureOf(error);
    const { reason, remedy } = partsOfDetails(details);
    const text = `this could not be checked: ${msg}`;
    return [{ id, severity: "unknown", text, evidence: [], remedy: remedy || reason }];
  }
}
