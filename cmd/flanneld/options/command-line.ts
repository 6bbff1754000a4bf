/**
 * Reads the command line as Go's package flag does, and `FLANNELD_*` variables for flags that are not given: each flag's value and its
 * source. Pure.
 *
 * commander handles declarations, repetitions, defaults and sources. It supports neither `-iface=eth0` nor a boolean whose value may
 * only follow `=`, so arguments are converted to the form `--name=value` first.
 */
import { Command, Option } from "commander";
import { nearest } from "../../../pkg/config/edit-distance.ts";
import { type EarlierUse, earlierFlags, packageVariables, renamedFlags } from "./earlier-flags.ts";
import type { Flag } from "./flag.ts";
import { type FlagName, flagNames, flags, isFlagName, type Values, variableOf } from "./flags.ts";

/** The command line is invalid. `message` says what is wrong and what to write. */
export class UsageError extends Error {
  override name = "UsageError";
}

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Given {
  values: Values;
  /** Returns the source of a flag's value: `--public-ip`, `FLANNELD_PUBLIC_IP`; undefined: it is not given. */
  from(name: FlagName): string | undefined;
  /** Flags of earlier releases. */
  earlier: readonly EarlierUse[];
  warnings: readonly string[];
}

/** Reports whether `-h` or `--help` is among the arguments, at any position and even beside mistakes. */
export const asksForHelp = (argv: readonly string[]): boolean =>
  argv.some((word) => /^--?(h|help)(=(1|t|true))?$/i.test(word));

/** @throws UsageError */
export function readCommandLine(argv: readonly string[], environment: Environment): Given {
  const command = declared();
  const { words, earlier } = inLongForm(argv);
  command.parse(words, { from: "user" });
  const isRun = !command.getOptionValue("version");
  const { variables, warnings } = isRun ? addVariables(command, environment) : { variables: new Map(), warnings: [] };
  const isGiven = (name: FlagName) => command.getOptionValueSource(keyOf(name)) === "cli";
  return {
    values: Object.fromEntries(flagNames.map((name) => [name, command.getOptionValue(keyOf(name))])) as Values,
    from: (name) => (isGiven(name) ? `--${name}` : variables.get(name)),
    earlier: [...earlier, ...earlierInVariables(earlier, environment)],
    warnings,
  };
}

function declared(): Command {
  const command = new Command("flanneld").exitOverride().helpOption(false);
  for (const name of flagNames) {
    const flag: Flag = flags[name];
    const read = (text: string, before: unknown) => {
      const value = readValue(flag, text, `--${name}`);
      return flag.kind === "list" ? [...(before as string[]), value] : value;
    };
    command.addOption(new Option(`--${name} <value>`).default(flag.default).argParser(read));
  }
  return command;
}

/** Returns commander's name of a flag's value. */
const keyOf = (name: string): string => new Option(`--${name} <value>`).attributeName();

interface LongForm {
  words: string[];
  earlier: EarlierUse[];
}

/** Converts `-iface eth0`, `--iface=eth0`, `-ip-masq` to `--iface=eth0`, `--iface=eth0`, `--ip-masq=true`. */
function inLongForm(argv: readonly string[]): LongForm {
  const rest = [...argv];
  const [words, earlier]: [string[], EarlierUse[]] = [[], []];
  let last: string | undefined;
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    if (word === "--" || !/^-./.test(word)) {
      refuseOperands(word === "--" ? rest : [word, ...rest], last);
      break;
    }
    const { name, value: given } = separated(word);
    const value = given ?? (isBoolean(name) ? "true" : following(name, rest));
    if (isFlagName(name)) words.push(`--${name}=${value}`);
    else earlier.push({ name, value, called: `--${name}` });
    last = `--${name}=${value}`;
  }
  return { words, earlier };
}

/** @returns The name of a flag, or of an earlier one. */
function separated(word: string): { name: string; value: string | undefined } {
  const [, written = "", value] = /^--?([^=]*)(?:=(.*))?$/s.exec(word) ?? [];
  const name = renamedFlags.get(written) ?? written;
  if (isFlagName(name) || isEarlierFlag(name)) return { name, value };
  const meant = nearest(name, flagNames);
  const remedy = meant === undefined ? "flanneld --help lists all flags" : `did you mean --${meant}?`;
  throw new UsageError(`unknown flag ${word.split("=")[0]}; ${remedy}`);
}

