// host-device: a veth stands for the device, a /sys/bus of its own for the hardware.
import { type FakeDevice, withDevices } from "../lab/sysfs.ts";
import { configurationCode, environmentCode } from "./deviations.ts";
import { asRelease191, intended, type Json, type Row } from "./row.ts";

const ipam = { type: "host-local", ranges: [[{ subnet: "10.1.0.0/24" }]] };
const dualStack = { ...ipam, ranges: [...ipam.ranges, [{ subnet: "fd00:1::/64" }]] };
const mac = "02:00:00:00:00:05";
const device = `ip link add dev0 address ${mac} type veth peer name peer0 address 02:00:00:00:00:06`;
const pci = "0000:00:1f.6";

const network = (keys: Json): Json => ({
  cniVersion: "1.0.0",
  name: "net",
  type: "host-device",
  dataDir: "/var/lib/cni/host-device",
  ...keys,
});

function hostDevice(claim: string, conf: Json, more: Partial<Row> = {}): Row {
  return {
    name: `host-device: ${claim}`,
    plugin: "host-device",
    conf,
    prepare: device,
    steps: ["ADD", "CHECK", "DEL"],
    ...more,
  };
}

const refused = (says: string): Partial<Row> => ({ steps: [{ verb: "ADD", says }], deviations: [configurationCode] });
const under = (...devices: readonly FakeDevice[]): Partial<Row> => ({ call: { under: withDevices(...devices) } });
const nic = { path: `pci/devices/${pci}`, driver: "e1000e" };
const bound = (driver: string) => ({
  ...under({ path: `pci/devices/${pci}`, driver }),
  deviations: [interfaceOfPrograms],
});

export const remembersWhose = intended("A record says whose each device is", {
  ours: /: file cni\/host-device/,
});
export const aliasGoes = asRelease191("the alias goes when the device is home", {
  rewritten: [[/(: host link dev0 alias) dev0$/, "$1 "]],
});
const interfaceOfPrograms = asRelease191("the result names the interface of a device for programs", {
  ours: [/ADD: interfaces\.0\.name eth0$/, /ADD: interfaces\.0\.sandbox /],
});
const delIsContent = intended("DEL succeeds whatever is gone, and releases the addresses", {
  go: [/DEL: exit 1$/, /DEL: code 999$/, /DEL: says /],
  ours: [/DEL: exit 0$/, /DEL: {2}$/],
});

export const hostDeviceRows: Row[] = [
  hostDevice("by name, with addresses", network({ device: "dev0", ipam: dualStack }), {
    prepare: `${device}; ip link set peer0 up`,
  }),
  hostDevice("by name, without addresses", network({ device: "dev0" })),
  hostDevice("a device that is up", network({ device: "dev0" }), { prepare: `${device}; ip link set dev0 up` }),
  hostDevice("the name in the container may be the one on the host", network({ device: "dev0" }), {
    call: { ifName: "dev0" },
  }),
  hostDevice("by MAC", network({ hwaddr: mac, ipam })),
  hostDevice("by MAC in another notation", network({ hwaddr: "0200.0000.0005" })),
  hostDevice("by its path in /sys", network({ kernelpath: "/sys/devices/virtual" })),
  hostDevice("by PCI address", network({ pciBusID: pci, ipam }), under({ ...nic, net: ["dev0"] })),
  hostDevice("by PCI address, behind virtio", network({ pciBusID: pci }), {
    ...under(nic, { path: `pci/devices/${pci}/virtio3`, net: ["dev0"] }),
  }),
  hostDevice("by device ID on the PCI bus", network({ pciBusID: "0000:00:01.0", runtimeConfig: { deviceID: pci } }), {
    ...under({ ...nic, net: ["dev0"] }),
  }),
  hostDevice("the name goes before the MAC", network({ device: "dev0", hwaddr: "02:00:00:00:00:06" })),
  ...["0.3.0", "0.4.0", "1.0.0"].map((cniVersion) =>
    hostDevice(`version ${cniVersion}`, network({ cniVersion, device: "dev0", ipam }), { steps: ["ADD", "DEL"] }),
  ),
  hostDevice("version 0.2.0", network({ cniVersion: "0.2.0", device: "dev0", ipam }), { steps: ["ADD", "DEL"] }),
  hostDevice(
    "prevResult does not matter",
    network({ device: "dev0", prevResult: { cniVersion: "1.0.0", interfaces: [] } }),
    {
      steps: ["ADD", "DEL"],
    },
  ),
  // a driver that hands the device to a program
  ...["vfio-pci", "uio_pci_generic", "igb_uio"].map((driver) =>
    hostDevice(`a device of ${driver} has addresses and no interface`, network({ pciBusID: pci, ipam }), {
      ...bound(driver),
      steps: ["ADD", "CHECK", "DEL", "DEL"],
    }),
  ),
  hostDevice("a device of vfio-pci without addresses", network({ pciBusID: pci }), bound("vfio-pci")),
  // DEL
  hostDevice("DEL when the name is taken fails, a later one does it", network({ device: "dev0" }), {
    steps: [
      "ADD",
      { verb: "DEL", before: "ip link add dev0 address 02:00:00:00:00:07 type veth peer name other", says: "dev0" },
      { verb: "DEL", before: "ip link delete other" },
    ],
  }),
  hostDevice("DEL twice", network({ device: "dev0", ipam }), {
    steps: ["ADD", "DEL", "DEL"],
    deviations: [delIsContent],
  }),
  hostDevice("DEL when the namespace's path is gone", network({ device: "dev0" }), {
    steps: [{ verb: "DEL", environment: { CNI_NETNS: "/run/netns/no-such-namespace" } }],
    deviations: [delIsContent],
  }),
  // refused
  hostDevice("no device", network({}), refused('specify either "device", "hwaddr", "kernelpath" or "pciBusID"')),
  hostDevice(
    "a path that is not in /sys/devices",
    network({ kernelpath: "/sys/class/net" }),
    refused('kernel device path "/sys/class/net" must be absolute and begin with /sys/devices/'),
  ),
  hostDevice("a MAC that is none", network({ hwaddr: "02:00" }), refused("02:00")),
  hostDevice("a device that is not there", network({ device: "dev9" }), {
    steps: [{ verb: "ADD", says: "failed to find host device: " }],
  }),
  hostDevice("a MAC that is not there", network({ hwaddr: "02:00:00:00:00:99" }), {
    steps: [{ verb: "ADD", says: "failed to find host device: " }],
  }),
  hostDevice("a PCI device that is not there", network({ pciBusID: pci }), {
    ...under(),
    ...refused("error with host device: "),
  }),
  hostDevice("a namespace that is gone", network({ device: "dev0" }), {
    steps: [{ verb: "ADD", environment: { CNI_NETNS: "/run/netns/no-such-namespace" }, says: "no-such-namespace" }],
    deviations: [environmentCode],
  }),
];
