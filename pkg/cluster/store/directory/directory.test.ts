import { execFileSync } from "node:child_process";
import {
  chmodSync,
  linkSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { attributesOf, silent, subnets } from "../../lease/fake.testing.ts";
import { keyOf, leaseOf } from "../../lease/lease.ts";
import type { Store } from "../../lease/store.ts";
import { type StoreUnderTest, storeClaims } from "../store.testing.ts";
import { openDirectoryStore } from "./directory.ts";

const DAY_MS = 86_400_000;
const us = attributesOf("192.0.2.1");
const one = subnets("10.3.1.0-24");

/** A store of its own, and clients of it; all gone after the test. */
function newStore(t: Test): { directory: string; open(): Store } {
  const directory = mkdtempSync(join(tmpdir(), "twill-leases-"));
  const stores: Store[] = [];
  t.teardown(async () => {
    for (const store of stores) await store.close();
    rmSync(directory, { recursive: true });
  });
  const open = () => {
    const store = openDirectoryStore({ directory, log: silent });
    stores.push(store);
    return store;
  };
  return { directory, open };
}

function underTest(t: Test): StoreUnderTest {
  const { directory, open } = newStore(t);
  return {
    store: open(),
    beside: open(),
    write: async (key, value) => writeFileSync(`${directory}/subnets/${key}`, value),
    remove: async (key) => rmSync(`${directory}/subnets/${key}`),
    writeConfig: async (text) => writeFileSync(`${directory}/config`, text),
  };
}

for (const { claim, holds } of storeClaims) {
  t.test(`directory: ${claim}`, async (t) => {
    await holds(async () => underTest(t));
  });
}

t.test("keys and values are etcd's, and ls shows when a lease ends", async (t) => {
  const { directory, open } = newStore(t);
  const lease = await open().create(subnets("10.3.2.0-24&fd00:0:0:2::-64"), us, DAY_MS);
  t.strictSame(readdirSync(directory).sort(), ["lock", "subnets"]);
  t.strictSame(readdirSync(`${directory}/subnets`), ["10.3.2.0-24&fd00:0:0:2::-64"]);
  const file = `${directory}/subnets/10.3.2.0-24&fd00:0:0:2::-64`;
  t.equal(
    readFileSync(file, "utf8"),
    '{"PublicIP":"192.0.2.1","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"aa:00:00:00:00:01"}}\n',
  );
  t.equal(statSync(file).mtimeMs, lease?.expiresMs);
  t.equal(statSync(file).mode & 0o777, 0o644 & ~process.umask());
});

t.test("touching a lease makes a reservation of it; setting its time back does not end it", async (t) => {
  const { directory, open } = newStore(t);
  const store = open();
  await store.create(one, us, DAY_MS);
  utimesSync(`${directory}/subnets/10.3.1.0-24`, new Date(), new Date());
  t.strictSame(await store.list(), { leases: [leaseOf(one, us, undefined)], malformed: [] });
  utimesSync(`${directory}/subnets/10.3.1.0-24`, 1, 1);
  t.equal((await store.list()).leases.length, 1);
});

t.test("what is configured with the command that the store names is read", async (t) => {
  const { directory } = newStore(t);
  for (const name of ["plain", "it's a name"]) {
    const store = openDirectoryStore({ directory: `${directory}/${name}`, log: silent });
    let command = "";
    await t.rejects(
      store.readConfig().catch((error: Error) => {
        [, command = ""] = error.message.split(`${directory}/${name}/config is missing. To fix: `);
        throw error;
      }),
      { name: "NoConfig" },
    );
    execFileSync("sh", ["-c", command]);
    t.strictSame(JSON.parse(await store.readConfig()), { Network: "10.244.0.0/16", Backend: { Type: "vxlan" } });
  }
});

t.test("files that are no leases are named, whatever they are", async (t) => {
  const { directory, open } = newStore(t);
  const store = open();
  execFileSync("mkdir", [`${directory}/subnets/10.3.1.0-24`]);
  execFileSync("mkfifo", [`${directory}/subnets/10.3.2.0-24`]);
  execFileSync("truncate", ["--size=2M", `${directory}/subnets/10.3.3.0-24`]);
  symlinkSync("/nowhere", `${directory}/subnets/10.3.4.0-24`);
  writeFileSync(`${directory}/subnets/10.3.5.0-24`, "");
  const { leases, malformed } = await store.list();
  t.strictSame(leases, []);
  t.strictSame(
    malformed.map(({ id, reason }) => `${id}: ${reason}`),
    [
      "10.3.1.0-24: it is not a regular file (directory)",
      "10.3.2.0-24: it is not a regular file (other)",
      "10.3.3.0-24: it has 2097152 bytes, too many for a lease",
      "10.3.5.0-24: line 1, column 1: nothing where a value is expected",
    ],
  );
});

t.test("a directory that goes is trouble, not the end of everybody's lease", async (t) => {
  const { directory, open } = newStore(t);
  const store = open();
  await store.create(one, us, DAY_MS);
  const told: string[] = [];
  let next = () => {};
  const watch = store.watch(
    (event) => {
      told.push(event.kind);
      next();
    },
    (why) => {
      told.push(why?.message ?? "over");
      next();
    },
  );
  t.teardown(() => watch.stop());
  const until = async (count: number) => {
    while (told.length < count) await new Promise<void>((resolve) => (next = resolve));
  };
  await until(1);
  renameSync(`${directory}/subnets`, `${directory}/away`);
  await until(2);
  const missing = `directory ${directory}: cannot watch the leases: statx ${directory}/subnets: ENOENT. To fix: mount the file system that holds it, or create it (mkdir -p)`;
  t.strictSame(told, ["snapshot", missing]);
  await t.rejects(store.list(), {
    name: "StoreError",
    message: new RegExp(`^directory ${directory}: cannot list the leases: `),
  });
  await t.rejects(store.create(subnets("10.3.2.0-24"), us, DAY_MS), { name: "StoreError" });
  renameSync(`${directory}/away`, `${directory}/subnets`);
  await until(3);
  await store.create(subnets("10.3.2.0-24"), us, DAY_MS);
  await until(4);
  t.strictSame(told.slice(2), ["over", "put"]);
});

t.test(
  "a refused write says where, why, and what to do",
  { skip: process.getuid?.() === 0 && "root may write" },
  async (t) => {
    const { directory, open } = newStore(t);
    const store = open();
    chmodSync(directory, 0o500);
    t.teardown(() => chmodSync(directory, 0o700));
    await t.rejects(store.create(one, us, DAY_MS), {
      name: "StoreError",
      message: new RegExp(
        `^directory ${directory}: cannot create the lease ${keyOf(one)}: openat ${directory}/\\.lease-\\w+\\.tmp: EACCES\\. ` +
          "To fix: give the daemon's user \\(root\\) permission to write there$",
      ),
    });
  },
);

t.test("what a killed process left is removed by the next, and no lease with it", async (t) => {
  const { directory, open } = newStore(t);
  await open().create(one, us, DAY_MS);
  linkSync(`${directory}/subnets/${keyOf(one)}`, `${directory}/.lease-0011.tmp`); // killed between its last two steps
  const { leases } = await open().list();
  t.equal(leases.length, 1);
  t.strictSame(readdirSync(directory).sort(), ["lock", "subnets"]);
});

t.test("nothing is left behind by who creates in vain", async (t) => {
  const { directory, open } = newStore(t);
  const store = open();
  await store.create(one, us, DAY_MS);
  for (let times = 0; times < 3; times++) t.equal(await store.create(one, us, DAY_MS), undefined);
  t.strictSame(readdirSync(directory).sort(), ["lock", "subnets"]);
});
