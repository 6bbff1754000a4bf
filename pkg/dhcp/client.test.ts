// The client against a clock of the test's own: each line of a table is what happens, what it does, and when it wakes.
import t from "tap";
import { fromHex, hex } from "../bytes/hex.ts";
import { type Action, type Event, resume, type Settings, type State, type Step, start, step } from "./client.ts";
import type { Lease } from "./lease.ts";
import { BOOTREPLY, type Message, MessageType } from "./message.ts";
import { codeOf, readOption } from "./option.ts";
import { unspecifiedAddress } from "./packet.ts";

const mac = fromHex("020000000001");
const serverMac = fromHex("0200000000ff");
const settings: Settings = {
  mac,
  options: new Map([[codeOf("clientId"), Uint8Array.of(0, 120)]]),
  broadcast: false,
  requestMs: 10_000,
  longestPauseMs: 62_000,
  giveUpMs: 208_000,
  random: () => 0.5,
};

const address = (last: number): Uint8Array => Uint8Array.of(10, 0, 0, last);
const seconds = (value: number): Uint8Array => Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);

/** An answer of the server 10.0.0.<server> about 10.0.0.<last>, with a lease of 100 s. */
function answer(
  state: State,
  type: keyof typeof MessageType,
  { last = 9, server = 1, leaseSeconds = 100 } = {},
): Event {
  const message: Message = {
    op: BOOTREPLY,
    transaction: state.transaction,
    seconds: 0,
    broadcast: false,
    clientAddress: unspecifiedAddress,
    yourAddress: address(last),
    hardwareAddress: mac,
    options: new Map([
      [codeOf("messageType"), Uint8Array.of(MessageType[type])],
      [codeOf("server"), address(server)],
      [codeOf("subnetMask"), fromHex("ffffff00")],
      [codeOf("leaseSeconds"), seconds(leaseSeconds)],
    ]),
  };
  return { kind: "message", message, mac: serverMac };
}

/** "DISCOVER", "REQUEST of 10.0.0.9 to 10.0.0.1", "bound 10.0.0.9". */
function shown(action: Action): string {
  switch (action.kind) {
    case "send":
      return `${nameOf(action.message)}${action.to === undefined ? "" : ` straight to ${[...action.to.address].join(".")} (${hex(action.to.mac)})`}`;
    case "probe":
      return `probe ${[...action.address].join(".")}`;
    case "bound":
      return `bound ${action.lease.address}`;
    case "over":
      return `over: ${action.why}`;
    case "log":
      return `log: ${action.text}`;
  }
}

function nameOf({ options, clientAddress }: Message): string {
  const type =
    Object.entries(MessageType).find(([, number]) => number === readOption(options, "messageType"))?.[0] ?? "";
  const [requested, server] = [readOption(options, "requestedAddress"), readOption(options, "server")];
  const about = [
    requested && ` of ${requested}`,
    server && ` by ${server}`,
    clientAddress[0] !== 0 && ` as ${[...clientAddress].join(".")}`,
  ];
  return `${type.toUpperCase()}${about.filter(Boolean).join("")}`;
}

/** Plays what happens, and notes what the client does. */
function play(first: Step) {
  let [state] = first;
  const notes = (step: Step): string[] => {
    state = step[0];
    return step[1].map(shown);
  };
  return {
    begun: first[1].map(shown),
    get state() {
      return state;
    },
    at: (ms: number, event: Event = { kind: "time" }): string[] => notes(step(state, event, ms, settings)),
    answered: (
      ms: number,
      ...what: Parameters<typeof answer> extends [State, ...infer Rest] ? Rest : never
    ): string[] => notes(step(state, answer(state, ...what), ms, settings)),
  };
}

const lease: Lease = {
  address: "10.0.0.9",
  prefixLength: 24,
  server: "10.0.0.1",
  serverMac: "0200000000ff",
  routers: [],
  renewAtMs: 50_000,
  rebindAtMs: 85_000,
  expireAtMs: 100_000,
};
const bound = () => play([resume(lease, 0, settings), []]);

const extend = "REQUEST as 10.0.0.9";
const straight = `${extend} straight to 10.0.0.1 (0200000000ff)`;

t.test("an address is found, asked for, looked after, and there", async (t) => {
  const client = play(start(0, settings));
  t.strictSame(client.begun, ["DISCOVER"]);
  t.strictSame(client.answered(5, "offer"), ["probe 10.0.0.9", "REQUEST of 10.0.0.9 by 10.0.0.1"]);
  t.strictSame(client.answered(5.5, "ack"), [], "until the probe would have been answered");
  t.equal(client.state.wakeAtMs, 6);
  t.strictSame(client.at(6), ["bound 10.0.0.9"]);
  t.match(client.state, { phase: "bound", wakeAtMs: 50_005.5 });
});

