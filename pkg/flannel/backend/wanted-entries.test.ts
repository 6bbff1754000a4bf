import t from "tap";
import { randomFrom, testSeed } from "../../sys/random.testing.ts";
import { type Entry, entriesById, forwardingEntry, planFrom, printPlan } from "./entry.ts";
import { WantedEntries } from "./wanted-entries.ts";

const link = { index: 7, name: "flannel.1" };
/** Says that the MAC is behind the host. */
const entry = (mac: number, host: number): Entry =>
  forwardingEntry({ mac: Uint8Array.of(2, 0, 0, 0, 0, mac), address: Uint8Array.of(192, 0, 2, host), link });

t.test("of two peers with one MAC the later one has it, until it goes", async (t) => {
  const wanted = new WantedEntries();
  const has = () => [...wanted.values()].map(({ text }) => text);
  wanted.set("one", [entry(1, 1)]);
  wanted.set("two", [entry(1, 2)]);
  t.strictSame(has(), [entry(1, 2).text]);
  wanted.set("one", [entry(1, 3)]);
  t.strictSame(has(), [entry(1, 2).text], "a peer that changes does not come later");
  t.strictSame(wanted.delete("two"), [entry(1, 2).id]);
  t.strictSame(has(), [entry(1, 3).text]);
  wanted.delete("one");
  t.strictSame(has(), []);
});

const seed = testSeed();
t.test(
  `after any changes it is what a whole rebuild gives, and only what is named is touched (seed ${seed})`,
  async (t) => {
    const random = randomFrom(seed);
    const below = (limit: number) => Math.floor(random() * limit);
    const wanted = new WantedEntries();
    const peers = new Map<string, Entry[]>();
    let before = new Map<string, Entry>();
    for (let step = 0; step < 3000; step++) {
      const peer = `peer ${below(12)}`;
      const entries = Array.from({ length: below(4) }, () => entry(below(8), below(250)));
      const touched = new Set(entries.length > 0 ? wanted.set(peer, entries) : wanted.delete(peer));
      if (entries.length > 0) peers.set(peer, entries);
      else peers.delete(peer);

      const rebuilt = entriesById([...peers.values()].flat());
      const now = entriesById(wanted.values());
      if (printPlan(planFrom(rebuilt, now)).length > 0) t.fail(`step ${step}`, { rebuilt, now });
      const changed = [...new Set([...before.keys(), ...now.keys()])].filter(
        (id) => before.get(id)?.text !== now.get(id)?.text,
      );
      const missed = changed.filter((id) => !touched.has(id));
      if (missed.length > 0) t.fail(`step ${step}: not touched`, { missed });
      if (!t.passing()) return;
      before = now;
    }
    t.pass();
  },
);
