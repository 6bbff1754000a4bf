/**
 * The DHCP client's state machine: each event gives a new state and actions. Pure: time is an argument, messages are returned as values.
 *
 *    selecting ──offer──> requesting ──ack──> probing ──silence──> bound ──T1──> renewing ──T2──> rebinding ──end──> over
 *        ^                    │nak                │somebody has it   ^               │ack              │ack
 *        └────────────────────┴───────────────────┘ (DECLINE)        └───────────────┴─────────────────┘
 *
 * A container's address cannot change while it runs. So once there is a lease, only the same address is accepted: if a server refuses it,
 * it is requested anew for a while ("reclaiming"), then the lease is over.
 *
 * @see RFC 2131, section 4.4
 */

import { equal } from "../bytes/equal.ts";
import { fromHex } from "../bytes/hex.ts";
import { type Address, formatAddress, parseAddress } from "../ip/address.ts";
import { type Lease, leaseOf } from "./lease.ts";
import { BOOTREPLY, BOOTREQUEST, type Message, MessageType, type Options } from "./message.ts";
import { codeOf, readOption } from "./option.ts";
import { unspecifiedAddress } from "./packet.ts";

/** Settings of a client, which do not change. */
export interface Settings {
  mac: Uint8Array;
  /** Options of every message: client identifier, parameter request list, those that the configuration provides. */
  options: Options;
  /** Whether servers must broadcast answers. */
  broadcast: boolean;
  /** How long a REQUEST is repeated, in milliseconds. */
  requestMs: number;
  /** The longest pause between two DISCOVERs. */
  longestPauseMs: number;
  /** How long the client tries to get an address. */
  giveUpMs: number;
  /** Returns a number in [0, 1). */
  random: () => number;
}

export type Phase = "selecting" | "requesting" | "probing" | "bound" | "renewing" | "rebinding" | "reclaiming" | "over";

export interface State {
  phase: Phase;
  transaction: number;
  /** When acquisition or renewal began. */
  sinceMs: number;
  /** When the next `time` event is due. */
  wakeAtMs: number;
  /** When acquisition ends without an address. */
  giveUpAtMs: number;
  /** The pause between two messages of one kind. */
  pauseMs: number;
  offer?: Offer;
  lease?: Lease;
}

interface Offer {
  address: Address;
  /** Option 54, as received. */
  server: Uint8Array;
  /** The sender's MAC. */
  mac: Uint8Array;
  /** Until when an answer to the ARP probe is awaited. */
  probedAtMs: number;
  /** Until when it is requested. */
  untilMs: number;
  /** Whether another host has the address. */
  isTaken: boolean;
}

export type Event =
  | { kind: "time" }
  | { kind: "message"; message: Message; mac: Uint8Array }
  | { kind: "claim"; address: Address }
  | { kind: "stop" };

export type Action =
  /** Send a message to one server, or to all. */
  | { kind: "send"; message: Message; to?: { address: Address; mac: Uint8Array } }
  /** Send an ARP probe for the address. */
  | { kind: "probe"; address: Address }
  /** Report a new or extended lease. */
  | { kind: "bound"; lease: Lease }
  /** Report that the lease is over, or that acquisition failed. */
  | { kind: "over"; why: string }
  | { kind: "log"; text: string };

export type Step = readonly [State, readonly Action[]];

/** The first DISCOVER may be lost, on a bridge whose port is not forwarding yet, so the second one follows soon. */
const FIRST_PAUSE_MS = 50;
const PAUSE_FACTOR = 3;
const REQUEST_PAUSE_MS = 500;
/** The pause after a DECLINE or NAK. RFC 2131 has ten seconds after a DECLINE, in which the runtime would give up. */
const REFUSED_PAUSE_MS = 500;
/**
 * The time to wait for an answer to the ARP probe, which is sent with the REQUEST. A host on the same link answers it sooner than a server
 * records a lease and acknowledges it, so this matters only for servers that are faster. RFC 5227 waits for seconds, too long for a
 * container's start.
 */
const PROBE_MS = 1;
/** Limits of the least pause, a tenth of the lease. RFC 2131, section 4.4.5: wait half of the remaining time, but at least 60 s. */
const LONGEST_FLOOR_MS = 60_000;
const SHORTEST_FLOOR_MS = 1000;

/** Starts the acquisition of an address. */
export function start(nowMs: number, settings: Settings): Step {
  return select(fresh(nowMs, settings), nowMs, settings);
}

/** Resumes with an existing lease. */
export function resume(lease: Lease, nowMs: number, settings: Settings): State {
  return { ...fresh(nowMs, settings), phase: "bound", wakeAtMs: lease.renewAtMs, lease };
}

