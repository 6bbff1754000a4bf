import t, { type Test } from "tap";
import { randomFrom, testSeed } from "../../sys/random.testing.ts";
import {
  addressNumber,
  createPeerTable,
  createPeerTableMemory,
  createPeerTableWriter,
  MAX_ROWS,
  type PeerTable,
} from "./peer-table.ts";
import type { PeerSubnet } from "./protocol.ts";

const row = (subnet: string, n: number, port = 8285): PeerSubnet => ({ subnet, address: `192.0.2.${n}`, port });
const hostOf = (address: number) => (address & 0xff) as number;

/** A reader, and a writer whose changes it sees. */
function tableOf(...rows: PeerSubnet[]) {
  const memory = createPeerTableMemory();
  const table = createPeerTable(memory);
  const writer = createPeerTableWriter(memory);
  writer.change(rows, []);
  const find = (address: string) => {
    const peer = table.find(addressNumber(address));
    return peer && hostOf(peer.address);
  };
  return { ...table, ...writer, lookUp: find };
}

t.test("the longest subnet that holds an address decides, in whatever order they came", async (t) => {
  const rows = [
    row("10.1.0.0/16", 1),
    row("10.1.3.0/24", 2),
    row("10.1.3.128/25", 3),
    row("10.1.3.129/32", 4),
    row("128.0.0.0/1", 9),
  ];
  for (const order of [rows, rows.toReversed()]) {
    const { lookUp } = tableOf(...order);
    t.strictSame(["10.1.200.1", "10.1.3.1", "10.1.3.200", "10.1.3.129", "200.1.2.3"].map(lookUp), [1, 2, 3, 4, 9]);
  }
});

t.test("addresses above 127.255.255.255 are found, and host bits of a subnet do not matter", async (t) => {
  const { lookUp } = tableOf(row("172.31.5.9/24", 1), row("223.255.255.0/24", 2));
  t.strictSame(["172.31.5.0", "172.31.5.255", "172.31.6.0", "223.255.255.255"].map(lookUp), [1, 1, undefined, 2]);
});

t.test("a change sets and removes rows, and leaves the others", async (t) => {
  const table = tableOf(row("10.1.2.0/24", 2), row("10.1.3.0/24", 3), row("10.1.4.0/24", 4));
  table.change([row("10.1.3.0/24", 33), row("10.1.5.0/24", 5)], ["10.1.2.0/24", "10.1.99.0/24"]);
  t.strictSame(["10.1.2.1", "10.1.3.1", "10.1.4.1", "10.1.5.1"].map(table.lookUp), [undefined, 33, 4, 5]);
});

t.test("a sender is one while a subnet of it is left, by address and port", async (t) => {
  const table = tableOf(row("10.1.2.0/24", 2), row("10.1.3.0/24", 2), row("10.1.4.0/24", 4, 9000));
  const has = (n: number, port = 8285) => table.has(addressNumber(`192.0.2.${n}`), port);
  t.strictSame([has(2), has(4), has(4, 9000), has(5)], [true, false, true, false]);
  table.change([], ["10.1.2.0/24"]);
  t.ok(has(2));
  table.change([row("10.1.3.0/24", 7)], []);
  t.strictSame([has(2), has(7)], [false, true]);
});

t.test("what is no IPv4 is refused by name", async (t) => {
  const table = tableOf();
  for (const subnet of ["fd00::/64", "0.0.0.0/0"])
    t.throws(() => table.change([row(subnet, 2)], []), new Error(`"${subnet}" is no IPv4 subnet`));
  t.throws(
    () => table.change([{ subnet: "10.1.2.0/24", address: "host", port: 1 }], []),
    new Error('"host" is no IPv4 address'),
  );
});

t.test("this host's subnet holds no address before it is set, and then its own", async (t) => {
  const table = tableOf();
  const isOwn = (address: string) => table.isOwn(addressNumber(address));
  t.notOk(isOwn("10.1.2.1"));
  table.setOwn("10.1.2.0/24");
  t.strictSame(["10.1.2.0", "10.1.2.255", "10.1.3.0"].map(isOwn), [true, true, false]);
  t.equal(table.ownBase(), addressNumber("10.1.2.0"));
});

t.test("what is known of a peer's path stays while others come and go", async (t) => {
  const table = tableOf(row("10.1.2.0/24", 2));
  const peer = table.find(addressNumber("10.1.2.1"));
  if (peer) peer.pathMtu = 1300;
  table.change([row("10.1.3.0/24", 3), row("10.1.4.0/24", 2)], ["10.1.2.0/24"]);
  t.equal(table.find(addressNumber("10.1.4.1"))?.pathMtu, 1300, "by another subnet of it as well");
});

