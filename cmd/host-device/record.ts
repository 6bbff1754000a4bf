/**
 * The owner of each device that is in a container: a file, written before the device leaves the host and removed when it is back.
 *
 * The device's alias has its name on the host, as the reference plugin writes it, so either plugin returns a device that the other
 * moved. But the alias does not identify the attachment, does not keep what the administrator had written into it, and can be
 * changed by the container. The files are under /run, since all devices have their original names after a reboot.
 */
import type { AttachmentId } from "../../pkg/cni/attachment-id.ts";
import { isObject, type JsonObject, parseJson, printJson } from "../../pkg/config/json.ts";
import { type LinkAttributes, parseAttributes, printAttributes } from "../../pkg/link/attributes.ts";
import type { Link } from "../../pkg/link/link.ts";
import {
  createFile,
  findDirectory,
  findStat,
  inodeAt,
  makeDirectories,
  readRecord,
  removeFile,
} from "../../pkg/sys/file.ts";
import { findNamespace, type Namespace } from "../../pkg/sys/namespace.ts";
import { hardwarePathOf } from "./device.ts";

/** Texts are "" where there is none. */
export interface DeviceRecord extends AttachmentId {
  /** Name on the host. */
  name: string;
  /** Alias on the host. */
  alias: string;
  /** Properties that identify it in any namespace, see `isDevice`. */
  kind: string;
  mac: string;
  permanentMac: string;
  device: string;
  /** Directory of its hardware in /sys. */
  sysfs: string;
  /** Namespace that it was moved to: the path, and its inode. */
  netns: string;
  inode: string;
  /** Attributes on the host, see `printAttributes`; absent where they were its master's, and in records of earlier builds. */
  attributes?: JsonObject;
}

const keys = [
  ...["network", "containerId", "ifName", "name", "alias", "kind", "mac"],
  ...["permanentMac", "device", "sysfs", "netns", "inode"],
] as readonly (keyof DeviceRecord)[];

/**
 * Makes the record of a link that is on the host.
 *
 * @param attributes The link's. Those of a port are left out: a bond gives its ports its MAC, and takes it back when they leave.
 */
export function recordOf(
  { network, containerId, ifName }: AttachmentId,
  link: Link,
  netns: string,
  attributes: LinkAttributes = {},
): DeviceRecord {
  const { name, alias, kind, mac, permanentMac, device, master } = link;
  const known = { name, alias, kind, mac, permanentMac, device, sysfs: hardwarePathOf(name) };
  const own = master === 0 ? { attributes: printAttributes(attributes) } : {};
  return { network, containerId, ifName, ...known, netns, inode: inodeOf(netns), ...own };
}

/** Returns the attributes that the device had on the host, as far as they are known. */
export const attributesIn = ({ attributes }: DeviceRecord): LinkAttributes =>
  isObject(attributes) ? parseAttributes(attributes) : {};

export function writeRecord(dataDir: string, record: DeviceRecord): void {
  makeDirectories(`${dataDir}/${record.network}`, 0o700);
  const path = pathOf(dataDir, record);
  removeFile(path); // left by an attachment of this name that got no DEL
  createFile(path, `${printJson({ ...record }, "    ")}\n`, { mode: 0o600 });
}

export function removeRecord(dataDir: string, owner: AttachmentId): void {
  removeFile(pathOf(dataDir, owner));
}

export function findRecord(dataDir: string, owner: AttachmentId): DeviceRecord | undefined {
  return read(pathOf(dataDir, owner));
}

/** Lists the records of a network. @param passOver called with each file that is not a record */
export function recordsOf(
  dataDir: string,
  network: string,
  passOver: (file: string) => void = () => {},
): DeviceRecord[] {
  const files = (findDirectory(`${dataDir}/${network}`) ?? []).map((name) => `${dataDir}/${network}/${name}`);
  return files.flatMap((file) => {
    const record = read(file);
    if (record === undefined && findStat(file, "link")) passOver(file);
    return record ?? [];
  });
}

export function listRecords(dataDir: string): DeviceRecord[] {
  return (findDirectory(dataDir) ?? []).flatMap((network) => recordsOf(dataDir, network));
}

/** Returns the record's path; none of its parts contains a colon. */
const pathOf = (dataDir: string, { network, containerId, ifName }: AttachmentId): string =>
  `${dataDir}/${network}/${containerId}:${ifName}`;

/** Reads a record; undefined also for an invalid one, since the alias has the most important part of it. */
function read(path: string): DeviceRecord | undefined {
  const text = readRecord(path);
  if (typeof text !== "string") return undefined;
  try {
    const value = parseJson(text);
    if (!isObject(value) || !keys.every((key) => typeof value[key] === "string")) return undefined;
    return value as unknown as DeviceRecord;
  } catch {
    return undefined;
  }
}

/**
 * Whether a link is the recorded device. Hardware has a bus address, which several interfaces may share. The container can change
 * MAC and alias, but hardly both.
 */
export function isDevice({ name, kind, device, permanentMac, mac }: DeviceRecord, link: Link): boolean {
  if (link.kind !== kind || link.device !== device) return false;
  const same = (one: string, other: string) => one !== "" && one === other;
  return same(permanentMac, link.permanentMac) || same(mac, link.mac) || same(name, link.alias);
}

/**
 * Finds the recorded device among links, under any name. Several may have its MAC, as the ports of a bond: what only the device can have is
 * looked for first.
 */
export function findDevice(record: DeviceRecord, links: readonly Link[]): Link | undefined {
  const candidates = links.filter((link) => isDevice(record, link));
  const { permanentMac, name } = record;
  return (
    candidates.find((link) => permanentMac !== "" && link.permanentMac === permanentMac) ??
    candidates.find(({ alias }) => alias === name) ??
    candidates[0]
  );
}

/** Returns the namespace that the device was moved to, if its path still leads to the same one. */
export function namespaceOf({ netns, inode }: DeviceRecord): Namespace | undefined {
  return inode !== "" && inodeOf(netns) === inode ? findNamespace(netns) : undefined;
}

const inodeOf = (netns: string): string => inodeAt(netns) ?? "";

/** Whether the hardware has an interface in any namespace. A directory in /sys is visible in all, its content is not. */
export const hasInterfaceSomewhere = ({ sysfs }: DeviceRecord): boolean =>
  sysfs !== "" && findStat(`${sysfs}/net`) !== undefined;
