/** The programs in the executable, and how the name by which it is called selects one. */
import { CniError, ErrorCode, printError } from "../../pkg/cni/error.ts";
import type { Delegates } from "../../pkg/cni/plugin.ts";
import type { Streams } from "../../pkg/cni/process-io.ts";
import { runPlugin } from "../../pkg/cni/skeleton.ts";
import type { Tool } from "../../pkg/cni/tool.ts";
import { newestVersion, supportedVersions } from "../../pkg/cni/version.ts";
import { COMPLETE, matching } from "../../pkg/command-line/completion.ts";
import { printableLines } from "../../pkg/command-line/table.ts";
import { nearest } from "../../pkg/config/edit-distance.ts";
import { isErrno } from "../../pkg/sys/errno.ts";
import { exitNow } from "../../pkg/sys/process.ts";

export interface Programs {
  version: string;
  plugins: Delegates;
  tools: Readonly<Record<string, Tool>>;
  /** Daemons by the plugin's name: `NAME daemon` runs one. */
  daemons: Readonly<Record<string, Tool>>;
  /** Commands that only `twill NAME` runs. */
  commands: Readonly<Record<string, Tool>>;
}

const ownName = "twill";

/** Runs a program. @param args the program's own name first. @returns the exit status */
export function runProgram(programs: Programs, args: readonly string[], streams: Streams): number {
  const [called = ownName, ...rest] = args;
  const name = called.slice(called.lastIndexOf("/") + 1);
  return runNamed(programs, name, rest, streams) ?? (name === ownName ? runSelf : runUnknown)(programs, rest, streams);
}

/** Runs the program of that name; returns undefined when there is none. */
function runNamed(programs: Programs, name: string, args: readonly string[], streams: Streams): number | undefined {
  const { version, plugins, tools, daemons } = programs;
  const daemon = args[0] === "daemon" && Object.hasOwn(daemons, name) ? daemons[name] : undefined;
  if (daemon !== undefined) return daemon.run(args.slice(1), { version, plugins, streams });
  const plugin = Object.hasOwn(plugins, name) ? plugins[name] : undefined;
  if (plugin !== undefined) return runPlugin(plugin, { delegates: plugins, version, streams });
  const tool = Object.hasOwn(tools, name) ? tools[name] : undefined;
  if (tool !== undefined && args.length === 0 && isCalledByRuntime(streams)) return refuseAsPlugin(streams);
  const context = { version, plugins, streams: forPeople(streams) };
  if (tool?.complete === undefined || args[0] !== COMPLETE) return tool?.run(args, context);
  streams.stdout(linesOf(tool.complete(args.slice(1), context)));
  return 0;
}

/**
 * Streams for people: they end the process, silently, when the reader of stdout has gone, as `cnitool list | head -1` expects; and no name
 * from outside, as of a file of the cache, controls the terminal by a message.
 */
const forPeople = (streams: Streams): Streams => ({
  ...streams,
  stderr: (text) => streams.stderr(printableLines(text)),
  stdout(text) {
    try {
      streams.stdout(text);
    } catch (error) {
      if (isErrno(error, "EPIPE")) exitNow(EXIT_BY_SIGPIPE);
      throw error;
    }
  },
});
const EXIT_BY_SIGPIPE = 128 + 13;

/** Runs under the name `twill`: `twill cnitool …` runs a tool, `twill bridge` a plugin. */
function runSelf(programs: Programs, args: readonly string[], streams: Streams): number {
  const [name, ...rest] = args;
  if (name === undefined && isCalledByRuntime(streams)) return refuseAsPlugin(streams);
  if (name === "help" && rest[0] !== undefined) return runSelf(programs, [rest[0], "--help"], streams);
  if (name === COMPLETE) {
    streams.stdout(linesOf(completionsOfSelf(programs, rest, streams)));
    return 0;
  }
  const asked = selfCommands.get(name ?? "--help");
  if (asked !== undefined) {
    forPeople(streams).stdout(asked(programs, streams.program));
    return 0;
  }
  const { version, plugins, commands } = programs;
  const command = Object.hasOwn(commands, name ?? "") ? commands[name ?? ""] : undefined;
  const status =
    command?.run(rest, { version, plugins, streams: forPeople(streams) }) ??
    runNamed(programs, name ?? "", rest, streams);
  if (status !== undefined) return status;
  streams.stderr(
    `${ownName}: there is no program ${JSON.stringify(name)}${suggestion(name ?? "", [...namesOf(programs), ...Object.keys(commands)])}\n`,
  );
  return 1;
}

