import t from "tap";
import { type Address, type Prefix, parseAddress, parsePrefix } from "../../ip/address.ts";
import { randomFrom, testSeed } from "../../sys/random.testing.ts";
import {
  type Entries,
  type Entry,
  entriesById,
  type FoundEntry,
  forwardingEntry,
  isEmpty,
  neighbourEntry,
  type Plan,
  planFrom,
  planFromFound,
  printPlan,
  routeEntry,
} from "./entry.ts";

const device = { index: 7, name: "flannel.1" };
const eth0 = { index: 2, name: "eth0" };
const address = (text: string): Address => parseAddress(text) ?? new Uint8Array(4);
const prefix = (text: string): Prefix => parsePrefix(text) ?? { address: new Uint8Array(4), length: 0 };
const mac = (last: number): Uint8Array => Uint8Array.of(2, 0, 0, 0, 0, last);

const tunnelled = (n: number, last = n): Entry[] => [
  neighbourEntry({ address: address(`10.5.${n}.0`), mac: mac(last), link: device }),
  forwardingEntry({ address: address(`192.0.2.${n}`), mac: mac(last), link: device }),
  routeEntry({ destination: prefix(`10.5.${n}.0/24`), gateway: address(`10.5.${n}.0`), link: device, isOnLink: true }),
];
const direct = (n: number): Entry[] => [
  routeEntry({ destination: prefix(`10.5.${n}.0/24`), gateway: address(`192.0.2.${n}`), link: eth0, isOnLink: false }),
];
const direct6 = [
  routeEntry({ destination: prefix("fd00::/64"), gateway: address("fd00:a::2"), link: eth0, isOnLink: false }),
];
const tunnelled6 = [
  routeEntry({ destination: prefix("fd00::/64"), gateway: address("fd00::"), link: device, isOnLink: true }),
];
const boot = routeEntry({
  destination: prefix("10.5.2.0/24"),
  gateway: address("10.5.2.0"),
  link: device,
  isOnLink: true,
  protocol: 3,
});

const plans: { what: string; from: Entry[]; to: Entry[]; plan: string[] }[] = [
  {
    what: "a peer that comes: its route is last",
    from: [],
    to: tunnelled(2),
    plan: [
      "+ neighbour 10.5.2.0 dev flannel.1 lladdr 02:00:00:00:00:02",
      "+ fdb 02:00:00:00:00:02 dev flannel.1 dst 192.0.2.2",
      "+ route 10.5.2.0/24 via 10.5.2.0 dev flannel.1 proto 143 onlink",
    ],
  },
  {
    what: "a peer that goes: its route is first",
    from: [...tunnelled(2), ...tunnelled(3)],
    to: tunnelled(3),
    plan: [
      "- route 10.5.2.0/24 via 10.5.2.0 dev flannel.1 proto 143 onlink",
      "- neighbour 10.5.2.0 dev flannel.1 lladdr 02:00:00:00:00:02",
      "- fdb 02:00:00:00:00:02 dev flannel.1 dst 192.0.2.2",
    ],
  },
  {
    what: "a new MAC: the old forwarding entry goes",
    from: tunnelled(2),
    to: tunnelled(2, 9),
    plan: [
      "+ neighbour 10.5.2.0 dev flannel.1 lladdr 02:00:00:00:00:09",
      "+ fdb 02:00:00:00:00:09 dev flannel.1 dst 192.0.2.2",
      "- fdb 02:00:00:00:00:02 dev flannel.1 dst 192.0.2.2",
    ],
  },
  {
    what: "from the tunnel to a plain route: replaced, never without",
    from: tunnelled(2),
    to: direct(2),
    plan: [
      "+ route 10.5.2.0/24 via 192.0.2.2 dev eth0 proto 143",
      "- neighbour 10.5.2.0 dev flannel.1 lladdr 02:00:00:00:00:02",
      "- fdb 02:00:00:00:00:02 dev flannel.1 dst 192.0.2.2",
    ],
  },
  {
    what: "from a plain IPv6 route to the tunnel",
    from: direct6,
    to: tunnelled6,
    plan: ["+ route fd00::/64 via fd00:: dev flannel.1 proto 143 onlink"],
  },
  { what: "nothing new", from: tunnelled(2), to: tunnelled(2), plan: [] },
];
for (const { what, from, to, plan } of plans) {
  t.test(what, async (t) => {
    t.strictSame(printPlan(planFrom(entriesById(from), entriesById(to))), plan);
    const found = from.map((entry) => ({ entry, isOurs: true }));
    t.strictSame(printPlan(planFromFound(found, entriesById(to))), plan, "the same when it was read back");
    t.equal(isEmpty(planFrom(entriesById(from), entriesById(to))), plan.length === 0);
  });
}

