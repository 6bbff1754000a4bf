/**
 * The daemon's metrics for Prometheus. prom-client's default collectors are not used: one of them wakes the process a hundred
 * times a second.
 */
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { PassOutcome } from "../../pkg/cluster/event-loop/reconcile-loop.ts";
import type { LeaseEvent } from "../../pkg/cluster/lease/event.ts";
import type { ApplyResult, Backend } from "../../pkg/flannel/backend/backend.ts";

/** Records events; no method throws or is slow. */
export interface Metrics {
  /** Sets the number of other hosts that have a lease. */
  peers(count: number): void;
  leaseEvent(kind: LeaseEvent["kind"]): void;
  malformedLease(): void;
  /** Sets the expiry of our own lease, milliseconds since 1970; undefined: it does not expire. */
  leaseExpires(expiresMs: number | undefined): void;
  /** Returns what records the passes of a reconcile loop. */
  reconciled(loop: ReconcileLoopName): (outcome: PassOutcome, seconds: number) => void;
  /** Records a pass that sent changes of leases to the kernel. */
  programmed(done: ApplyResult, seconds: number): void;
  /** Records a pass that repaired entries that another program changed. */
  repairedEntries(done: ApplyResult): void;
  /** @param chains The number of chains that had to be changed. */
  repairedRules(chains: number): void;
  storeRequest(operation: StoreOperation, outcome: "done" | "failed", seconds: number): void;
  store(state: "connected" | "lost"): void;
  watchRestarted(): void;
  /** Adds the counters of a backend's own data path, which are read with the metrics. */
  dataPath(read: NonNullable<Backend["counters"]>): void;
  /** Returns the text that Prometheus reads. */
  text(): Promise<string>;
  readonly contentType: string;
}

const storeOperations = ["readConfig", "list", "create", "put", "find", "delete"] as const;
export type StoreOperation = (typeof storeOperations)[number];

const loops = ["entries", "interface", "rules", "blackhole"] as const;
export type ReconcileLoopName = (typeof loops)[number];
const passOutcomes: readonly PassOutcome[] = ["unchanged", "repaired", "failed"];

const eventKinds: readonly LeaseEvent["kind"][] = ["snapshot", "put", "gone", "malformed"];
const entryOutcomes = ["added", "removed", "refused"] as const;

/** Buckets in seconds: from a change of one peer to a pass over thousands; from a reply over loopback to a deadline. */
const programmingBuckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];
const requestBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export function createMetrics(version: string): Metrics {
  const registry = new Registry();
  const { gauge, counter, histogram } = metersOf(registry);
  addProcess(registry);
  gauge("build_info", "Always 1; the labels have the versions of flanneld and Node.", ["version", "node"]).set(
    { version, node: process.versions.node },
    1,
  );
  const peers = gauge("peers", "Other hosts that have a lease.");
  const expiry = gauge(
    "lease_expiry_timestamp_seconds",
    "Expiry of this host's lease, in seconds since 1970; 0 without a lease.",
  );
  const events = counter("lease_events_total", "Lease events received from the store.", { kind: eventKinds });
  const malformed = counter("malformed_leases_total", "Invalid leases that were skipped.");
  const programming = histogram("programming_seconds", "Time to program lease changes in the kernel.", {
    buckets: programmingBuckets,
  });
  const entries = counter("entries_total", "Routes, neighbours and FDB entries sent to the kernel.", {
    outcome: entryOutcomes,
  });
  const passes = counter("reconcile_passes_total", "Comparisons of what should be in the kernel with what is.", {
    loop: loops,
    outcome: passOutcomes,
  });
  const passing = counter("reconcile_seconds_total", "Time that these comparisons took, repairs included.", {
    loop: loops,
  });
  const entryRepairs = counter(
    "entry_repairs_total",
    "Kernel entries repaired after another process had changed them.",
  );
  const ruleRepairs = counter("rule_repairs_total", "Chains of rules repaired after another process had changed them.");
  const requests = histogram("store_request_seconds", "Response time of the store.", {
    buckets: requestBuckets,
    labels: { operation: storeOperations },
  });
  const errors = counter("store_errors_total", "Requests to the store that failed.", {
    operation: storeOperations,
  });
  const connected = gauge("store_connected", "1 while the store answers, else 0.");
  const restarts = counter(
    "watch_restarts_total",
    "Times that all leases were listed again because events may have been lost.",
  );

  const countEntries = ({ added, removed, refused }: ApplyResult) => {
    entries.inc({ outcome: "added" }, added);
    entries.inc({ outcome: "removed" }, removed);
    entries.inc({ outcome: "refused" }, refused.length);
  };
  return {
    peers: (count) => peers.set(count),
    leaseEvent: (kind) => events.inc({ kind }),
    malformedLease: () => malformed.inc(),
    leaseExpires: (expiresMs) => expiry.set(expiresMs === undefined ? Number.POSITIVE_INFINITY : expiresMs / 1000),
    reconciled: (loop) => (outcome, seconds) => {
      passes.inc({ loop, outcome });
      passing.inc({ loop }, seconds);
    },
    programmed(done, seconds) {
      programming.observe(seconds);
      countEntries(done);
    },
    repairedEntries(done) {
      entryRepairs.inc(done.added + done.removed);
      countEntries(done);
    },
    repairedRules: (chains) => ruleRepairs.inc(chains),
    storeRequest(operation, outcome, seconds) {
      requests.observe({ operation }, seconds);
      if (outcome === "failed") errors.inc({ operation });
    },
    store: (state) => connected.set(state === "connected" ? 1 : 0),
    watchRestarted: () => restarts.inc(),
    dataPath: (read) => addDataPath(registry, read),
    text: () => registry.metrics(),
    contentType: registry.contentType,
  };
}

