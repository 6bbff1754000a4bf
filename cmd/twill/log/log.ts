/** `twill log`: the calls of plugins on this node that failed or were slow. */
import { CniError, ErrorCode } from "../../../pkg/cni/error.ts";
import { type FailedCall, failedCallsFile, readFailedCalls } from "../../../pkg/cni/failed-calls.ts";
import { type Call, type Command, jsonFlag } from "../../../pkg/command-line/command.ts";
import { oneLine, printed } from "../../../pkg/command-line/table.ts";
import { nowMs, sleepMs } from "../../../pkg/sys/clock.ts";
import { findStat } from "../../../pkg/sys/file.ts";
import { isShown, linesFor, type Selection, widthsFor } from "./rows.ts";
import { momentOf } from "./since.ts";

export const log: Command = {
  name: "log",
  operands: "",
  required: 0,
  most: 0,
  about: "show the last calls of plugins that failed or were slow",
  details: [
    "Each call of a plugin by a container runtime that fails, or takes a second (TWILL_SLOW_MS: another number of milliseconds), leaves",
    "a line in /var/lib/cni/twill/calls.log, which has at least the last 1,000. TWILL_CALLS in the runtime's environment names another",
    "file, or is off. A STATUS that fails as before is kept once in ten minutes. Calls that cnitool and twill make tell it themselves.",
  ].join("\n"),
  flags: [
    { name: "failed", about: "only calls that failed" },
    { name: "slow", about: "only calls that succeeded, slowly" },
    { name: "since", value: "TIME", about: "only those since then: 90s, 30m, 2h, 7d ago, or as 2026-11-30T14:00" },
    { name: "lines", short: "n", value: "COUNT", about: "only the last ones of these" },
    { name: "details", about: "show also what each error says about its reason, and what to do" },
    { name: "follow", short: "f", about: "go on, and show calls as they end" },
    jsonFlag,
  ],
  examples: ["twill log", "twill log --failed --since 2h --details", "twill log -n 1 --json"],
  run(call) {
    const selection = selectionOf(call);
    const path = callsFile(call.context.streams.environment);
    const calls = readFailedCalls(path) ?? [];
    const chosen = calls.filter((one) => isShown(one, selection)).slice(selection.most === 0 ? 0 : -selection.most);
    const { stdout } = call.context.streams;
    if (call.flags.has("follow")) return follow(path, calls, chosen, selection, call);
    if (call.flags.has("json")) stdout(printed(chosen));
    else if (chosen.length === 0) stdout(`${noneText(path, calls)}\n`);
    else stdout(linesFor(chosen, { details: call.flags.has("details"), heading: true }).join(""));
    return 0;
  },
};

/** Returns where the calls of this node are recorded. */
export const callsFile = ({ TWILL_CALLS: path = "" }: Readonly<Record<string, string>>): string =>
  path === "" || path === "off" ? failedCallsFile : path;

const noneText = (path: string, calls: readonly FailedCall[]): string =>
  calls.length > 0
    ? "no call of these has failed or was slow"
    : `no call has failed or was slow, as ${oneLine(path)} has it`;

function selectionOf({ flags }: Call): Selection {
  const since = flags.get("since");
  const most = flags.get("lines");
  if (most !== undefined && !/^[1-9]\d{0,8}$/.test(most))
    throw wrong(`--lines is "${most}", must be a number from 1 on`, "write -n 10");
  return {
    failed: flags.has("failed") || !flags.has("slow"),
    slow: flags.has("slow") || !flags.has("failed"),
    sinceMs: since === undefined ? 0 : momentOf(since, nowMs()),
    most: Number(most ?? 0),
  };
}

const wrong = (msg: string, remedy: string) => new CniError({ code: ErrorCode.invalidEnvironment, msg, remedy });

const PAUSE_MS = 500;

/** Shows what was chosen, then what comes. Ends with a signal, or when the reader of stdout has gone. */
function follow(
  path: string,
  before: readonly FailedCall[],
  chosen: readonly FailedCall[],
  selection: Selection,
  { flags, context: { streams } }: Call,
): number {
  const options = { details: flags.has("details"), widths: widthsFor(chosen) };
  const show = (calls: readonly FailedCall[], heading: boolean) => {
    const lines = flags.has("json")
      ? calls.map((one) => `${JSON.stringify(one)}\n`)
      : linesFor(calls, { ...options, heading });
    if (lines.length > 0) streams.stdout(lines.join(""));
  };
  show(chosen, true);
  let last = JSON.stringify(before.at(-1));
  let state = stateOf(path);
  for (;;) {
    sleepMs(PAUSE_MS);
    const now = stateOf(path);
    if (now === state) continue;
    state = now;
    const calls = readFailedCalls(path) ?? [];
    const at = calls.findLastIndex((one) => JSON.stringify(one) === last);
    show(
      calls.slice(at + 1).filter((one) => isShown(one, selection)),
      false,
    );
    last = JSON.stringify(calls.at(-1)) ?? last;
  }
}

const stateOf = (path: string): string => {
  const stat = findStat(path);
  return stat === undefined ? "" : `${stat.inode} ${stat.size}`;
};