const fresh = (nowMs: number, settings: Settings): State => ({
  phase: "selecting",
  transaction: Math.floor(settings.random() * 2 ** 32),
  sinceMs: nowMs,
  wakeAtMs: nowMs,
  giveUpAtMs: nowMs + settings.giveUpMs,
  pauseMs: FIRST_PAUSE_MS,
});

export function step(state: State, event: Event, nowMs: number, settings: Settings): Step {
  switch (event.kind) {
    case "time":
      return nowMs < state.wakeAtMs ? [state, []] : onTime[state.phase](state, nowMs, settings);
    case "message":
      return isForUs(event.message, state, settings) ? answered(state, event, nowMs, settings) : [state, []];
    case "claim":
      return claimed(state, event.address, nowMs, settings);
    case "stop":
      return stop(state, nowMs, settings);
  }
}

const onTime: Record<Phase, (state: State, nowMs: number, settings: Settings) => Step> = {
  selecting: (state, nowMs, settings) =>
    nowMs >= state.giveUpAtMs ? over(state, "no more tries") : discover(state, nowMs, settings),
  requesting: requestAgain,
  probing: bind,
  bound: (state, nowMs, settings) =>
    renew({ ...fresh(nowMs, settings), phase: "renewing", ...kept(state) }, nowMs, settings),
  renewing: renew,
  rebinding: rebind,
  reclaiming: (state, nowMs, settings) =>
    nowMs >= state.giveUpAtMs ? over(state, "the server refused the address") : discover(state, nowMs, settings),
  over: asleep,
};

// --- Looking for an address --------------------------------------------------------------------------------------------------------------

function select(state: State, nowMs: number, settings: Settings): Step {
  const { offer: _, ...rest } = state;
  return discover({ ...rest, phase: "selecting", pauseMs: FIRST_PAUSE_MS }, nowMs, settings);
}

function discover(state: State, nowMs: number, settings: Settings): Step {
  const wanted = state.lease === undefined ? [] : [requestedAddress(addressOf(state.lease))];
  const message = messageOf(MessageType.discover, state, nowMs, settings, wanted);
  return [paused(state, nowMs, settings), [{ kind: "send", message }]];
}

/** Sets the next pause: pauses grow, and vary by a quarter, so that containers that start together do not keep sending together. */
function paused(state: State, nowMs: number, { longestPauseMs, random }: Settings): State {
  const wakeAtMs = Math.min(nowMs + state.pauseMs * (0.75 + random() / 2), state.giveUpAtMs);
  return { ...state, wakeAtMs, pauseMs: Math.min(state.pauseMs * PAUSE_FACTOR, longestPauseMs) };
}

function offered(state: State, { message, mac }: Answer, nowMs: number, settings: Settings): Step {
  const server = message.options.get(codeOf("server"));
  const address = message.yourAddress;
  if (server === undefined || equal(address, unspecifiedAddress)) return [state, []];
  const offer = {
    address,
    server,
    mac,
    isTaken: false,
    probedAtMs: nowMs + PROBE_MS,
    untilMs: nowMs + settings.requestMs,
  };
  const [requesting, sent] = request({ ...state, phase: "requesting", offer }, offer, nowMs, settings);
  return [requesting, [{ kind: "probe", address }, ...sent]];
}

function requestAgain(state: State, nowMs: number, settings: Settings): Step {
  const { offer } = state;
  if (offer === undefined || nowMs >= offer.untilMs) return select(state, nowMs, settings);
  return request(state, offer, nowMs, settings);
}

function request(state: State, offer: Offer, nowMs: number, settings: Settings): Step {
  const message = selectionOf(offer, state, nowMs, settings);
  return [{ ...state, wakeAtMs: Math.min(nowMs + REQUEST_PAUSE_MS, offer.untilMs) }, [{ kind: "send", message }]];
}

const selectionOf = (
  { address, server }: Pick<Offer, "address" | "server">,
  state: State,
  nowMs: number,
  settings: Settings,
): Message =>
  messageOf(MessageType.request, state, nowMs, settings, [requestedAddress(address), [codeOf("server"), server]]);

function granted(state: State, { message, mac }: Answer, nowMs: number, settings: Settings): Step {
  const { offer } = state;
  const lease = leaseOf(message, mac, nowMs);
  if (offer === undefined || equal(message.yourAddress, unspecifiedAddress)) return [state, []];
  if (typeof lease === "string") return joined(giveBack({ ...offer, mac }, state, settings), over(state, lease));
  if (offer.isTaken) return decline(state, offer, nowMs, settings);
  const probing: State = { ...state, phase: "probing", lease, wakeAtMs: offer.probedAtMs };
  return nowMs >= offer.probedAtMs ? bind(probing) : [probing, []];
}

