// A process that shares a directory store with others. Usage: node --import tsx directory-member.ts <directory>
//
// Says "ready", then does what each line of its stdin says: "acquire <count> <first host>" gets leases for so many hosts at once and says
// "leased <key>" for each; "follow" says "has <keys>" whenever the set of peers is another; "churn" writes one lease again and again.
import { createInterface } from "node:readline";
import { systemClock } from "../../pkg/cluster/event-loop/clock.ts";
import { acquireLease } from "../../pkg/cluster/lease/acquire.ts";
import { attributesOf, network, subnets } from "../../pkg/cluster/lease/fake.testing.ts";
import { keyOf, leaseOf } from "../../pkg/cluster/lease/lease.ts";
import { storeRemedies } from "../../pkg/cluster/lease/store-manager.ts";
import { watchPeers } from "../../pkg/cluster/lease/watch-peers.ts";
import { openDirectoryStore } from "../../pkg/cluster/store/directory/directory.ts";

const DAY_MS = 86_400_000;
const say = (line: string) => void process.stdout.write(`${line}\n`);
const log = { debug() {}, info() {}, warn: (message: string) => say(`warn ${message}`), error: say };
const store = openDirectoryStore({ directory: process.argv[2] ?? "", log });
const config = network("10.3.0.0/16 24 10.3.1.0 10.3.255.0");

const commands: Record<string, (count: number, first: number) => void> = {
  acquire(count, first) {
    for (let host = first; host < first + count; host++) void acquireFor(`192.0.2.${host}`);
  },
  follow() {
    const show = () => say(`has ${[...following.peers().keys()].sort().join(" ")}`);
    const own = leaseOf(subnets("10.3.255.0-24"), attributesOf("192.0.2.255"), undefined);
    const following = watchPeers(
      store,
      { lease: () => own, take() {} },
      {
        peers: show,
        changed: show,
        malformed: ({ id, reason }) => say(`malformed ${id}: ${reason}`),
        trouble: (why) => say(`trouble ${why?.message}`),
      },
      storeRemedies,
    );
  },
  async churn() {
    for (;;) {
      await store.put(subnets("10.3.7.0-24"), attributesOf("192.0.2.7"), DAY_MS);
      await store.delete(subnets("10.3.7.0-24"));
      await store.create(subnets("10.3.7.0-24"), attributesOf("192.0.2.7"), DAY_MS);
    }
  },
};

async function acquireFor(publicIP: string): Promise<void> {
  const attributes = attributesOf(publicIP);
  const lease = await acquireLease(
    store,
    config,
    { attributes, ttlMs: DAY_MS },
    { clock: systemClock, log, random: Math.random },
  );
  say(`leased ${keyOf(lease)}`);
}

createInterface({ input: process.stdin })
  .on("line", (line) => {
    const [name = "", count, first] = line.split(" ");
    commands[name]?.(Number(count), Number(first));
  })
  .on("close", () => process.exit());
say("ready");
