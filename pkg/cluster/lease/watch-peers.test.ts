import t, { type Test } from "tap";
import { randomFrom, testSeed } from "../../sys/random.testing.ts";
import { FakeClock, flushPromises } from "../event-loop/clock.testing.ts";
import type { LeaseEvent, Malformed, OwnEvent } from "./event.ts";
import { attributesOf, FakeStore, ip, subnets } from "./fake.testing.ts";
import { type Lease, printAttributes, leaseOf as storedLease } from "./lease.ts";
import { storeRemedies } from "./store-manager.ts";
import { type PeerWatch, watchPeers } from "./watch-peers.ts";

const OWN = "10.3.1.0-24";

/** "10.3.2.0-24 192.0.2.2" */
function leaseOf(text: string, expiresMs?: number): Lease {
  const [key = "", publicIP = ""] = text.split(" ");
  return storedLease(subnets(key), attributesOf(publicIP), expiresMs);
}

const show = (lease: Lease): string => `${lease.id} ${lease.attributes.publicIP?.join(".")}`;

interface Followed {
  following: PeerWatch;
  told: string[];
  tell(event: LeaseEvent): void;
  trouble(why: Error | undefined): void;
}

/** Follows a store that tells what the test tells it to. */
function follow(t: Test, own = OWN): Followed {
  const told: string[] = [];
  let tell: (event: LeaseEvent) => void = () => {};
  let trouble: (why: Error | undefined) => void = () => {};
  const store = {
    watch(onEvent: typeof tell, onTrouble: typeof trouble) {
      [tell, trouble] = [onEvent, onTrouble];
      return { stop: () => void told.push("stopped") };
    },
  };
  const ownLease = {
    lease: () => leaseOf(`${own} 192.0.2.1`),
    take: (event: OwnEvent) => void told.push(`own ${event.kind === "put" ? show(event.lease) : "gone"}`),
  };
  const following = watchPeers(
    store,
    ownLease,
    {
      peers: (all) => void told.push(`all: ${all.map(show).sort().join(", ")}`),
      changed: ({ changed, gone }) =>
        void told.push([...changed.map((lease) => `+${show(lease)}`), ...gone.map((id) => `-${id}`)].sort().join(" ")),
      malformed: ({ id, reason }) => void told.push(`malformed ${id}: ${reason}`),
      trouble: (why) => void told.push(`trouble ${why?.message}`),
    },
    storeRemedies,
  );
  t.teardown(() => following.stop());
  return { following, told, tell: (event) => tell(event), trouble: (why) => trouble(why) };
}

const snapshot = (leases: readonly string[], malformed: readonly Malformed[] = []): LeaseEvent => ({
  kind: "snapshot",
  snapshot: { leases: leases.map((text) => leaseOf(text)), malformed },
});
const put = (text: string, expiresMs?: number): LeaseEvent => ({ kind: "put", lease: leaseOf(text, expiresMs) });
const gone = (id: string): LeaseEvent => ({ kind: "gone", id });
const malformed = (id: string, reason = "no"): LeaseEvent => ({ kind: "malformed", malformed: { id, reason } });

const us = `${OWN} 192.0.2.1`;
const two = "10.3.2.0-24 192.0.2.2";
const three = "10.3.3.0-24&fd00:0:0:3::-64 192.0.2.3";

