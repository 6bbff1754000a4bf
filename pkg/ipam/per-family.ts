/** Checks how many addresses of a family a result can hold. Pure. */
import { invalidConf } from "../cni/error.ts";
import { type Address, isIPv4 } from "../ip/address.ts";

/**
 * Refuses several addresses of one family for versions before 0.3.0, whose results can hold only one.
 *
 * @throws CniError 7 with the reference plugins' text
 */
export function refuseSeveralPerFamily(addresses: readonly Address[], cniVersion: string): void {
  if (!/^0\.[12]\./.test(cniVersion)) return;
  const ofIPv4 = addresses.filter(isIPv4).length;
  if (ofIPv4 <= 1 && addresses.length - ofIPv4 <= 1) return;
  throw invalidConf(
    `CNI version ${cniVersion} does not support more than 1 address per family`,
    'set "cniVersion" to "0.3.0" or later',
  );
}
