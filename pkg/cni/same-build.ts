/**
 * Whether another file is a copy of this program. The build writes the digest of the program behind it (build.mjs), so that the ends of two files tell.
 */
import { closeFile, findStat, Open, openFile } from "../sys/file.ts";
import { call } from "../sys/syscall.ts";
import { decode } from "../sys/text.ts";
import type { Executable } from "./find-executable.ts";

/** What the build writes: a line with the SHA-256 of everything before it. */
const BUILD_LINE = /^\ntwill [0-9a-f]{64}\n$/;
const BUILD_LINE_LENGTH = 72;

/** Reports whether the code of a file is that of this process, which can call it without starting it. */
export const isSameProgram = ({ path, isSelf }: Executable): boolean => isSelf || isSameBuild(path, "/proc/self/exe");

/** Reports whether two files are of the same build. */
export function isSameBuild(one: string, other: string): boolean {
  const [size, otherSize] = [one, other].map((path) => findStat(path)?.size);
  if (size === undefined || size !== otherSize || size < BUILD_LINE_LENGTH) return false;
  const line = endOf(one, size);
  return BUILD_LINE.test(line) && line === endOf(other, size);
}

function endOf(path: string, size: number): string {
  const fd = openFile(path, Open.readOnly);
  try {
    const end = new Uint8Array(BUILD_LINE_LENGTH);
    call("lseek", path, fd, size - BUILD_LINE_LENGTH, 0);
    return decode(end.subarray(0, call("read", path, fd, end, BUILD_LINE_LENGTH)));
  } finally {
    closeFile(fd);
  }
}
