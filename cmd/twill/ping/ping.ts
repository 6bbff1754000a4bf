/** `twill ping`: what the containers of this node reach. */
import { CniError, ErrorCode } from "../../../pkg/cni/error.ts";
import { type Call, type Command, jsonFlag } from "../../../pkg/command-line/command.ts";
import { oneLine, printable, printed, table } from "../../../pkg/command-line/table.ts";
import { formatAddress, parsePrefix } from "../../../pkg/ip/address.ts";
import { inNamespace } from "../../../pkg/link/in-namespace.ts";
import { destinationOf, gatewaysOf, listRoutes } from "../../../pkg/link/route.ts";
import { AF_INET, AF_INET6 } from "../../../pkg/netlink/rtnetlink/family.ts";
import { attachmentState, listReadableAttachments, type NetworkAttachment } from "../../../pkg/network/attachment.ts";
import { defaultCacheRoot } from "../../../pkg/runtime/result-cache.ts";
import { findNamespace, OWN_NAMESPACE } from "../../../pkg/sys/namespace.ts";
import { raiseFileLimit } from "../../../pkg/sys/process.ts";
import { type Answer, type Probe, sendProbes } from "./probe.ts";
import { parseTarget, type Target } from "./target.ts";

export const ping: Command = {
  name: "ping",
  operands: "[TARGET[:PORT] …]",
  required: 0,
  most: Number.POSITIVE_INFINITY,
  about: "show what the containers of this node reach: their gateways, each other, and addresses outside",
  details: [
    "Sends an ICMP echo request from the namespace of each running container to its gateways and to others of its network (each to the",
    "next 5, with --all to all), and to each TARGET; TARGET:PORT opens a TCP connection. The host asks the targets as well. Says why",
    "something is not reached, as far as the kernel tells, and what to do. The exit status is 1 when something was not reached. It needs",
    "no program in the container, and works where that has none. Names are not looked up.",
  ].join("\n"),
  flags: [
    { name: "network", value: "NAME", about: "only attachments to this network" },
    { name: "container", value: "ID", about: "only from this container: an ID, its beginning, or a name" },
    { name: "all", about: "from each container to all others of its network" },
    { name: "timeout", value: "MS", about: "how long to wait for answers, 1000 ms unless given" },
    jsonFlag,
  ],
  examples: ["twill ping", "twill ping 1.1.1.1 10.0.0.10:443", "twill ping --network podnet --all --json"],
  run(call) {
    const { operands, flags, context } = call;
    const { stdout, stderr } = context.streams;
    const timeoutMs = timeoutOf(flags.get("timeout"));
    const targets = operands.map(parseTarget);
    const { attachments, unreadable } = listReadableAttachments(defaultCacheRoot);
    for (const text of unreadable) stderr(`twill ping: not known: ${oneLine(text)}\n`);
    const living = attachments.filter((one) => attachmentState(one) === "alive");
    const planned = planFor(living, targets, call);
    raiseFileLimit();
    const answers = sendProbes(planned, timeoutMs);
    if (flags.has("json")) stdout(printed(planned.map((one, i) => recordOf(one, answers[i]))));
    else if (planned.length === 0) stdout("no container of these is running\n");
    else stdout(linesFor(planned, answers));
    return answers.every(({ failure }) => failure === undefined) && unreadable.length === 0 ? 0 : 1;
  },
};

function timeoutOf(text = "1000"): number {
  const ms = Number(text);
  if (/^\d{1,6}$/.test(text) && ms > 0) return ms;
  throw new CniError({
    code: ErrorCode.invalidEnvironment,
    msg: `--timeout is ${JSON.stringify(text)}, must be milliseconds from 1 on`,
    remedy: "write --timeout 3000",
  });
}

interface Planned extends Probe {
  /** undefined: the host. */
  from: NetworkAttachment | undefined;
  what: "gateway" | "container" | "target";
}

/** To how many others of its network a container sends without --all: each is asked by as many. */
const PEERS = 5;

