import { nameOf } from "../../../pkg/runtime/result-cache.ts";
import { restoreRules } from "../reload.ts";
import type { Check, Observation } from "./finding.ts";

export const lostRules: Check = {
  id: "lost-rules",
  about: "rules of running containers that are gone, as after a firewall was reloaded",
  severity: "error",
  find({ self, lostRules: { lost, failed } }) {
    const missing: Observation = {
      text: `firewall rules of ${lost.length} running attachments are missing`,
      evidence: lost.map(({ entry, changes }) => `${nameOf(entry)}: ${changes.join(", ")}`),
      remedy:
        "twill reload; to have it run behind each reload of the firewall, install the drop-ins of docs/operations.md",
      fix: { text: "restore the rules, as twill reload does", run: () => restoreRules(self.plugins) },
    };
    const untold: Observation = {
      severity: "unknown",
      text: `whether rules of ${failed.length} running attachments are missing cannot be told`,
      evidence: failed.map(({ entry, error }) => `${nameOf(entry)}: ${error}`),
      remedy: "correct what each line names; if that does not help, delete these containers and create them again",
    };
    return [...(lost.length > 0 ? [missing] : []), ...(failed.length > 0 ? [untold] : [])];
  },
};
