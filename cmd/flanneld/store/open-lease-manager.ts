/** Opens the lease manager of the store that the flags select. Its table of stores is the only place that knows which there are. */
import type { LeaseManager } from "../../../pkg/cluster/lease/manager.ts";
import { directory } from "./directory.ts";
import { etcd } from "./etcd.ts";
import type { AnyStoreKind, FlagChecks, StoreContext } from "./store-kind.ts";

const stores = { etcd, directory } satisfies Record<string, AnyStoreKind>;

/** The store where no flag selects another. */
const DEFAULT = "etcd";

type Stores = typeof stores;
type Intersection<Union> = (Union extends unknown ? (one: Union) => void : never) extends (all: infer All) => void
  ? All
  : never;

/** The flags of all stores. */
export const storeFlags = Object.assign({}, ...Object.values(stores).map(({ flags }) => flags)) as Intersection<
  Stores[keyof Stores]["flags"]
>; // a type of the same rows

/** The names of each store's flags, by the heading in `--help`. */
export const storeFlagGroups = Object.fromEntries(
  Object.values(stores).map(({ heading, flags }) => [heading, Object.keys(flags)]),
);

export type StoreSettings = {
  [Name in keyof Stores]: { kind: Name } & ReturnType<Stores[Name]["read"]>;
}[keyof Stores];

interface GivenFlags {
  values: Readonly<Record<string, unknown>>;
  /** Returns the source of a flag's value; undefined: it is not given. */
  from(name: string): string | undefined;
}

/** Returns the settings of the store that a flag selects, beside which flags of the default store are a problem; else of that one. */
export function selectStore(
  { values, from }: GivenFlags,
  check: FlagChecks<string> & { problems: string[] },
): StoreSettings {
  const kinds: Readonly<Record<string, AnyStoreKind>> = stores;
  const sourceOf = (kind: string) => {
    const flag = kinds[kind]?.selectedBy;
    return flag !== undefined && values[flag] !== false ? from(flag) : undefined;
  };
  const kind = Object.keys(kinds).find((kind) => sourceOf(kind) !== undefined) ?? DEFAULT;
  const unused = kind === DEFAULT ? [] : Object.keys(stores[DEFAULT].flags).flatMap((name) => from(name) ?? []);
  for (const flag of unused) check.problems.push(`${sourceOf(kind)} and ${flag} are both given; leave one of them out`);
  return { kind, ...kinds[kind]?.read(values, check) } as StoreSettings; // of one kind
}

/** @throws Error says what is wrong with the settings or this host, with the remedy */
export function openLeaseManager(settings: StoreSettings, context: StoreContext): LeaseManager {
  const store: AnyStoreKind = stores[settings.kind];
  return store.open(settings, context);
}
