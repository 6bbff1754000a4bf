import { cachedNamespace } from "../../../pkg/runtime/cached-namespace.ts";
import { nameOf } from "../../../pkg/runtime/result-cache.ts";
import type { Check } from "./finding.ts";

export const unknownAttachments: Check = {
  id: "unknown-attachments",
  about: "attachments that runtimes remember, of which nobody can tell whether their namespaces exist",
  severity: "unknown",
  find({ cache }) {
    const unknown = cache.attachments.filter(({ state }) => state === "unknown");
    if (unknown.length === 0) return [];
    return [
      {
        text: `whether the containers of ${unknown.length} attachments exist cannot be told`,
        evidence: unknown.map(({ entry }) => {
          const { path } = cachedNamespace(entry);
          return `${nameOf(entry)}: ${path === undefined ? "its cached result has no namespace" : `${path} cannot be examined`}`;
        }),
        remedy:
          "nothing is restored or removed for them: delete those that are gone through their runtime, and create those that run again",
      },
    ];
  },
};