const [, , route2] = tunnelled(2) as [Entry, Entry, Entry];
const foreign = routeEntry({
  destination: prefix("10.5.2.0/24"),
  gateway: address("192.0.2.77"),
  link: eth0,
  isOnLink: false,
  protocol: 3,
});
const readings: { what: string; found: FoundEntry[]; plan: string[] }[] = [
  {
    what: "flannel's route is taken over in place",
    found: [{ entry: boot, isOurs: true }],
    plan: ["+ route 10.5.2.0/24 via 10.5.2.0 dev flannel.1 proto 143 onlink"],
  },
  {
    what: "a foreign route in front of ours: ours goes, then takes the other's place",
    found: [
      { entry: foreign, isOurs: false },
      { entry: route2, isOurs: true },
    ],
    plan: [
      "- route 10.5.2.0/24 via 10.5.2.0 dev flannel.1 proto 143 onlink",
      "+ route 10.5.2.0/24 via 10.5.2.0 dev flannel.1 proto 143 onlink",
    ],
  },
  {
    what: "a foreign route behind ours has no effect, and stays",
    found: [
      { entry: route2, isOurs: true },
      { entry: foreign, isOurs: false },
    ],
    plan: [],
  },
  {
    what: "a second one of ours goes",
    found: [
      { entry: route2, isOurs: true },
      { entry: boot, isOurs: true },
    ],
    plan: ["- route 10.5.2.0/24 via 10.5.2.0 dev flannel.1 proto 3 onlink"],
  },
];
for (const { what, found, plan } of readings) {
  t.test(what, async (t) => {
    t.strictSame(printPlan(planFromFound(found, entriesById([route2]))), plan);
  });
}

t.test("from any state to any other a plan leads, and to nowhere else", async (t) => {
  const seed = testSeed();
  const random = below(randomFrom(seed));
  let kernel: Entries = new Map();
  for (let step = 1; step <= 500; step++) {
    const wanted = entriesById(
      Array.from({ length: random(6) }, () => 2 + random(6)).flatMap((n) =>
        random(3) === 0 ? direct(n) : tunnelled(n, n + 16 * random(3)),
      ),
    );
    const damaged = new Map([...kernel].filter(() => random(4) > 0));
    const plan = planFromFound(
      [...damaged.values()].map((entry) => ({ entry, isOurs: true })),
      wanted,
    );
    kernel = carriedOut(damaged, plan);
    const texts = (entries: Entries) => [...entries.values()].map(({ text }) => text).toSorted();
    t.strictSame(texts(kernel), texts(wanted), `step ${step} of seed ${seed}`);
    if (!t.passing()) return;
  }
});

/** A kernel as a map: what is put replaces, what is removed has to be there. */
function carriedOut(entries: Entries, { removeFirst, set, removeLast }: Plan): Map<string, Entry> {
  const kernel = new Map(entries);
  const remove = ({ id, text }: Entry) => {
    if (kernel.get(id)?.text !== text || !kernel.delete(id)) throw new Error(`${text} is not there`);
  };
  removeFirst.forEach(remove);
  for (const entry of set) kernel.set(entry.id, entry);
  removeLast.forEach(remove);
  return kernel;
}

const below = (random: () => number) => (limit: number) => Math.floor(random() * limit);
