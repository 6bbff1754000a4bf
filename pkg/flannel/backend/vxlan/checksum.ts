/**
 * Checksum offload of the device. Behind NAT some kernels send tunnelled packets with checksums that nobody completed, and receivers
 * drop them (flannel issues 1279, 1929): there it is switched off. Elsewhere "auto" leaves it as it is: switching it off costs speed,
 * switching it on would undo what an administrator did.
 */

import type { Log } from "../../../cluster/log/log.ts";
import { offloadsTxChecksum, startTxChecksumOffload, stopTxChecksumOffload } from "../../../link/ethtool.ts";
import { SystemError } from "../../../sys/errno.ts";
import type { TxChecksum } from "./settings.ts";

export function applyTxChecksum(
  device: string,
  settings: TxChecksum,
  { isBehindNat, log }: { isBehindNat: boolean; log: Log },
): void {
  if (settings === "auto" && !isBehindNat) return;
  const offload = settings === "on";
  try {
    if (offloadsTxChecksum(device) === offload) return;
    if (offload) startTxChecksumOffload(device);
    else stopTxChecksumOffload(device);
    log.info("checksum offload of the device was switched", { device, TxChecksum: settings, offload, isBehindNat });
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    log.warn("checksum offload of the device cannot be switched", {
      device,
      TxChecksum: settings,
      error: error.message,
    });
  }
}
