/**
 * What podman's own plugin `dnsname` has running: a dnsmasq for each network, on the port where this one answers. The names that it answers are those of attachments that are in the runtime's
 * cache, so that they can be answered here instead.
 *
 * @see containers/dnsname 1.3.1: files of a network in /run/containers/cni/dnsname/NETWORK, of a rootless user below XDG_RUNTIME_DIR
 */
import { CniError } from "../../pkg/cni/error.ts";
import { formatPrefix } from "../../pkg/ip/address.ts";
import { resultOf } from "../../pkg/network/attachment.ts";
import { unrecordedAttachmentIn } from "../../pkg/network/unrecorded-attachment.ts";
import { findDnsnameRecord, writeDnsnameRecord } from "../../pkg/resolver/dnsname-record.ts";
import { parseList } from "../../pkg/runtime/network-list.ts";
import { type CacheEntry, defaultCacheRoot, listCaches } from "../../pkg/runtime/result-cache.ts";
import { findKernelText, findStat, findText } from "../../pkg/sys/file.ts";
import { variable } from "../../pkg/sys/process.ts";
import { SIGTERM } from "../../pkg/sys/signal.ts";
import { ask } from "../../pkg/sys/syscall.ts";
import { findGateways, hostInode } from "./record.ts";

/**
 * Writes the records of the network's containers that podman's plugin has added, and ends its dnsmasq.
 *
 * @returns whether the port may be free soon: dnsmasq is ending, by this call or by that of another container
 */
export function takeOver(network: string): boolean {
  const directory = `${variable("XDG_RUNTIME_DIR") || "/run"}/containers/cni/dnsname/${network}`;
  if (findStat(directory) === undefined) return false;
  const pid = Number(findText(`${directory}/pidfile`)?.trim()); // dnsmasq removes the file when it ends
  for (const { entries } of listCaches(defaultCacheRoot, network)) for (const entry of entries) recordNames(entry);
  if (pid > 1 && isDnsmasqOf(directory, pid)) ask("kill", pid, SIGTERM);
  return true;
}

/** The ID of a process that has ended may be another one's by now. */
const isDnsmasqOf = (directory: string, pid: number): boolean =>
  findKernelText(`/proc/${pid}/cmdline`)?.split("\0").includes(`--conf-file=${directory}/dnsmasq.conf`) ?? false;

/** Of a container that has ended nothing is answered, nor of one whose interface on the host is gone, as its bridge is. */
function recordNames(entry: CacheEntry): void {
  const { networkName: network, containerId, ifName } = entry;
  const domain = domainIn(entry);
  const attachment = unrecordedAttachmentIn(entry, { id: "", internal: false });
  const result = resultOf(entry);
  if (domain === undefined || attachment === undefined || result === undefined) return;
  const gateways = findGateways(result)?.map(formatPrefix);
  if (gateways === undefined) return;
  if (findDnsnameRecord({ network, containerId, ifName }) !== undefined) return;
  const { containerName, aliases, addresses, namespace } = attachment;
  const names = [containerName, ...aliases];
  writeDnsnameRecord({
    network,
    containerId,
    ifName,
    names,
    domain,
    addresses,
    gateways,
    namespace,
    host: hostInode(),
  });
}

/** Returns undefined for a network without `dnsname`. */
function domainIn({ config, networkName }: CacheEntry): string | undefined {
  try {
    const plugin = parseList(config, `cached configuration of ${networkName}`).plugins.find(
      ({ type }) => type === "dnsname",
    );
    const domain = plugin?.["domainName"] ?? "";
    return plugin !== undefined && typeof domain === "string" ? domain : undefined;
  } catch (error) {
    if (error instanceof CniError) return undefined; // a list of a later version
    throw error;
  }
}
