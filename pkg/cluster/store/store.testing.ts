/** Tests that every store must pass: `for (const { claim, holds } of storeClaims) t.test(claim, () => holds(open))`. */
import assert from "node:assert/strict";
import type { LeaseEvent, Snapshot, Watch } from "../lease/event.ts";
import { attributesOf, ip, subnets } from "../lease/fake.testing.ts";
import { keyOf, type Lease, printAttributes } from "../lease/lease.ts";
import type { Store } from "../lease/store.ts";
import { NoConfig } from "../lease/store-error.ts";

/** An empty store; its opener closes and removes it. */
export interface StoreUnderTest {
  store: Store;
  /** Another client of the same store, as on another host. */
  beside: Store;
  /** Writes a value under `subnets/<key>` without expiry, as another client. */
  write(key: string, value: string): Promise<void>;
  /** Removes a key by hand. */
  remove(key: string): Promise<void>;
  writeConfig(text: string): Promise<void>;
}

export interface Claim {
  claim: string;
  /** @throws AssertionError */
  holds(open: () => Promise<StoreUnderTest>): Promise<void>;
}

const DAY_MS = 86_400_000;
/** Covers the difference between clocks of client and server, and a second that etcd may add. */
const ACCURACY_MS = 5000;
/** The shortest TTL of etcd. */
const SHORT_MS = 2000;
const DEADLINE_MS = 20_000;

const one = subnets("10.3.1.0-24");
const two = subnets("10.3.2.0-24&fd00:0:0:2::-64");
const [us, other] = [attributesOf("192.0.2.1"), attributesOf("192.0.2.2", "aa:00:00:00:00:02")];

