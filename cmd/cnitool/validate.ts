/** validate: finds mistakes in network configurations before a container is started with them. */
import { versionsOfPlugin } from "../../pkg/cni/delegate.ts";
import { CniError, ErrorCode } from "../../pkg/cni/error.ts";
import type { Delegates } from "../../pkg/cni/plugin.ts";
import { type Command, jsonFlag } from "../../pkg/command-line/command.ts";
import { printed } from "../../pkg/command-line/table.ts";
import { nearest } from "../../pkg/config/edit-distance.ts";
import { configurationFiles, defaultConfigDirectory } from "../../pkg/runtime/network-list.ts";
import { findStat } from "../../pkg/sys/file.ts";
import { loadOrderNotes, networkConflicts } from "./lint/conflicts.ts";
import { type Finding, printFinding, sorted } from "./lint/finding.ts";
import { type LintContext, type LintResult, lintFile, type Network } from "./lint/lint-file.ts";
import { configDirectory, pluginPathOrUsual, usualPath } from "./paths.ts";

export const validate: Command = {
  name: "validate",
  operands: "[file|directory|network-name …]",
  required: 0,
  most: Number.POSITIVE_INFINITY,
  about: "find mistakes in network configurations, with file, line and column",
  details: [
    `Looks at files, at networks of these names, or at all files of a directory, NETCONFPATH (${defaultConfigDirectory}): JSON, wrong`,
    "values, unknown keys, plugins that are missing or do not support the version, networks that share a name, a bridge",
    `or addresses, and which file is used by runtimes that use the first one. Plugins are looked for in ${usualPath}.`,
    "The exit status is 1 when there are errors; warnings are errors only with --strict, notes never.",
  ].join("\n"),
  flags: [jsonFlag, { name: "strict", about: "treat warnings as errors" }],
  examples: [
    "cnitool validate",
    "cnitool validate /etc/cni/net.d/99-example.conflist",
    "cnitool validate --json example",
  ],
  run({ operands, flags, context: { plugins, streams } }) {
    const surroundings = { plugins, versionsOf: askedOnce(pluginPathOrUsual(streams.environment), plugins) };
    const examined = (operands.length === 0 ? [undefined] : operands).flatMap((target) =>
      examine(target, configDirectory(streams.environment), surroundings),
    );
    const chosen = [...new Map(examined.map((result) => [result.file, result])).values()];

    const findings = sorted(chosen.flatMap((examined) => examined.findings));
    const networks = chosen.flatMap(({ network }) => (network === undefined ? [] : [summaryOf(network)]));
    if (flags.has("json")) streams.stdout(printed({ networks, findings }));
    else streams.stdout([...findings.map(printFinding), ...networks.filter(isFlawless(findings)).map(praise)].join(""));

    const fatal = findings.filter(
      ({ severity }) => severity === "error" || (severity === "warning" && flags.has("strict")),
    );
    if (fatal.length === 0) return 0;
    const files = new Set(fatal.map(({ file }) => file)).size;
    streams.stderr(`cnitool: ${counted(fatal.length, "mistake")} in ${files} of ${counted(chosen.length, "file")}\n`);
    return 1;
  },
};

/** Examines a file, the network of that name, or all files of a directory, by default those of `usual`. */
function examine(target: string | undefined, usual: string, surroundings: LintContext): LintResult[] {
  const isDirectory = target !== undefined && findStat(target)?.type === "directory";
  const directory = isDirectory ? target : usual;
  const all = configurationFiles(directory, endings).map((file) => lintFile(file, surroundings));
  return target === undefined || isDirectory ? together(all, directory) : one(target, all, { directory, surroundings });
}

const endings = [".conflist", ".conf", ".json"];

/** Examines all files of a directory, which may have none. @param path Directories of plugins */
export function examineDirectory(directory: string, path: readonly string[], plugins: Delegates): LintResult[] {
  const surroundings = { plugins, versionsOf: askedOnce(path, plugins) };
  const all = configurationFiles(directory, endings).map((file) => lintFile(file, surroundings));
  return all.length === 0 ? [] : together(all, directory);
}

