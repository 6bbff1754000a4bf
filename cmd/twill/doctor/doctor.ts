/** `twill doctor`: what is wrong with this node's container network, with what to do about each. */
import { failureOf } from "../../../pkg/cni/error.ts";
import { type Call, type Command, jsonFlag } from "../../../pkg/command-line/command.ts";
import { oneLine, printed } from "../../../pkg/command-line/table.ts";
import { listLinks, openRtnetlink } from "../../../pkg/link/link.ts";
import { findSysctl } from "../../../pkg/link/sysctl.ts";
import { cachedNamespace } from "../../../pkg/runtime/cached-namespace.ts";
import { installedRuntimes } from "../../../pkg/runtime/installed-runtimes.ts";
import { defaultCacheRoot, listCaches } from "../../../pkg/runtime/result-cache.ts";
import { examineDirectory } from "../../cnitool/validate.ts";
import type { Self } from "../install/origin.ts";
import { configDirectories } from "../node/config-directories.ts";
import { configuration } from "./configuration.ts";
import { deadAttachments } from "./dead-attachments.ts";
import type { Check, Finding, Node } from "./finding.ts";
import { forwardPolicy } from "./forward-policy.ts";
import { forwarding } from "./forwarding.ts";
import { fullRanges } from "./full-ranges.ts";
import { leftoverLinks } from "./leftover-links.ts";
import { lostRules } from "./lost-rules.ts";
import { pluginDirectories } from "./plugin-directories.ts";
import { subnetFile } from "./subnet-file.ts";

// biome-ignore format: a line for each, so that checks which come at the same time do not meet
const checks: readonly Check[] = [
  pluginDirectories,
  configuration,
  forwarding,
  forwardPolicy,
  lostRules,
  subnetFile,
  fullRanges,
  deadAttachments,
  leftoverLinks,
];

export const doctor: Command = {
  name: "doctor",
  operands: "",
  required: 0,
  most: 0,
  about: "find what is wrong with this node's container network, and say what to do about it",
  details: [
    "Looks at the runtimes' plugins and network configurations, forwarding, firewall, the runtimes' caches, links and reservations.",
    "It changes nothing, but for --fix, which does what cannot harm: forwarding, rules of running containers, and what containers",
    "left whose namespaces are provably gone. Policies, configurations and what is unknown it leaves. The exit status is 1 when",
    "something was found. NETCONFPATH and CNI_PATH name directories, as for cnitool.",
  ].join("\n"),
  flags: [jsonFlag, { name: "fix", about: "do what is safe, and say each thing that is done" }],
  examples: ["twill doctor", "twill doctor --json", "twill doctor --fix"],
  run(call) {
    const findings = allFindings(call);
    if (!call.flags.has("fix")) return told(findings, call);
    for (const { fix } of findings) if (fix !== undefined) apply(fix, call);
    return told(allFindings(call), call);
  },
};

function allFindings({ context }: Call): Finding[] {
  const node = nodeSeenBy(context, context.streams.environment);
  return checks.flatMap((check) => findingsOf(check, node));
}

/** A check that cannot look is told like what it looks for: the others go on. */
function findingsOf({ id, find }: Check, node: Node): Finding[] {
  try {
    return find(node);
  } catch (error) {
    const { msg, details } = failureOf(error);
    const text = `this could not be checked: ${msg}`;
    return [{ id, severity: "warning", text, evidence: [], remedy: details.replace(/^(.*\. )?To fix: /, "") }];
  }
}

function apply({ text, run }: NonNullable<Finding["fix"]>, { flags, context: { streams } }: Call): void {
  const tell = flags.has("json") ? streams.stderr : streams.stdout;
  try {
    run();
    tell(`fixed: ${text}\n`);
  } catch (error) {
    streams.stderr(`twill doctor: could not ${text}: ${failureOf(error).message}\n`);
  }
}

function told(findings: readonly Finding[], { flags, context: { streams } }: Call): number {
  if (flags.has("json")) {
    const records = findings.map(({ fix, ...finding }) => ({ ...finding, fix: fix?.text }));
    streams.stdout(printed({ findings: records }));
  } else streams.stdout(findings.length === 0 ? "nothing is wrong\n" : findings.map(paragraph).join(""));
  return findings.length === 0 ? 0 : 1;
}

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

function nodeSeenBy(self: Self, environment: Readonly<Record<string, string>>): Node {
  const installed = installedRuntimes();
  const configurations = configDirectories(installed, environment).flatMap(({ directory, path }) =>
    examineDirectory(directory, path, self.plugins),
  );
  const caches = listCaches(defaultCacheRoot);
  return {
    self,
    installed,
    configurations,
    networks: configurations.flatMap(({ network }) => network ?? []),
    attachments: caches.flatMap(({ entries }) =>
      entries.map((entry) => ({ entry, state: cachedNamespace(entry).state })),
    ),
    damaged: caches.flatMap(({ damaged }) => damaged),
    links: listLinks(openRtnetlink()),
    sysctl: findSysctl,
    environment,
  };
}
