import { findLinkProblems, networksWithLinks } from "../../../pkg/network/link-holes.ts";
import { defaultCacheRoot } from "../../../pkg/runtime/result-cache.ts";
import { restoreRules } from "../reload.ts";
import type { Check } from "./finding.ts";

export const lostLinks: Check = {
  id: "lost-links",
  about:
    "links between containers whose ports are closed, or whose target is open to others, as after nft flush ruleset",
  severity: "error",
  find({ self }) {
    const evidence = networksWithLinks().flatMap((network) =>
      findLinkProblems(network, defaultCacheRoot).map(({ text }) => `${network}: ${text}`),
    );
    if (evidence.length === 0) return [];
    return [
      {
        text: "what links between containers open is not as their records say",
        evidence,
        remedy: "twill reload",
        fix: { text: "restore the rules, as twill reload does", run: () => restoreRules(self.plugins) },
      },
    ];
  },
};
