/**
 * Switches checksum offload of the device. Behind NAT some kernels send tunnelled packets with incomplete checksums, which receivers
 * drop (flannel issues 1279, 1929): there "auto" switches it off. Elsewhere "auto" leaves it unchanged: switching it off costs speed,
 * switching it on would undo an administrator's change.
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
    log.info("changed the checksum offload of the device", { device, TxChecksum: settings, offload, isBehindNat });
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    log.warn("cannot change the checksum offload of the device", {
      device,
      TxChecksum: settings,
      error: error.message,
    });
  }
}
