import t, { type Test } from "tap";
import { randomFrom, testSeed } from "../../sys/random.testing.ts";
import { FakeClock, flushPromises } from "../event-loop/clock.testing.ts";
import { attributesOf, FakeStore, ip, linesOf, subnets } from "./fake.testing.ts";
import { keyOf, type Lease, type LeaseAttributes, leaseOf } from "./lease.ts";
import { type LeaseRenewer, type RenewOptions, startRenewal } from "./renew.ts";
import type { Store } from "./store.ts";
import { StoreError } from "./store-error.ts";
import { storeRemedies } from "./store-manager.ts";
import { type PeerWatch, watchPeers } from "./watch-peers.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const OWN = "10.3.1.0-24";
const us = attributesOf("192.0.2.1");
const other = attributesOf("192.0.2.2", "aa:00:00:00:00:02");

interface Kept {
  clock: FakeClock;
  store: FakeStore;
  renewer: LeaseRenewer;
  following: PeerWatch;
  /** "renewed 23 h" (what is left), "lost: reason". */
  told: string[];
  lines: string[];
}

/** A daemon that has its lease, and follows the store. */
async function keep(t: Test, options: Partial<RenewOptions> & { reserved?: true } = {}): Promise<Kept> {
  const clock = new FakeClock();
  const store = new FakeStore(clock);
  const [told, lines]: [string[], string[]] = [[], []];
  const lease = await store.put(subnets(OWN), us, options.reserved ? undefined : DAY_MS);
  store.calls.length = 0;
  const renewer = startRenewal(store, lease, {
    attributes: us,
    ttlMs: DAY_MS,
    renewMarginMs: HOUR_MS,
    clock,
    log: linesOf(lines),
    leaseLost: (reason) => void told.push(`lost: ${reason}`),
    renewed: ({ expiresMs }) =>
      void told.push(`renewed ${expiresMs === undefined ? "for ever" : `${(expiresMs - clock.wallMs()) / HOUR_MS} h`}`),
    ...options,
  });
  const following = watchPeers(
    store,
    renewer,
    {
      peers() {},
      changed() {},
      malformed() {},
      trouble: (why) => renewer.trouble(why),
    },
    storeRemedies,
  );
  t.teardown(() => {
    following.stop();
    renewer.stop();
  });
  await flushPromises();
  return { clock, store, renewer, following, told, lines };
}

const writes = ({ store }: Pick<Kept, "store">) => store.calls.filter((call) => !/^(list|find)/.test(call));

t.test("a lease is renewed once, an hour before its end, with all that it says", async (t) => {
  const kept = await keep(t);
  await kept.clock.pass(23 * HOUR_MS - 1);
  t.strictSame(writes(kept), []);
  await kept.clock.pass(MINUTE_MS);
  t.strictSame(writes(kept), [`put ${OWN}`]);
  t.strictSame(kept.told, ["renewed 24 h"]);
  t.strictSame(kept.store.leases.get(OWN), kept.renewer.lease());
  t.strictSame(kept.renewer.lease().attributes, us);
  await kept.clock.pass(30 * DAY_MS);
  t.equal(writes(kept).length, 1 + Math.floor((30 * 24) / 23), "and again every 23 hours");
  t.ok(kept.told.every((line) => line === "renewed 24 h"));
});

t.test("after a suspension the lease is renewed within a minute", async (t) => {
  const kept = await keep(t);
  await kept.clock.pass(HOUR_MS);
  kept.clock.suspend(22.5 * HOUR_MS);
  await kept.clock.pass(MINUTE_MS);
  t.strictSame(writes(kept), [`put ${OWN}`]);
});

t.test("after a suspension longer than the lease it is made anew, if its key is free", async (t) => {
  const kept = await keep(t);
  kept.clock.suspend(30 * HOUR_MS);
  await kept.clock.pass(MINUTE_MS);
  t.strictSame(writes(kept), [`create ${OWN}`]);
  t.strictSame(kept.told, ["renewed 24 h"]);
});

t.test("after a suspension in which another host got the subnet it stays that host's", async (t) => {
  const kept = await keep(t);
  kept.clock.suspend(30 * HOUR_MS);
  kept.store.leases.delete(OWN);
  kept.store.leases.set(OWN, leaseOf(subnets(OWN), other, kept.clock.wallMs() + DAY_MS));
  await kept.clock.pass(MINUTE_MS);
  t.strictSame(kept.store.leases.get(OWN)?.attributes, other);
  t.match(kept.told, [/^lost: host 192\.0\.2\.2 has our subnet 10\.3\.1\.0\/24/]);
});

