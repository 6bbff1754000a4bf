/**
 * Parses arguments like the Go tool's libraries (cobra, pflag): flags before, between and after the operands, `--` ends them, `-i
 * NAME`, `-iNAME`, `-i=NAME`, `--ifname NAME`, `--ifname=NAME`; the first operand is the command. Pure.
 *
 * Rejected: npm's commander. It costs the executable 225 kB (measured; a tenth of the limit for all plugins together) and
 * substitutes for five modules of Node, to replace less code than this file has.
 */
import { CniError, ErrorCode } from "../cni/error.ts";
import { nearest } from "../config/edit-distance.ts";
import type { Command, CommandSet, Flag, Flags, FlagValues } from "./command.ts";

export interface CommandLine {
  /** undefined when no command is given. */
  command: Command | undefined;
  operands: readonly string[];
  flags: Flags;
  values: FlagValues;
}

export const helpFlag: Flag = { name: "help", short: "h", about: "print this help" };

/** Returns the flags of a command as it shows them: where it has a -h of its own, help is --help alone. */
export const flagsShown = ({ flags }: Command): Flag[] => {
  const { short, ...long } = helpFlag;
  return [...flags, flags.some((flag) => flag.short === short) ? long : helpFlag];
};

/** Parses the arguments. @throws CniError 4: no such command or flag, or a flag without its value */
export function readCommandLine(args: readonly string[], tool: CommandSet): CommandLine {
  const { commands } = tool;
  const meant = args.map((arg) => commands.find((command) => isCalled(command, arg))).find(Boolean);
  const known = [...(meant?.flags ?? []), helpFlag, ...commands.flatMap(({ flags }) => flags)]; // of one name or letter, the command's own
  const { words, given } = separate(args, { tool: tool.name, flags: known, command: meant });
  const [name, ...operands] = words;
  const flags = new Map([...given].map(([flag, values]) => [flag, values.at(-1) ?? ""]));
  const command = name === undefined ? undefined : commandCalled(name, tool);
  if (command !== undefined) refuseForeignFlags(flags, command, tool);
  return { command, operands, flags, values: given };
}

/** Finds a command. @throws CniError 4 */
export function commandCalled(name: string, { name: tool, commands }: CommandSet): Command {
  const command = commands.find((candidate) => isCalled(candidate, name));
  if (command !== undefined) return command;
  const names = commands.map((candidate) => candidate.name);
  throw wrongUsage(`unknown command "${name}" for "${tool}"`, suggestion(name, names, tool));
}

const isCalled = ({ name, aliases = [] }: Command, word: string): boolean => name === word || aliases.includes(word);

/** Refuses missing operands, and those that nobody would read: the Go tool ignores them. @throws CniError 4 */
export function refuseWrongCount(
  { name, operands, required, most, flags }: Command,
  given: readonly string[],
  tool: string,
): void {
  const surplus = given[most];
  if (surplus !== undefined) {
    const ifName = flags.some((flag) => flag.name === "ifname")
      ? `; to set an interface name, write --ifname ${surplus}`
      : "";
    throw wrongUsage(
      `${JSON.stringify(surplus)} is one argument too many for ${tool} ${name}`,
      `remove it: ${tool} ${`${name} ${operands}`.trimEnd()}${ifName}`,
    );
  }
  if (given.length >= required) return;
  throw wrongUsage(
    `${tool} ${name} requires at least ${required} arg(s), only received ${given.length}`,
    `write ${tool} ${name} ${operands}; ${tool} help ${name} has an example`,
  );
}

/** The flags that a tool knows. */
interface Known {
  tool: string;
  flags: readonly Flag[];
  /** The one that is called, where its name was found. */
  command: Command | undefined;
}

