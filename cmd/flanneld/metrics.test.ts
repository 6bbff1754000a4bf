import t from "tap";
import type { LeaseEvent } from "../../pkg/cluster/lease/event.ts";
import type { Subnets } from "../../pkg/cluster/lease/lease.ts";
import type { Store } from "../../pkg/cluster/lease/store.ts";
import { NoConfig, StoreError } from "../../pkg/cluster/lease/store-error.ts";
import { createMetrics, type Metrics } from "./metrics.ts";
import { withStoreMetrics } from "./store/store-metrics.ts";

/** The lines that are not comments, as `name{labels}` -> value; those of a time have none that could be foretold. */
async function read(metrics: Metrics): Promise<Record<string, string>> {
  const lines = (await metrics.text()).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return Object.fromEntries(lines.map((line) => line.split(/ (?=\S+$)/) as [string, string]));
}

t.test("every series is there from the start, and has a help text", async (t) => {
  const metrics = createMetrics("1.2.3");
  const values = await read(metrics);
  t.equal(values[`twill_flanneld_build_info{version="1.2.3",node="${process.versions.node}"}`], "1");
  for (const name of [
    'twill_flanneld_lease_events_total{kind="gone"}',
    'twill_flanneld_entries_total{outcome="refused"}',
    'twill_flanneld_store_errors_total{operation="list"}',
    'twill_flanneld_store_request_seconds_count{operation="put"}',
    'twill_flanneld_reconcile_passes_total{loop="blackhole",outcome="failed"}',
    'twill_flanneld_reconcile_seconds_total{loop="interface"}',
    "twill_flanneld_programming_seconds_count",
    "twill_flanneld_malformed_leases_total",
    "twill_flanneld_store_connected",
  ])
    t.equal(values[name], "0", name);
  t.ok(Number(values["process_resident_memory_bytes"]) > 1e6);
  const names = new Set(Object.keys(values).map((name) => name.replace(/(_bucket|_sum|_count)?(\{.*)?$/, "")));
  const text = await metrics.text();
  for (const name of names) t.ok(text.includes(`# HELP ${name} `), name);
  t.match(metrics.contentType, /^text\/plain; version=0\.0\.4/);
});

t.test("what is told is counted", async (t) => {
  const metrics = createMetrics("1");
  metrics.peers(7);
  metrics.leaseExpires(1_700_000_000_500);
  metrics.programmed({ added: 3, removed: 2, refused: ["route 10.1.2.0/24 via 10.0.0.1: EINVAL"] }, 0.02);
  metrics.repairedEntries({ added: 1, removed: 1, refused: [] });
  metrics.repairedRules(4);
  metrics.reconciled("rules")("repaired", 0.25);
  t.match(await read(metrics), {
    twill_flanneld_peers: "7",
    twill_flanneld_lease_expiry_timestamp_seconds: "1700000000.5",
    twill_flanneld_programming_seconds_count: "1",
    'twill_flanneld_programming_seconds_bucket{le="0.01"}': "0",
    'twill_flanneld_programming_seconds_bucket{le="0.025"}': "1",
    'twill_flanneld_entries_total{outcome="added"}': "4",
    'twill_flanneld_entries_total{outcome="removed"}': "3",
    'twill_flanneld_entries_total{outcome="refused"}': "1",
    twill_flanneld_entry_repairs_total: "2",
    twill_flanneld_rule_repairs_total: "4",
    'twill_flanneld_reconcile_passes_total{loop="rules",outcome="repaired"}': "1",
    'twill_flanneld_reconcile_seconds_total{loop="rules"}': "0.25",
  });
  metrics.leaseExpires(undefined);
  t.equal((await read(metrics))["twill_flanneld_lease_expiry_timestamp_seconds"], "+Inf");
});

const subnets: Subnets = { ipv4: { address: Uint8Array.of(10, 5, 3, 0), length: 24 } };

interface Told {
  event: (event: LeaseEvent) => void;
  trouble: (why: Error | undefined) => void;
}

/** A store that answers as told to. */
function fakeStore(answer: () => Promise<never>, told: (watcher: Told) => void = () => {}): Store {
  return {
    description: "a fake",
    readConfig: answer,
    list: async () => ({ leases: [], malformed: [] }),
    create: answer,
    put: answer,
    find: answer,
    hasWritten: () => false,
    delete: answer,
    watch(event, trouble) {
      told({ event, trouble });
      return { stop() {} };
    },
    reconnect() {},
    close: async () => {},
  };
}

t.test("requests are timed, and those that fail counted", async (t) => {
  const metrics = createMetrics("1");
  const store = withStoreMetrics(
    fakeStore(async () => {
      throw new StoreError("no answer");
    }),
    metrics,
  );
  t.equal(store.description, "a fake");
  await store.list();
  await t.rejects(store.delete(subnets), new StoreError("no answer"));
  t.match(await read(metrics), {
    'twill_flanneld_store_request_seconds_count{operation="list"}': "1",
    'twill_flanneld_store_request_seconds_count{operation="delete"}': "1",
    'twill_flanneld_store_errors_total{operation="list"}': "0",
    'twill_flanneld_store_errors_total{operation="delete"}': "1",
    twill_flanneld_store_connected: "1",
  });
});

t.test("a store without a network configuration has answered", async (t) => {
  const metrics = createMetrics("1");
  const store = withStoreMetrics(
    fakeStore(async () => {
      throw new NoConfig("there is none");
    }),
    metrics,
  );
  await t.rejects(store.readConfig(), new NoConfig("there is none"));
  t.match(await read(metrics), { 'twill_flanneld_store_errors_total{operation="readConfig"}': "0" });
});

t.test("events pass on counted, and a second snapshot is a restart of the watch", async (t) => {
  const metrics = createMetrics("1");
  const watchers: Told[] = [];
  const store = withStoreMetrics(
    fakeStore(
      async () => {
        throw new Error("not to be asked");
      },
      (watcher) => watchers.push(watcher),
    ),
    metrics,
  );
  const heard: string[] = [];
  store.watch(
    ({ kind }) => heard.push(kind),
    (why) => heard.push(why?.message ?? "there again"),
  );
  const malformed = { id: "x", reason: "no subnet" };
  for (const { event, trouble } of watchers) {
    event({ kind: "snapshot", snapshot: { leases: [], malformed: [malformed] } });
    event({ kind: "gone", id: "10.3.1.0-24" });
    event({ kind: "malformed", malformed });
    trouble(new Error("cut"));
    t.equal((await read(metrics))["twill_flanneld_store_connected"], "0");
    trouble(undefined);
    event({ kind: "snapshot", snapshot: { leases: [], malformed: [] } });
  }
  t.strictSame(heard, ["snapshot", "gone", "malformed", "cut", "there again", "snapshot"]);
  t.match(await read(metrics), {
    'twill_flanneld_lease_events_total{kind="snapshot"}': "2",
    'twill_flanneld_lease_events_total{kind="gone"}': "1",
    twill_flanneld_malformed_leases_total: "2",
    twill_flanneld_watch_restarts_total: "1",
    twill_flanneld_store_connected: "1",
  });
});

t.test("the counters of a data path are read with the metrics; there are none while it does not run", async (t) => {
  const metrics = createMetrics("1");
  let counters: Record<string, number> | undefined = { sentPackets: 7, droppedNoRoute: 0 };
  metrics.dataPath(async () => counters);
  const ofDataPath = async () =>
    Object.entries(await read(metrics)).filter(([name]) => name.startsWith("twill_flanneld_data_path"));
  t.strictSame(await ofDataPath(), [
    ['twill_flanneld_data_path_total{counter="sentPackets"}', "7"],
    ['twill_flanneld_data_path_total{counter="droppedNoRoute"}', "0"],
  ]);
  counters = { sentPackets: 1 };
  t.strictSame(await ofDataPath(), [['twill_flanneld_data_path_total{counter="sentPackets"}', "1"]], "another process");
  counters = undefined;
  t.strictSame(await ofDataPath(), []);
});
