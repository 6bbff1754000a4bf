/** Finds the device that a configuration selects: by name, MAC, or path in /sys. */
import { CniError, ErrorCode, invalidConf } from "../../pkg/cni/error.ts";
import { findLink, type Link, listLinks } from "../../pkg/link/link.ts";
import { formatMac, parseMac } from "../../pkg/link/mac.ts";
import type { Connection } from "../../pkg/netlink/connection.ts";
import { isErrno } from "../../pkg/sys/errno.ts";
import { findDirectory, findStat, readLink } from "../../pkg/sys/file.ts";
import type { DeviceSelectors } from "./netconf.ts";

const PCI = "/sys/bus/pci/devices";
const AUXILIARY = "/sys/bus/auxiliary/devices";

/** Drivers that pass a device to a program, such as DPDK: the kernel then has no network interface for it. */
const userSpaceDrivers: readonly string[] = ["vfio-pci", "uio_pci_generic", "igb_uio"];

/** A device selection; the device need not exist. */
export interface Selection {
  /** Completes "there is no interface on the host …". */
  what: string;
  /** Bound to a driver that passes it to a program: there is no interface to move. */
  isForUserSpace: boolean;
  find(host: Connection): Link | undefined;
  /** Whether this is the device, as far as can be seen of a device in another namespace. */
  matches(known: { name: string; mac: string; sysfs: string }): boolean;
}

/** @throws CniError 7: there is no such PCI address or device ID. 999: a PCI device without driver */
export function selectionOf(names: DeviceSelectors): Selection {
  const { pci, auxiliary } = placeOf(names);
  const isForUserSpace = pci !== "" && userSpaceDrivers.includes(needDriver(pci));
  return { ...way(names, pci, auxiliary), isForUserSpace };
}

/** Whether the device is for a user space program, for DEL: works without the device, too. */
export function isForUserSpace(names: DeviceSelectors): boolean {
  const pci = names.deviceID !== "" && findStat(`${PCI}/${names.deviceID}`) ? names.deviceID : names.pciBusID;
  return pci !== "" && userSpaceDrivers.includes(findDriver(pci) ?? "");
}

/** Returns the device's bus address. The runtime's choice takes precedence over the configuration's PCI address. */
function placeOf({ deviceID, pciBusID }: DeviceSelectors): { pci: string; auxiliary: string } {
  if (deviceID === "") return { pci: pciBusID, auxiliary: "" };
  if (findStat(`${PCI}/${deviceID}`)) return { pci: deviceID, auxiliary: "" };
  if (findStat(`${AUXILIARY}/${deviceID}`)) return { pci: "", auxiliary: deviceID };
  throw invalidConf(
    `runtime config DeviceID ${deviceID} not found or unsupported`,
    `it must be a name in ${PCI} or ${AUXILIARY}; see which device the device plugin assigned to the container`,
  );
}

function way({ device, hwaddr, kernelpath }: DeviceSelectors, pci: string, auxiliary: string) {
  if (device !== "") return byName(device);
  if (hwaddr !== "") return byMac(hwaddr);
  if (kernelpath !== "") return byPath(kernelpath, kernelpath.replace(/\/+$/, ""));
  if (pci !== "") return byPath(pciPathOf(pci), `/${pci}`);
  return byPath(`${AUXILIARY}/${auxiliary}`, `/${auxiliary}`);
}

const byName = (device: string): Omit<Selection, "isForUserSpace"> => ({
  what: `"${device}"`,
  find: (host) => findLink(host, device),
  matches: ({ name }) => name === device,
});

function byMac(hwaddr: string): Omit<Selection, "isForUserSpace"> {
  const wanted = formatMac(parseMac(hwaddr) ?? new Uint8Array());
  return {
    what: `with MAC ${wanted}`,
    find: (host) => listLinks(host).find(({ mac }) => mac === wanted),
    matches: ({ mac }) => mac === wanted,
  };
}

/** Selects the first interface of a directory in /sys, which lists the interfaces of this namespace. */
const byPath = (path: string, part: string): Omit<Selection, "isForUserSpace"> => ({
  what: `of ${path}`,
  find(host) {
    const [name] = findDirectory(`${path}/net`) ?? [];
    return name === undefined ? undefined : findLink(host, name);
  },
  matches: ({ sysfs }) => `${sysfs}/`.includes(`${part}/`),
});

/** Returns the directory with the interface; a virtio device has it one level further down. */
function pciPathOf(id: string): string {
  const path = `${PCI}/${id}`;
  if (findStat(`${path}/net`)) return path;
  const virtio = (findDirectory(path) ?? []).find(
    (name) => name.startsWith("virtio") && findStat(`${path}/${name}/net`),
  );
  return virtio === undefined ? path : `${path}/${virtio}`;
}

function needDriver(id: string): string {
  const driver = findDriver(id);
  if (driver !== undefined) return driver;
  const isThere = findStat(`${PCI}/${id}`) !== undefined;
  throw new CniError({
    code: isThere ? ErrorCode.internal : ErrorCode.invalidConfig,
    msg: `error with host device: PCI device "${id}" ${isThere ? "has no driver" : "does not exist"}`,
    details: `looked for ${PCI}/${id}/driver`,
    remedy: isThere ? `bind it to a driver: lspci -k -s ${id}` : "see which devices exist: lspci -D",
  });
}

function findDriver(id: string): string | undefined {
  return findTarget(`${PCI}/${id}/driver`)?.split("/").at(-1);
}

/** Returns the directory of an interface's hardware in /sys; "" when it has none, or /sys belongs to another namespace. */
export function hardwarePathOf(ifName: string): string {
  const target = findTarget(`/sys/class/net/${ifName}`) ?? ""; // ../../devices/pci0000:00/0000:00:05.0/virtio3/net/eth1
  const path = /^(?:\.\.\/)*(devices\/.*)\/net\/[^/]+$/.exec(target)?.[1];
  return path === undefined || path.startsWith("devices/virtual") ? "" : `/sys/${path}`;
}

function findTarget(path: string): string | undefined {
  try {
    return readLink(path);
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR", "EINVAL")) return undefined;
    throw error;
  }
}
