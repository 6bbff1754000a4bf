/** Settings below /proc/sys/net, of the network namespace that the process is in when it opens the file. */
import { CniError, ErrorCode } from "../cni/error.ts";
import type { FamilyName } from "../ip/family.ts";
import { isErrno } from "../sys/errno.ts";
import { findKernelText, writeExisting } from "../sys/file.ts";

/** Returns the path of a setting. Its parts are separated by `/`, so that interface names may contain dots. */
const pathOf = (name: string): string => `/proc/sys/net/${name}`;

/** Returns the value without its newline; undefined when this kernel has no such setting (without IPv6, for example). */
export const findSysctl = (name: string): string | undefined => findKernelText(pathOf(name))?.trim();

/** Writes a setting. @throws SystemError ENOENT: this kernel has no such setting. CniError 5: /proc/sys is read-only */
export function writeSysctl(name: string, value: string): void {
  try {
    writeExisting(pathOf(name), value);
  } catch (error) {
    throw isErrno(error, "EROFS") ? readOnly(name, value, error) : error;
  }
}

const readOnly = (name: string, value: string, cause: unknown): CniError =>
  new CniError({
    code: ErrorCode.io,
    msg: `${pathOf(name)} cannot be set to ${value}: /proc/sys is read-only`,
    remedy:
      "where the runtime is in a container, make that one privileged, or mount it writable there: mount -o remount,rw /proc/sys",
    cause,
  });

/** Writes a setting that is optional; an error of the kernel is ignored. */
export function trySysctl(name: string, value: string): void {
  try {
    writeSysctl(name, value);
  } catch {
    // best effort, as the reference plugins do it
  }
}

/** Enables forwarding between interfaces, which a gateway on the host needs, unless it is enabled already. */
export function enableForwarding(family: FamilyName): void {
  const name = family === "ipv4" ? "ipv4/ip_forward" : "ipv6/conf/all/forwarding";
  if (findSysctl(name) !== "1") writeSysctl(name, "1");
}

/**
 * Keeps the host out of the network behind one of its links, on which it has no address: it resolves none of its addresses there, takes no
 * packet for itself, since none of their sources is behind that link for it, and forwards none.
 */
export function keepHostOut(link: string): void {
  writeSysctl(`ipv4/conf/${link}/arp_ignore`, "8"); // no answer for any local address
  writeSysctl(`ipv4/conf/${link}/rp_filter`, "1");
  writeSysctl(`ipv4/conf/${link}/forwarding`, "0");
  const ipv6 = `ipv6/conf/${link}/disable_ipv6`;
  if (findSysctl(ipv6) !== undefined) writeSysctl(ipv6, "1");
}