export const storeClaims: readonly Claim[] = [
  {
    claim: "the network configuration is what somebody wrote, word for word",
    async holds(open) {
      const { store, writeConfig } = await open();
      await assert.rejects(store.readConfig(), NoConfig);
      const text = '{ "Network": "10.3.0.0/16",\n  "unknown": "ä" }';
      await writeConfig(text);
      assert.equal((await store.readConfig()).trim(), text);
    },
  },
  {
    claim: "a lease is found with its end, whoever has written it, and who has is known",
    async holds(open) {
      const { store, beside, write } = await open();
      assert.equal(await store.find(one), undefined);
      const made = await store.put(one, us, DAY_MS);
      for (const client of [store, beside]) {
        const found = await client.find(one);
        assert.equal(found && shown(found), "10.3.1.0-24 192.0.2.1");
        assertLasts(found, DAY_MS);
      }
      assert.deepEqual([store.hasWritten(made), beside.hasWritten(made)], [true, false]);
      const stored = await store.find(one);
      assert.ok(stored && store.hasWritten(stored) && !beside.hasWritten(stored));
      await write(keyOf(one), printAttributes(other));
      const reservation = await store.find(one);
      assert.equal(reservation && shown(reservation), "10.3.1.0-24 192.0.2.2");
      assert.equal(reservation?.expiresMs, undefined);
      await write(keyOf(one), "nonsense");
      assert.equal(await store.find(one), undefined);
    },
  },
  {
    claim: "a lease is made once, and listed with its end for who made it",
    async holds(open) {
      const { store, beside } = await open();
      assert.deepEqual(await store.list(), { leases: [], malformed: [] });
      const made = await store.create(one, us, DAY_MS);
      assertLasts(made, DAY_MS);
      assert.equal(shown(made), "10.3.1.0-24 192.0.2.1");
      assert.equal(await beside.create(one, other, DAY_MS), undefined);
      for (const { leases } of [await store.list(), await beside.list()])
        assert.deepEqual(leases.map(shown), ["10.3.1.0-24 192.0.2.1"]);
      assertLasts((await store.list()).leases[0], DAY_MS);
      assertEnds((await beside.list()).leases[0]);
    },
  },
  {
    claim: "of many who make the same lease at once one does",
    async holds(open) {
      const { store, beside } = await open();
      const all = Array.from({ length: 20 }, (_, i) => (i % 2 ? store : beside).create(one, us, DAY_MS));
      assert.equal((await Promise.all(all)).filter(Boolean).length, 1);
    },
  },
  {
    claim: "of many whose leases have one subnet in common, of either family, one makes its lease",
    async holds(open) {
      const { store, beside } = await open();
      const makeAll = async (keys: readonly string[]) => {
        const all = keys.map((key, i) => (i % 2 ? store : beside).create(subnets(key), us, DAY_MS));
        return (await Promise.all(all)).filter(Boolean).length;
      };
      const counts = Array.from({ length: 10 }, (_, i) => i);
      assert.equal(await makeAll(counts.map((i) => `10.4.0.0-24&fd00:0:0:${i + 1}::-64`)), 1, "IPv4");
      assert.equal(await makeAll(counts.map((i) => `10.5.${i}.0-24&fd00:0:0:f::-64`)), 1, "IPv6");
    },
  },
  ...["10.3.2.0-24", "10.3.2.128-25", "10.3.0.0-16"].map((key) => overlapIsRefused(key, "IPv4")),
  ...["10.3.9.0-24&fd00:0:0:2::-64", "10.3.9.0-24&fd00:0:0:2:1::-80", "10.3.9.0-24&fd00::-48"].map((key) =>
    overlapIsRefused(key, "IPv6"),
  ),
  {
    claim: "put writes a lease whether it is there or not, dual stack too, and delete removes it",
    async holds(open) {
      const { store, beside } = await open();
      await store.put(two, us, DAY_MS);
      const put = await beside.put(two, other, 2 * DAY_MS);
      assertLasts(put, 2 * DAY_MS);
      const { leases } = await beside.list();
      assert.deepEqual(leases.map(shown), ["10.3.2.0-24&fd00:0:0:2::-64 192.0.2.2"]);
      assertLasts(leases[0], 2 * DAY_MS);
      await store.delete(two);
      await store.delete(two);
      assert.deepEqual((await store.list()).leases, []);
    },
  },
  {
    claim: "a lease without end is a reservation, by whomever it was written",
    async holds(open) {
      const { store, write } = await open();
      assert.equal((await store.create(one, us, undefined))?.expiresMs, undefined);
      await write(keyOf(two), '{"PublicIP":"192.0.2.9"}');
      const { leases } = await store.list();
      assert.deepEqual(leases.map(shown).sort(), ["10.3.1.0-24 192.0.2.1", "10.3.2.0-24&fd00:0:0:2::-64 192.0.2.9"]);
      assert.deepEqual(
        leases.map(({ expiresMs }) => expiresMs),
        [undefined, undefined],
      );
      assertLasts(await store.put(one, us, DAY_MS), DAY_MS);
      const again = (await store.list()).leases.find(({ ipv6 }) => !ipv6);
      assertLasts(again, DAY_MS);
    },
  },
  {
    claim: "what is no lease is listed apart, with its key and why",
    async holds(open) {
      const { store, write } = await open();
      await store.create(one, us, DAY_MS);
      await write("10.3.300.0-24", "{}");
      await write("10.3.9.0-24", '{"PublicIP":');
      const { leases, malformed } = await store.list();
      assert.deepEqual(leases.map(shown), ["10.3.1.0-24 192.0.2.1"]);
      assert.deepEqual(malformed.map(({ id }) => id).sort(), ["10.3.300.0-24", "10.3.9.0-24"]);
      assert.match(malformed.find(({ id }) => id === "10.3.9.0-24")?.reason ?? "", /line 1, column 13: the end/);
    },
  },
  {
    claim: "a lease that nobody renews goes at its end; everybody who watches learns of it",
    async holds(open) {
      const { store, beside } = await open();
      await using seen = new Seen(beside);
      await seen.until("snapshot:");
      await store.create(one, us, SHORT_MS);
      await store.create(two, us, DAY_MS);
      await seen.untilLast("gone 10.3.1.0-24");
      await seen.until("snapshot:", "put 10.3.1.0-24 192.0.2.1", `put ${keyOf(two)} 192.0.2.1`, "gone 10.3.1.0-24");
      assert.deepEqual((await store.list()).leases.map(shown), [`${keyOf(two)} 192.0.2.1`]);
      assert.ok(await beside.create(one, other, DAY_MS), "it is free again");
    },
  },
  {
    claim: "a lease that is renewed in time stays",
    async holds(open) {
      const { store, beside } = await open();
      await using seen = new Seen(beside);
      await store.create(one, us, SHORT_MS);
      await store.put(one, us, DAY_MS);
      await store.create(two, us, SHORT_MS);
      await seen.untilLast(`gone ${keyOf(two)}`);
      assert.deepEqual((await store.list()).leases.map(shown), ["10.3.1.0-24 192.0.2.1"]);
    },
  },
  {
    claim: "a watch tells of all that is there first, then of every change of a key in its order",
    async holds(open) {
      const { store, beside, write, remove } = await open();
      await store.create(one, us, DAY_MS);
      await write("no-lease", "{}");
      await using seen = new Seen(beside);
      await seen.until("snapshot: 10.3.1.0-24 192.0.2.1, malformed no-lease");
      await store.create(two, us, DAY_MS);
      await seen.untilLast(`put ${keyOf(two)} 192.0.2.1`);
      await store.put(one, other, DAY_MS);
      await seen.untilLast("put 10.3.1.0-24 192.0.2.2");
      await store.delete(two);
      await seen.untilLast(`gone ${keyOf(two)}`);
      await write("10.3.9.0-24", "nonsense");
      await seen.untilLast("malformed 10.3.9.0-24");
      await write("10.3.9.0-24", printAttributes({ publicIP: ip("192.0.2.9"), backendType: "" }));
      await seen.untilLast("put 10.3.9.0-24 192.0.2.9");
      await remove("10.3.9.0-24");
      await seen.untilLast("gone 10.3.9.0-24");
      assert.equal(seen.snapshots, 1, "nothing was missed, so that nothing is told twice");
    },
  },
  {
    claim: "a watch tells of a renewal, with the new end who renewed",
    async holds(open) {
      const { store } = await open();
      await store.create(one, us, DAY_MS);
      await using seen = new Seen(store);
      await seen.until("snapshot: 10.3.1.0-24 192.0.2.1");
      await store.put(one, us, 2 * DAY_MS);
      await seen.untilLast("put 10.3.1.0-24 192.0.2.1");
      assertLasts(seen.lastLease, 2 * DAY_MS);
    },
  },
  {
    claim: "a watch sees as many changes as two hundred hosts make at once",
    async holds(open) {
      const { store, beside } = await open();
      await using seen = new Seen(beside);
      await seen.until("snapshot:");
      const keys = Array.from({ length: 200 }, (_, i) => `10.3.${i}.0-24`);
      await Promise.all(keys.map((key) => store.create(subnets(key), us, DAY_MS)));
      await seen.untilSet(keys);
      await Promise.all(keys.slice(50).map((key) => store.delete(subnets(key))));
      await seen.untilSet(keys.slice(0, 50));
    },
  },
  {
    claim: "a watch misses nothing when connections are made anew, and calls are answered",
    async holds(open) {
      const { store, beside } = await open();
      await using seen = new Seen(beside);
      await seen.until("snapshot:");
      const keys = Array.from({ length: 20 }, (_, i) => `10.3.${i}.0-24`);
      const all = keys.map((key) => beside.put(subnets(key), us, DAY_MS));
      beside.reconnect();
      await Promise.all([...all, store.create(subnets("10.3.99.0-24"), us, DAY_MS)]);
      await seen.untilSet([...keys, "10.3.99.0-24"]);
    },
  },
  {
    claim: "a watch that was stopped tells of nothing any more",
    async holds(open) {
      const { store, beside } = await open();
      const stopped = new Seen(beside);
      await using seen = new Seen(beside);
      await stopped.until("snapshot:");
      await stopped[Symbol.asyncDispose]();
      await store.create(one, us, DAY_MS);
      await seen.untilLast("put 10.3.1.0-24 192.0.2.1");
      await stopped.until("snapshot:");
    },
  },
];