/** Lists what the last word may become: a command or tool, or an argument of one. */
function completionsOfSelf(
  { version, plugins, tools, commands }: Programs,
  words: readonly string[],
  streams: Streams,
): readonly string[] {
  const [name = "", ...rest] = words;
  const all = { ...commands, ...tools };
  if (rest.length === 0) return matching(name, [...Object.keys(all), "help", "--help", "--version"]);
  if (name === "help") return rest.length > 1 ? [] : matching(rest[0] ?? "", Object.keys(all));
  return (Object.hasOwn(all, name) ? all[name] : undefined)?.complete?.(rest, { version, plugins, streams }) ?? [];
}

type Answer = (programs: Programs, program: string) => string;

const selfCommands = new Map<string, Answer>(
  Object.entries({
    "--help": helpText,
    "-h": helpText,
    help: helpText,
    "--version": ({ version }: Programs) => `${ownName} ${version}, CNI ${supportedVersions.join(", ")}\n`,
    /** For the build, which makes a link for each: no tool may be in the plugins' directory, since runtimes start every file there. */
    "--plugins": ({ plugins }: Programs) => linesOf(Object.keys(plugins)),
    "--tools": ({ tools }: Programs) => linesOf(Object.keys(tools)),
    "--names": (programs: Programs) => linesOf(namesOf(programs)),
  }),
);

const linesOf = (names: readonly string[]): string => names.map((name) => `${name}\n`).join("");

/** Runs under an unknown name: a link or a copy is wrong, or a configuration has the wrong "type". */
function runUnknown(programs: Programs, _args: readonly string[], streams: Streams): number {
  const name = calledName(streams);
  const msg = `${JSON.stringify(name)} is not a plugin of this executable`;
  if (!isCalledByRuntime(streams)) {
    streams.stderr(`${ownName}: ${msg}${suggestion(name, namesOf(programs))}\n`);
    return 1;
  }
  const error = new CniError({
    code: ErrorCode.invalidConfig,
    msg,
    details: `it has ${Object.keys(programs.plugins).join(", ")}`,
    remedy: `correct "type" in the network's configuration, or the name of the file ${streams.program}`,
  });
  streams.stdout(printError(error, newestVersion));
  return 1;
}

/** Refuses to run a tool that is in the plugins' directory, where runtimes and `cnitool version` start it. */
function refuseAsPlugin(streams: Streams): number {
  const error = new CniError({
    code: ErrorCode.invalidConfig,
    msg: `${JSON.stringify(calledName(streams))} is a tool, not a CNI plugin`,
    remedy: `move ${streams.program} out of the plugins' directory, as to /usr/local/bin; or correct "type" in the network's configuration`,
  });
  streams.stdout(printError(error, newestVersion));
  return 1;
}

const calledName = ({ program }: Streams): string => program.slice(program.lastIndexOf("/") + 1);

const isCalledByRuntime = ({ environment }: Streams): boolean => (environment["CNI_COMMAND"] ?? "") !== "";

/** Returns the names that links are made for. */
const namesOf = ({ plugins, tools }: Programs): string[] => [...Object.keys(plugins), ...Object.keys(tools)];

function suggestion(name: string, names: readonly string[]): string {
  const meant = nearest(name, names);
  return meant === undefined ? `; it has ${names.join(", ")}` : `; did you mean "${meant}"?`;
}

const byOwnName = (tools: Readonly<Record<string, Tool>>): Record<string, Tool> =>
  Object.fromEntries(Object.values(tools).map((tool) => [tool.name, tool]));

function helpText({ version, plugins, tools, daemons, commands }: Programs, program: string): string {
  const width = Math.max(
    ...Object.keys({ ...plugins, ...tools, ...byOwnName(daemons), ...commands }).map(({ length }) => length),
  );
  const lines = (parts: Readonly<Record<string, { about: string }>>): string[] =>
    Object.entries(parts).map(([name, { about }]) => `  ${name.padEnd(width)} ${about}`);
  const example = Object.keys(tools)[0] ?? Object.keys(plugins)[0];
  return [
    `${ownName} ${version}: container network plugins (CNI ${supportedVersions[0]} to ${newestVersion}) in one executable`,
    "",
    "Plugins, called by container runtimes under their own names:",
    ...lines(plugins),
    ...(Object.keys(tools).length === 0 ? [] : ["", "Tools for the command line:", ...lines(tools)]),
    ...(Object.keys(daemons).length === 0 ? [] : ["", "Daemons:", ...lines(byOwnName(daemons))]),
    ...(Object.keys(commands).length === 0 ? [] : ["", `Commands of ${ownName} itself:`, ...lines(commands)]),
    "",
    `A link to this file, or a copy, with one of these names is that program; \`${program} NAME …\` runs it too.`,
    `Try: ${program} ${example} --help`,
    "",
  ].join("\n");
}
