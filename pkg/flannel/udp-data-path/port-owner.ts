/** Which process has a UDP port, as `ss -ulpn` tells it. */
import { findDirectory, findText, readLink } from "../../sys/file.ts";

/** The name of the data path process, as ss and ps show it in the place of "node". */
export const PROCESS_NAME = "flanneld-udp";

export function portOwner(port: number): { pid: number; name: string } | undefined {
  const inode = inodeOf(findText("/proc/self/net/udp") ?? "", port);
  if (inode === undefined) return undefined;
  for (const pid of (findDirectory("/proc") ?? []).filter((name) => /^[0-9]+$/.test(name))) {
    const fds = findDirectory(`/proc/${pid}/fd`) ?? [];
    if (fds.some((fd) => linkOf(`/proc/${pid}/fd/${fd}`) === `socket:[${inode}]`))
      return { pid: Number(pid), name: (findText(`/proc/${pid}/comm`) ?? "?").trim() };
  }
  return undefined;
}

/** Finds the port's socket in the text of /proc/net/udp: sl, local_address (hexadecimal), ..., and the inode in the tenth column. */
export function inodeOf(table: string, port: number): string | undefined {
  const ending = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const row = table
    .split("\n")
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .find(([, local]) => local?.endsWith(ending));
  return row?.[9];
}

function linkOf(path: string): string | undefined {
  try {
    return readLink(path);
  } catch {
    return undefined; // closed meanwhile, or its process has ended
  }
}
