/** version: shows the plugins in CNI_PATH, the versions that they support, and which are ours. */
import { CniError } from "../../pkg/cni/error.ts";
import type { Delegates } from "../../pkg/cni/plugin.ts";
import { supportedVersions } from "../../pkg/cni/version.ts";
import { type Command, jsonFlag } from "../../pkg/command-line/command.ts";
import { printed, table } from "../../pkg/command-line/table.ts";
import { isOwnTool, type PluginFile, pluginFiles, pluginInfo, versionsOf } from "../../pkg/runtime/plugin-info.ts";
import { pluginPathOrUsual, usualPath } from "./paths.ts";

interface Described {
  type: string;
  path: string;
  /** "tool": a program of CNI or flannel that is no plugin. */
  origin: "ours" | "foreign" | "tool";
  /** Empty when it is no plugin, see `error`. */
  supportedVersions: readonly string[];
  about: string;
  hiddenBy: string | undefined;
  error: string | undefined;
}

export const version: Command = {
  name: "version",
  operands: "[type]",
  required: 0,
  most: 1,
  about: "list the plugins: their CNI versions, which implementation they are, and their own description",
  details: [
    `Calls every executable in ${usualPath}`,
    "with CNI_COMMAND=VERSION, and without it. With a type, plugins of that name only.",
  ].join("\n"),
  flags: [jsonFlag],
  examples: ["CNI_PATH=/opt/cni/bin cnitool version", "CNI_PATH=/opt/cni/bin cnitool version --json loopback"],
  run({ operands: [type], flags, context: { version, plugins, streams } }) {
    const directories = pluginPathOrUsual(streams.environment);
    const found = pluginFiles(directories)
      .filter(({ name }) => type === undefined || name === type)
      .flatMap((file) => describe(file, plugins, version));
    if (flags.has("json")) streams.stdout(printed({ version, supportedVersions, plugins: found }));
    else streams.stdout(`${versionLine(version)}\n\n${tableOf(found, directories, type)}`);
    return 0;
  },
};

/** Returns the line that `cnitool --version` prints, too. */
export const versionLine = (version: string): string => `cnitool ${version} (twill), CNI ${range(supportedVersions)}`;

/** Describes a file. Only one that answers VERSION is called without CNI_COMMAND: another program might then do its normal work. */
function describe(file: PluginFile, plugins: Delegates, version: string): Described[] {
  if (isOwnTool(file, plugins)) return [];
  const { name: type, path, hiddenBy } = file;
  if (TOOLS.includes(type)) return [{ type, path, origin: "tool", about: "", hiddenBy, ...isTool }];
  const answered = answer(file, plugins);
  const { about, isOurs } =
    answered.error === undefined ? pluginInfo(file, plugins, version) : { about: "", isOurs: false };
  return [{ type, path, origin: isOurs ? "ours" : "foreign", about, hiddenBy, ...answered }];
}

/** Names of programs that are not called: an earlier mk-docker-opts writes its file whatever it is asked, and flannel's flanneld starts. */
const TOOLS = ["cnitool", "twill", "flanneld", "mk-docker-opts", "mk-docker-opts.sh"];
const isTool = { supportedVersions: [], error: "not a plugin: move it out of this directory, as to /usr/local/bin" };

function answer(file: PluginFile, plugins: Delegates): Pick<Described, "supportedVersions" | "error"> {
  try {
    return { supportedVersions: versionsOf(file, plugins), error: undefined };
  } catch (error) {
    if (!(error instanceof CniError)) throw error;
    return { supportedVersions: [], error: error.msg };
  }
}

function tableOf(found: readonly Described[], directories: readonly string[], type: string | undefined): string {
  const wanted = type === undefined ? "plugins" : `plugin "${type}"`;
  if (found.length === 0) return `no ${wanted} in ${directories.join(", ") || usualPath}\n`;
  return table([
    ["TYPE", "ORIGIN", "CNI", "FILE", "ABOUT"],
    ...found.map(({ type, origin, supportedVersions, path, about, hiddenBy, error }) => [
      type,
      origin,
      range(supportedVersions) || "-",
      path,
      hiddenBy === undefined ? (error ?? about) : `never used: ${hiddenBy} comes first`,
    ]),
  ]);
}

/** Formats as "0.1.0 to 1.1.0" if no version in between is missing, otherwise lists all. */
function range(versions: readonly string[]): string {
  const [first, last] = [versions[0], versions.at(-1)];
  const from = supportedVersions.indexOf(first ?? "");
  const run = supportedVersions.slice(from, from + versions.length);
  const isRun = versions.length > 2 && run.join() === versions.join();
  return isRun ? `${first} to ${last}` : versions.join(", ");
}
