/**
 * flannel: attaches containers to the subnet that flanneld has leased for this host. Another plugin does this, by default bridge
 * with host-local; this one makes its configuration, and stores it until DEL.
 */

import { validate } from "#validate/flannel";
import { runAllSteps } from "../../pkg/cni/best-effort-del.ts";
import {
  delegateAdd,
  delegateCheck,
  delegateDel,
  delegateGc,
  delegateRestore,
  delegateStatus,
} from "../../pkg/cni/delegate.ts";
import { encodeResult } from "../../pkg/cni/encode-result.ts";
import { CniError, ErrorCode, invalidConf } from "../../pkg/cni/error.ts";
import { findExecutable, PluginNotStarted } from "../../pkg/cni/find-executable.ts";
import type { Attachment, Gc, Plugin, Request, RestoreOptions } from "../../pkg/cni/plugin.ts";
import type { Result } from "../../pkg/cni/result.ts";
import { withRollback } from "../../pkg/cni/rollback.ts";
import { isSameProgram } from "../../pkg/cni/same-build.ts";
import { needWritable, orNotAvailable } from "../../pkg/cni/status.ts";
import { reportUnreadable } from "../../pkg/cni/unreadable-records.ts";
import { type JsonObject, printJson, sortKeys } from "../../pkg/config/json.ts";
import type { Connection } from "../../pkg/netlink/connection.ts";
import { writeStderr } from "../../pkg/sys/process.ts";
import { decode, encode } from "../../pkg/sys/text.ts";
import { type DelegateConf, delegateConf, delegateConfForDel } from "./delegate.ts";
import {
  dataDirOf,
  type FlannelConf,
  type FlannelSettings,
  type PluginConf,
  parseSettings,
  settingsOf,
} from "./netconf.ts";
import * as records from "./netconf-record.ts";
import { findSubnetEnv, needSubnetEnv, readableSubnetEnv, refuseLostLease } from "./subnet.ts";

export const flannel: Plugin<FlannelConf> = {
  name: "flannel",
  about: "attaches the container to the subnet that flanneld has for this host, through another plugin",
  validate,
  add,
  del,
  check,
  gc,
  status,
  restore,
};

function add(attachment: Attachment<FlannelConf>): Result {
  const settings = settingsFor(attachment);
  const { dataDir } = settings;
  const conf = delegateConf(settings, networkOf(attachment), needSubnetEnv(settings.subnetFile));
  const delegated = configured(attachment, conf);
  const file = records.fileOf(dataDir, attachment);
  const earlier = records.findRecord(dataDir, attachment, attachment.network);

  return withRollback((undo) => {
    undo(`undo the ADD of "${conf.type}"`, () => {
      if (earlier === undefined) takeBack(delegated, conf);
      if (earlier?.file === file) records.writeRecord(file, earlier.text, { onDisk: false });
      else records.removeRecord(file);
    });
    records.writeRecord(file, decode(delegated.stdin), { onDisk: mayOutliveUs(attachment, conf) });
    return delegateAdd(delegated, conf.type);
  });
}

/** Returns the settings. @throws CniError 7: what is invalid in the configuration alone, also a delegate of ours that makes no interface */
function settingsFor({ conf, delegates }: Request<FlannelConf>): FlannelSettings {
  const settings = parseSettings(conf);
  const { type } = settings.delegate;
  const plugin = Object.hasOwn(delegates, type) ? delegates[type] : undefined;
  if (plugin?.isIpam !== true && plugin !== flannel) return settings;
  throw invalidConf(
    `"delegate.type" is "${type}", which makes no interface`,
    'use a plugin that makes one, as bridge, ptp, macvlan or ipvlan, or leave it out for bridge; IPAM plugins belong in "ipam.type"',
  );
}

/** The network's keys as configured: the delegate's configuration has no version when this one has none. */
const networkOf = ({ network, conf }: Request<FlannelConf>) => ({ name: network, cniVersion: conf.cniVersion });

/** Returns the request with the delegate's configuration, byte for byte as the reference plugin prints it. */
const configured = <Call extends Request<FlannelConf>>(call: Call, conf: JsonObject): Call => ({
  ...call,
  stdin: encode(printJson(sortKeys(conf), "")),
});

/**
 * Whether the record must survive a power failure, so that DEL finds it. What our own plugins make is lost with the power, or is
 * cleaned up after the next boot (host-local's reservations); other plugins may have stored something elsewhere, as an IPAM that
 * keeps addresses in etcd. Waiting for the disk takes 0.4 ms here, a tenth of an ADD, and much longer on a hard disk.
 */
const mayOutliveUs = ({ delegates }: Attachment<FlannelConf>, { type, ipam }: DelegateConf): boolean =>
  !Object.hasOwn(delegates, type) || !Object.hasOwn(delegates, ipam.type);

/**
 * Undoes a failed ADD. Our own plugins leave nothing when they fail. Others get the DEL that the specification requires; if that
 * fails, the record stays, so that it can be repeated, but not for a plugin that cannot be started: it has made nothing, and each
 * DEL would fail. Not called after a repeated ADD: the container of the first one may be running.
 */
function takeBack(delegated: Attachment<FlannelConf>, { type }: PluginConf): void {
  try {
    if (!isOwn(delegated, type)) delegateDel(delegated, type);
  } catch (error) {
    if (!(error instanceof PluginNotStarted)) throw error;
  }
}

function isOwn({ path, delegates }: Attachment<FlannelConf>, type: string): boolean {
  return Object.hasOwn(delegates, type) && isSameProgram(findExecutable(type, path));
}

