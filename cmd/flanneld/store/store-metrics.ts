/** Wraps a store so that its requests and events are counted. */
import type { Store } from "../../../pkg/cluster/lease/store.ts";
import { NoConfig } from "../../../pkg/cluster/lease/store-error.ts";
import type { Metrics, StoreOperation } from "../metrics.ts";

export function withStoreMetrics(store: Store, metrics: Metrics): Store {
  const timed = timedBy(metrics);
  return {
    description: store.description,
    readConfig: () => timed("readConfig", () => store.readConfig()),
    list: () => timed("list", () => store.list()),
    create: (...lease) => timed("create", () => store.create(...lease)),
    put: (...lease) => timed("put", () => store.put(...lease)),
    find: (subnets) => timed("find", () => store.find(subnets)),
    hasWritten: (lease) => store.hasWritten(lease),
    delete: (subnets) => timed("delete", () => store.delete(subnets)),
    watch: (event, trouble) => store.watch(countedEvents(metrics, event), countedTrouble(metrics, trouble)),
    reconnect: () => store.reconnect(),
    close: () => store.close(),
  };
}

type WatchArguments = Parameters<Store["watch"]>;

function timedBy(metrics: Metrics) {
  return async <T>(operation: StoreOperation, ask: () => Promise<T>): Promise<T> => {
    const started = performance.now();
    const answered = (outcome: "done" | "failed") =>
      metrics.storeRequest(operation, outcome, (performance.now() - started) / 1000);
    try {
      const answer = await ask();
      answered("done");
      metrics.store("connected");
      return answer;
    } catch (error) {
      answered(error instanceof NoConfig ? "done" : "failed"); // NoConfig is an answer
      throw error;
    }
  };
}

/** Counts events. A snapshot after the first one means that the watch had to begin again. */
function countedEvents(metrics: Metrics, event: WatchArguments[0]): WatchArguments[0] {
  let hasBegun = false;
  return (told) => {
    metrics.leaseEvent(told.kind);
    if (told.kind === "malformed") metrics.malformedLease();
    if (told.kind === "snapshot") {
      for (const _ of told.snapshot.malformed) metrics.malformedLease();
      if (hasBegun) metrics.watchRestarted();
      else metrics.store("connected");
      hasBegun = true;
    }
    event(told);
  };
}

function countedTrouble(metrics: Metrics, trouble: WatchArguments[1]): WatchArguments[1] {
  return (why) => {
    metrics.store(why ? "lost" : "connected");
    trouble(why);
  };
}
