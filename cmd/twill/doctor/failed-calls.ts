import { type FailedCall, readFailedCalls } from "../../../pkg/cni/failed-calls.ts";
import { nowMs } from "../../../pkg/sys/clock.ts";
import { callsFile } from "../log/log.ts";
import { grouped } from "../node/grouped.ts";
import type { Check } from "./finding.ts";

/** Runtimes repeat what fails within seconds, and the record does not say what succeeded since: older failures may be over. */
const RECENT_MS = 600_000;

export const failedCalls: Check = {
  id: "failed-calls",
  about: "calls of plugins that have failed in the last 10 minutes",
  severity: "warning",
  find({ environment }) {
    const since = nowMs() - RECENT_MS;
    const recent = (readFailedCalls(callsFile(environment)) ?? []).filter(
      ({ time, error }) => error !== undefined && Date.parse(time) >= since,
    );
    if (recent.length === 0) return [];
    const text = `${recent.length} ${recent.length === 1 ? "call" : "calls"} of plugins failed in the last 10 minutes`;
    const remedy = "twill log --failed --details shows each with what to do; it may be mended already";
    return [{ text, evidence: linesFor(recent), remedy }];
  },
};

/** Returns a line for each error, that of the last call first. */
function linesFor(calls: readonly FailedCall[]): string[] {
  const lineOf = ({ plugin, verb, network = "", error }: FailedCall) =>
    `${plugin} ${verb}${network === "" ? "" : `, network "${network}"`}: ${error?.msg}`;
  return [...grouped(calls.toReversed(), lineOf)].map(([line, { length }]) =>
    length === 1 ? line : `${length} x ${line}`,
  );
}
