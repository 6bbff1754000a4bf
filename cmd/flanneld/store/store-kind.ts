/** What flanneld knows of a kind of store: its flags, what they mean, and how to open its lease manager. open-lease-manager.ts lists all kinds. */
import type { LeaseManager } from "../../../pkg/cluster/lease/manager.ts";
import type { Store } from "../../../pkg/cluster/lease/store.ts";
import { createStoreManager } from "../../../pkg/cluster/lease/store-manager.ts";
import type { Log } from "../../../pkg/cluster/log/log.ts";
import type { Metrics } from "../metrics.ts";
import type { FlagTable, ValuesOf } from "../options/flag.ts";
import { withStoreMetrics } from "./store-metrics.ts";

export interface StoreKind<Flags extends FlagTable, Settings extends object> {
  /** The heading of its flags in `--help`. */
  heading: string;
  flags: Flags;
  /** The flag that selects this store where it is given; undefined for the store that is used otherwise. */
  selectedBy?: keyof Flags & string;
  /** Returns what the flags say; problems are added to those of the other flags. Pure. */
  read(values: ValuesOf<Flags>, check: FlagChecks<keyof Flags & string>): Settings;
  /** @throws Error says what is wrong with the settings or this host, with the remedy */
  open(settings: Settings, context: StoreContext): LeaseManager;
}

/** Any kind of store, for code that handles all of them: values and settings are those of the same kind. */
export interface AnyStoreKind {
  heading: string;
  flags: FlagTable;
  selectedBy?: string;
  read(values: object, check: FlagChecks<string>): object;
  open(settings: object, context: StoreContext): LeaseManager;
}

/** Checks of text flags. What they return is valid only if there is no problem. */
export interface FlagChecks<Name extends string> {
  notEmpty(name: Name): string;
  /** Requires that both are given or none. */
  pair(name: Name, other: Name): void;
  /** Returns what `parse` makes of the text; the message of an error that it throws is a problem. */
  parsed<Value>(name: Name, parse: (text: string) => Value): Value | undefined;
}

export interface StoreContext {
  /** How long before its expiry a lease is renewed, if it expires. */
  renewMarginMs: number;
  log: Log;
  metrics: Metrics;
}

/** Makes the lease manager of a store that keeps leases under keys; its requests and events are counted. */
export const managerOf = (store: Store, { renewMarginMs, log, metrics }: StoreContext): LeaseManager =>
  createStoreManager(withStoreMetrics(store, metrics), { renewMarginMs, log });