function del(attachment: Attachment<FlannelConf>): void {
  const remembered = records.findRecord(dataDirOf(attachment.conf), attachment, attachment.network);
  if (remembered === undefined) return;
  const { conf = confWithoutRecord(attachment), file } = remembered;
  if (remembered.conf === undefined && !records.isEmpty(remembered)) tellDamaged(file, attachment);
  delegateDel(configured(attachment, { ...conf, ...prevResultFor(conf, attachment) }), conf.type);
  records.removeRecord(file);
}

/** Returns what the network's configuration, and the subnet file if it can be read, tell of the delegate's: for a record that cannot be read. */
function confWithoutRecord(attachment: Attachment<FlannelConf>): DelegateConf {
  const settings = settingsOf(attachment.conf);
  return delegateConfForDel(settings, networkOf(attachment), readableSubnetEnv(settings.subnetFile));
}

/** Restores the rules that the delegate made. @throws CniError 999: the record of ADD is missing or damaged */
function restore(attachment: Attachment<FlannelConf>, netfilter: () => Connection, options: RestoreOptions): void {
  const { type, attachment: delegated } = delegateOf(attachment);
  delegateRestore(delegated, type, netfilter, options);
}

/** Returns the delegate's call for an attachment, as ADD recorded it. @throws CniError 999: there is no record, or it is damaged */
function delegateOf(attachment: Attachment<FlannelConf>): { type: string; attachment: Attachment<FlannelConf> } {
  const conf = records.findRecord(dataDirOf(attachment.conf), attachment, attachment.network)?.conf;
  if (conf === undefined) throw notRemembered(attachment);
  return { type: conf.type, attachment: configured(attachment, { ...conf, ...prevResultFor(conf, attachment) }) };
}

/** Returns prevResult in the version of the delegate's configuration, which may differ from the network's present version. */
function prevResultFor({ cniVersion }: PluginConf, { prevResult }: Attachment<FlannelConf>): JsonObject {
  if (prevResult === undefined || typeof cniVersion !== "string") return {};
  return { prevResult: encodeResult(prevResult, cniVersion) };
}

function tellDamaged(file: string, { containerId }: Attachment<FlannelConf>): void {
  writeStderr(
    `flannel: ${file} is damaged: container ${containerId} is deleted by the network's present configuration instead\n`,
  );
}

function check(attachment: Attachment<FlannelConf>): void {
  const { conf, cniVersion, network } = attachment;
  const remembered = records.findRecord(dataDirOf(conf), attachment, network)?.conf;
  if (remembered === undefined) throw notRemembered(attachment);
  const prevResult = conf.prevResult as JsonObject | undefined;
  const own = { ...remembered, cniVersion, ...(prevResult && { prevResult }) };
  delegateCheck(configured(attachment, own), remembered.type);
}

function notRemembered({ conf, containerId, ifName }: Attachment<FlannelConf>): CniError {
  return new CniError({
    code: ErrorCode.internal,
    msg: `there is no record of "${ifName}" of container ${containerId}`,
    details: `looked in ${dataDirOf(conf)} for the container's ID`,
    remedy: "delete the container and create it again: without the record its DEL deletes nothing",
  });
}

function gc(request: Gc<FlannelConf>): void {
  const settings = settingsFor(request);
  const unreadable: string[] = [];
  const remembered = records.listRecords(settings.dataDir, request.network, (file) => unreadable.push(file));
  reportUnreadable("flannel", request.network, unreadable);
  const stale = remembered.filter(({ owner }) => !isValid(owner, request));
  runAllSteps([
    ...stale.map((one) => [`delete container ${one.owner.containerId}`, () => remove(request, one)] as const),
    ["remove a record that a power failure has emptied", () => records.removeEmptyRecord(settings.dataDir)],
    ["run GC of the delegate", () => collect(request, settings, remembered.at(-1)?.conf)],
  ]);
}

function remove(request: Gc<FlannelConf>, { file, conf, owner }: records.OwnedRecord): void {
  const { containerId, ifName = USUAL_INTERFACE } = owner;
  const attachment = { ...request, containerId, ifName, netns: undefined, args: "", prevResult: undefined };
  delegateDel(configured(attachment, conf), conf.type);
  records.removeRecord(file);
}

/** The interface name that runtimes normally use, for records of the reference plugin, which do not contain it. */
const USUAL_INTERFACE = "eth0";

const isValid = ({ containerId, ifName }: records.RecordOwner, { validAttachments }: Gc<FlannelConf>): boolean =>
  validAttachments.some(
    (valid) => valid.containerId === containerId && (ifName === undefined || valid.ifName === ifName),
  );

/**
 * Calls the delegate's GC. It needs a configuration: the present one or, before flanneld has written the subnet file, one from a
 * record. If there is neither, nothing was ever attached.
 */
function collect(request: Gc<FlannelConf>, settings: FlannelSettings, remembered: PluginConf | undefined): void {
  const env = findSubnetEnv(settings.subnetFile);
  const conf = env === undefined ? remembered : delegateConf(settings, networkOf(request), env);
  if (conf === undefined) return;
  const { cniVersion, validAttachments } = request;
  const valid = validAttachments.map(({ containerId, ifName }) => ({ containerID: containerId, ifname: ifName }));
  delegateGc(configured(request, { ...conf, cniVersion, "cni.dev/valid-attachments": valid }), conf.type);
}

function status(request: Request<FlannelConf>): void {
  const settings = settingsFor(request);
  const env = orNotAvailable(() => needSubnetEnv(settings.subnetFile));
  refuseLostLease(settings.subnetFile);
  needWritable("no record of an attachment can be written", settings.dataDir);
  const conf = delegateConf(settings, networkOf(request), env);
  delegateStatus(configured(request, conf), conf.type);
}
