// Legacy iptables, through its programs: one run of iptables-save to read, one of iptables-restore --noflush to change.

import { CniError, ErrorCode } from "../../cni/error.ts";
import { type Address, formatPrefix } from "../../ip/address.ts";
import { findStat } from "../../sys/file.ts";
import { environment, run } from "../../sys/process.ts";
import { decode, encode } from "../../sys/text.ts";
import type { Family } from "../family.ts";
import { hookOf, type TableName } from "./base-chain.ts";
import { commentOf, jumpsTo, parseRuleLine, ruleWords } from "./canonical.ts";
import type { Iptables } from "./detect.ts";
import { locked } from "./lock.ts";
import type { Change, FoundRule, View } from "./ruleset.ts";
import { quoted } from "./xtables.ts";

/**
 * Reads one table of one family and changes it.
 *
 * @throws CniError 999: a program failed; the details have its output
 */
export function editThrough(
  iptables: Iptables,
  { family, table }: { family: Family; table: TableName },
  work: (view: View) => readonly Change[],
): void {
  locked(() => {
    const saved = saveOf(saveTable(iptables, table), { family, table });
    const changes = work(saved);
    if (changes.length === 0) return;
    const lines = [`*${table}`, ...declarations(changes), ...inOrder(changes).flatMap(linesFor), "COMMIT", ""];
    runTool(iptables, "restore", ["--noflush", "--wait"], lines.join("\n"));
  });
}

/** Returns a table as iptables-save prints it. @throws CniError 999: the program failed */
export const saveTable = (iptables: Iptables, table: TableName): string => runTool(iptables, "save", ["-t", table]);

/** Parses the output of iptables-save. */
function saveOf(printed: string, { family, table }: { family: Family; table: TableName }): View {
  const chains = new Map<string, FoundRule[]>();
  const seen = new Set<string>();
  for (const line of printed.split("\n")) {
    const [, declared] = /^:(\S+) /.exec(line) ?? [];
    const [, chain, words] = /^-A (\S+) (.*)$/.exec(line) ?? [];
    if (declared !== undefined) chains.set(declared, []);
    if (chain === undefined || words === undefined) continue;
    const rules = chains.get(chain) ?? [];
    const number = seen.has(line) ? { number: rules.length + 1 } : {};
    seen.add(line);
    rules.push({ chain: { family, table, chain }, canonicalForm: parseRuleLine(words), id: words, ...number });
  }
  const holds = ({ canonicalForm, id }: FoundRule, containing: string | Address) =>
    typeof containing === "string"
      ? commentOf(canonicalForm)?.includes(containing) || String(id).includes(containing)
      : String(id).includes(formatPrefix({ address: containing, length: 8 * containing.length }));
  return {
    present: (wanted) => wanted.map(({ chain }) => chains.has(chain) || hookOf(table, chain) !== undefined), // base chains always exist
    rules: ({ chain }, containing) =>
      (chains.get(chain) ?? []).filter((rule) => containing === undefined || holds(rule, containing)),
    rulesByKey: ({ chain }) => chains.get(chain) ?? [],
    jumps: ({ chain }, to) => (chains.get(chain) ?? []).filter(({ canonicalForm }) => jumpsTo(canonicalForm, to)),
    chains: () => [...chains.keys()],
  };
}

/** Returns the lines that declare, and so create, the new chains. */
const declarations = (changes: readonly Change[]): string[] =>
  changes.flatMap((change) => ("make" in change ? [`:${change.make.chain} - [0:0]`] : []));

/** Puts deletions by number first, from the highest number down: each deletion changes the numbers of the rules behind it. */
function inOrder(changes: readonly Change[]): Change[] {
  const numberOf = (change: Change) => ("delete" in change ? (change.delete.number ?? 0) : 0);
  return [...changes].sort((one, other) => numberOf(other) - numberOf(one));
}

function linesFor(change: Change): string[] {
  if ("make" in change) return [];
  if ("delete" in change && change.delete.number !== undefined)
    return [`-D ${change.delete.chain.chain} ${change.delete.number}`];
  if ("delete" in change) return [`-D ${change.delete.chain.chain} ${change.delete.id}`];
  if ("drop" in change) return [`-F ${change.drop.chain}`, `-X ${change.drop.chain}`];
  const { add, to, at } = change;
  const words = [...ruleWords(to.family, add), ...(add.words ?? []).map(quoted)];
  return [`${at === "last" ? `-A ${to.chain}` : `-I ${to.chain} 1`} ${words.join(" ")}`];
}

/**
 * Runs the tool that is installed beside the iptables that was found, so that both are of one variant. Multi-call executables get its name.
 */
function runTool({ path, file }: Iptables, tool: "save" | "restore", options: readonly string[], stdin = ""): string {
  const beside = `${path}-${tool}`;
  const multiCall = /\/xtables-(legacy-)?multi$/.test(file);
  const program = multiCall ? file : beside;
  const args = multiCall
    ? [`${path.slice(path.lastIndexOf("/") + 1).replace("-legacy", "")}-${tool}`, ...options]
    : options;
  if (findStat(program) === undefined) {
    throw new CniError({
      code: ErrorCode.internal,
      msg: `"${path}" is legacy iptables, but "${program}" does not exist`,
      details: "legacy rules are read and changed through iptables-save and iptables-restore",
      remedy: `install the complete iptables package, or choose the nftables backend in the configuration`,
    });
  }
  const outcome = run({ path: program, args, environment: environment(), stdin: encode(stdin), takesStderr: true });
  const printed = decode(outcome.stdout);
  if (outcome.status === 0) return printed;
  const command = [program, ...args].join(" ");
  throw new CniError({
    code: ErrorCode.internal,
    msg: `"${command}" failed with ${outcome.status === undefined ? `signal ${outcome.signal}` : `exit status ${outcome.status}`}`,
    details: [printed.trim(), ...(stdin === "" ? [] : [`its input was: ${stdin}`])].join("; ").replaceAll("\n", " | "),
    remedy: "run it by hand to see why, or choose the nftables backend in the configuration",
  });
}
