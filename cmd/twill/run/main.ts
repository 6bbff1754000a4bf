/** twill run: runs a command in a network of its own, for people without a container runtime. */
import { CniError, ErrorCode } from "../../../pkg/cni/error.ts";
import type { Streams } from "../../../pkg/cni/process-io.ts";
import type { Call, Command } from "../../../pkg/command-line/command.ts";
import { asTool, failureText } from "../../../pkg/command-line/run-command.ts";
import { findStat } from "../../../pkg/sys/file.ts";
import { NotStarted, startIsolated } from "../../../pkg/sys/isolated-process.ts";
import { waitReadable } from "../../../pkg/sys/poll.ts";
import { findCommand, findOutcome } from "../../../pkg/sys/process.ts";
import { nextSentSignal, openSignals, SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM } from "../../../pkg/sys/signal.ts";
import { ask } from "../../../pkg/sys/syscall.ts";
import { allNetworks } from "../../cnitool/candidates.ts";
import { addressFlags, linkFlag } from "../network/endpoint.ts";
import { onHost } from "../network/surroundings.ts";
import { type Prepared, prepare, takeBack } from "./container.ts";
import { requestOf } from "./request.ts";

const command: Command = {
  name: "run",
  operands: "<command> [arguments]",
  required: 1,
  most: Number.POSITIVE_INFINITY,
  about: "runs a command in a network of its own, as docker run does, without image or runtime",
  details: [
    "The command gets a new network, mount and UTS namespace: its own interfaces, host name, /etc/hosts and /etc/resolv.conf; all other files,",
    "users and processes are the host's. When it ends, what it had in networks is taken back. Networks: bridge (default), one of twill network,",
    "none (only lo), host (the host's), container:NAME (that of another container). The exit status is the command's; 128 + N when signal N ended",
    "it, 125 when twill fails, 126 when the command cannot be executed, 127 when it is not found.",
  ].join("\n"),
  flags: [
    { name: "name", value: "NAME", about: "name of the container (the beginning of its ID)" },
    {
      name: "network",
      aliases: ["net"],
      value: "NETWORK",
      about: "none, host, container:NAME, bridge or another network (bridge)",
      complete: allNetworks,
    },
    { name: "hostname", short: "h", value: "NAME", about: "host name (the beginning of the ID)" },
    ...addressFlags.map((flag) => (flag.name === "mac" ? { ...flag, aliases: ["mac-address"] } : flag)),
    { name: "alias", aliases: ["network-alias", "net-alias"], value: "NAME", about: "further name in the network" },
    linkFlag,
    { name: "dns", value: "ADDRESS", about: "DNS server" },
    { name: "dns-search", value: "DOMAIN", about: "search domain; . for none" },
    {
      name: "publish",
      short: "p",
      value: "[[ADDRESS:]HOSTPORT:]PORT[/PROTOCOL]",
      about: "port of the host that leads to one of the command",
    },
    { name: "expose", value: "PORT[/PROTOCOL]", about: "port that the command serves, for -P and links" },
    {
      name: "publish-all",
      short: "P",
      about: "publish each exposed port at the next free port of the host, from 32768 on",
    },
    { name: "rm", about: "as without: what the command had is taken back when it ends" },
    { name: "interactive", short: "i", about: "as without: the command has the stdin of twill run" },
    { name: "tty", short: "t", about: "as without: and its terminal" },
  ],
  examples: [
    "twill run --network front --name web -p 8080:80 busybox httpd -f -p 80",
    "twill run --network container:web ip address",
  ],
  runsProgram: true,
  run(call) {
    const { streams } = call.context;
    try {
      return runContainer(call, streams);
    } catch (error) {
      streams.stderr(failureText(ownName, error));
      return error instanceof CannotRun ? error.status : FAILED;
    }
  },
};
const ownName = "twill run";

export const run = asTool("twill", command);

/** Docker's exit statuses, and the shell's. */
const FAILED = 125;
const CANNOT_BE_EXECUTED = 126;
const NOT_FOUND = 127;
const ENDED_BY_SIGNAL = 128;

/** The command itself cannot be run. */
class CannotRun extends CniError {
  readonly status: number;

  constructor(msg: string, remedy: string, status: number) {
    super({ code: ErrorCode.invalidEnvironment, msg, remedy });
    this.status = status;
  }
}

/** Ending signals are read from the beginning on, so that none of them ends this process before everything is taken back. */
function runContainer({ operands, flags, values, context }: Call, streams: Streams): number {
  const [program = ""] = operands;
  const request = requestOf(flags, values);
  const path = programCalled(program);
  const signals = openSignals([SIGCHLD, ...passedOn]);
  const prepared = onHost(context, (host) => prepare(request, host), ownName);
  try {
    const child = start(path, operands, prepared, streams.environment);
    return outcomeOf(child, signals);
  } finally {
    onHost(context, (host) => takeBack(prepared, host), ownName);
  }
}
const passedOn = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];

function programCalled(name: string): string {
  const path = name.includes("/") ? name : findCommand(name);
  const stat = path === undefined ? undefined : findStat(path);
  if (path === undefined || stat === undefined)
    throw new CannotRun(`exec: ${JSON.stringify(name)}: not found`, "write a command of PATH, or its path", NOT_FOUND);
  if (stat.type === "file" && (stat.mode & 0o111) !== 0) return path;
  throw new CannotRun(
    `exec: ${JSON.stringify(name)} is no executable file`,
    "write another command, or make the file executable: chmod +x",
    CANNOT_BE_EXECUTED,
  );
}

function start(
  path: string,
  args: readonly string[],
  { netns, hostName, files, variables }: Prepared,
  environment: Readonly<Record<string, string>>,
): number {
  try {
    return startIsolated({
      path,
      args,
      environment: { ...environment, HOSTNAME: hostName, ...variables },
      netns: netns?.fd,
      hostName,
      files,
    });
  } catch (error) {
    if (!(error instanceof NotStarted)) throw error;
    if (error.code === undefined)
      throw new CniError({
        code: ErrorCode.internal,
        msg: `the command cannot get namespaces of its own: ${error.message}`,
        remedy: "run twill as root, on a host where mount and UTS namespaces may be made",
      });
    const remedy =
      error.code === "ENOEXEC"
        ? "a script needs a first line like #!/bin/sh; a program has to be one for this architecture"
        : "check the file and the interpreter in its first line";
    throw new CannotRun(`exec: ${error.message}`, remedy, CANNOT_BE_EXECUTED);
  }
}

/** Waits for the command's end, and passes signals on to it. Those of a terminal it gets itself. */
function outcomeOf(child: number, signals: number): number {
  for (;;) {
    const end = findOutcome(child);
    if (end !== undefined) return end.status ?? ENDED_BY_SIGNAL + (end.signal ?? 0);
    waitReadable([signals], undefined);
    const sent = nextSentSignal(signals);
    if (sent?.byProcess && passedOn.includes(sent.signal)) ask("kill", child, sent.signal);
  }
}