function separate(args: readonly string[], known: Known): { words: string[]; given: FlagValues } {
  const words: string[] = [];
  const mostWords = known.command?.runsProgram === true ? 1 : Number.POSITIVE_INFINITY; // the command's own name
  const given: Given = new Map();
  const rest = [...args];
  for (let arg = rest.shift(); arg !== undefined; arg = rest.shift()) {
    if (arg === "--") words.push(...rest.splice(0));
    else if (arg.startsWith("--")) readLong(arg.slice(2), rest, known, given);
    else if (arg.startsWith("-") && arg !== "-") readShort(arg.slice(1), rest, known, given);
    else words.push(arg, ...(words.length < mostWords ? [] : rest.splice(0)));
  }
  return { words, given };
}

type Given = Map<string, string[]>;

function addValue(given: Given, { name, isList = false }: Flag, value: string): void {
  given.set(name, [...(given.get(name) ?? []), ...(isList ? value.split(",") : [value])]);
}

function readLong(text: string, rest: string[], known: Known, given: Given): void {
  const [name = "", ...values] = text.split("=");
  const flag = known.flags.find((candidate) => candidate.name === name || candidate.aliases?.includes(name));
  if (flag === undefined) throw unknownFlag(`--${name}`, known);
  const value = values.length > 0 ? values.join("=") : undefined;
  if (flag.value !== undefined) addValue(given, flag, value ?? argumentOf(flag, rest));
  else if (value === undefined || SWITCHED_ON.test(value)) addValue(given, flag, "");
  else if (SWITCHED_OFF.test(value)) given.delete(flag.name);
  else throw wrongUsage(`flag --${name} is true or false, but has "${value}"`, `write --${name}, or remove it`);
}

/** As Go's strconv.ParseBool reads them. */
const [SWITCHED_ON, SWITCHED_OFF] = [/^(1|t|T|true|TRUE|True)$/, /^(0|f|F|false|FALSE|False)$/];

/**
 * Parses short flags. Switches may be combined; the text after a flag that takes an argument is the argument. Only `-ifname` is
 * refused, which the Go tool reads as the interface name "fname".
 */
function readShort(letters: string, rest: string[], known: Known, given: Given): void {
  const [letter, following] = [letters.slice(0, 1), letters.slice(1)];
  const flag = known.flags.find(({ short }) => short === letter);
  if (flag === undefined || known.flags.some(({ name }) => name === letters)) throw unknownFlag(`-${letters}`, known);
  if (flag.value !== undefined) {
    addValue(given, flag, following === "" ? argumentOf(flag, rest) : following.replace(/^=/, ""));
  } else {
    addValue(given, flag, "");
    if (following !== "") readShort(following, rest, known, given);
  }
}

function argumentOf({ name, value }: Flag, rest: string[]): string {
  const next = rest.shift();
  if (next !== undefined) return next;
  throw wrongUsage(`flag needs an argument: --${name}`, `write --${name} ${value}`);
}

function unknownFlag(flag: string, known: Known): CniError {
  const { tool, command, flags } = known;
  const own = command === undefined ? flags : [helpFlag, ...command.flags];
  const names = [...new Set(own.map(({ name }) => `--${name}`))];
  return wrongUsage(`unknown flag: ${flag}`, suggestion(flag, names, tool));
}

/** Refuses flags that only other commands have. */
function refuseForeignFlags(given: Flags, command: Command, { name: tool, commands }: CommandSet): void {
  const own = [helpFlag, ...command.flags];
  for (const flag of given.keys()) {
    if (own.some(({ name }) => name === flag)) continue;
    const owners = commands.filter(({ flags }) => flags.some(({ name }) => name === flag)).map(({ name }) => name);
    throw wrongUsage(
      `unknown flag: --${flag} for "${tool} ${command.name}"`,
      `remove it; ${owners.join(", ")} ${owners.length > 1 ? "have" : "has"} this flag`,
    );
  }
}

function suggestion(given: string, names: readonly string[], tool: string): string {
  const meant = nearest(given, names);
  return meant === undefined ? `use one of ${names.join(", ")}; see ${tool} help` : `did you mean ${meant}?`;
}

function wrongUsage(msg: string, remedy: string): CniError {
  return new CniError({ code: ErrorCode.invalidEnvironment, msg, remedy });
}
