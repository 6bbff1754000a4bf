/**
 * Whose each device is: a file for each one that is in a container, written before it goes and removed when it is home.
 *
 * The device itself says its name on the host, in its alias, as the reference plugin writes it: so either brings home what the other
 * took. But it cannot say which attachment it belongs to, nor what the administrator had written into the alias, and the
 * container can change it. Under /run, as devices have all their old names after a restart of the machine.
 */
import { isObject, parseJson, printJson } from "../../pkg/config/json.ts";
import type { Link } from "../../pkg/link/link.ts";
import { createFile, findDirectory, findStat, makeDirectories, readRecord, removeFile } from "../../pkg/sys/file.ts";
import { findNamespace, type Namespace } from "../../pkg/sys/namespace.ts";
import { hardwarePathOf } from "./device.ts";

export interface Owner {
  network: string;
  containerId: string;
  ifName: string;
}

/** All texts, "" where there is none. */
export interface DeviceRecord extends Owner {
  /** On the host. */
  name: string;
  /** On the host. */
  alias: string;
  /** What it is known by wherever it is, see `isDevice`. */
  kind: string;
  mac: string;
  permanentMac: string;
  device: string;
  /** The directory of its hardware. */
  sysfs: string;
  /** Where it went: a path, and what was there. */
  netns: string;
  inode: string;
}

const keys = [
  ...["network", "containerId", "ifName", "name", "alias", "kind", "mac"],
  ...["permanentMac", "device", "sysfs", "netns", "inode"],
] as readonly (keyof DeviceRecord)[];

/** Of a link that is on the host. */
export function recordOf({ network, containerId, ifName }: Owner, link: Link, netns: string): DeviceRecord {
  const { name, alias, kind, mac, permanentMac, device } = link;
  const known = { name, alias, kind, mac, permanentMac, device, sysfs: hardwarePathOf(name) };
  return { network, containerId, ifName, ...known, netns, inode: inodeOf(netns) };
}

export function writeRecord(dataDir: string, record: DeviceRecord): void {
  makeDirectories(`${dataDir}/${record.network}`, 0o700);
  const path = pathOf(dataDir, record);
  removeFile(path); // of an attachment of this name whose DEL never came
  createFile(path, `${printJson({ ...record }, "    ")}\n`, { mode: 0o600 });
}

export function removeRecord(dataDir: string, owner: Owner): void {
  removeFile(pathOf(dataDir, owner));
}

export function findRecord(dataDir: string, owner: Owner): DeviceRecord | undefined {
  return read(pathOf(dataDir, owner));
}

export function recordsOf(dataDir: string, network: string): DeviceRecord[] {
  const names = findDirectory(`${dataDir}/${network}`) ?? [];
  return names.flatMap((name) => read(`${dataDir}/${network}/${name}`) ?? []);
}

export function listRecords(dataDir: string): DeviceRecord[] {
  return (findDirectory(dataDir) ?? []).flatMap((network) => recordsOf(dataDir, network));
}

/** A colon is in none of the parts. */
const pathOf = (dataDir: string, { network, containerId, ifName }: Owner): string =>
  `${dataDir}/${network}/${containerId}:${ifName}`;

/** undefined also for what is no record: the alias says the most important part of it. */
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
 * Whether a link is the device of the record. Hardware has its place on a bus, and several interfaces may have the same one. MAC and
 * alias can be changed in the container, but hardly both.
 */
export function isDevice({ name, kind, device, permanentMac, mac }: DeviceRecord, link: Link): boolean {
  if (link.kind !== kind || link.device !== device) return false;
  const same = (one: string, other: string) => one !== "" && one === other;
  return same(permanentMac, link.permanentMac) || same(mac, link.mac) || same(name, link.alias);
}

/** The namespace the device went to, as long as its path leads there. */
export function namespaceOf({ netns, inode }: DeviceRecord): Namespace | undefined {
  return inode !== "" && inodeOf(netns) === inode ? findNamespace(netns) : undefined;
}

const inodeOf = (netns: string): string => String(findStat(netns)?.inode ?? "");

/** Whether the hardware has an interface in any namespace. A directory in /sys is there for all, what is in it is not. */
export const hasInterfaceSomewhere = ({ sysfs }: DeviceRecord): boolean =>
  sysfs !== "" && findStat(`${sysfs}/net`) !== undefined;
