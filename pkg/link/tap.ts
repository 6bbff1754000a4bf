/**
 * Tap devices, as `ip tuntap add mode tap` creates them. The kernel creates them only by ioctl on /dev/net/tun, not by netlink, in the
 * network namespace of the process that opens that file.
 *
 * A device is deleted with its last descriptor until it is made persistent. That is the last step, after its owner's alias was set: an
 * error or a signal in between leaves nothing behind.
 */

import { CniError, ErrorCode } from "../cni/error.ts";
import { withRollback } from "../cni/rollback.ts";
import { notAvailable } from "../cni/status.ts";
import { isErrno, SystemError } from "../sys/errno.ts";
import { closeFile, Open, openFile, writeExisting } from "../sys/file.ts";
import { within } from "../sys/namespace.ts";
import { environment, findCommand, type Program, run } from "../sys/process.ts";
import { call } from "../sys/syscall.ts";
import { decode } from "../sys/text.ts";
import { type LinkRef, nameInUse, unsupportedKind } from "./create.ts";
import { deleteLink, findLink, type Link, linkAfter } from "./link.ts";
import { setOwner } from "./owner.ts";
import {
  hasNoTun,
  IFF_MULTI_QUEUE,
  IFF_NO_PI,
  IFF_TAP,
  IFF_TUN_EXCL,
  IFF_VNET_HDR,
  setTunInterface,
  TUN_DEVICE,
} from "./tun.ts";

/** linux/if_tun.h */
const TUNSETPERSIST = 0x400454cb;
const TUNSETOWNER = 0x400454cc;
const TUNSETGROUP = 0x400454ce;

export interface TapOptions {
  /** Whether several programs, or threads of one, can each open a queue of the device. */
  multiQueue: boolean;
  /** The user and group IDs that may open it besides root. */
  owner: number | undefined;
  group: number | undefined;
  /** The SELinux label that it gets; the plugin's own when undefined. */
  selinuxContext: string | undefined;
}

/**
 * Creates the device, down; it has no carrier until a program opens it.
 *
 * @throws CniError 999: `ifName` exists there; the kernel has no tap devices, or refuses it
 */
export function createTap(place: LinkRef, options: TapOptions): Link {
  const { netns, container, ifName } = place;
  if (findLink(container, ifName) !== undefined) throw nameInUse(place, "creating the tap device");
  const { selinuxContext } = options;
  if (selinuxContext !== undefined) return createLabelledTap(place, selinuxContext, options);
  const fd = within(netns, () => openTap(place, options));
  try {
    const link = marked(place);
    call("ioctl", "TUNSETPERSIST", fd, TUNSETPERSIST, 1);
    return link;
  } finally {
    closeFile(fd);
  }
}

function createLabelledTap(place: LinkRef, label: string, options: TapOptions): Link {
  const { netns, container, ifName } = place;
  return withRollback((undo) => {
    const program = ipProgram(ifName, options);
    within(netns, () =>
      withExecLabel(label, () => {
        runIp(program, place, label);
        undo("delete the tap device", () => deleteLink(container, ifName));
      }),
    );
    return marked(place);
  });
}

/** Sets the alias of the new device and returns its link. By name, since no other link can have taken it. */
const marked = ({ container, ifName, owner }: LinkRef): Link =>
  linkAfter(container, owner === undefined ? [] : setOwner(ifName, owner), ifName);

/** Makes sure, for STATUS, that the kernel has tap devices. @throws CniError 50: it has not */
export function needTaps(): void {
  try {
    closeFile(openFile(TUN_DEVICE, Open.readWrite));
  } catch (error) {
    if (!(error instanceof SystemError) || !hasNoTun(error)) throw error;
    throw notAvailable(unsupportedKind("tun", error));
  }
}

/** Creates a device that exists until the returned descriptor is closed. */
function openTap(place: LinkRef, options: TapOptions): number {
  const { owner, group } = options;
  try {
    const fd = openFile(TUN_DEVICE, Open.readWrite);
    try {
      setTunInterface(fd, place.ifName, flagsOf(options));
      if (owner !== undefined) call("ioctl", `TUNSETOWNER ${owner}`, fd, TUNSETOWNER, owner);
      if (group !== undefined) call("ioctl", `TUNSETGROUP ${group}`, fd, TUNSETGROUP, group);
      return fd;
    } catch (error) {
      closeFile(fd);
      throw error;
    }
  } catch (error) {
    throw refused(error, place);
  }
}

