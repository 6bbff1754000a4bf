/** configuration: what cnitool validate finds in the directories from which runtimes read networks; also subnets that overlap. */
import type { Finding as Mistake } from "../../cnitool/lint/finding.ts";
import type { Check, Finding } from "./finding.ts";

export const configuration: Check = {
  id: "configuration",
  find: ({ configurations }) =>
    configurations.flatMap(({ findings }) => findings.flatMap((mistake) => findingFor(mistake))),
};

function findingFor({ file, line, column, severity, text, hint }: Mistake): Finding[] {
  if (severity === "note") return [];
  const remedy = hint ?? "correct the file; cnitool validate checks it";
  return [{ id: "configuration", severity, text, evidence: [`${file}:${line}:${column}`], remedy }];
}
