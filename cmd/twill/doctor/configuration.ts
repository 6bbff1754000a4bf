import type { Finding as Mistake } from "../../cnitool/lint/finding.ts";
import type { Check, Observation } from "./finding.ts";

export const configuration: Check = {
  id: "configuration",
  about: "mistakes in network configurations, as cnitool validate finds them; subnets and bridges of two networks",
  severity: "error",
  find: ({ configurations }) =>
    configurations.flatMap(({ findings }) => findings.flatMap((mistake) => observationOf(mistake))),
};

function observationOf({ file, line, column, severity, text, hint }: Mistake): Observation[] {
  if (severity === "note") return [];
  const remedy = hint ?? "correct the file; cnitool validate checks it";
  return [{ severity, text, evidence: [`${file}:${line}:${column}`], remedy }];
}
