/**
 * Reads the command line as Go's package flag does, and `FLANNELD_*` variables for flags that are not given: each flag's value and its
 * source. Pure.
 *
 * commander handles declarations, repetitions, defaults and sources. It supports neither `-iface=eth0` nor a boolean whose value may
 * only follow `=`, so arguments are converted to the form `--name=value` first.
 */
import { Command, Option } from "commander";
import { nearest } from "../../../pkg/config/edit-distance.ts";
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
  warnings: readonly string[];
}

/** Reports whether `-h` or `--help` is among the arguments, at any position and even beside mistakes. */
export const asksForHelp = (argv: readonly string[]): boolean => argv.some((word) => /^--?(h|help)$/.test(word));

/** @throws UsageError */
export function readCommandLine(argv: readonly string[], environment: Environment): Given {
  const command = declared();
  command.parse(inLongForm(argv), { from: "user" });
  const warnings = command.getOptionValue("version") ? [] : addVariables(command, environment);
  return {
    values: Object.fromEntries(flagNames.map((name) => [name, command.getOptionValue(keyOf(name))])) as Values,
    from: (name) => sourceNames[command.getOptionValueSource(keyOf(name)) ?? ""]?.(name),
    warnings,
  };
}

const sourceNames: Readonly<Record<string, (name: FlagName) => string>> = {
  cli: (name) => `--${name}`,
  env: variableOf,
};

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

/** Converts `-iface eth0`, `--iface=eth0`, `-ip-masq` to `--iface=eth0`, `--iface=eth0`, `--ip-masq=true`. */
function inLongForm(argv: readonly string[]): string[] {
  const rest = [...argv];
  const words: string[] = [];
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    if (word === "--" || !/^-./.test(word)) {
      refuseOperands(word === "--" ? rest : [word, ...rest], words.at(-1));
      break;
    }
    const { name, value } = separated(word);
    words.push(`--${name}=${value ?? (flags[name].kind === "boolean" ? "true" : following(name, rest))}`);
  }
  return words;
}

function separated(word: string): { name: FlagName; value: string | undefined } {
  const [, name = "", value] = /^--?([^=]*)(?:=(.*))?$/s.exec(word) ?? [];
  if (isFlagName(name)) return { name, value };
  const meant = nearest(name, flagNames);
  const remedy = meant === undefined ? "flanneld --help lists all flags" : `did you mean --${meant}?`;
  throw new UsageError(`unknown flag ${word.split("=")[0]}; ${remedy}`);
}

function following(name: FlagName, rest: string[]): string {
  const value = rest.shift();
  if (value === undefined) throw new UsageError(`--${name} has no value; write --${name}=${flags[name].value}`);
  return value;
}

/** Refuses operands; flannel ignores them and every flag after them. @param last The argument before. */
function refuseOperands([word]: readonly string[], last = ""): void {
  if (word === undefined) return;
  const [, name = ""] = /^--(.*)=true$/s.exec(last) ?? [];
  const isSwitch = isFlagName(name) && flags[name].kind === "boolean" && booleans.has(word);
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

/** Reads variables; an empty one counts as unset, one of a list is one item. @returns warnings: invalid ones are ignored, as by flannel */
function addVariables(command: Command, environment: Environment): string[] {
  const warnings: string[] = [];
  for (const name of flagNames) {
    const flag: Flag = flags[name];
    const text = environment[variableOf(name)];
    if (!text || flag.isQuestion || command.getOptionValueSource(keyOf(name)) === "cli") continue;
    try {
      const value = readValue(flag, text, variableOf(name));
      command.setOptionValueWithSource(keyOf(name), flag.kind === "list" ? [value] : value, "env");
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      warnings.push(`${error.message}: ignored`);
    }
  }
  return warnings;
}
