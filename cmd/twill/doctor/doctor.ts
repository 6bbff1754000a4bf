/** `twill doctor`: what is wrong with this node's container network, with what to do about each. */
import { failureOf } from "../../../pkg/cni/error.ts";
import { type Call, type Command, jsonFlag } from "../../../pkg/command-line/command.ts";
import { oneLine, printed, table } from "../../../pkg/command-line/table.ts";
import { asRecord, checks, examine } from "./examination.ts";
import type { Finding, Fix } from "./finding.ts";
import { viewNode } from "./node-view.ts";

export const doctor: Command = {
  name: "doctor",
  operands: "",
  required: 0,
  most: 0,
  about: "find what is wrong with this node's container network, and say what to do about it",
  details: [
    "Looks at the node and changes nothing, but for --fix, which does what cannot harm: forwarding, kernel modules, rules of running",
    "containers, and what containers left whose namespaces are provably gone. Policies, configurations and what is unknown it leaves.",
    "The exit status is 0 when nothing is wrong, 1 when something is (with --fix, when something still is), 2 when the command line is",
    "wrong, 3 when nothing is known to be wrong, but something could not be examined. NETCONFPATH and CNI_PATH name directories, as for cnitool.",
  ].join("\n"),
  flags: [
    jsonFlag,
    { name: "fix", about: "do what is safe, and say each thing that is done" },
    { name: "dry-run", about: "say what --fix would do, and change nothing" },
    { name: "list", about: "print what is looked at, and nothing else" },
  ],
  usageStatus: 2,
  examples: [
    "twill doctor",
    "twill doctor --json",
    "twill doctor --fix --dry-run",
    "twill doctor --fix",
    "twill doctor --list",
  ],
  run(call) {
    const { flags, context } = call;
    const { stdout, environment } = context.streams;
    if (flags.has("list")) {
      stdout(list(call));
      return 0;
    }
    const found = examine(viewNode(context, environment));
    const isDryRun = flags.has("dry-run");
    const fixes = isDryRun || flags.has("fix") ? applied(found, { isDryRun }) : [];
    const left = fixes.some(({ outcome }) => outcome !== "planned") ? examine(viewNode(context, environment)) : found;
    tell(left, fixes, call);
    return exitStatus(left);
  },
};

function list({ flags }: Call): string {
  const records = checks.map(({ id, severity, about }) => ({ id, severity, about }));
  if (flags.has("json")) return printed({ checks: records });
  return table(records.map(({ id, severity, about }) => [id, severity, about]));
}

/** What became of a finding's fix. */
interface AppliedFix {
  id: string;
  text: string;
  outcome: "planned" | "done" | "failed";
  error?: string;
}

/** Performs the fixes, or only plans them. Two findings may have the same one, which is performed once. */
function applied(findings: readonly Finding[], { isDryRun }: { isDryRun: boolean }): AppliedFix[] {
  const seen = new Set<string>();
  return findings.flatMap(({ id, fix }): AppliedFix[] => {
    if (fix === undefined || seen.has(fix.text)) return [];
    seen.add(fix.text);
    return [{ id, text: fix.text, ...(isDryRun ? { outcome: "planned" } : outcomeOf(fix)) }];
  });
}

function outcomeOf(fix: Fix): Pick<AppliedFix, "outcome" | "error"> {
  try {
    fix.run();
    return { outcome: "done" };
  } catch (error) {
    return { outcome: "failed", error: failureOf(error).message };
  }
}

function tell(findings: readonly Finding[], fixes: readonly AppliedFix[], { flags, context: { streams } }: Call): void {
  const { stdout, stderr } = streams;
  if (flags.has("json")) {
    stdout(printed({ findings: findings.map(asRecord), fixes }));
    return;
  }
  for (const { text, outcome, error = "" } of fixes) {
    if (outcome === "failed") stderr(`twill doctor: could not ${oneLine(text)}: ${oneLine(error)}\n`);
    else stdout(`${outcome === "done" ? "fixed:" : "would"} ${oneLine(text)}\n`);
  }
  stdout(findings.length === 0 ? "nothing is wrong\n" : findings.map(paragraph).join(""));
}

function exitStatus(findings: readonly Finding[]): number {
  if (findings.length === 0) return 0;
  return findings.every(({ severity }) => severity === "unknown") ? UNKNOWN_ONLY : 1;
}
const UNKNOWN_ONLY = 3;

/** Lines of evidence that are shown; --json has all. */
const MOST_EVIDENCE = 10;

function paragraph({ id, severity, text, evidence, remedy, fix }: Finding): string {
  const shown = evidence.slice(0, MOST_EVIDENCE);
  const rest = evidence.length > shown.length ? [`and ${evidence.length - shown.length} more`] : [];
  return [
    `${severity}: ${oneLine(text)} [${id}]`,
    ...[...shown, ...rest].map((line) => `  ${oneLine(line)}`),
    `  To fix: ${oneLine(remedy)}${fix === undefined ? "" : " (--fix does it)"}`,
    "",
  ].join("\n");
}
