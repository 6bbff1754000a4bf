/** host-local: allocates addresses from ranges of this host, and stores in files which container has which. */
import { validate } from "#validate/host-local";
import { CniError, ErrorCode } from "../../pkg/cni/error.ts";
import type { Attachment, Gc, Plugin, Request } from "../../pkg/cni/plugin.ts";
import type { Dns, Result } from "../../pkg/cni/result.ts";
import { needWritable, orNotAvailable, warnOfStatus } from "../../pkg/cni/status.ts";
import { type Address, formatAddress, formatPrefix, parsePrefix } from "../../pkg/ip/address.ts";
import { type Allocation, allocate, findExhaustion } from "../../pkg/ipam/host-local/allocate.ts";
import { withExistingPool, withPool } from "../../pkg/ipam/host-local/pool.ts";
import { collectGarbage } from "../../pkg/ipam/host-local/reclaim.ts";
import { formatReservation, type Owner } from "../../pkg/ipam/host-local/reservation.ts";
import { heldBy, releaseAll } from "../../pkg/ipam/host-local/reservations-by-owner.ts";
import { parseResolvConf } from "../../pkg/ipam/host-local/resolv-conf.ts";
import { needFamilies } from "../../pkg/link/ipv6.ts";
import { SystemError } from "../../pkg/sys/errno.ts";
import { readText } from "../../pkg/sys/file.ts";
import {
  type HostLocalConf,
  parseSettings,
  parseSettingsForAll,
  parseSettingsForDel,
  requestedAddresses,
  requestedAddressesForDel,
} from "./netconf.ts";

export const hostLocal: Plugin<HostLocalConf> = {
  name: "host-local",
  about: "allocates addresses from this host's ranges",
  validate,
  isIpam: true,
  add,
  del,
  check,
  gc,
  status,
};

function add(attachment: Attachment<HostLocalConf>): Result {
  const settings = parseSettings(attachment);
  const requested = requestedAddresses(attachment);
  const { routes = [], resolvConf } = settings.ipam;
  const dns = resolvConf ? readDns(resolvConf) : undefined;

  const allocations = withPool(settings, (pool) => allocate(pool, ownerOf(attachment), requested));

  return { interfaces: [], ips: allocations.map(ipOf), routes, dns };
}

function del(attachment: Attachment<HostLocalConf>): void {
  const settings = parseSettingsForDel(attachment);
  const hints = hintsOf(attachment, requestedAddressesForDel(attachment, settings));
  withExistingPool(settings, (pool) => releaseAll(pool, ownerOf(attachment), hints));
}

function check(attachment: Attachment<HostLocalConf>): void {
  const { containerId, ifName } = attachment;
  const settings = parseSettings(attachment);
  const found = withExistingPool(settings, (pool) =>
    heldBy(pool, ownerOf(attachment), hintsOf(attachment, requestedAddresses(attachment)), "directory"),
  );
  if (found && found.length > 0) return;
  throw new CniError({
    code: ErrorCode.internal,
    msg: `host-local: Failed to find address added by container ${containerId}`,
    details: `no file in ${settings.dataDir}/${settings.network} names the container with interface "${ifName}"`,
    remedy: "its address may be given to another container at any time: restart the container",
  });
}

function gc(request: Gc<HostLocalConf>): void {
  const alive = request.validAttachments.flatMap(({ containerId, ifName }) => [
    formatReservation({ containerId, ifName }),
    formatReservation({ containerId, ifName: undefined }), // files of old releases name only the container
  ]);
  const texts = new Set(alive);
  withExistingPool(parseSettingsForAll(request), (pool) =>
    collectGarbage(pool, (owner) => texts.has(formatReservation(owner))),
  );
}

/** Fails for a full range only if the configuration says so, since the range is no longer full when a container ends. */
function status(request: Request<HostLocalConf>): void {
  const settings = parseSettingsForAll(request);
  const { resolvConf } = settings.ipam;
  orNotAvailable(() => {
    needFamilies(settings.sets.flat().map(({ subnet }) => subnet));
    if (resolvConf) readDns(resolvConf);
  });
  needWritable(
    `no address of network "${settings.network}" can be reserved`,
    `${settings.dataDir}/${settings.network}`,
  );
  const exhaustion = withExistingPool(settings, findExhaustion);
  if (exhaustion === undefined) return;
  if (settings.ipam.failStatusWhenFull === true) throw exhaustion;
  warnOfStatus("host-local", settings.network, `ADD fails until an address is free: ${exhaustion.message}`);
}

const ownerOf = ({ containerId, ifName }: Attachment<HostLocalConf>): Owner => ({ containerId, ifName });

/** Returns addresses that the attachment probably has, according to the runtime. */
function hintsOf({ prevResult }: Attachment<HostLocalConf>, requested: readonly Address[]): string[] {
  const results = (prevResult?.ips ?? []).flatMap(({ address }) => parsePrefix(address)?.address ?? []);
  return [...results, ...requested].map(formatAddress);
}

function ipOf({ address, range }: Allocation): Result["ips"][number] {
  return {
    address: formatPrefix({ address, length: range.subnet.length }),
    gateway: formatAddress(range.gateway),
  };
}

function readDns(path: string): Dns {
  try {
    return parseResolvConf(readText(path));
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    throw new CniError({
      code: ErrorCode.io,
      msg: `"resolvConf" names "${path}", which cannot be read: ${error.message}`,
      remedy: 'make the file readable, or remove "ipam.resolvConf"',
      cause: error,
    });
  }
}
