import t from "tap";
import { FakeClock } from "../../pkg/cluster/event-loop/clock.testing.ts";
import type { NetlinkHandler } from "../../pkg/cluster/event-loop/netlink-watch.ts";
import { silent } from "../../pkg/cluster/lease/fake.testing.ts";
import { type Log, logOf } from "../../pkg/cluster/log/log.ts";
import { rateLimited } from "../../pkg/cluster/log/rate-limited.ts";
import type { ApplyResult, Backend } from "../../pkg/flannel/backend/backend.ts";
import { startBackendLoop } from "./backend-loop.ts";

const nothing: ApplyResult = { added: 0, removed: 0, refused: [] };
const metrics = { programmed() {}, repairedEntries() {}, reconciled: () => () => {} };

interface Run {
  clock: FakeClock;
  loop: ReturnType<typeof startBackendLoop>;
  kernel: NetlinkHandler;
}

function run(t: Tap, clock: FakeClock, backend: Partial<Backend>, log: Log): Run {
  let kernel: NetlinkHandler | undefined;
  const watchKernel = (handler: NetlinkHandler) => {
    kernel = handler;
    return { read() {}, stop() {} };
  };
  const whole: Backend = {
    mtu: 1500,
    devices: [],
    overheadBytes: 0,
    canReadBack: true,
    attributes: async () => ({ backendType: "test" }),
    async setOwnLease() {},
    setPeers: async () => nothing,
    changePeers: async () => nothing,
    concerns: () => true,
    repair: async () => nothing,
    async follow() {},
    missing: () => [],
    obstacles: () => [],
    probeAddress: () => undefined,
    adviceWhenSilent: "",
    async close() {},
    ...backend,
  };
  const loop = startBackendLoop(whole, { watchKernel, metrics, log, clock });
  t.teardown(() => loop.stop());
  if (kernel === undefined) throw new Error("it watches nothing");
  return { clock, loop, kernel };
}
type Tap = { teardown(work: () => unknown): unknown };

t.test("repairs that follow each other are logged as one event that lasts, however long each takes", async (t) => {
  const clock = new FakeClock();
  const lines: string[] = [];
  const sink = logOf((_level, message) => lines.push(message));
  const startMs = clock.bootMs();
  const backend = {
    async repair() {
      clock.suspend(Math.round(Math.random() * 20)); // it takes some time
      return { ...nothing, added: 1 };
    },
  };
  const { loop, kernel } = run(
    t,
    clock,
    backend,
    rateLimited(sink, () => clock.bootMs() - startMs),
  );
  await loop.setPeers([]);
  for (let second = 0; second < 60; second++) {
    kernel.overflowed();
    await clock.pass(1000);
  }
  const told = lines.filter((line) => line.startsWith("repaired"));
  t.equal(told[0], "repaired entries that another process had changed");
  t.ok(told.length > 1 && told.length < 6, `${told.length} lines in a minute`);
  t.ok(told.slice(1).every((line) => / \(repeated for \d+ s\)$/.test(line)));
});

t.test("nothing is repaired before the peers are known: their entries of an earlier run would go", async (t) => {
  let repairs = 0;
  const repair = async () => {
    repairs++;
    return nothing;
  };
  const { clock, loop, kernel } = run(t, new FakeClock(), { repair }, silent);
  kernel.overflowed();
  await clock.pass(1000);
  t.equal(repairs, 0);
  await loop.setPeers([]);
  kernel.overflowed();
  await clock.pass(1000);
  t.equal(repairs, 1);
});

t.test("refused entries, and a backend that fails, lead to a repair later", async (t) => {
  const repairedMs: number[] = [];
  const clock = new FakeClock();
  const startMs = clock.bootMs();
  const outcomes: (() => ApplyResult)[] = [
    () => ({ ...nothing, refused: ["route 10.5.2.0/24: EINVAL"] }),
    () => {
      throw new Error("no");
    },
    () => nothing,
  ];
  const backend = {
    changePeers: async () => (outcomes.shift() ?? (() => nothing))(),
    async repair() {
      repairedMs.push(clock.bootMs() - startMs);
      return nothing;
    },
  };
  const { loop } = run(t, clock, backend, silent);
  await loop.setPeers([]);
  for (let i = 0; i < 3; i++) {
    await loop.changePeers({ changed: [], gone: [] });
    await clock.pass(10_000);
  }
  t.strictSame(repairedMs, [1000, 11_000]);
});

t.test("the error of a backend that cannot follow the interface is passed on", async (t) => {
  const follow = async () => {
    throw new Error("no");
  };
  const { loop } = run(t, new FakeClock(), { follow }, silent);
  await t.rejects(loop.follow({ index: 2, name: "eth0", mtu: 1500 }), { message: "no" });
});

t.test("a fault of which the kernel does not tell is repaired as well", async (t) => {
  const clock = new FakeClock();
  let fault = () => {};
  let repairs = 0;
  const { loop } = run(
    t,
    clock,
    {
      onFault(repairLater) {
        fault = repairLater;
      },
      async repair() {
        repairs++;
        return nothing;
      },
    },
    silent,
  );
  await loop.setPeers([]);
  fault();
  await clock.pass(1000);
  t.equal(repairs, 1);
});