t.test("a slow server's ACK is waited for no longer", async (t) => {
  const client = play(start(0, settings));
  client.answered(5, "offer");
  t.strictSame(client.answered(20, "ack"), ["bound 10.0.0.9"]);
});

t.test("nobody answers: pauses grow threefold up to the longest, and it ends", async (t) => {
  const client = play(start(0, settings));
  const times = [];
  for (let said = client.begun; said[0] === "DISCOVER"; said = client.at(client.state.wakeAtMs))
    times.push(client.state.wakeAtMs);
  t.strictSame(times, [50, 200, 650, 2000, 6050, 18_200, 54_650, 116_650, 178_650, 208_000]);
  t.strictSame([client.state.phase, client.state.wakeAtMs], ["over", Number.POSITIVE_INFINITY]);
});

t.test("a REQUEST that nobody answers is repeated, then the search begins anew", async (t) => {
  const client = play(start(0, settings));
  client.answered(0, "offer");
  const again = "REQUEST of 10.0.0.9 by 10.0.0.1";
  const said = [];
  while (client.state.phase === "requesting") said.push(...client.at(client.state.wakeAtMs));
  t.strictSame(said, [...Array.from({ length: 19 }, () => again), "DISCOVER"]);
  t.match(client.state, { phase: "selecting", giveUpAtMs: 208_000 });
});

t.test("an address that somebody has is declined, before the ACK or after it", async (t) => {
  const claim: Event = { kind: "claim", address: address(9) };
  const declined = ["DECLINE of 10.0.0.9 by 10.0.0.1", "log: another host uses 10.0.0.9: declined"];
  const early = play(start(0, settings));
  early.answered(0, "offer");
  t.strictSame(early.at(1, claim), []);
  t.strictSame(early.answered(2, "ack"), declined);
  t.strictSame(early.at(early.state.wakeAtMs), ["DISCOVER"]);
  const late = play(start(0, settings));
  late.answered(0, "offer");
  late.answered(0.5, "ack");
  t.strictSame(late.at(0.6, { kind: "claim", address: address(8) }), [], "of another address");
  t.strictSame(late.at(0.7, claim), declined);
  t.strictSame([late.state.phase, late.state.lease, late.state.wakeAtMs], ["selecting", undefined, 500.7]);
});

t.test("a NAK to a REQUEST begins the search anew, a little later", async (t) => {
  const client = play(start(0, settings));
  client.answered(0, "offer");
  t.strictSame(client.answered(1, "nak"), ["log: refused"]);
  t.strictSame(client.at(500), []);
  t.strictSame(client.at(501), ["DISCOVER"]);
});

t.test("an ACK that is not enough is given back", async (t) => {
  const client = play(start(0, settings));
  client.answered(0, "offer");
  const ack = answer(client.state, "ack") as Extract<Event, { kind: "message" }>;
  const options = new Map(ack.message.options);
  options.delete(codeOf("subnetMask"));
  t.strictSame(client.at(1, { ...ack, message: { ...ack.message, options } }), [
    "RELEASE by 10.0.0.1 as 10.0.0.9 straight to 10.0.0.1 (0200000000ff)",
    "over: DHCP option Subnet Mask not found in DHCPACK",
  ]);
});

t.test("at T1 the server is asked, and its ACK counts from then", async (t) => {
  const client = bound();
  t.strictSame(client.at(49_999), []);
  t.strictSame(client.at(50_000), [straight]);
  t.equal(client.state.wakeAtMs, 67_500, "half of what is left until T2");
  t.strictSame(client.answered(50_010, "ack"), ["bound 10.0.0.9"]);
  t.match(client.state, { phase: "bound", wakeAtMs: 100_010 });
});

t.test("after T2 everybody is asked, for longer or for the same address, until the end", async (t) => {
  const client = bound();
  const said: [number, string[]][] = [];
  for (let ms = client.state.wakeAtMs; Number.isFinite(ms); ms = client.state.wakeAtMs) said.push([ms, client.at(ms)]);
  const all = [extend, "DISCOVER of 10.0.0.9"];
  t.strictSame(said, [
    [50_000, [straight]],
    [67_500, [straight]],
    [76_250, [straight]],
    [81_250, [straight]],
    [85_000, all],
    [92_500, all],
    [97_500, all],
    [100_000, ["over: lease expired"]],
  ]);
});