const isEarlierFlag = (name: string): boolean => Object.hasOwn(earlierFlags, name);

const isBoolean = (name: string): boolean =>
  isFlagName(name) ? flags[name].kind === "boolean" : (earlierFlags[name]?.isBoolean ?? false);

function following(name: string, rest: string[]): string {
  const value = rest.shift();
  const placeholder = isFlagName(name) ? flags[name].value : "VALUE";
  if (value === undefined) throw new UsageError(`--${name} has no value; write --${name}=${placeholder}`);
  return value;
}

/** Refuses operands; flannel ignores them and every flag after them. @param last The argument before. */
function refuseOperands([word]: readonly string[], last = ""): void {
  if (word === undefined) return;
  const [, name = ""] = /^--(.*)=true$/s.exec(last) ?? [];
  const isSwitch = isBoolean(name) && booleans.has(word);
  const remedy = isSwitch ? `use --${name}=${word}` : "flanneld accepts only flags, such as --iface=eth0";
  throw new UsageError(`"${word}" is not a flag; ${remedy}`);
}

/** The values that Go's strconv.ParseBool accepts. */
const booleans: ReadonlyMap<string, boolean> = new Map([
  ...["1", "t", "T", "TRUE", "true", "True"].map((word) => [word, true] as const),
  ...["0", "f", "F", "FALSE", "false", "False"].map((word) => [word, false] as const),
]);

/** @param called The flag or variable, for messages. */
function readValue({ kind }: Flag, text: string, called: string): string | number | boolean {
  if (kind === "boolean") return booleans.get(text) ?? refuse(called, text, "true or false");
  if (kind === "whole") return wholeOf(text) ?? refuse(called, text, "a whole number");
  return text;
}

function refuse(called: string, text: string, allowed: string): never {
  throw new UsageError(`${called} is "${text}", must be ${allowed}`);
}

/** Parses a whole number, decimal or with 0x. Go would read a leading zero as octal, which nobody intends; it is refused here. */
function wholeOf(text: string): number | undefined {
  const value = /^[+-]?(0|[1-9][0-9]*|0x[0-9a-f]+)$/i.test(text) ? Number(text) : undefined;
  return value !== undefined && Number.isSafeInteger(value) ? value : undefined;
}

interface Variables {
  /** The variable that a flag's value is from. */
  variables: ReadonlyMap<FlagName, string>;
  /** Invalid variables are ignored, as by flannel. */
  warnings: string[];
}

/** Reads the variables of flags that are not given; an empty one counts as unset, one of a list is one item. */
function addVariables(command: Command, environment: Environment): Variables {
  const variables = new Map<FlagName, string>();
  const warnings: string[] = [];
  for (const name of flagNames) {
    const flag: Flag = flags[name];
    const variable = variablesOf(name).find((one) => environment[one]);
    if (variable === undefined || flag.isQuestion || command.getOptionValueSource(keyOf(name)) === "cli") continue;
    try {
      const value = readValue(flag, environment[variable] ?? "", variable);
      command.setOptionValueWithSource(keyOf(name), flag.kind === "list" ? [value] : value, "env");
      variables.set(name, variable);
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      warnings.push(`${error.message}: ignored`);
    }
  }
  return { variables, warnings };
}

/** Lists a flag's variables, the first of which counts. */
function variablesOf(name: FlagName): string[] {
  const formerly = [...renamedFlags].flatMap(([former, now]) => (now === name ? [variableOf(former)] : []));
  return [variableOf(name), ...formerly, ...(packageVariables[name] ?? [])];
}

function earlierInVariables(given: readonly EarlierUse[], environment: Environment): EarlierUse[] {
  return Object.keys(earlierFlags).flatMap((name) => {
    const called = variableOf(name);
    const value = environment[called];
    return value && !given.some((use) => use.name === name) ? [{ name, value, called }] : [];
  });
}
