import t from "tap";
import { randomFrom, testSeed } from "../../sys/random.testing.ts";
import { encode } from "../../sys/text.ts";
import { ReadRules, type Wanted } from "./wanted-rule.ts";

const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1");

/** Bodies of rules with a comment somewhere and an address at a multiple of 4. */
function bodiesOf(count: number, random: () => number): { bodies: Uint8Array[]; comments: string[] } {
  const comments = Array.from({ length: count }, () => `net-${Math.floor(random() * 40)}-container`);
  const bodies = comments.map((comment, i) => {
    const before = new Uint8Array(8 + Math.floor(random() * 9)).fill(1);
    return Uint8Array.from([10, 1, i >> 8, i & 0xff, ...before, comment.length, ...encode(comment), 0]);
  });
  return { bodies, comments };
}

t.test(
  "rules that were read once are found by what they contain, however many there are, in their order",
  async (t) => {
    const random = randomFrom(testSeed());
    for (const count of [0, 1, 16, 17, 300]) {
      const { bodies } = bodiesOf(count, random);
      const rules = new ReadRules(bodies);
      const found = (wanted: Wanted) => rules.holding(wanted).map((body) => bodies.indexOf(body));
      const expected = (...texts: string[]) =>
        bodies.flatMap((body, i) => (texts.some((text) => latin1(body).includes(text)) ? [i] : []));
      for (const text of ["net-7-container", "et-3-con", "net-39-", "-1", "absent from all", "ontainer"])
        t.strictSame(found(text), expected(text), `${count} rules, ${text}`);
      t.strictSame(found(["net-1-container", "net-2-container"]), expected("net-1-container", "net-2-container"));
      t.strictSame(
        found(() => "net-5-container"),
        expected("net-5-container"),
      );
      t.strictSame(found(Uint8Array.of(10, 1, 0, 16)), count > 16 ? [16] : []);
      t.strictSame(rules.holding(undefined), bodies);
    }
  },
);

t.test("addresses with words of zeros are found among rules that were read once", async (t) => {
  const addresses = Array.from({ length: 40 }, (_, i) => Uint8Array.of(0xfd, 0, 0, 1, ...new Uint8Array(11), i));
  const rules = new ReadRules(addresses.map((address) => Uint8Array.from([1, 2, 3, 4, ...address, 5, 6, 7, 8])));
  const found = (address: Uint8Array) => rules.holding(address).map((body) => body[19]);
  for (const address of addresses) t.strictSame(found(address), [address[15]]);
  t.strictSame(found(Uint8Array.from([...new Uint8Array(15), 7])), [], "of another subnet");
  t.equal(found(new Uint8Array(8)).length, 40, "zeros alone");
});

t.test("rules that were read once are grouped by their keys once", async (t) => {
  const { bodies } = bodiesOf(100, randomFrom(1));
  let calls = 0;
  const keysOf = (body: Uint8Array) => {
    calls++;
    return [body[3] ?? 0, 1000 + ((body[3] ?? 0) % 2)];
  };
  const rules = new ReadRules(bodies);
  t.strictSame(rules.havingKey(keysOf, [7]), [bodies[7]]);
  t.strictSame(rules.havingKey(keysOf, [8, 3, 500]), [bodies[3], bodies[8]]);
  t.strictSame(
    rules.havingKey(keysOf, [1001]),
    bodies.filter((_, i) => i % 2 === 1),
  );
  t.equal(calls, 100, "each rule is asked for its keys once");
});
