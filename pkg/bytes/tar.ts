/** Tar archives of files, in the format of POSIX.1-1988 (ustar). Pure. */
import { concat } from "./concat.ts";

export interface TarFile {
  /** Relative, of at most 100 ASCII characters. */
  path: string;
  content: Uint8Array;
}

const BLOCK = 512;

/** Returns an archive with these files in this order, as root's with mode 0600. @param time Seconds since 1970 */
export function tarOf(files: readonly TarFile[], time: number): Uint8Array {
  const parts = files.flatMap(({ path, content }) => [
    header(path, content.length, time),
    content,
    new Uint8Array((BLOCK - (content.length % BLOCK)) % BLOCK),
  ]);
  return concat([...parts, new Uint8Array(2 * BLOCK)]);
}

function header(path: string, size: number, time: number): Uint8Array {
  if (path.length > 100 || !/^[!-~]+$/.test(path)) throw new RangeError(`${path} is no path for a tar archive`);
  const block = new Uint8Array(BLOCK);
  const put = (at: number, text: string) =>
    block.set(
      Array.from(text, (character) => character.charCodeAt(0)),
      at,
    );
  const octal = (number: number, digits: number) => `${Math.floor(number).toString(8).padStart(digits, "0")}\0`;
  put(0, path);
  put(100, octal(0o600, 7) + octal(0, 7) + octal(0, 7) + octal(size, 11) + octal(time, 11));
  put(148, "        "); // the checksum counts as spaces
  put(156, "0");
  put(257, "ustar\x0000");
  put(265, "root");
  put(297, "root");
  put(
    148,
    `${block
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, "0")}\0 `,
  );
  return block;
}
