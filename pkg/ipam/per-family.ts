/** How many addresses of a family a result has room for. Pure. */
import { invalidConf } from "../cni/error.ts";
import { type Address, isIPv4 } from "../ip/address.ts";

/**
 * Results before 0.3.0 have room for one address of each family.
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