t.test("a wall clock that is set never lets the lease end", async (t) => {
  for (const byMs of [-10 * DAY_MS, -HOUR_MS, 22.9 * HOUR_MS]) {
    const kept = await keep(t);
    kept.clock.setWall(byMs);
    let longestMs = 0;
    let writtenMs = kept.clock.bootMs();
    for (let hours = 0; hours < 50; hours++) {
      const before = writes(kept).length;
      await kept.clock.pass(HOUR_MS);
      await kept.store.list(); // what has ended by the wall's clock goes
      if (writes(kept).length > before) writtenMs = kept.clock.bootMs();
      longestMs = Math.max(longestMs, kept.clock.bootMs() - writtenMs);
    }
    t.ok(longestMs < DAY_MS, `set by ${byMs / HOUR_MS} h: ${longestMs / HOUR_MS} h without renewal`);
    t.strictSame(new Set(writes(kept)), new Set([`put ${OWN}`]));
  }
});

t.test("a margin longer than the lease renews often, not without end", async (t) => {
  const kept = await keep(t, { renewMarginMs: 2 * DAY_MS });
  await kept.clock.pass(DAY_MS);
  t.equal(writes(kept).length, Math.floor(24 / 2.4));
});

t.test("a store whose leases have ended as soon as they are written is asked once a second", async (t) => {
  const kept = await keep(t);
  const write = kept.store.write.bind(kept.store);
  kept.store.write = (subnets, attributes) => {
    if (writes(kept).length > 1000) kept.renewer.stop(); // or a failure would never come to its end
    return write(subnets, attributes, 0);
  };
  await kept.clock.pass(23 * HOUR_MS);
  const before = writes(kept).length;
  await kept.clock.pass(MINUTE_MS);
  t.equal(writes(kept).length, before + 60);
});