function bind(state: State): Step {
  const { offer: _, lease, ...rest } = state;
  if (lease === undefined) return [state, []];
  return [{ ...rest, phase: "bound", lease, wakeAtMs: lease.renewAtMs }, [{ kind: "bound", lease }]];
}

/** Handles an ARP claim of an address by another host. */
function claimed(state: State, address: Address, nowMs: number, settings: Settings): Step {
  const { offer } = state;
  if (offer === undefined || !equal(offer.address, address)) return [state, []];
  if (state.phase === "probing") return decline(state, offer, nowMs, settings);
  return [{ ...state, offer: { ...offer, isTaken: true } }, []];
}

function decline(state: State, { address, server }: Offer, nowMs: number, settings: Settings): Step {
  const about: Pair[] = [requestedAddress(address), [codeOf("server"), server]];
  const message = releaseMessage(MessageType.decline, state, unspecifiedAddress, settings, about);
  const text = `another host uses ${formatAddress(address)}: declined`;
  return [
    later(state, nowMs),
    [
      { kind: "send", message },
      { kind: "log", text },
    ],
  ];
}

function later(state: State, nowMs: number): State {
  const { offer: _, lease: __, ...rest } = state;
  const wakeAtMs = Math.min(nowMs + REFUSED_PAUSE_MS, state.giveUpAtMs);
  return { ...rest, phase: "selecting", pauseMs: FIRST_PAUSE_MS, wakeAtMs };
}

// --- Keeping it -------------------------------------------------------------------------------------------------------------------------

const kept = ({ lease }: State): Pick<State, "lease"> => (lease === undefined ? {} : { lease });

/** Requests renewal from the lease's server, then waits for half of the time until T2. */
function renew(state: State, nowMs: number, settings: Settings): Step {
  const { lease } = state;
  if (lease === undefined) return [state, []];
  if (nowMs >= lease.rebindAtMs) return rebind({ ...state, phase: "rebinding" }, nowMs, settings);
  const message = extensionOf(lease, state, nowMs, settings);
  const to = { address: serverOf(lease), mac: fromHex(lease.serverMac) };
  return [{ ...state, wakeAtMs: halfway(lease, nowMs, lease.rebindAtMs) }, [{ kind: "send", message, to }]];
}

/** Broadcasts to all servers: those that know the lease may extend it, others may offer the same address. */
function rebind(state: State, nowMs: number, settings: Settings): Step {
  const { lease } = state;
  if (lease === undefined) return [state, []];
  if (nowMs >= lease.expireAtMs) return over(state, "lease expired");
  const [, discovery] = discover(state, nowMs, settings);
  const message = extensionOf(lease, state, nowMs, settings);
  return [{ ...state, wakeAtMs: halfway(lease, nowMs, lease.expireAtMs) }, [{ kind: "send", message }, ...discovery]];
}

function halfway({ renewAtMs, expireAtMs }: Lease, nowMs: number, endMs: number): number {
  const floorMs = Math.min(Math.max((expireAtMs - renewAtMs) / 10, SHORTEST_FLOOR_MS), LONGEST_FLOOR_MS);
  return Math.min(nowMs + Math.max((endMs - nowMs) / 2, floorMs), endMs);
}

const extensionOf = (lease: Lease, state: State, nowMs: number, settings: Settings): Message => ({
  ...messageOf(MessageType.request, state, nowMs, settings, []),
  clientAddress: addressOf(lease),
});

function offeredAgain(state: State, { yourAddress, options }: Message, nowMs: number, settings: Settings): Step {
  const server = options.get(codeOf("server"));
  if (server === undefined || !isSame(state, yourAddress)) return [state, []];
  return [state, [{ kind: "send", message: selectionOf({ address: yourAddress, server }, state, nowMs, settings) }]];
}

function extended(state: State, { message, mac }: Answer, nowMs: number): Step {
  const lease = leaseOf(message, mac, nowMs);
  if (typeof lease === "string" || !isSame(state, message.yourAddress)) return [state, []];
  return bind({ ...state, lease });
}

const isSame = ({ lease }: State, address: Address): boolean => lease?.address === formatAddress(address);

/** Handles a NAK: the lease is no longer ours, but a server that has lost its state may grant it again. */
function refused(state: State, nowMs: number, settings: Settings): Step {
  const { lease } = state;
  const text = `the server refused ${lease?.address}: requesting it again`;
  const reclaiming: State = { ...fresh(nowMs, settings), phase: "reclaiming", ...kept(state) };
  const giveUpAtMs = Math.min(nowMs + settings.requestMs, lease?.expireAtMs ?? nowMs);
  const [next, sent] = discover({ ...reclaiming, giveUpAtMs }, nowMs, settings);
  return [next, [{ kind: "log", text }, ...sent]];
}