/** Caches the answers, since starting a plugin takes longer than all the rest. */
function askedOnce(path: readonly string[], plugins: Delegates): LintContext["versionsOf"] {
  const answers = new Map<string, readonly string[]>();
  return (type) => {
    const versions = answers.get(type) ?? versionsOfPlugin(type, path, plugins);
    answers.set(type, versions);
    return versions;
  };
}

/** Checks all files of the directory, each also against the ones before it: a conflict is reported in the later file. */
function together(all: readonly LintResult[], directory: string): LintResult[] {
  if (all.length === 0) {
    const remedy = `put a configuration there, as ${directory}/10-example.conflist, or set NETCONFPATH to the directory of the configurations`;
    throw new CniError({ code: ErrorCode.invalidConfig, msg: `no net configurations found in ${directory}`, remedy });
  }
  const networks = networksOf(all);
  return all.map((examined) => {
    const { file, network, findings } = examined;
    if (network === undefined) return examined;
    const first = loadOrderNotes(networks).filter((finding) => finding.file === file);
    return {
      ...examined,
      findings: [...findings, ...first, ...networkConflicts(network, networks.slice(0, networks.indexOf(network)))],
    };
  });
}

interface Searched {
  directory: string;
  surroundings: LintContext;
}

/** Checks a file, or the files with a network of that name, against all others of the directory. */
function one(target: string, all: readonly LintResult[], { directory, surroundings }: Searched): LintResult[] {
  const isFile = findStat(target) !== undefined;
  const chosen = isFile ? [lintFile(target, surroundings)] : all.filter(({ network }) => network?.name === target);
  if (chosen.length === 0) throw target.includes("/") ? noFile(target) : noNetwork(target, directory, networksOf(all));
  return chosen.map((examined) => {
    const { network, findings } = examined;
    if (network === undefined) return examined;
    const others = networksOf(all).filter(({ file }) => !isSameFile(file, network.file));
    const isInstalled = others.length < networksOf(all).length;
    const neighbours = others.filter(({ name }) => isInstalled || name !== network.name); // otherwise it may be meant to replace that one
    return { ...examined, findings: [...findings, ...networkConflicts(network, neighbours)] };
  });
}

function noFile(file: string): CniError {
  const remedy = "pass a file that exists, or the name of a network in NETCONFPATH";
  return new CniError({ code: ErrorCode.io, msg: `there is no file ${file}`, remedy });
}

function noNetwork(name: string, directory: string, networks: readonly Network[]): CniError {
  const names = networks.map((network) => network.name);
  const meant = nearest(name, names);
  return new CniError({
    code: ErrorCode.invalidConfig,
    msg: `no net configuration with name "${name}" in ${directory}`,
    details: names.length === 0 ? undefined : `there are ${names.map((other) => `"${other}"`).join(", ")}`,
    remedy: meant === undefined ? "use one of these names, or pass a file" : `did you mean "${meant}"?`,
  });
}

const networksOf = (all: readonly LintResult[]): Network[] => all.flatMap(({ network }) => network ?? []);

function isSameFile(one: string, other: string): boolean {
  const [a, b] = [findStat(one), findStat(other)];
  return a !== undefined && a.inode === b?.inode && a.device === b.device;
}

interface Summary {
  file: string;
  name: string;
  cniVersion: string;
  plugins: { type: string; ipam: string | undefined }[];
}

function summaryOf({ file, name, cniVersion, plugins }: Network): Summary {
  return { file, name, cniVersion, plugins: plugins.map(({ type, ipam }) => ({ type, ipam })) };
}

const isFlawless =
  (findings: readonly Finding[]) =>
  ({ file }: Summary): boolean =>
    !findings.some((finding) => finding.file === file && finding.severity !== "note");

function praise({ file, name, cniVersion, plugins }: Summary): string {
  const chain = plugins.map(({ type, ipam }) => (ipam === undefined ? type : `${type} with ${ipam}`)).join(", ");
  return `${file}: ok: network "${name}", CNI ${cniVersion}: ${chain}\n`;
}

const counted = (count: number, thing: string): string => `${count} ${thing}${count === 1 ? "" : "s"}`;