function planFor(living: readonly NetworkAttachment[], targets: readonly Target[], { flags }: Call): Planned[] {
  const wanted = living.filter(({ networkName }) => networkName === (flags.get("network") ?? networkName));
  const senders = wanted.filter((one) => isCalled(one, flags.get("container")));
  const fromContainers = senders.flatMap((from) => {
    const netns = from.netns ?? "";
    const others = wanted.filter(({ networkName }) => networkName === from.networkName);
    const at = others.indexOf(from);
    const following = [...others.slice(at + 1), ...others.slice(0, at)];
    const peers = flags.has("all") ? following : following.slice(0, PEERS);
    return [
      ...gatewaysIn(netns).map((address) => ({ from, netns, what: "gateway" as const, address })),
      ...peers.flatMap(addressesOf).map((address) => ({ from, netns, what: "container" as const, address })),
      ...targets.map((target) => ({ from, netns, what: "target" as const, ...target })),
    ];
  });
  const isForAll = !flags.has("network") && !flags.has("container");
  const fromHost = isForAll ? targets : [];
  return [
    ...fromContainers,
    ...fromHost.map((target) => ({ from: undefined, netns: OWN_NAMESPACE, what: "target" as const, ...target })),
  ];
}

const isCalled = ({ containerId, containerName }: NetworkAttachment, wanted: string | undefined): boolean =>
  wanted === undefined || containerName === wanted || (wanted !== "" && containerId.startsWith(wanted));

const addressesOf = ({ addresses }: NetworkAttachment): Uint8Array[] =>
  addresses.flatMap((text) => parsePrefix(text)?.address ?? []);

/** Returns the gateways of the default routes; none when the container has ended since it was listed. */
function gatewaysIn(netns: string): Uint8Array[] {
  const namespace = findNamespace(netns);
  if (namespace === undefined) return [];
  const routes = inNamespace(namespace, (rtnl) => [AF_INET, AF_INET6].flatMap((family) => listRoutes(rtnl, family)));
  return routes.filter((route) => destinationOf(route).length === 0).flatMap(gatewaysOf);
}

const targetText = ({ address, port }: Target): string => {
  const text = formatAddress(address);
  return port === undefined ? text : `${text.includes(":") ? `[${text}]` : text}:${port}`;
};

const msText = (ms: number): string => ms.toFixed(ms < 10 ? 2 : 0);

function linesFor(planned: readonly Planned[], answers: readonly Answer[]): string {
  const rows = planned.map((one, i) => {
    const { from, what, port } = one;
    const { ms, failure } = answers[i] ?? { ms: undefined, failure: undefined };
    return [
      from === undefined ? "host" : printable(from.containerName.slice(0, 32)),
      from === undefined ? "-" : printable(from.networkName),
      from === undefined ? "-" : printable(from.ifName),
      targetText(one),
      what,
      port === undefined ? "icmp" : "tcp",
      ms === undefined ? "-" : msText(ms),
      failure === undefined ? "ok" : failure.reason,
    ];
  });
  const remedies = new Map(
    answers.flatMap(({ failure }) => (failure === undefined ? [] : [[failure.reason, failure.remedy]])),
  );
  return [
    table([["FROM", "NETWORK", "INTERFACE", "TO", "WHAT", "BY", "MS", "RESULT"], ...rows]),
    ...[...remedies].map(([reason, remedy]) => `${reason}\n  To fix: ${remedy}\n`),
  ].join("");
}

function recordOf({ from, what, address, port }: Planned, answer: Answer | undefined): unknown {
  const { ms, failure } = answer ?? { ms: undefined, failure: undefined };
  return {
    from:
      from === undefined
        ? null
        : { network: from.networkName, container: from.containerId, name: from.containerName, ifname: from.ifName },
    to: formatAddress(address),
    port,
    what,
    ms: ms === undefined ? null : Math.round(ms * 1000) / 1000,
    reached: failure === undefined,
    reason: failure?.reason,
    remedy: failure?.remedy,
  };
}
