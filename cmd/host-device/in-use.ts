/** Finds out how the host uses a device: all of that is lost when the device leaves, and the host may become unreachable. */
import { formatPrefix } from "../../pkg/ip/address.ts";
import { addressesOf } from "../../pkg/link/address.ts";
import { findLink, type Link } from "../../pkg/link/link.ts";
import { listRoutes } from "../../pkg/link/route.ts";
import type { Connection } from "../../pkg/netlink/connection.ts";
import { AF_INET, AF_INET6 } from "../../pkg/netlink/rtnetlink/family.ts";
import { RT_SCOPE_UNIVERSE } from "../../pkg/netlink/rtnetlink/route.ts";
import { writeStderr } from "../../pkg/sys/process.ts";

/** Warns if the device is in use. This is no error, since the reference plugin moves such a device as well. */
export function warnIfInUse(host: Connection, device: Link, network: string): void {
  const uses = usesOf(host, device);
  if (uses.length === 0) return;
  writeStderr(
    `host-device: network "${network}": "${device.name}" is in use on the host (${uses.join(", ")}): this is lost, and is not restored when the device returns\n`,
  );
}

function usesOf(host: Connection, { index, master }: Link): string[] {
  const addresses = addressesOf(host, index).filter(({ scope }) => scope === RT_SCOPE_UNIVERSE);
  const isWayOut = addresses.length > 0 && [AF_INET, AF_INET6].some((family) => hasDefaultRoute(host, family, index));
  return [
    ...(master === 0 ? [] : [`port of "${findLink(host, master)?.name ?? master}"`]),
    ...addresses.map(({ prefix }) => `address ${formatPrefix(prefix)}`),
    ...(isWayOut ? ["default route"] : []),
  ];
}

const hasDefaultRoute = (host: Connection, family: number, index: number): boolean =>
  listRoutes(host, family).some((route) => route.destinationLength === 0 && route.outputIndex === index);
