// The fixtures are what dockerd 20.10.24 of Debian has written: local-kv.db after seven `docker network create`, and after sixty more, which
// took branch pages and values that are longer than a page.
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import t from "tap";
import { randomFrom, testSeed } from "../../sys/random.testing.ts";
import { DamagedBolt, readBoltBucket } from "./bolt-file.ts";

const fixture = (name: string): Uint8Array =>
  new Uint8Array(gunzipSync(readFileSync(`pkg/network/import/fixtures/${name}.db.gz`)));
const few = fixture("docker-20.10.24");
const many = fixture("docker-20.10.24-many");

const networksIn = (content: Uint8Array): string[] =>
  [...(readBoltBucket(content, "libnetwork") ?? [])].flatMap(([key, value]) => {
    if (!key.startsWith("docker/network/v1.0/network/")) return [];
    return /"name":"([^"]*)"/.exec(new TextDecoder().decode(value))?.[1] ?? [];
  });

t.test("keys and values of a bucket are read, from one page and from a tree of pages", async (t) => {
  t.strictSame(networksIn(few).sort(), [
    "apart",
    "back",
    "bridge",
    "host",
    "mv",
    "n1",
    "none",
    "quiet",
    "six",
    "with space",
  ]);
  const all = networksIn(many);
  t.equal(all.length, 70);
  for (let i = 1; i <= 60; i++) t.ok(all.includes(`m${i}`), `m${i}`);
  t.equal(readBoltBucket(few, "other"), undefined);
});

t.test("a damaged meta page is passed over while the other one is whole", async (t) => {
  for (const page of [0, 4096]) {
    const damaged = few.slice();
    damaged[page + 20] = 0xff;
    t.ok(networksIn(damaged).includes("n1"), `page at ${page}`);
  }
});

t.test("what is no bolt database, or is damaged, is refused with what is wrong", async (t) => {
  const changed = (at: number, value: number, from = few) => {
    const bytes = from.slice();
    for (const page of [0, 4096]) bytes[page + at] = value;
    return bytes;
  };
  const rows: [what: string, content: Uint8Array, message: string | RegExp][] = [
    ["nothing", new Uint8Array(0), "it ends after 0 bytes, before its meta page does"],
    [
      "a text",
      new TextEncoder().encode("no database".repeat(1000)),
      "it does not begin as a bolt database does (magic number)",
    ],
    ["another version", changed(20, 3), "its format has version 3, not 2"],
    ["another root", changed(32, 9), "the checksums of its meta pages are wrong"],
    ["its beginning", few.slice(0, 8192), /^page \d+ is behind its end$/],
  ];
  for (const [what, content, message] of rows)
    t.throws(() => readBoltBucket(content, "libnetwork"), { name: "DamagedBolt", message }, what);
});

t.test("whatever the damage, there is an answer or a refusal", async (t) => {
  const read = (content: Uint8Array): boolean => {
    try {
      readBoltBucket(content, "libnetwork");
      return true;
    } catch (error) {
      if (!(error instanceof DamagedBolt)) throw error;
      return false;
    }
  };
  const random = randomFrom(testSeed());
  const below = (limit: number) => Math.floor(random() * limit);
  let refused = 0;
  for (let round = 0; round < 3000; round++) {
    const damaged = few.slice(0, round % 3 === 0 ? below(few.length) : few.length);
    for (let i = 0; i < 8 && damaged.length > 0; i++) damaged[8192 + below(16384)] = below(256);
    if (!read(damaged)) refused++;
  }
  t.ok(refused > 100, `refused: ${refused}`);
});