/** Has `Atomics.load` read what is watched. @returns makes a reader that calls `between` before each of its reads */
function watchReads(t: Test): (memory: SharedArrayBuffer, between: () => void) => PeerTable {
  const watching = new WeakMap<Int32Array, { words: Int32Array; between(): void }>();
  const load = Atomics.load as (words: Int32Array, at: number) => number;
  t.intercept(Atomics, "load", {
    value: (array: Int32Array, at: number) => {
      const watched = watching.get(array);
      watched?.between();
      return load(watched?.words ?? array, at);
    },
  });
  return (memory, between) => {
    const words = new Int32Array(memory);
    const watched = new Proxy(words, {
      get(target, key) {
        between();
        return Reflect.get(target, key);
      },
    });
    watching.set(watched, { words, between });
    const arrays = globalThis.Int32Array;
    globalThis.Int32Array = new Proxy(arrays, { construct: () => watched });
    try {
      return createPeerTable(memory);
    } finally {
      globalThis.Int32Array = arrays;
    }
  };
}

t.test("a change between any two reads of a look-up is seen as before it, or as after it", async (t) => {
  const all = Array.from({ length: 30 }, (_, i) => row(`10.1.${i}.0/24`, i, 9000 + i));
  const others = Array.from({ length: 300 }, (_, i) => row(`10.2.${i >> 4}.${(i & 15) << 4}/28`, 1 + (i % 100)));
  const createWatchedTable = watchReads(t);
  const missed: string[] = [];
  let looks = 0;
  for (const change of [all, [...all, ...others]])
    for (const { subnet, address, port } of all.slice(-12))
      for (let at = 1, isOver = false; !isOver; at++) {
        const memory = createPeerTableMemory();
        const writer = createPeerTableWriter(memory);
        writer.change([row("10.9.0.0/24", 9)], []);
        let reads = 0;
        const table = createWatchedTable(memory, () => {
          if (++reads === at) writer.change(change, []);
        });
        reads = 0;
        const found = table.find(addressNumber(subnet.slice(0, -3)));
        const foundPort = found?.port ?? port;
        const isSender = table.has(addressNumber("192.0.2.250"), port);
        if (
          foundPort !== port ||
          hostOf(found?.address ?? addressNumber(address)) !== hostOf(addressNumber(address)) ||
          isSender
        )
          missed.push(`${subnet}, before read ${at}: ${found?.port} ${isSender}`);
        looks++;
        isOver = reads < at;
      }
  t.strictSame(missed, []);
  t.ok(looks > 150, `${looks}`);
});

const STEPS = 2000;

t.test("random changes leave what a map of the rows has", async (t) => {
  const random = randomFrom(testSeed());
  const draw = (n: number) => Math.floor(n * random());
  const table = tableOf();
  const rows = new Map<string, PeerSubnet>();
  const drawSubnet = () => {
    const length = 16 + draw(17);
    const address = (10 << 24) | ((draw(1 << 16) << 8) & (-1 << (32 - length)));
    return `${[24, 16, 8, 0].map((by) => (address >>> by) & 0xff).join(".")}/${length}`;
  };
  const expected = (address: number) => {
    for (let length = 32; length >= 16; length--) {
      const network = address & (-1 << (32 - length));
      const found = rows.get(`${[24, 16, 8, 0].map((by) => (network >>> by) & 0xff).join(".")}/${length}`);
      if (found) return `${addressNumber(found.address)} ${found.port}`;
    }
    return undefined;
  };
  let wrong = 0;
  for (let step = 0; step < STEPS; step++) {
    const known = [...rows.keys()];
    const remove = Array.from(
      { length: draw(step < STEPS / 2 ? 3 : 6) },
      () => known[draw(known.length)] ?? drawSubnet(),
    );
    const set = Array.from({ length: draw(5) }, () => row(drawSubnet(), draw(250), 8000 + draw(3)));
    for (const subnet of remove) rows.delete(subnet);
    for (const one of set) rows.set(one.subnet, one);
    table.change(set, remove);
    const senders = new Set([...rows.values()].map(({ address, port }) => `${address} ${port}`));
    for (let i = 0; i < 10; i++) {
      const address = (10 << 24) | draw(1 << 24);
      const found = table.find(address);
      if ((found && `${found.address} ${found.port}`) !== expected(address)) wrong++;
      const [n, port] = [draw(250), 8000 + draw(3)];
      if (table.has(addressNumber(`192.0.2.${n}`), port) !== senders.has(`192.0.2.${n} ${port}`)) wrong++;
    }
  }
  t.equal(wrong, 0);
});

t.test("a full table has room for changes, and a reader that comes late finds all", async (t) => {
  const subnets = Array.from({ length: MAX_ROWS }, (_, i) => `${10 + (i >> 16)}.${(i >> 8) & 0xff}.${i & 0xff}.0/24`);
  const table = tableOf();
  table.change(
    subnets.map((subnet, i) => ({ subnet, address: subnet.slice(0, -3), port: 1 + (i % 9) })),
    [],
  );
  t.equal(table.find(addressNumber("10.1.2.3"))?.address, addressNumber("10.1.2.0"));
  table.change([], subnets.slice(0, -1));
  table.change(
    subnets.slice(0, -1).map((subnet) => row(subnet, 2)),
    [],
  );
  const wrong = subnets.slice(0, -1).filter((subnet) => table.lookUp(subnet.slice(0, -3)) !== 2);
  t.strictSame(wrong, []);
});