t.test("another server goes on with the lease: one that knows it, one that offers the same address", async (t) => {
  const knows = bound();
  for (const ms of [50_000, 85_000]) knows.at(ms);
  t.strictSame(knows.answered(85_001, "ack", { server: 2 }), ["bound 10.0.0.9"]);
  t.equal(knows.state.lease?.server, "10.0.0.2");
  const offers = bound();
  for (const ms of [50_000, 85_000]) offers.at(ms);
  t.strictSame(offers.answered(85_001, "offer", { server: 2, last: 8 }), [], "another address is of no use");
  t.strictSame(offers.answered(85_002, "offer", { server: 2 }), ["REQUEST of 10.0.0.9 by 10.0.0.2"]);
  t.strictSame(offers.answered(85_003, "ack", { server: 2, last: 8 }), []);
  t.strictSame(offers.answered(85_004, "ack", { server: 2 }), ["bound 10.0.0.9"]);
});

t.test("a NAK to a renewal: the same address is asked for anew, then it is over", async (t) => {
  const client = bound();
  client.at(50_000);
  t.strictSame(client.answered(50_001, "nak"), [
    "log: the server refused 10.0.0.9: requesting it again",
    "DISCOVER of 10.0.0.9",
  ]);
  t.strictSame(client.answered(50_002, "offer", { last: 8 }), []);
  const said = [];
  while (Number.isFinite(client.state.wakeAtMs)) said.push(...client.at(client.state.wakeAtMs));
  t.strictSame(said.slice(-1), ["over: the server refused the address"]);
  t.equal(said.filter((one) => one === "DISCOVER of 10.0.0.9").length, said.length - 1);
  const again = bound();
  again.at(50_000);
  again.answered(50_001, "nak");
  t.strictSame(again.answered(50_002, "offer"), ["REQUEST of 10.0.0.9 by 10.0.0.1"]);
  t.strictSame(again.answered(50_003, "ack"), ["bound 10.0.0.9"]);
});

t.test("stopping gives back what there is, or has just been asked for", async (t) => {
  const release = "RELEASE by 10.0.0.1 as 10.0.0.9 straight to 10.0.0.1 (0200000000ff)";
  t.strictSame(bound().at(1, { kind: "stop" }), [release]);
  const searching = play(start(0, settings));
  t.strictSame(searching.at(1, { kind: "stop" }), []);
  const requesting = play(start(0, settings));
  requesting.answered(0, "offer");
  t.strictSame(requesting.at(1, { kind: "stop" }), [release]);
  t.strictSame(requesting.at(2, { kind: "stop" }), [], "once");
});

t.test("after a long sleep, as of the machine, the lease is asked for or over at once", async (t) => {
  t.strictSame(bound().at(90_000), [extend, "DISCOVER of 10.0.0.9"]);
  t.strictSame(bound().at(200_000), ["over: lease expired"]);
});

t.test("answers to others, and those that do not fit, change nothing", async (t) => {
  const client = play(start(0, settings));
  const offer = answer(client.state, "offer") as Extract<Event, { kind: "message" }>;
  const { message } = offer;
  const others: Message[] = [
    { ...message, transaction: message.transaction + 1 },
    { ...message, hardwareAddress: fromHex("020000000002") },
    { ...message, op: 1 },
    { ...message, yourAddress: unspecifiedAddress },
    { ...message, options: new Map() },
  ];
  for (const other of others) t.strictSame(client.at(1, { ...offer, message: other }), []);
  for (const type of ["ack", "nak", "request"] as const) t.strictSame(client.answered(1, type), []);
  t.strictSame(bound().answered(1, "nak"), []);
  t.match(client.state, { phase: "selecting" });
});

t.test(
  "whatever happens in whatever order, it always wakes again or is over, and never has two addresses",
  async (t) => {
    let seed = 11;
    const random = (below: number) => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return Math.floor((seed / 2 ** 32) * below);
    };
    const types = ["offer", "ack", "nak", "discover"] as const;
    for (let walk = 0; walk < 400; walk++) {
      const client = play(start(0, settings));
      let now = 0;
      const addresses = new Set<string>();
      for (let i = 0; i < 60; i++) {
        now += random(4) === 0 ? random(60_000) : random(20);
        const what = random(8);
        const said =
          what < 3
            ? client.at(Math.max(now, Math.min(client.state.wakeAtMs, now + 40_000)))
            : what === 3
              ? client.at(now, { kind: "claim", address: address(8 + random(2)) })
              : client.answered(now, types[random(types.length)] ?? "offer", {
                  last: 8 + random(2),
                  server: 1 + random(2),
                  leaseSeconds: 1 + random(200),
                });
        for (const one of said) if (one.startsWith("bound")) addresses.add(one);
        const { phase, wakeAtMs } = client.state;
        if (phase === "over" ? Number.isFinite(wakeAtMs) : !Number.isFinite(wakeAtMs))
          throw new Error(`walk ${walk}: ${phase} wakes at ${wakeAtMs}`);
      }
      if (addresses.size > 1) throw new Error(`walk ${walk}: ${[...addresses]}`);
    }
    t.pass("400 walks");
  },
);
