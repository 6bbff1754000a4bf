/** The shapes that the parts of a pool share. */
import type { OwnerIndex } from "./owner-index.ts";
import type { RangeSet } from "./range.ts";
import type { Store } from "./store.ts";

export interface PoolConf {
  network: string;
  dataDir: string;
  sets: readonly RangeSet[];
  /** Take everything back that an earlier boot left, at the first call; otherwise only what is needed. */
  reclaimAfterReboot: boolean;
  /** How long an address that was given back is not given out again. */
  reuseDelayMs: number;
  /** Told of what is done without being asked for. */
  log(line: string): void;
}
export interface Pool extends PoolConf {
  readonly store: Store;
  readonly ownerIndex: OwnerIndex;
}
