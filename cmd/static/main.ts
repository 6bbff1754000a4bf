/** static: returns the addresses in the configuration or in the call. It stores nothing, so their uniqueness is up to the caller. */
import { validate } from "#validate/static";
import { CniError, ErrorCode } from "../../pkg/cni/error.ts";
import type { Attachment, Plugin } from "../../pkg/cni/plugin.ts";
import { needPrevResult } from "../../pkg/cni/prev-result.ts";
import type { IpConfig, Result } from "../../pkg/cni/result.ts";
import { orNotAvailable } from "../../pkg/cni/status.ts";
import { formatAddress, formatPrefix } from "../../pkg/ip/address.ts";
import { needFamilies } from "../../pkg/link/ipv6.ts";
import { writeStderr } from "../../pkg/sys/process.ts";
import { parseSettings, type StaticAddress, type StaticConf } from "./netconf.ts";

export const staticAddresses: Plugin<StaticConf> = {
  name: "static",
  about: "allocates the addresses that the configuration lists",
  validate,
  isIpam: true,
  add,
  del() {}, // nothing is stored
  check,
  gc() {},
  status: (request) => {
    const { addresses } = parseSettings(request, "");
    orNotAvailable(() => needFamilies(addresses.map(({ prefix }) => prefix)));
  },
};

function add(attachment: Attachment<StaticConf>): Result {
  const { ipam, addresses, idleGateways } = parseSettings(attachment, attachment.args);
  for (const gateway of idleGateways) tellIdle(attachment, formatAddress(gateway));
  return { interfaces: [], ips: addresses.map(ipOf), routes: ipam.routes ?? [], dns: ipam.dns };
}

const ipOf = ({ prefix, gateway }: StaticAddress): IpConfig => ({
  address: formatPrefix(prefix),
  ...(gateway && { gateway: formatAddress(gateway) }),
});

/** Warns about a gateway without effect. The reference plugin ignores it silently. */
function tellIdle({ network }: Attachment<StaticConf>, gateway: string): void {
  writeStderr(
    `static: network "${network}": CNI_ARGS GATEWAY ${gateway} is in no subnet of CNI_ARGS IP, and is ignored\n`,
  );
}

/** Compares only gateways that are named here: the plugin that delegates may have set other gateways itself. */
function check(attachment: Attachment<StaticConf>): void {
  const wanted = parseSettings(attachment, attachment.args).addresses.map(ipOf);
  const { ips } = needPrevResult(attachment);
  for (const { address, gateway } of wanted) {
    const found = ips.find((ip) => ip.address === address);
    if (found === undefined) throw mismatch(attachment, address, `prevResult does not have ${address}`);
    if (gateway !== undefined && found.gateway !== gateway) {
      const isNow = `its gateway in prevResult is ${found.gateway ?? "missing"}, must be ${gateway}`;
      throw mismatch(attachment, address, isNow);
    }
  }
}

function mismatch({ ifName }: Attachment<StaticConf>, address: string, details: string): CniError {
  return new CniError({
    code: ErrorCode.internal,
    msg: `static: Failed to match addr ${address.slice(0, address.indexOf("/"))} on interface ${ifName}`,
    details,
    remedy: "the network has changed since the container got its addresses: restart the container, or change it back",
  });
}