t.test("a write that is refused is tried again after 1, 2, 4 … 60 s, and at once when the store is back", async (t) => {
  const kept = await keep(t);
  kept.store.failure = "no route to the store";
  await kept.clock.pass(23 * HOUR_MS - 1);
  const counts: number[] = [];
  for (const seconds of [1, 1, 2, 4, 8, 16, 32, 60, 60]) {
    await kept.clock.pass(seconds * 1000);
    counts.push(writes(kept).length);
  }
  t.strictSame(counts, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
  t.equal(kept.lines[0], "warn cannot write the lease: retrying");
  kept.store.failure = undefined;
  kept.renewer.trouble(new Error("no route to the store"));
  await flushPromises();
  t.equal(writes(kept).length, 9);
  kept.renewer.trouble(undefined);
  await flushPromises();
  t.equal(writes(kept).length, 10);
  t.strictSame(kept.told, ["renewed 24 h"]);
  await kept.clock.pass(HOUR_MS);
  t.equal(writes(kept).length, 10);
});

for (const [what, stored, expected] of [
  ["as it is", us, []],
  ["with another device", attributesOf("192.0.2.1", "aa:00:00:00:00:99"), [`put ${OWN}`]],
] as const) {
  t.test(`an earlier run's lease that could not be written is kept, ${what}, and written later`, async (t) => {
    const clock = new FakeClock();
    const store = new FakeStore(clock);
    const found = store.write(subnets(OWN), stored, 2 * HOUR_MS);
    const isUnknown = { ...found, attributes: us, expiresMs: clock.wallMs() }; // etcd does not tell when the lease of another client ends
    const [told, lines]: [string[], string[]] = [[], []];
    store.put = async () => {
      store.calls.push(`refused ${OWN}`);
      throw new StoreError("no space");
    };
    const renewer = startRenewal(store, isUnknown, {
      ...{ attributes: us, ttlMs: DAY_MS, renewMarginMs: HOUR_MS, clock, log: linesOf(lines) },
      leaseLost: (reason) => void told.push(`lost: ${reason}`),
      renewed: () => void told.push("renewed"),
    });
    t.teardown(renewer.stop);
    await clock.pass(0);
    renewer.take({ kind: "put", lease: { ...found, expiresMs: clock.wallMs() } });
    await clock.pass(10 * MINUTE_MS);
    t.strictSame(told, []);
    t.notOk(
      lines.some((line) => line.includes("another")),
      "nobody else wrote it",
    );
    t.equal(renewer.lease().expiresMs, found.expiresMs);
    t.equal(store.calls.includes(`refused ${OWN}`), expected.length > 0);
    Reflect.deleteProperty(store, "put");
    await clock.pass(2 * MINUTE_MS);
    t.strictSame(
      store.calls.filter((call) => call.startsWith("put")),
      expected,
    );
    t.strictSame(store.leases.get(OWN)?.attributes, us);
  });
}

t.test("a lease that somebody deletes comes back at once, under its key", async (t) => {
  const kept = await keep(t);
  kept.store.remove(OWN);
  await flushPromises();
  t.strictSame(writes(kept), [`create ${OWN}`]);
  t.strictSame(kept.store.leases.get(OWN)?.attributes, us);
  t.strictSame(kept.told, ["renewed 24 h"]);
  t.strictSame(kept.lines, ["warn the lease was missing: created it again"]);
});

t.test("a lease that somebody deletes in the moment it is renewed comes back too", async (t) => {
  const kept = await keep(t);
  const { store } = kept;
  const put = store.put.bind(store);
  store.put = async (...args) => {
    const lease = await put(...args);
    store.put = put;
    store.remove(OWN);
    return lease;
  };
  await kept.clock.pass(23 * HOUR_MS);
  await flushPromises();
  t.strictSame(writes(kept), [`put ${OWN}`, `create ${OWN}`]);
  t.ok(store.leases.has(OWN));
});

t.test("a lease that ends while the store is away comes back with it", async (t) => {
  const kept = await keep(t);
  kept.store.failure = "down";
  await kept.clock.pass(25 * HOUR_MS);
  kept.store.failure = undefined;
  await kept.store.list();
  await flushPromises();
  t.equal(writes(kept).at(-1), `create ${OWN}`);
  t.ok(kept.store.leases.has(OWN));
  t.match(kept.told, ["renewed 24 h"]);
});

t.test("a subnet that another host has taken is waited for; the host stays where it is", async (t) => {
  const kept = await keep(t);
  kept.store.beforeCreate = () => {
    kept.store.beforeCreate = () => {};
    kept.store.write(subnets(OWN), other, DAY_MS);
  };
  kept.store.remove(OWN);
  await flushPromises();
  t.strictSame(kept.told, [
    "lost: host 192.0.2.2 has our subnet 10.3.1.0/24, which was free while our lease was gone: containers of both hosts have the " +
      "same addresses. Waiting until it is free. To fix: stop the containers of one of the hosts; to get another subnet here, stop " +
      "those of this host, then restart this daemon",
  ]);
  kept.store.write(subnets(OWN), other, DAY_MS); // it renews
  await kept.clock.pass(20 * HOUR_MS);
  t.equal(kept.told.length, 1, "said once");
  t.strictSame(writes(kept), [`create ${OWN}`]);
  kept.store.remove(OWN);
  await flushPromises();
  t.equal(kept.told.at(-1), "renewed 24 h");
  t.strictSame(kept.store.leases.get(OWN)?.attributes, us);
});

t.test("a subnet that another host has taken a part of is waited for too", async (t) => {
  const kept = await keep(t);
  const part = "10.3.1.128-25";
  kept.store.beforeCreate = () => {
    kept.store.beforeCreate = () => {};
    kept.store.write(subnets(part), other);
  };
  kept.store.remove(OWN);
  await flushPromises();
  t.match(kept.told, [
    /^lost: host 192\.0\.2\.2 has 10\.3\.1\.128\/25, which overlaps our subnet 10\.3\.1\.0\/24 and was free while our lease was gone/,
  ]);
  await kept.clock.pass(10 * MINUTE_MS);
  t.equal(kept.told.length, 1, "said once");
  t.notOk(kept.store.leases.has(OWN));
  kept.store.remove(part); // an event of another host: that it has gone is found by trying
  await kept.clock.pass(MINUTE_MS);
  t.strictSame(kept.told.slice(1), ["renewed 24 h"]);
  t.ok(kept.store.leases.has(OWN));
});

t.test("another daemon with our public address is told of once, and not fought with", async (t) => {
  const kept = await keep(t);
  const twin = attributesOf("192.0.2.1", "aa:00:00:00:00:99");
  for (let times = 0; times < 3; times++) kept.store.write(subnets(OWN), twin, DAY_MS);
  await kept.clock.pass(23.5 * HOUR_MS);
  t.strictSame(kept.told, [
    'lost: another daemon has written our lease 10.3.1.0/24 with our public address 192.0.2.1 and {"VNI":1,"VtepMAC":"aa:00:00:00:00:99"}: ' +
      "two hosts have the same address, or a second daemon runs on this host. To fix: start each host with its own --public-ip or --iface, " +
      "then restart this daemon",
  ]);
  t.strictSame(kept.store.calls, []);
  await kept.clock.pass(HOUR_MS);
  await kept.store.list(); // its lease ends
  await flushPromises();
  t.equal(kept.told.at(-1), "renewed 24 h", "when it has gone the lease is ours again");
});

/** What a daemon sees of a store that it shares. @param endsOfOthers Whether it tells when leases end that others have written: a folder does, etcd does not. */
function clientOf(store: FakeStore, clock: FakeClock, endsOfOthers: "known" | "unknown"): Store {
  const ends = new Set<number | undefined>();
  const noted = <Written extends Lease | undefined>(lease: Written): Written => {
    ends.add(lease?.expiresMs);
    return lease;
  };
  const seen = (lease: Lease): Lease =>
    endsOfOthers === "known" || lease.expiresMs === undefined || ends.has(lease.expiresMs)
      ? lease
      : { ...lease, expiresMs: clock.wallMs() };
  const writing = (ttlMs: number | undefined) => ttlMs !== undefined && ends.add(clock.wallMs() + ttlMs);
  return {
    description: store.description,
    readConfig: () => store.readConfig(),
    async list() {
      const { leases, malformed } = await store.list();
      return { leases: leases.map(seen), malformed };
    },
    async create(subnets, attributes, ttlMs) {
      writing(ttlMs);
      return noted(await store.create(subnets, attributes, ttlMs));
    },
    async put(subnets, attributes, ttlMs) {
      writing(ttlMs);
      return noted(await store.put(subnets, attributes, ttlMs));
    },
    find: (subnets) => store.find(subnets),
    hasWritten: ({ expiresMs }) => ends.has(expiresMs),
    delete: (subnets) => store.delete(subnets),
    watch: (event, trouble) =>
      store.watch((one) => event(one.kind === "put" ? { ...one, lease: seen(one.lease) } : one), trouble),
    reconnect() {},
    async close() {},
  };
}

for (const ends of ["known", "unknown"] as const) {
  t.test(
    `two daemons that share a lease do not race for it, and the first warns once; ends of others are ${ends}`,
    async (t) => {
      const clock = new FakeClock();
      const store = new FakeStore(clock);
      const lost: string[] = [];
      const start = async (lines: string[]) => {
        const client = clientOf(store, clock, ends);
        const lease = await client.put(subnets(OWN), us, DAY_MS); // as a daemon does that finds the lease of its public address
        const renewer = startRenewal(client, lease, {
          ...{ attributes: us, ttlMs: DAY_MS, renewMarginMs: HOUR_MS, clock, log: linesOf(lines) },
          leaseLost: (reason) => void lost.push(reason),
          renewed() {},
        });
        const following = watchPeers(
          client,
          renewer,
          { peers() {}, changed() {}, malformed() {}, trouble() {} },
          storeRemedies,
        );
        t.teardown(() => {
          following.stop();
          renewer.stop();
        });
        await flushPromises();
        return renewer;
      };
      const [first, second]: [string[], string[]] = [[], []];
      await start(first);
      await clock.pass(10 * MINUTE_MS + 5000);
      store.calls.length = 0;
      const renewer = await start(second);
      await clock.pass(MINUTE_MS);
      t.strictSame(writes({ store }), [`put ${OWN}`], "of the second's start");
      t.equal(first.filter((line) => /^warn another daemon writes our lease 10\.3\.1\.0\/24 too/.test(line)).length, 1);
      t.strictSame(second, []);
      t.equal(renewer.lease().expiresMs, store.leases.get(OWN)?.expiresMs);

      await clock.pass(10 * DAY_MS);
      t.ok(writes({ store }).length <= 1 + 2 * 11, `renewed as if there were one: ${writes({ store }).length}`);
      t.equal(first.filter((line) => line.startsWith("warn another")).length, 1, "told once");
      store.remove(OWN);
      await clock.pass(MINUTE_MS);
      t.ok(store.leases.has(OWN), "what is deleted comes back");
      t.strictSame(lost, []);
    },
  );
}

t.test("a lease that somebody deletes again and again is written at growing intervals, and that is told", async (t) => {
  const kept = await keep(t);
  for (let second = 0; second < 600; second++) {
    kept.store.remove(OWN);
    await kept.clock.pass(1000);
  }
  const count = writes(kept).length;
  t.ok(count >= 12 && count <= 20, `${count} writes in ten minutes`);
  t.equal(
    kept.lines.filter((line) => line.startsWith("warn another process keeps deleting or changing our lease")).length,
    1,
  );
  await kept.clock.pass(MINUTE_MS);
  t.ok(kept.store.leases.has(OWN), "it is there in the end");
});

t.test("a reservation made of our lease gets back what it must say, and stays one", async (t) => {
  const kept = await keep(t);
  kept.store.write(subnets(OWN), { publicIP: ip("192.0.2.1"), backendType: "" });
  await flushPromises();
  t.strictSame(kept.store.leases.get(OWN), leaseOf(subnets(OWN), us, undefined));
  t.strictSame(kept.told, ["renewed for ever"]);
  await kept.clock.pass(30 * DAY_MS);
  t.equal(writes(kept).length, 1, "there is nothing to renew");
});

t.test("a reservation that is withdrawn becomes a lease", async (t) => {
  const kept = await keep(t, { reserved: true });
  await kept.clock.pass(30 * DAY_MS);
  t.strictSame(kept.store.calls, []);
  kept.store.remove(OWN);
  await flushPromises();
  t.strictSame(kept.told, ["renewed 24 h"]);
});

t.test("a lease that somebody spoils is written again", async (t) => {
  const kept = await keep(t);
  kept.store.spoil({ id: OWN, reason: "nonsense" });
  await flushPromises();
  t.strictSame(kept.store.leases.get(OWN)?.attributes, us);
  t.strictSame(writes(kept), [`create ${OWN}`, `put ${OWN}`]);
});

t.test("a store that is put back to an earlier state is told what we are now", async (t) => {
  const kept = await keep(t);
  const moved: LeaseAttributes = { ...us, publicIP: ip("198.51.100.1") };
  kept.renewer.changeAttributes(moved);
  await flushPromises();
  t.strictSame(kept.store.leases.get(OWN)?.attributes, moved);
  kept.store.leases.set(OWN, leaseOf(subnets(OWN), us, kept.clock.wallMs() + HOUR_MS / 2));
  kept.store.tellAll();
  await kept.clock.pass(1000);
  t.strictSame(kept.store.leases.get(OWN)?.attributes, moved);
});

t.test("changed attributes are written at once; those that fail, or come meanwhile, after that", async (t) => {
  const kept = await keep(t);
  const versions = [2, 3, 4].map((i) => attributesOf(`198.51.100.${i}`));
  const [second = us, third = us, fourth = us] = versions;
  kept.renewer.changeAttributes(second);
  kept.renewer.changeAttributes(third);
  await flushPromises();
  t.strictSame(kept.store.leases.get(OWN)?.attributes, third);
  t.equal(kept.renewer.lease().expiresMs, kept.clock.wallMs() + DAY_MS);
  kept.store.failure = "down";
  kept.renewer.changeAttributes(fourth);
  await flushPromises();
  kept.store.failure = undefined;
  await kept.clock.pass(MINUTE_MS);
  t.strictSame(kept.store.leases.get(OWN)?.attributes, fourth);
  t.strictSame(kept.store.leases.size, 1);
});

t.test("after its end the keeper does nothing", async (t) => {
  const kept = await keep(t);
  kept.renewer.stop();
  kept.store.remove(OWN);
  await kept.clock.pass(2 * DAY_MS);
  t.strictSame(kept.store.calls, []);
});

t.test("the lease stays ours through random mishaps, and is ours in the end", async (t) => {
  const seed = testSeed();
  t.comment(`seed ${seed}`);
  const random = randomFrom(seed);
  const any = (count: number) => Math.floor(random() * count);
  const kept = await keep(t);
  const mishaps: (() => void)[] = [
    () => kept.store.remove(OWN),
    () => kept.store.spoil({ id: OWN, reason: "nonsense" }),
    () => void kept.store.write(subnets(OWN), other, HOUR_MS),
    () => void kept.store.write(subnets(OWN), { publicIP: ip("192.0.2.1"), backendType: "" }),
    () => {
      kept.store.failure = "down";
    },
    () => {
      kept.store.failure = undefined;
      kept.renewer.trouble(undefined);
    },
    () => kept.store.tellAll(),
    () => kept.clock.suspend(any(3) * 10 * HOUR_MS),
    () => kept.clock.setWall((any(3) - 1) * HOUR_MS),
  ];
  for (let step = 0; step < 500; step++) {
    mishaps[any(mishaps.length)]?.();
    await kept.clock.pass(any(3) * 7 * MINUTE_MS);
  }
  kept.store.failure = undefined;
  for (let hours = 0; hours < 4; hours++) {
    await kept.store.list();
    kept.store.tellAll();
    await kept.clock.pass(HOUR_MS);
  }
  t.strictSame(kept.store.leases.get(OWN)?.attributes, us);
  t.equal(keyOf(kept.renewer.lease()), OWN);
});
