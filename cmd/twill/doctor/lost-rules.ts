/** lost-rules: rules of running containers are gone, as after a firewall was reloaded. */
import { missingRules, restoreRules } from "../reload.ts";
import type { Check, Finding } from "./finding.ts";

export const lostRules: Check = {
  id: "lost-rules",
  find({ self }) {
    const missing = missingRules(self.plugins);
    if (missing.length === 0) return [];
    const found: Finding = {
      id: "lost-rules",
      severity: "error",
      text: `firewall rules of ${missing.length} running attachments are missing`,
      evidence: missing,
      remedy:
        "twill reload; to have it run behind each reload of the firewall, install the drop-ins of docs/operations.md",
      fix: { text: "restore the rules, as twill reload does", run: () => restoreRules(self.plugins) },
    };
    return [found];
  },
};