/** What is told for each group of events that come together, after a first snapshot of us and host two. */
const cases: { claim: string; events: LeaseEvent[]; told: string[] }[] = [
  { claim: "a new host is told", events: [put(three)], told: [`+${three}`] },
  { claim: "a renewal is not", events: [put(two, 1)], told: [] },
  { claim: "another address is", events: [put("10.3.2.0-24 192.0.2.9")], told: ["+10.3.2.0-24 192.0.2.9"] },
  { claim: "a lease that goes is told by its identity", events: [gone("10.3.2.0-24")], told: ["-10.3.2.0-24"] },
  { claim: "one that nobody knew is not", events: [gone("10.3.9.0-24")], told: [] },
  { claim: "one that came and went is not", events: [put(three), gone("10.3.3.0-24&fd00:0:0:3::-64")], told: [] },
  { claim: "one that went and came back is not", events: [gone("10.3.2.0-24"), put(two)], told: [] },
  {
    claim: "what comes together is told together",
    events: [put(three), gone("10.3.2.0-24"), put("10.3.4.0-24 192.0.2.4")],
    told: [`+${three} +10.3.4.0-24 192.0.2.4 -10.3.2.0-24`],
  },
  { claim: "the same snapshot again changes nothing", events: [snapshot([us, two])], told: [`own ${us}`] },
  {
    claim: "a snapshot tells what came, went and changed",
    events: [snapshot([us, three, "10.3.2.0-24 192.0.2.9"])],
    told: [`own ${us}`, `+10.3.2.0-24 192.0.2.9 +${three}`],
  },
  {
    claim: "a snapshot without a known host removes it",
    events: [snapshot([us])],
    told: [`own ${us}`, "-10.3.2.0-24"],
  },
  { claim: "our own lease is told apart", events: [put(us), gone(OWN)], told: [`own ${us}`, "own gone"] },
  { claim: "our own lease missing from a snapshot has gone", events: [snapshot([two])], told: ["own gone"] },
  {
    claim: "a lease that becomes malformed stays as it was",
    events: [malformed("10.3.2.0-24"), malformed("10.3.2.0-24")],
    told: ["malformed 10.3.2.0-24: no"],
  },
  {
    claim: "in a snapshot as well",
    events: [snapshot([us], [{ id: "10.3.2.0-24", reason: "no" }])],
    told: [`own ${us}`, "malformed 10.3.2.0-24: no"],
  },
  {
    claim: "until it goes",
    events: [malformed("10.3.2.0-24"), gone("10.3.2.0-24")],
    told: ["malformed 10.3.2.0-24: no", "-10.3.2.0-24"],
  },
  {
    claim: "our own malformed lease is as good as gone",
    events: [malformed(OWN)],
    told: [`malformed ${OWN}: no`, "own gone"],
  },
  { claim: "what is no key removes nobody", events: [malformed("nonsense")], told: ["malformed nonsense: no"] },
  {
    claim: "a lease over ours is refused",
    events: [put("10.3.0.0-22 192.0.2.9"), put(`${OWN}&fd00::-64 192.0.2.9`)],
    told: ["10.3.0.0-22", `${OWN}&fd00::-64`].map(
      (key) =>
        `malformed ${key}: overlaps our own lease 10.3.1.0/24: its host cannot be reached. To fix: delete the lease that is wrong`,
    ),
  },
  {
    claim: "a lease outside of the network is told",
    events: [put("192.168.7.0-24 192.0.2.9")],
    told: ["+192.168.7.0-24 192.0.2.9"],
  },
];
for (const { claim, events, told: expected } of cases) {
  t.test(`peers: ${claim}`, async (t) => {
    const { told, tell } = follow(t);
    tell(snapshot([us, two]));
    await flushPromises();
    t.strictSame(told.splice(0), [`own ${us}`, `all: ${two}`]);
    for (const event of events) tell(event);
    await flushPromises();
    t.strictSame(told, expected);
  });
}

t.test("an empty store is told too", async (t) => {
  const { told, tell } = follow(t);
  tell(snapshot([]));
  await flushPromises();
  t.strictSame(told, ["own gone", "all: "]);
});

t.test("trouble is passed on, and nothing comes after the end", async (t) => {
  const { told, tell, trouble, following } = follow(t);
  tell(snapshot([us, two]));
  await flushPromises();
  trouble(new Error("no route"));
  trouble(undefined);
  tell(put(three));
  following.stop();
  await flushPromises();
  t.strictSame(told, [`own ${us}`, `all: ${two}`, "trouble no route", "trouble undefined", "stopped"]);
});

t.test("what was told is what the store has, whatever happens: 2000 random steps", async (t) => {
  const seed = testSeed();
  t.comment(`seed ${seed}`);
  const random = randomFrom(seed);
  const any = (count: number) => Math.floor(random() * count);
  const store = new FakeStore(new FakeClock());
  const known = new Map<string, string>();
  const learn = ({ id, attributes }: Lease) => known.set(id, printAttributes(attributes));
  const own = { lease: () => leaseOf(us), take() {} };
  const following = watchPeers(
    store,
    own,
    {
      peers: (all) => all.forEach(learn),
      changed({ changed, gone }) {
        for (const lease of changed) {
          if (known.get(lease.id) === printAttributes(lease.attributes)) t.fail(`${lease.id} was known`);
          learn(lease);
        }
        for (const id of gone) if (!known.delete(id)) t.fail(`${id} was not known`);
      },
      malformed() {},
      trouble() {},
    },
    storeRemedies,
  );
  t.teardown(() => following.stop());
  const wanted = new Map<string, string>();
  const steps: ((key: string) => void)[] = [
    (key) => {
      const lease = store.write(subnets(key), { publicIP: ip(`192.0.2.${any(3)}`), backendType: "vxlan" });
      wanted.set(key, printAttributes(lease.attributes));
    },
    (key) => {
      store.remove(key);
      wanted.delete(key);
    },
    (key) => store.spoil({ id: key, reason: `nonsense ${any(2)}` }), // whoever had it stays
    () => store.tellAll(),
  ];
  for (let step = 0; step < 2000; step++) {
    steps[any(steps.length)]?.(`10.3.${1 + any(8)}.0-24`);
    wanted.delete(OWN);
    if (any(3) > 0) continue;
    await flushPromises();
    t.strictSame([...known].sort(), [...wanted].sort(), `after step ${step}`);
  }
  t.ok(known.size > 0, "saw leases");
});
