/** Determines what flanneld must do from the command line and `FLANNELD_*` variables, and checks them. Pure. */

import type { Fields } from "../../../pkg/cluster/log/log.ts";
import { goRegexp, type InterfaceRegexp } from "../../../pkg/flannel/backend/interface/go-regexp.ts";
import type { InterfaceSelector } from "../../../pkg/flannel/backend/interface/selector.ts";
import { type Address, isIPv4, parseAddress } from "../../../pkg/ip/address.ts";
import { type StoreSettings, selectStore } from "../store/open-lease-manager.ts";
import { asksForHelp, type Environment, type Given, readCommandLine, UsageError } from "./command-line.ts";
import { refusalsOf, warningsOf } from "./earlier-flags.ts";
import type { Flag } from "./flag.ts";
import { type FlagName, flagNames, flags } from "./flags.ts";
import { helpText } from "./help.ts";

export type Action =
  | { to: "run"; options: Options }
  | { to: "tell status"; subnetFile: string; asJson: boolean }
  | PrintAction;

/** Only prints text and exits. */
export interface PrintAction {
  to: "print";
  exitCode: number;
  stdout: string;
  stderr: string;
}

export interface Options {
  store: StoreSettings;
  externalInterface: InterfaceSelector;
  subnetFile: string;
  renewMarginMs: number;
  rules: RuleOptions;
  /** undefined: no health server. */
  health: HealthAddress | undefined;
  log: { format: "text" | "json"; details: boolean };
  /** Messages about ignored flags and variables, to be logged. */
  warnings: readonly string[];
  /** The value of every flag for the log, without secrets. */
  settings: Fields;
}

export interface HealthAddress {
  ip: string;
  port: number;
  /** Whether the address is flannel's default, not given: then only this host may read the pages that flannel does not have. */
  isDefault: boolean;
}

export interface RuleOptions {
  masquerade: boolean;
  forward: boolean;
  randomFully: boolean;
  resyncSeconds: number;
  blackholeRoute: boolean;
  requireBrNetfilter: boolean;
}

/** @param argv Without the program's name. */
export function readOptions(argv: readonly string[], environment: Environment, version: string): Action {
  if (asksForHelp(argv)) return print({ stdout: helpText() });
  try {
    return askedBy(readCommandLine(argv, environment), version);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    return print({ exitCode: WRONG_USAGE, stderr: lines(error.message.split("\n")) });
  }
}

/** The exit code of shells and Go's package flag for wrong usage; flannel exits with 0. */
const WRONG_USAGE = 2;
const FAILED = 1;
const MINUTE_MS = 60_000;

const print = (answer: Partial<PrintAction>): PrintAction => ({
  exitCode: 0,
  stdout: "",
  stderr: "",
  ...answer,
  to: "print",
});

const lines = (problems: readonly string[]): string => problems.map((problem) => `flanneld: ${problem}\n`).join("");

function askedBy(given: Given, version: string): Action {
  const { values, earlier } = given;
  if (values.version) return print({ stderr: `${version}\n` });
  if (values.json && !values.status) throw new UsageError("--json needs --status; write flanneld --status --json");
  if (values.status) return { to: "tell status", subnetFile: values["subnet-file"], asJson: values.json };
  const refusals = [...(values["kube-subnet-mgr"] ? [noKubernetes(given)] : []), ...refusalsOf(earlier)];
  if (refusals.length > 0) return print({ exitCode: FAILED, stderr: lines(refusals) });
  return { to: "run", options: settle(given) };
}

const noKubernetes = ({ from }: Given): string =>
  `${from("kube-subnet-mgr")}: leasing from Kubernetes is not implemented yet; use etcd (--etcd-endpoints) or a folder (--subnet-dir)`;

/** @throws UsageError has a line for each problem */
function settle(given: Given): Options {
  const { values } = given;
  const check = checksOf(given);
  const options: Options = {
    store: selectStore(given, check),
    externalInterface: {
      ifaces: values.iface.filter(Boolean),
      ifaceRegexes: values["iface-regex"].filter(Boolean).map((text) => check.regex("iface-regex", text)),
      canReach: check.address("iface-can-reach"),
      publicIP: check.address("public-ip", "IPv4"),
      publicIPv6: check.address("public-ipv6", "IPv6"),
    },
    subnetFile: check.notEmpty("subnet-file"),
    renewMarginMs: check.range("subnet-lease-renew-margin", 1, 1439) * MINUTE_MS,
    rules: {
      masquerade: values["ip-masq"],
      forward: values["iptables-forward-rules"],
      randomFully: !values["ip-masq-fully-random-disable"],
      resyncSeconds: check.range("iptables-resync", 1, 86400),
      blackholeRoute: values["ip-blackhole-route"],
      requireBrNetfilter: values["require-br-netfilter"],
    },
    health: healthOf(given, check),
    log: { format: check.oneOf("log-format", ["text", "json"]), details: values.v > 0 },
    warnings: [...given.warnings, ...check.warnings, ...withoutEffect(given), ...warningsOf(given.earlier)],
    settings: settingsOf(given),
  };
  if (check.problems.length > 0) throw new UsageError(check.problems.join("\n"));
  return options;
}

