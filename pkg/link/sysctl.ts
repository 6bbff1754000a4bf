/** Settings under /proc/sys/net. They belong to the namespace the process is in when it opens the file. */
import { findText, writeExisting } from "../sys/file.ts";

/** Path parts are separated by `/`, so that names of interfaces may have dots. */
const pathOf = (name: string): string => `/proc/sys/net/${name}`;

/** The value without its newline; undefined where this kernel has no such setting (no IPv6, say). */
export const findSysctl = (name: string): string | undefined => findText(pathOf(name))?.trim();

/** @throws SystemError ENOENT: this kernel has no such setting */
export function writeSysctl(name: string, value: string): void {
  writeExisting(pathOf(name), value);
}

/** For settings that are an improvement only: where the kernel lacks or refuses them, nothing is lost. */
export function trySysctl(name: string, value: string): void {
  try {
    writeSysctl(name, value);
  } catch {
    // best effort, as the reference plugins do it
  }
}

/** Routing between interfaces, which a gateway on the host needs. Left alone when it is on. */
export function enableForwarding(family: "4" | "6"): void {
  const name = family === "4" ? "ipv4/ip_forward" : "ipv6/conf/all/forwarding";
  if (findSysctl(name) !== "1") writeSysctl(name, "1");
}
