/** Errors of a store that may be temporary: the daemon tries again. */

/** The store has no network configuration yet: the administrator must write it. `message` says how. */
export class NoConfig extends Error {
  override name = "NoConfig";
}

/** The store has no subnet for this host: every one is leased, or none is assigned to it yet. `message` has the remedy. */
export class NoSubnet extends Error {
  override name = "NoSubnet";
}

/** The store did not perform a request. `message` has the reason and the remedy. */
export class StoreError extends Error {
  override name = "StoreError";
}
