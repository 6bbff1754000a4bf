/** static: the addresses that the network's configuration, or the call, names. It keeps nothing, so whether they are given once is up to whoever names them. */
import { validate } from "#validate/static";
import { CniError, ErrorCode } from "../../pkg/cni/error.ts";
import type { Attachment, Plugin } from "../../pkg/cni/plugin.ts";
import { needPrevResult } from "../../pkg/cni/prev-result.ts";
import { writeStderr } from "../../pkg/cni/process-io.ts";
import type { IpConfig, Result } from "../../pkg/cni/result.ts";
import { formatAddress, formatPrefix } from "../../pkg/ip/address.ts";
import { parseSettings, type StaticAddress, type StaticConf } from "./netconf.ts";

export const staticAddresses: Plugin<StaticConf> = {
  name: "static",
  about: "gives out the addresses that the configuration names",
  validate,
  add,
  del() {}, // nothing is kept
  check,
  gc() {},
  status: (request) => void parseSettings(request, ""),
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

/** The reference plugin passes over it as well, in silence. */
function tellIdle({ network }: Attachment<StaticConf>, gateway: string): void {
  writeStderr(
    `static: network "${network}": CNI_ARGS GATEWAY ${gateway} lies in no subnet of CNI_ARGS IP, and is ignored\n`,
  );
}

/** Only gateways that are named here are compared: the plugin that asked for the addresses may have given others theirs. */
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