// --- What comes in ----------------------------------------------------------------------------------------------------------------------

type Answer = Extract<Event, { kind: "message" }>;

const isForUs = ({ op, transaction, hardwareAddress }: Message, state: State, { mac }: Settings): boolean =>
  op === BOOTREPLY && transaction === state.transaction && equal(hardwareAddress, mac);

function answered(state: State, answer: Answer, nowMs: number, settings: Settings): Step {
  const { phase } = state;
  switch (readOption(answer.message.options, "messageType")) {
    case MessageType.offer:
      if (phase === "selecting") return offered(state, answer, nowMs, settings);
      return phase === "rebinding" || phase === "reclaiming"
        ? offeredAgain(state, answer.message, nowMs, settings)
        : [state, []];
    case MessageType.ack:
      if (phase === "requesting") return granted(state, answer, nowMs, settings);
      return phase === "renewing" || phase === "rebinding" || phase === "reclaiming"
        ? extended(state, answer, nowMs)
        : [state, []];
    case MessageType.nak:
      if (phase === "requesting") return [later(state, nowMs), [{ kind: "log", text: `refused${reasonIn(answer)}` }]];
      return phase === "renewing" || phase === "rebinding" ? refused(state, nowMs, settings) : [state, []];
    default:
      return [state, []];
  }
}

function reasonIn({ message }: Answer): string {
  const reason = readOption(message.options, "message");
  return reason === undefined ? "" : `: ${JSON.stringify(reason)}`;
}

// --- The end ----------------------------------------------------------------------------------------------------------------------------

/** Ends the client, and releases the address that it has or has just requested. */
function stop(state: State, _nowMs: number, settings: Settings): Step {
  const { lease, offer, phase } = state;
  const [ended] = over(state, "stopped");
  if (phase === "over") return [ended, []];
  if (lease !== undefined) {
    const holding = { address: addressOf(lease), server: serverOf(lease), mac: fromHex(lease.serverMac) };
    return [ended, giveBack(holding, state, settings)];
  }
  return [ended, offer === undefined ? [] : giveBack(offer, state, settings)];
}

function giveBack(holding: Pick<Offer, "address" | "server" | "mac">, state: State, settings: Settings): Action[] {
  const { address, server, mac } = holding;
  const message = releaseMessage(MessageType.release, state, address, settings, [[codeOf("server"), server]]);
  return [{ kind: "send", message, to: { address: server, mac } }];
}

const joined = (before: readonly Action[], [state, actions]: Step): Step => [state, [...before, ...actions]];

function over(state: State, why: string): Step {
  return [{ ...state, phase: "over", wakeAtMs: Number.POSITIVE_INFINITY }, [{ kind: "over", why }]];
}

function asleep(state: State): Step {
  return [{ ...state, wakeAtMs: Number.POSITIVE_INFINITY }, []];
}

// --- Messages ---------------------------------------------------------------------------------------------------------------------------

type Pair = readonly [code: number, value: Uint8Array];

function messageOf(type: number, state: State, nowMs: number, settings: Settings, about: readonly Pair[]): Message {
  return {
    op: BOOTREQUEST,
    transaction: state.transaction,
    seconds: Math.floor((nowMs - state.sinceMs) / 1000),
    broadcast: settings.broadcast,
    clientAddress: unspecifiedAddress,
    yourAddress: unspecifiedAddress,
    hardwareAddress: settings.mac,
    options: new Map([[codeOf("messageType"), Uint8Array.of(type)], ...about, ...settings.options]),
  };
}

/** Makes a RELEASE or DECLINE, which has only client, server and address. RFC 2131, table 5. */
function releaseMessage(
  type: number,
  state: State,
  clientAddress: Address,
  settings: Settings,
  about: readonly Pair[],
): Message {
  const clientId = settings.options.get(codeOf("clientId"));
  const options = new Map([[codeOf("messageType"), Uint8Array.of(type)], ...about]);
  if (clientId !== undefined) options.set(codeOf("clientId"), clientId);
  return {
    ...messageOf(type, state, state.sinceMs, settings, []),
    transaction: Math.floor(settings.random() * 2 ** 32),
    broadcast: false,
    clientAddress,
    options,
  };
}

const requestedAddress = (address: Address): Pair => [codeOf("requestedAddress"), address];
const addressOf = ({ address }: Lease): Address => parseAddress(address) ?? unspecifiedAddress;
const serverOf = ({ server }: Lease): Address => parseAddress(server) ?? unspecifiedAddress;
