// Archives that are the same byte by byte whoever makes them, and when: tar, and ar as in packages of Debian.
import { posix } from "node:path";

const BLOCK = 512;

/**
 * @typedef {{ path: string, content: Buffer, mode?: number } | { path: string, hardLink: string } | { path: string, symbolicLink: string }} Entry
 *   What is in an archive: a file, a hard link to a file that stands before it, or a symbolic link. Paths have no slash in front.
 */

/** Returns a tar archive with these entries in this order, each folder before what is in it; all are root's. @param time In seconds */
export function tarOf(entries, time, { prefix = "" } = {}) {
  const parts = [];
  const folders = new Set();
  const addFolders = (path) => {
    const folder = posix.dirname(path);
    if (folder === "." || folders.has(folder)) return;
    addFolders(folder);
    folders.add(folder);
    parts.push(header({ path: `${prefix}${folder}/`, mode: 0o755, type: "5", time }));
  };
  for (const { path, content, mode = 0o644, hardLink, symbolicLink } of entries) {
    addFolders(path);
    const name = `${prefix}${path}`;
    if (hardLink !== undefined)
      parts.push(header({ path: name, mode: 0o755, type: "1", link: `${prefix}${hardLink}`, time }));
    else if (symbolicLink !== undefined)
      parts.push(header({ path: name, mode: 0o777, type: "2", link: symbolicLink, time }));
    else parts.push(header({ path: name, mode, type: "0", size: content.length, time }), padded(content, BLOCK));
  }
  return Buffer.concat([...parts, Buffer.alloc(2 * BLOCK)]);
}

/** A header in the format of POSIX.1-1988 (ustar). */
function header({ path, mode, type, size = 0, link = "", time }) {
  if (path.length > 100 || link.length > 100)
    throw new Error(`${path}: a path in an archive has at most 100 characters`);
  const block = Buffer.alloc(BLOCK);
  const octal = (number, digits) => `${number.toString(8).padStart(digits, "0")}\0`;
  block.write(path, 0);
  block.write(octal(mode, 7) + octal(0, 7) + octal(0, 7) + octal(size, 11) + octal(time, 11), 100);
  block.write("        ", 148); // the checksum counts as spaces
  block.write(type + link, 156);
  block.write("ustar\x0000", 257);
  block.write("root", 265);
  block.write("root", 297);
  block.write(
    `${block
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, "0")}\0 `,
    148,
  );
  return block;
}

/** Returns an ar archive, as `dpkg-deb` makes it. @param members Names of at most 15 characters, with content */
export function arOf(members, time) {
  const parts = members.flatMap(([name, content]) => [
    Buffer.from(
      `${name.padEnd(16)}${String(time).padEnd(12)}0     0     100644  ${String(content.length).padEnd(10)}\`\n`,
    ),
    padded(content, 2, "\n"),
  ]);
  return Buffer.concat([Buffer.from("!<arch>\n"), ...parts]);
}

function padded(content, size, filler = "\0") {
  return Buffer.concat([content, Buffer.alloc((size - (content.length % size)) % size, filler)]);
}
