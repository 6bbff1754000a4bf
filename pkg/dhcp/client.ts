/**
 * The client: what to do next, from what it has and what happens. Pure: time comes in, messages go out as values.
 *
 *    selecting ──offer──> requesting ──ack──> probing ──silence──> bound ──T1──> renewing ──T2──> rebinding ──end──> over
 *        ^                    │nak                │somebody has it   ^               │ack              │ack
 *        └────────────────────┴───────────────────┘ (DECLINE)        └───────────────┴─────────────────┘
 *
 * A container's address cannot be changed while it runs. So once there is a lease, only the same address will do: a server that refuses it is
 * asked for it anew for a while ("reclaiming"), then the lease is over.
 *
 * @see RFC 2131, section 4.4
 */

import { equal } from "../bytes/equal.ts";
import { type Address, formatAddress, parseAddress } from "../ip/address.ts";
import { fromHex, type Lease, leaseOf } from "./lease.ts";
import { BOOTREPLY, BOOTREQUEST, type Message, MessageType, type Options } from "./message.ts";
import { codeOf, readOption } from "./option.ts";
import { unspecifiedAddress } from "./packet.ts";

/** What does not change. */
export interface Settings {
  mac: Uint8Array;
  /** Sent with every message: client identifier, what is asked for, what the configuration provides. */
  options: Options;
  /** Whether answers are to be broadcast. */
  broadcast: boolean;
  /** How long a REQUEST is repeated. */
  requestMs: number;
  /** The longest pause between two DISCOVERs. */
  longestPauseMs: number;
  /** How long an address is looked for. */
  giveUpMs: number;
  /** At least 0, below 1. */
  random: () => number;
}

export type Phase = "selecting" | "requesting" | "probing" | "bound" | "renewing" | "rebinding" | "reclaiming" | "over";

export interface State {
  phase: Phase;
  transaction: number;
  /** When the search, or the renewal, began. */
  sinceMs: number;
  /** When `time` is to be told next. */
  wakeAtMs: number;
  /** When the search ends without an address. */
  giveUpAtMs: number;
  /** Between two messages of one kind. */
  pauseMs: number;
  offer?: Offer;
  lease?: Lease;
}

interface Offer {
  address: Address;
  /** Option 54, as it came. */
  server: Uint8Array;
  /** Whence it came. */
  mac: Uint8Array;
  /** When the ARP probe will have been answered. */
  probedAtMs: number;
  /** When requesting it is given up. */
  untilMs: number;
  /** Somebody else has the address. */
  isTaken: boolean;
}

export type Event =
  | { kind: "time" }
  | { kind: "message"; message: Message; mac: Uint8Array }
  | { kind: "claim"; address: Address }
  | { kind: "stop" };

export type Action =
  /** To one server, or to all. */
  | { kind: "send"; message: Message; to?: { address: Address; mac: Uint8Array } }
  /** Ask whether somebody has the address. */
  | { kind: "probe"; address: Address }
  /** There is a lease, a new one or one for longer. */
  | { kind: "bound"; lease: Lease }
  /** It is over, or nothing came of it. */
  | { kind: "over"; why: string }
  | { kind: "log"; text: string };

export type Step = readonly [State, readonly Action[]];

/** The first DISCOVER may be lost, on a bridge whose port is not forwarding yet: the second one comes soon. */
const FIRST_PAUSE_MS = 50;
const PAUSE_FACTOR = 3;
const REQUEST_PAUSE_MS = 500;
/** After a DECLINE or NAK; RFC 2131 says ten seconds for the first, in which the runtime would have given up. */
const REFUSED_PAUSE_MS = 500;
/**
 * From the ARP probe on, which goes out with the REQUEST. A host on the same wire answers it sooner than a server writes a lease down and acknowledges
 * it, so this is for servers that are faster than that. RFC 5227 waits for seconds, in which no container starts.
 */
const PROBE_MS = 1;
/** RFC 2131, section 4.4.5: half of the time that is left, but at least this, or a tenth of the lease. */
const LONGEST_FLOOR_MS = 60_000;
const SHORTEST_FLOOR_MS = 1000;

/** Looks for an address. */
export function start(nowMs: number, settings: Settings): Step {
  return select(fresh(nowMs, settings), nowMs, settings);
}

/** Goes on with a lease that was had before. */
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
    nowMs >= state.giveUpAtMs ? over(state, "the server refuses the address") : discover(state, nowMs, settings),
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

/** Pauses grow, and differ by a quarter, so that containers that start together do not ask together for ever. */
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

/** Somebody answered for an address. */
function claimed(state: State, address: Address, nowMs: number, settings: Settings): Step {
  const { offer } = state;
  if (offer === undefined || !equal(offer.address, address)) return [state, []];
  if (state.phase === "probing") return decline(state, offer, nowMs, settings);
  return [{ ...state, offer: { ...offer, isTaken: true } }, []];
}

function decline(state: State, { address, server }: Offer, nowMs: number, settings: Settings): Step {
  const about: Pair[] = [requestedAddress(address), [codeOf("server"), server]];
  const message = releaseMessage(MessageType.decline, state, unspecifiedAddress, settings, about);
  const text = `somebody else has ${formatAddress(address)}: declined`;
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

/** Asks the server that gave it, then waits for half of the time there is until T2. */
function renew(state: State, nowMs: number, settings: Settings): Step {
  const { lease } = state;
  if (lease === undefined) return [state, []];
  if (nowMs >= lease.rebindAtMs) return rebind({ ...state, phase: "rebinding" }, nowMs, settings);
  const message = extensionOf(lease, state, nowMs, settings);
  const to = { address: serverOf(lease), mac: fromHex(lease.serverMac) };
  return [{ ...state, wakeAtMs: halfway(lease, nowMs, lease.rebindAtMs) }, [{ kind: "send", message, to }]];
}

/** Asks everybody: those who know of the lease to extend it, the others to offer the same address. */
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

/** It is not ours any more; but a server that has lost its memory gives it again. */
function refused(state: State, nowMs: number, settings: Settings): Step {
  const { lease } = state;
  const text = `the server refuses ${lease?.address}: asking for it anew`;
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

/** Gives the address back that there is, or that has just been asked for. */
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

/** RFC 2131, table 5: a RELEASE or DECLINE has nothing in it but who and what. */
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
