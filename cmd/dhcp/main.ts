/** dhcp: addresses from a DHCP server of the container's network. The plugin calls the daemon, which acquires and renews leases. */

import { validate } from "#validate/dhcp";
import { CniError, ErrorCode, invalidConf } from "../../pkg/cni/error.ts";
import type { Attachment, Gc, Plugin, Request } from "../../pkg/cni/plugin.ts";
import type { Result } from "../../pkg/cni/result.ts";
import { orNotAvailable } from "../../pkg/cni/status.ts";
import { readLink } from "../../pkg/sys/file.ts";
import { writeStderr } from "../../pkg/sys/process.ts";
import { type DhcpConf, optionsToSend, socketPathOf } from "./netconf.ts";
import { ALLOCATE, type CallArgs, CHECK, COLLECT, RELEASE, resultOfGob, STATUS } from "./protocol.ts";
import { callDaemon, callTwillDaemon, DaemonUnreachable } from "./rpc-client.ts";

export const dhcp: Plugin<DhcpConf> = {
  name: "dhcp",
  about: "gets addresses from a DHCP server, through dhcp daemon",
  validate,
  isIpam: true,
  add,
  del,
  check,
  gc,
  status,
};

function add(attachment: Attachment<DhcpConf>): Result {
  const { conf, args } = attachment;
  needIpam(conf);
  optionsToSend(conf, args, ""); // validates them before the daemon is called
  try {
    return resultOfGob(callDaemon(socketPathOf(conf), ALLOCATE, callOf(attachment)));
  } catch (error) {
    if (error instanceof DaemonUnreachable && error.wasConnected) del(attachment); // its answer was lost, and it may have a lease
    throw error;
  }
}

/** Releases the lease. One that cannot be released expires by itself; the specification names DHCP as a case in which DEL need not fail. */
function del(attachment: Attachment<DhcpConf>): void {
  try {
    callDaemon(socketPathOf(attachment.conf), RELEASE, callOf(attachment));
  } catch (error) {
    if (!(error instanceof DaemonUnreachable)) throw error;
    writeStderr(`dhcp: network "${attachment.network}": a lease is not released and will expire: ${error.msg}\n`);
  }
}

function check(attachment: Attachment<DhcpConf>): void {
  const { conf, prevResult } = attachment;
  needIpam(conf);
  const [path, call] = [socketPathOf(conf), callOf(attachment)];
  const [held] = resultOfGob(callTwillDaemon(path, CHECK, call, () => callDaemon(path, ALLOCATE, call))).ips;
  const expected = prevResult?.ips.map(({ address }) => address) ?? [];
  if (held === undefined || expected.length === 0 || expected.includes(held.address)) return;
  throw new CniError({
    code: ErrorCode.internal,
    msg: `dhcp: the lease is for ${held.address}, must be for ${expected.join(" or ")}, which prevResult has`,
    remedy: "the address in use may be given to another host at any time: restart the container",
  });
}

/** Releases leases of attachments that are not valid and whose namespace still exists; the daemon drops the others by itself. */
function gc(request: Gc<DhcpConf>): void {
  callTwillDaemon(socketPathOf(request.conf), COLLECT, callOf(request), () => ({}));
}

function status(request: Request<DhcpConf>): void {
  orNotAvailable(() => callTwillDaemon(socketPathOf(request.conf), STATUS, callOf(request), () => ({})));
}

function needIpam({ ipam }: DhcpConf): void {
  if (ipam === undefined) throw invalidConf(`"ipam" is missing`, 'add "ipam": {"type": "dhcp"}');
}

/** Makes the call's arguments, with an absolute namespace path: the daemon may have another working directory. */
function callOf(request: Request<DhcpConf> & Partial<Attachment<DhcpConf>>): CallArgs {
  const { containerId = "", netns = "", ifName = "", args = "", path, stdin } = request;
  const absolute = netns === "" || netns.startsWith("/") ? netns : `${readLink("/proc/self/cwd")}/${netns}`;
  return { containerId, netns: absolute, ifName, args, path: path.join(":"), stdin };
}