/** All values of each label: their series exist from the start, so that `rate` sees the first increase. */
type Labels = Readonly<Record<string, readonly string[]>>;

function metersOf(registry: Registry) {
  const named = (name: string, help: string) => ({ name: `twill_flanneld_${name}`, help, registers: [registry] });
  return {
    gauge: (name: string, help: string, labelNames: string[] = []) => new Gauge({ ...named(name, help), labelNames }),
    counter(name: string, help: string, labels: Labels = {}): Counter {
      const counter = new Counter({ ...named(name, help), labelNames: Object.keys(labels) });
      for (const series of seriesOf(labels)) counter.inc(series, 0);
      return counter;
    },
    histogram(name: string, help: string, { buckets, labels = {} }: { buckets: number[]; labels?: Labels }): Histogram {
      const histogram = new Histogram({ ...named(name, help), labelNames: Object.keys(labels), buckets });
      for (const series of seriesOf(labels)) histogram.zero(series);
      return histogram;
    },
  };
}

const seriesOf = (labels: Labels): Record<string, string>[] =>
  Object.entries(labels).reduce<Record<string, string>[]>(
    (series, [name, values]) => series.flatMap((one) => values.map((value) => ({ ...one, [name]: value }))),
    [{}],
  );

/** Adds counters that another process keeps; without it there are none. */
function addDataPath(registry: Registry, read: NonNullable<Backend["counters"]>): void {
  new Counter({
    name: "twill_flanneld_data_path_total",
    help: "Packets and bytes that the data path process has carried, and packets that it has dropped, since it was started.",
    labelNames: ["counter"],
    registers: [registry],
    async collect() {
      const counters = await read();
      this.reset();
      for (const [counter, count] of Object.entries(counters ?? {})) this.inc({ counter }, count);
    },
  });
}

/** Adds metrics of the process, read on demand, under the names that dashboards expect. */
function addProcess(registry: Registry): void {
  const read = (name: string, help: string, value: () => number) =>
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(value());
      },
    });
  const { timeOrigin } = performance;
  read("process_start_time_seconds", "Start time of the process, in seconds since 1970.", () => timeOrigin / 1000);
  read("process_resident_memory_bytes", "Resident memory of the process in bytes.", () => process.memoryUsage.rss());
  read("process_cpu_seconds_total", "User and system CPU time of the process in seconds.", () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  });
}
