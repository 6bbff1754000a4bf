/**
 * The record of an attachment for its DEL: the delegate's configuration, since the subnet file may be different by then, or be
 * gone.
 *
 * The reference plugin keeps it in `<dataDir>/<container ID>`, where a second interface of the container overwrites the first
 * one's. Here each attachment has its own file, `<dataDir>/<container ID>:<interface>`, and the first one of a container has the
 * reference plugin's name as well, as a hard link to the same file: a node can be switched from one plugin to the other and back at
 * any time. A `<container ID>` without a second link is the reference plugin's; it does not tell which interface it is about.
 *
 * Rejected: the interface's name inside the file, which is the delegate's configuration byte for byte; and `.` between ID and
 * interface, which IDs may contain.
 */
import type { AttachmentId } from "../../pkg/cni/attachment-id.ts";
import { objectIn } from "../../pkg/config/json.ts";
import {
  createFile,
  directoryOf,
  findDirectory,
  findStat,
  linkFile,
  makeDirectories,
  overwriteFile,
  readRecord,
  removeFile,
  syncFile,
} from "../../pkg/sys/file.ts";
import type { PluginConf } from "./netconf.ts";

export type RecordKey = Omit<AttachmentId, "network">;

/** A record that was found. */
export interface NetconfRecord {
  file: string;
  /** The content as written; what is wrong with the file if it cannot be read. */
  text: string;
  /** undefined when it cannot be parsed. */
  conf: PluginConf | undefined;
}

const SEPARATOR = ":"; // occurs in no container ID and in no interface name
const DIRECTORY_MODE = 0o700;
const FILE_MODE = 0o600;

/** Returns the attachment's own file. */
export const fileOf = (dataDir: string, { containerId, ifName }: RecordKey): string =>
  `${dataDir}/${containerId}${SEPARATOR}${ifName}`;

/** Returns the name that the reference plugin would use. */
const containerFileOf = (file: string): string => `${directoryOf(file)}/${ownerIn(nameOf(file)).containerId}`;

const nameOf = (file: string): string => file.slice(file.lastIndexOf("/") + 1);

/** Writes a record. @param options.onDisk Sync it, so that it survives a power failure at once and not only after a few seconds. */
export function writeRecord(file: string, text: string, { onDisk }: { onDisk: boolean }): void {
  makeDirectories(directoryOf(file), DIRECTORY_MODE);
  if (!createFile(file, text, { mode: FILE_MODE })) overwriteFile(file, text, { mode: FILE_MODE });
  linkFile(file, containerFileOf(file)); // unless it is another interface's
  if (onDisk) syncFile(file);
}

/** Finds the record of an attachment. @param network that a file without the interface's name must belong to. */
export function findRecord(dataDir: string, owner: RecordKey, network: string): NetconfRecord | undefined {
  const file = fileOf(dataDir, owner);
  const container = containerFileOf(file);
  const own = read(file);
  const found = own ?? read(container);
  if (found === undefined || own !== undefined) return own;
  const isOfOther = isShared(container) || (found.conf !== undefined && found.conf["name"] !== network);
  return isOfOther ? undefined : found;
}

/** Removes a record. @param file the attachment's own file, or the one that `findRecord` found; it need not exist. */
export function removeRecord(file: string): void {
  const container = containerFileOf(file);
  if (container !== file && isSameFile(file, container)) removeFile(container); // first, so that what is left after a kill is complete
  removeFile(file);
}

/**
 * Lists the records of a network. One that cannot be parsed belongs to no network.
 *
 * @param passOver called with each file that is not a record; an empty one is, as `isEmpty` says
 */
export function listRecords(
  dataDir: string,
  network: string,
  passOver: (file: string) => void = () => {},
): OwnedRecord[] {
  return (findDirectory(dataDir) ?? []).flatMap((name) => {
    const file = `${dataDir}/${name}`;
    const owner = ownerIn(name);
    if (owner.ifName === undefined && isShared(file)) return [];
    const found = read(file);
    if (found !== undefined && found.conf === undefined && !isEmpty(found)) passOver(file);
    return found?.conf?.["name"] === network ? [{ ...found, conf: found.conf, owner }] : [];
  });
}

/**
 * Whether a power failure came before the record was on the disk; otherwise records appear complete. Then the attachment was lost
 * with the power, too.
 */
export const isEmpty = ({ text }: NetconfRecord): boolean => text === "";

/** Removes all empty records, whichever attachment they were for. */
export function removeEmptyRecord(dataDir: string): void {
  for (const name of findDirectory(dataDir) ?? []) {
    const file = `${dataDir}/${name}`;
    const stat = findStat(file, "link");
    if (stat?.type === "file" && stat.size === 0) removeFile(file);
  }
}

export interface OwnedRecord extends NetconfRecord {
  owner: RecordOwner;
  conf: PluginConf;
}

/** The owner of a record; the reference plugin does not record the interface. */
export interface RecordOwner {
  containerId: string;
  ifName: string | undefined;
}

function ownerIn(name: string): RecordOwner {
  const [containerId = "", ifName] = name.split(SEPARATOR);
  return { containerId, ifName };
}

/** Whether the file is also some interface's own record. */
const isShared = (file: string): boolean => (findStat(file, "link")?.links ?? 1) > 1;

function isSameFile(one: string, other: string): boolean {
  const [a, b] = [findStat(one, "link"), findStat(other, "link")];
  return a !== undefined && a.inode === b?.inode && a.device === b.device;
}

function read(file: string): NetconfRecord | undefined {
  const found = readRecord(file);
  if (found === undefined) return undefined;
  return typeof found === "string"
    ? { file, text: found, conf: confIn(found) }
    : { file, text: found.problem, conf: undefined };
}

function confIn(text: string): PluginConf | undefined {
  const conf = objectIn(text);
  return typeof conf?.["type"] === "string" ? (conf as PluginConf) : undefined;
}
