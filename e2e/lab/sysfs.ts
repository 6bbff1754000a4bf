// A /sys/bus of its own, as the plugin sees it: hardware that the machine does not have.

/** A device, by its path below /sys/bus: "pci/devices/0000:00:1f.6". */
export interface FakeDevice {
  path: string;
  /** "vfio-pci"; none when absent. */
  driver?: string;
  /** Names of its interfaces; no directory for them when absent. */
  net?: readonly string[];
}

/** For `under` of a call. */
export function withDevices(...devices: readonly FakeDevice[]): readonly string[] {
  const commands = devices.flatMap(({ path, driver, net }) => [
    `mkdir -p /sys/bus/${path}`,
    ...(driver === undefined
      ? []
      : [`mkdir -p /sys/bus/pci/drivers/${driver}`, `ln -s /sys/bus/pci/drivers/${driver} /sys/bus/${path}/driver`]),
    ...(net === undefined
      ? []
      : [`mkdir /sys/bus/${path}/net`, ...net.map((name) => `mkdir /sys/bus/${path}/net/${name}`)]),
  ]);
  return ["sh", "-ec", ["mount -t tmpfs none /sys/bus", ...commands, 'exec "$0" "$@"'].join("\n")];
}