/**
 * Returns the flags. The reference plugin creates devices in two ways, with different headers before each packet: with owner and group
 * there is a header for offloads, which virtual machines use, and, unless there are several queues, four bytes that name the protocol.
 */
function flagsOf({ multiQueue, owner, group }: TapOptions): number {
  const offloads = owner !== undefined && group !== undefined;
  return (
    IFF_TAP |
    IFF_TUN_EXCL |
    (multiQueue ? IFF_MULTI_QUEUE : 0) |
    (offloads ? IFF_VNET_HDR : 0) |
    (offloads && !multiQueue ? 0 : IFF_NO_PI)
  );
}

function refused(error: unknown, place: LinkRef): unknown {
  if (!(error instanceof SystemError)) return error;
  if (isErrno(error, "EBUSY")) return nameInUse(place, `creating the tap device (${error.message})`, { cause: error });
  if (hasNoTun(error)) return unsupportedKind("tun", error);
  return new CniError({
    code: ErrorCode.internal,
    msg: `the kernel refuses a tap device "${place.ifName}" in ${place.netns.path}`,
    details: error.message,
    remedy: isErrno(error, "EPERM", "EACCES")
      ? `run as root with CAP_NET_ADMIN, and check that the device cgroup allows ${TUN_DEVICE} (c 10:200 rw)`
      : `check "owner" and "group" of the network`,
    cause: error,
  });
}

/**
 * Returns the command `ip tuntap add mode tap name <ifName> …`, which is only run when a label is configured: a device gets the label of
 * the program that creates it, and SELinux policies allow `ip` to do so.
 */
function ipProgram(ifName: string, { multiQueue, owner, group }: TapOptions): Program {
  const variables = environment();
  const path = findCommand("ip");
  if (path === undefined) throw noIp(variables["PATH"] ?? "");
  return {
    path,
    args: [
      ...["tuntap", "add", "mode", "tap", "name", ifName],
      ...(multiQueue ? ["multi_queue"] : []),
      ...(owner === undefined ? [] : ["user", String(owner)]),
      ...(group === undefined ? [] : ["group", String(group)]),
    ],
    environment: variables,
    stdin: new Uint8Array(),
    takesStderr: true,
  };
}

const noIp = (path: string): CniError =>
  new CniError({
    code: ErrorCode.internal,
    msg: `there is no "ip" in PATH=${path}, which "selinuxContext" needs`,
    remedy: `install iproute2, or remove "selinuxContext"`,
  });

const EXEC_LABEL = "/proc/thread-self/attr/exec";

/** Calls `work` with the label for programs that it starts; programs that are started later have the plugin's own label again. */
function withExecLabel(label: string, work: () => void): void {
  try {
    writeExisting(EXEC_LABEL, label);
  } catch (error) {
    throw noLabel(label, error);
  }
  try {
    work();
  } finally {
    writeExisting(EXEC_LABEL, "\n"); // resets the label
  }
}

function runIp(program: Program, { ifName, netns }: LinkRef, label: string): void {
  const { status, stdout } = run(program);
  if (status === 0) return;
  throw new CniError({
    code: ErrorCode.internal,
    msg: `no tap device "${ifName}" in ${netns.path} as ${JSON.stringify(label)}`,
    details: `${[program.path, ...(program.args ?? [])].join(" ")}: exit status ${status}: ${decode(stdout).trim()}`,
    remedy: "see what SELinux denied (ausearch -m avc), and allow it or use another context",
  });
}

function noLabel(label: string, cause: unknown): CniError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new CniError({
    code: ErrorCode.internal,
    msg: `cannot set the SELinux context ${JSON.stringify(label)}`,
    details: reason,
    remedy: isErrno(cause, "EPERM", "EACCES")
      ? "change the policy so that the runtime's domain may set it (setexec)"
      : `check that the host has SELinux (sestatus) and that its policy has the context, or remove "selinuxContext"`,
    cause,
  });
}