function overlapIsRefused(key: string, family: string): Claim {
  return {
    claim: `${key} is refused while ${keyOf(two)} is there, which overlaps it in ${family}`,
    async holds(open) {
      const { store, beside } = await open();
      await beside.create(two, us, DAY_MS);
      assert.equal(await store.create(subnets(key), other, DAY_MS), undefined);
      assert.deepEqual((await store.list()).leases.map(shown), [`${keyOf(two)} 192.0.2.1`]);
      await beside.delete(two);
      assert.ok(await store.create(subnets(key), other, DAY_MS), "it is free again");
      assert.equal(await beside.create(two, us, DAY_MS), undefined, "and then the other way round");
    },
  };
}

const shown = (lease: Lease | undefined): string =>
  lease ? `${keyOf(lease)} ${lease.attributes.publicIP?.join(".")}` : "none";

function assertLasts(lease: Lease | undefined, ms: number): void {
  const lasts = (lease?.expiresMs ?? 0) - Date.now();
  assert.ok(Math.abs(lasts - ms) < ACCURACY_MS, `${shown(lease)} lasts ${lasts} ms, wanted ${ms}`);
}

/** Asserts that the lease has some expiry: some stores know the real one only for the client that wrote it. */
function assertEnds(lease: Lease | undefined): void {
  assert.notEqual(lease?.expiresMs, undefined, `${shown(lease)} is a reservation`);
}

