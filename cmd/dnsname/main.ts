/**
 * dnsname: answers the names of a network's containers at the host's addresses in it, as podman's plugin of that name does with dnsmasq. The resolver of `twill resolver` answers; this plugin
 * writes down what, starts it, and tells the runtime where it is.
 */
import { validate } from "#validate/dnsname";
import { CniError, ErrorCode, failureOf } from "../../pkg/cni/error.ts";
import type { Attachment, Gc, Plugin } from "../../pkg/cni/plugin.ts";
import { needPrevResult } from "../../pkg/cni/prev-result.ts";
import type { Dns, Result } from "../../pkg/cni/result.ts";
import { withRollback } from "../../pkg/cni/rollback.ts";
import { formatAddress, type Prefix } from "../../pkg/ip/address.ts";
import { checkFailure } from "../../pkg/link/check.ts";
import type { SyncAnswer } from "../../pkg/resolver/control.ts";
import {
  collectDnsnameRecords,
  type DnsnameRecord,
  findDnsnameRecord,
  removeDnsnameRecord,
  writeDnsnameRecord,
} from "../../pkg/resolver/dnsname-record.ts";
import { listenKey } from "../../pkg/resolver/served.ts";
import { requestIfListening, resolverPaths, syncResolver } from "../../pkg/resolver/start.ts";
import { nowMs, sleepMs } from "../../pkg/sys/clock.ts";
import { SystemError } from "../../pkg/sys/errno.ts";
import { writeStderr } from "../../pkg/sys/process.ts";
import type { DnsnameConf } from "./netconf.ts";
import { takeOver } from "./podman-dnsmasq.ts";
import { addressesIn, gatewaysOf, hostLinksOf, recordOf } from "./record.ts";

/** For podman's dnsmasq to give its port back. */
const LONGEST_END_MS = 2000;
const END_STEP_MS = 20;

export const dnsname: Plugin<DnsnameConf> = {
  name: "dnsname",
  about: "answers the names of containers on the gateway address",
  validate,
  add,
  del,
  check,
  gc,
  status() {}, // which address has to be free is known when a container is added
};

function add(attachment: Attachment<DnsnameConf>): Result {
  const result = needPrevResult(attachment, "must be called as chained plugin");
  const addresses = addressesIn(result);
  const gateways = gatewaysOf(result);
  if (gateways.length === 0) {
    const links = hostLinksOf(result).map((name) => JSON.stringify(name));
    writeStderr(
      `dnsname: network "${attachment.network}": no address of ${links.join(" or ")} is the network's, so that no names are answered; To fix: set "isGateway" in the plugin that makes it\n`,
    );
    return result;
  }
  const record = recordOf(attachment, addresses, gateways);
  return withRollback((undo) => {
    undo("remove the names", () => del(attachment));
    writeDnsnameRecord(record);
    serve(record, gateways);
    return { ...result, dns: withServers(result.dns, gateways, record.domain) };
  });
}

/** Has the resolver answer at the gateways, also where podman's dnsmasq did. @throws CniError 999: it cannot */
function serve(record: DnsnameRecord, gateways: readonly Prefix[]): void {
  let answer = syncResolver(resolverPaths);
  const isServed = () => unservedOf(answer, record, gateways) === undefined;
  if (!isServed() && takeOver(record.network)) {
    for (const end = nowMs() + LONGEST_END_MS; !isServed() && nowMs() < end; ) {
      sleepMs(END_STEP_MS);
      answer = syncResolver(resolverPaths);
    }
  }
  refuseUnserved(answer, record, gateways);
}

/** @throws CniError 999: a gateway's address is not served */
function refuseUnserved(answer: SyncAnswer, record: DnsnameRecord, gateways: readonly Prefix[]): void {
  if (answer.unserved === undefined) {
    throw new CniError({
      code: ErrorCode.internal,
      msg: `the resolver on ${resolverPaths.socket} is of an earlier build, which does not know dnsname`,
      remedy: "end its two processes, twill-resolver; the next ADD starts another one",
    });
  }
  const failed = unservedOf(answer, record, gateways);
  if (failed === undefined) return;
  const { problem, remedy } = failed;
  throw new CniError({ code: ErrorCode.internal, msg: `names cannot be answered: ${problem}`, remedy });
}

/** Returns an address of the gateways at which the resolver cannot listen; undefined: it listens at all. */
function unservedOf({ unserved = [] }: SyncAnswer, { host }: DnsnameRecord, gateways: readonly Prefix[]) {
  const keys = gateways.map(({ address }) => listenKey({ namespace: { inode: host }, address }));
  return unserved.find(({ key }) => keys.includes(key));
}

/** Puts the servers before those that were there, and the domain behind. */
function withServers(dns: Dns = {}, gateways: readonly Prefix[], domain: string): Dns {
  return {
    ...dns,
    nameservers: [...gateways.map(({ address }) => formatAddress(address)), ...(dns.nameservers ?? [])],
    search: [...(dns.search ?? []), ...(domain === "" ? [] : [domain])],
  };
}

function del(attachment: Attachment<DnsnameConf>): void {
  if (removeDnsnameRecord(attachment)) tellResolver();
}

/** Has the resolver read the records, if it runs. If it does not answer, it sees within seconds that they have changed. */
function tellResolver(): void {
  try {
    requestIfListening(resolverPaths.socket);
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    writeStderr(`dnsname: the resolver does not answer: ${failureOf(error).message}\n`);
  }
}

function check(attachment: Attachment<DnsnameConf>): void {
  const result = needPrevResult(attachment);
  const gateways = gatewaysOf(result);
  if (gateways.length === 0) return;
  const record = findDnsnameRecord(attachment);
  const wanted = addressesIn(result).join(", ");
  if (record?.addresses.join(", ") !== wanted) {
    const found = record === undefined ? "no names" : `names of ${record.addresses.join(", ")}`;
    throw checkFailure(`the container has ${found} in the network, must have those of ${wanted}`);
  }
  const answer = requestIfListening(resolverPaths.socket);
  if (answer === undefined) {
    throw new CniError({
      code: ErrorCode.internal,
      msg: "no resolver runs that answers names",
      remedy: "start it: `twill resolver --sync`; /run/twill/resolver.log says why the last one has ended",
    });
  }
  refuseUnserved(answer, record, gateways);
}

function gc({ network, validAttachments }: Gc<DnsnameConf>): void {
  if (collectDnsnameRecords(network, validAttachments)) tellResolver();
}