function healthOf({ values, from }: Given, check: Checks): Options["health"] {
  check.address("healthz-ip");
  const port = check.range("healthz-port", 0, 65535);
  return port === 0 ? undefined : { ip: values["healthz-ip"], port, isDefault: from("healthz-ip") === undefined };
}

const withoutEffect = ({ from }: Given): string[] =>
  (["vmodule", "log_backtrace_at"] as const)
    .map(from)
    .filter((called) => called !== undefined)
    .map((called) => `${called} has no effect; use --v=1 to log details`);

/** Checks that collect all problems to report them together; their results are valid only if there is no problem. */
type Checks = ReturnType<typeof checksOf>;

type NamesOf<Value> = { [Name in FlagName]: Given["values"][Name] extends Value ? Name : never }[FlagName];

function checksOf({ values, from }: Given) {
  const problems: string[] = [];
  const warnings: string[] = [];
  const called = (name: FlagName) => from(name) ?? `--${name}`;
  const refuse = (name: FlagName, text: unknown, allowed: string) =>
    problems.push(`${called(name)} is ${JSON.stringify(text)}, must be ${allowed}`);
  return {
    problems,
    /** Added to by who reads the flags. */
    warnings,
    range(name: NamesOf<number>, least: number, most: number): number {
      const value = values[name];
      if (value < least || value > most) refuse(name, value, `from ${least} to ${most}`);
      return value;
    },
    notEmpty(name: NamesOf<string>): string {
      if (values[name] === "") refuse(name, "", `the path of a ${flags[name].value === "DIR" ? "folder" : "file"}`);
      return values[name];
    },
    oneOf<Word extends string>(name: NamesOf<string>, words: readonly [Word, ...Word[]]): Word {
      const word = words.find((word) => word === values[name]);
      if (word === undefined) refuse(name, values[name], words.join(" or "));
      return word ?? words[0];
    },
    address(name: NamesOf<string>, family: keyof typeof examples = "IP"): Address | undefined {
      if (values[name] === "") return undefined;
      const address = parseAddress(values[name]);
      const fits = address !== undefined && (family === "IP" || isIPv4(address) === (family === "IPv4"));
      if (!fits) refuse(name, values[name], examples[family]);
      return address;
    },
    regex(name: NamesOf<readonly string[]>, text: string): InterfaceRegexp {
      try {
        return goRegexp(text);
      } catch (error) {
        problems.push(
          `${called(name)} is ${JSON.stringify(text)}, not a regular expression that is understood: ${(error as Error).message}`,
        );
        return /$^/;
      }
    },
    parsed<Parsed>(name: NamesOf<string>, parse: (text: string) => Parsed): Parsed | undefined {
      try {
        return parse(values[name]);
      } catch (error) {
        problems.push(`${called(name)}: ${(error as Error).message}`);
        return undefined;
      }
    },
    /** Requires that both are given or none. */
    pair(name: NamesOf<string>, other: NamesOf<string>): void {
      for (const [given, missing] of [
        [name, other],
        [other, name],
      ] as const) {
        if (values[given] !== "" && values[missing] === "")
          problems.push(`${called(given)} needs --${missing} as well`);
      }
    },
  };
}

const examples = {
  IP: "an IP address, as 10.1.2.3 or fd00::1",
  IPv4: "an IPv4 address, as 10.1.2.3",
  IPv6: "an IPv6 address, as fd00::1",
};

const withoutPasswords = (text: string): string => text.replaceAll(/(\/\/[^/:@,]*):[^/@,]*@/g, "$1:(hidden)@");

function settingsOf({ values }: Given): Fields {
  const shown = (name: FlagName): [string, string | number | boolean] => {
    const flag: Flag = flags[name];
    const value = values[name];
    if (typeof value === "boolean" || typeof value === "number") return [name, value];
    if (flag.isSecret) return [name, value === "" ? "" : "(hidden)"];
    return [name, withoutPasswords(typeof value === "string" ? value : value.join(","))];
  };
  return Object.fromEntries(flagNames.filter((name) => !(flags[name] as Flag).isQuestion).map(shown));
}
