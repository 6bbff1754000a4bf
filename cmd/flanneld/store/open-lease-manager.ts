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

/**
 * Returns the settings of the store that a flag selects; of the default one if flags of it are given as well: an early flannel, with its
 * leases in etcd, had a flag --subnet-dir for something else.
 */
export function selectStore(
  { values, from }: GivenFlags,
  check: FlagChecks<string> & { warnings: string[] },
): StoreSettings {
  const kinds: Readonly<Record<string, AnyStoreKind>> = stores;
  const sourceOf = (kind: string) => {
    const flag = kinds[kind]?.selectedBy;
    return flag !== undefined && values[flag] !== false ? from(flag) : undefined;
  };
  const selected = Object.keys(kinds).find((kind) => sourceOf(kind) !== undefined) ?? DEFAULT;
  const beside = Object.keys(stores[DEFAULT].flags).flatMap((name) => from(name) ?? []);
  const kind = beside.length > 0 ? DEFAULT : selected;
  if (kind !== selected)
    check.warnings.push(
      `${sourceOf(selected)} has no effect beside ${beside.join(", ")}: leases are kept in ${DEFAULT}; to use ${sourceOf(selected)}, leave out ${beside.join(", ")}`,
    );
  return { kind, ...kinds[kind]?.read(values, check) } as StoreSettings; // of one kind
}

/** @throws Error says what is wrong with the settings or this host, with the remedy */
export function openLeaseManager(settings: StoreSettings, context: StoreContext): LeaseManager {
  const store: AnyStoreKind = stores[settings.kind];
  return store.open(settings, context);
}