/** Collects the events of a watch, one line each. */
class Seen {
  readonly lines: string[] = [];
  /** The keys that exist after the events so far. */
  private set = new Set<string>();
  snapshots = 0;
  lastLease: Lease | undefined;
  private readonly watch: Watch;
  private isChanged: () => void = () => {};

  constructor(store: Store) {
    this.watch = store.watch(
      (event) => {
        this.lines.push(this.take(event));
        this.isChanged();
      },
      (why) => void this.lines.push(`trouble ${why?.message ?? "is over"}`),
    );
  }

  /** Waits for as many lines, and asserts that they are exactly these, in this order. */
  async until(...lines: string[]): Promise<void> {
    await this.wait(() => this.lines.length >= lines.length);
    assert.deepEqual(this.lines, lines);
  }

  async untilLast(line: string): Promise<void> {
    await this.wait(() => this.lines.at(-1) === line);
  }

  async untilSet(keys: readonly string[]): Promise<void> {
    await this.wait(() => this.set.size === keys.length && keys.every((key) => this.set.has(key)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.watch.stop();
  }

  private async wait(holds: () => boolean): Promise<void> {
    let isLate = false;
    const deadline = setTimeout(() => {
      isLate = true;
      this.isChanged();
    }, DEADLINE_MS);
    while (!holds() && !isLate) await this.change();
    clearTimeout(deadline);
    assert.ok(holds(), `the watch told no more than: ${this.lines.join("; ")}`);
  }

  private change(): Promise<void> {
    return new Promise((resolve) => {
      this.isChanged = resolve;
    });
  }

  private take(event: LeaseEvent): string {
    if (event.kind === "snapshot") return this.takeSnapshot(event.snapshot);
    if (event.kind === "malformed") return `malformed ${event.malformed.id}`;
    if (event.kind === "gone") {
      this.set.delete(event.id);
      return `gone ${event.id}`;
    }
    this.set.add(keyOf(event.lease));
    this.lastLease = event.lease;
    return `put ${shown(event.lease)}`;
  }

  private takeSnapshot({ leases, malformed }: Snapshot): string {
    this.snapshots++;
    this.set = new Set(leases.map(keyOf));
    const all = [...leases.map(shown), ...malformed.map(({ id }) => `malformed ${id}`)];
    return `snapshot:${all.map((text) => ` ${text}`).join()}`;
  }
}
