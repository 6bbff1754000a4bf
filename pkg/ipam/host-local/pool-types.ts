/** Types shared by the parts of a pool. */
import type { OwnerIndex } from "./owner-index.ts";
import type { RangeSet } from "./range.ts";
import type { Store } from "./reservation-files.ts";

export interface PoolConf {
  network: string;
  dataDir: string;
  sets: readonly RangeSet[];
  /** Whether the first call reclaims everything that an earlier boot left; otherwise only what is needed is reclaimed. */
  reclaimAfterReboot: boolean;
  /** How long a released address is not allocated again. */
  reuseDelayMs: number;
  /** Called for each unrequested change. */
  log(line: string): void;
}
export interface Pool extends PoolConf {
  readonly store: Store;
  readonly ownerIndex: OwnerIndex;
}
