import t from "tap";
import { randomFrom, testSeed } from "../../sys/random.testing.ts";
import { FakeClock } from "../event-loop/clock.testing.ts";
import { acquireLease, type TimedRequest } from "./acquire.ts";
import { attributesOf, FakeStore, ip, linesOf, network, subnets } from "./fake.testing.ts";
import { keyOf, type Lease } from "./lease.ts";
import { StoreError } from "./store-error.ts";

const DAY_MS = 86_400_000;
const v4 = "10.3.0.0/16 24 10.3.1.0 10.3.255.0";
const v6 = "fc00::/48 64 fc00:0:0:1:: fc00:0:0:ffff::";
const us = attributesOf("192.0.2.1");
const other = attributesOf("192.0.2.2");

/** A host of its own, with a store that it may share. */
function host(wanted: Partial<TimedRequest> = {}, clock = new FakeClock(), store = new FakeStore(clock)) {
  const lines: string[] = [];
  const means = { clock, log: linesOf(lines), random: randomFrom(testSeed()) };
  const take = (config = network(v4)) =>
    acquireLease(store, config, { attributes: us, ttlMs: DAY_MS, ...wanted }, means);
  return { clock, store, lines, take };
}

t.test("a host without lease gets a free subnet for a day", async (t) => {
  const { clock, store, take } = host();
  store.write(subnets("10.3.1.0-24"), other, DAY_MS);
  const lease = await take();
  t.match(keyOf(lease), /^10\.3\.([2-9]|[1-9]\d|10[01])\.0-24$/);
  t.strictSame(lease.attributes, us);
  t.equal(lease.expiresMs, clock.wallMs() + DAY_MS);
});

t.test("every free subnet is as likely as any other", async (t) => {
  const counts = new Map<string, number>();
  const random = randomFrom(7);
  const config = network("10.3.0.0/20 24 10.3.6.0 10.3.9.0");
  for (let times = 0; times < 400; times++) {
    const clock = new FakeClock();
    const means = { clock, log: linesOf([]), random };
    const key = keyOf(await acquireLease(new FakeStore(clock), config, { attributes: us, ttlMs: DAY_MS }, means));
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  t.strictSame([...counts.keys()].sort(), ["10.3.6.0-24", "10.3.7.0-24", "10.3.8.0-24", "10.3.9.0-24"]);
  t.ok(
    [...counts.values()].every((count) => count > 60 && count < 140),
    [...counts.values()].join(),
  );
});

t.test("a host that starts again has its lease again, with what it says of itself now", async (t) => {
  const { store, take, lines } = host();
  store.write(subnets("10.3.9.0-24"), attributesOf("192.0.2.1", "aa:00:00:00:00:99"), 1000);
  const lease = await take();
  t.equal(keyOf(lease), "10.3.9.0-24");
  t.strictSame(store.leases.get("10.3.9.0-24"), lease);
  t.strictSame(lease.attributes, us);
  t.strictSame(store.calls, ["list", "put 10.3.9.0-24"]);
  t.strictSame(lines, ["info took over existing lease"]);
});

t.test("a lease that cannot be written is used as it is; without one there is nothing to use", async (t) => {
  const { store, take, lines } = host();
  const refusal = async () => {
    throw new StoreError("no space");
  };
  Object.assign(store, { put: refusal, create: refusal });
  await t.rejects(take(), { name: "StoreError" });
  const stored = store.write(subnets("10.3.9.0-24"), attributesOf("192.0.2.1", "aa:00:00:00:00:99"), 1000);
  t.strictSame(await take(), { ...stored, attributes: us });
  t.strictSame(lines, ["warn using our existing lease, which cannot be written now"]);
});

t.test("a reservation stays one", async (t) => {
  const { store, take } = host();
  store.write(subnets("10.3.9.0-24"), { publicIP: ip("192.0.2.1"), backendType: "" });
  const lease = await take();
  t.equal(keyOf(lease), "10.3.9.0-24");
  t.equal(lease.expiresMs, undefined);
  t.strictSame(lease.attributes, us);
});

t.test("a lease that fits no more goes; what of it fits is kept", async (t) => {
  const { store, take } = host();
  store.write(subnets("10.3.9.0-24"), us, DAY_MS);
  const dual = await take(network(v4, v6));
  t.match(keyOf(dual), /^10\.3\.9\.0-24&fc00:0:0:[0-9a-f]+::-64$/, "a network becomes dual stack");
  t.strictSame([...store.leases.keys()], [keyOf(dual)]);
  t.match(keyOf(await take()), /^10\.3\.9\.0-24$/, "and IPv4 again");
  t.match(keyOf(await take(network("10.4.0.0/16 24 10.4.1.0 10.4.255.0"))), /^10\.4\./);
  t.equal(store.leases.size, 1);
});

t.test("the previous subnet is taken, unless somebody has it", async (t) => {
  const previous = subnets("10.3.77.0-24");
  t.equal(keyOf(await host({ previous }).take()), "10.3.77.0-24");
  const { store, take } = host({ previous });
  store.write(previous, other, DAY_MS);
  t.not(keyOf(await take()), "10.3.77.0-24");
  t.strictSame(store.leases.get("10.3.77.0-24")?.attributes, other);
});

t.test("a lease that has expired is nobody's", async (t) => {
  const { clock, store, take } = host();
  const config = network("10.3.0.0/23 24 10.3.1.0 10.3.1.0");
  store.write(subnets("10.3.1.0-24"), other, 1000);
  await t.rejects(take(config), { name: "NoSubnet" });
  await clock.pass(1000);
  t.equal(keyOf(await take(config)), "10.3.1.0-24");
});

t.test("a lost race is run again among what is free then", async (t) => {
  const { clock, store, take, lines } = host({ previous: subnets("10.3.77.0-24") });
  let races = 3;
  store.beforeCreate = (wanted) => {
    if (races-- > 0) store.write(wanted, other, DAY_MS);
  };
  const [lease] = await Promise.all([take(), clock.pass(60_000)]);
  t.equal(store.leases.size, 4);
  t.strictSame(store.leases.get(keyOf(lease))?.attributes, us);
  t.equal(lines.filter((line) => line.startsWith("info another host acquired the subnet first")).length, 3);
});

t.test("a store that never lets anybody win is given up, and named", async (t) => {
  const { clock, store, take } = host();
  store.create = async () => undefined;
  const [outcome] = await Promise.allSettled([take(), clock.pass(10 * 60_000)]);
  t.match(outcome, {
    status: "rejected",
    reason: { name: "StoreError", message: /^a store in memory lists subnets as/ },
  });
});

t.test("50 hosts at once get a subnet each, also when there are just 50", async (t) => {
  for (const last of ["255", "50"]) {
    const clock = new FakeClock();
    const store = new FakeStore(clock);
    const config = network(`10.3.0.0/16 24 10.3.1.0 10.3.${last}.0`);
    const starts = Array.from({ length: 50 }, (_, i) =>
      host({ attributes: attributesOf(`192.0.2.${i}`) }, clock, store).take(config),
    );
    const all = Promise.all(starts);
    let leases: Lease[] | undefined;
    void all.then((made) => {
      leases = made;
    });
    while (!leases) await clock.pass(100);
    t.equal(new Set(leases.map(keyOf)).size, 50);
    t.equal(store.leases.size, 50);
  }
});
