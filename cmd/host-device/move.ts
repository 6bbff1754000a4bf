/**
 * Moves a device into the container and back to the host.
 *
 * The host never sees a temporary name: udev and network managers act on the names of new interfaces, and get confused when the
 * names change at once. So devices are renamed elsewhere: on the way in, in the container; on the way back, in the container before
 * they leave it, or in a temporary namespace when another interface in the container has that name.
 *
 * Rejected: always a temporary namespace, as in the reference plugin. Each move waits twice for all processors.
 */
import { CniError, ErrorCode } from "../../pkg/cni/error.ts";
import type { HostConnections } from "../../pkg/cni/plugin.ts";
import { differing, findAttributes, type LinkAttributes, setAttributes } from "../../pkg/link/attributes.ts";
import { type LinkRef, nameInUse, renameLink } from "../../pkg/link/create.ts";
import {
  findLink,
  hostRtnetlink,
  type Link,
  moveLink,
  needLink,
  openRtnetlink,
  setAlias,
  setDown,
  setUp,
} from "../../pkg/link/link.ts";
import { type Connection, NetlinkError, type Request } from "../../pkg/netlink/connection.ts";
import { isErrno } from "../../pkg/sys/errno.ts";
import { closeNamespace, makeNamespace, type Namespace, ownNamespace } from "../../pkg/sys/namespace.ts";
import { writeStderr } from "../../pkg/sys/process.ts";

/** The plugin's own namespace, held open from the start: an error on returning there must not change where a device is moved. */
export interface Host {
  rtnl: Connection;
  netns: Namespace;
}

export const openHost = (): Host => ({ rtnl: openRtnetlink(), netns: ownNamespace() });

/** Calls `work` with the host. Where many calls are made in one process, nothing stays open but what they share. */
export function withHost<T>({ host }: { host?: HostConnections | undefined }, work: (host: Host) => T): T {
  const rtnl = hostRtnetlink({ host });
  const netns = ownNamespace();
  try {
    return work({ rtnl, netns });
  } finally {
    if (host !== undefined) closeNamespace(netns);
  }
}

/** The state of a device on the host. */
export interface HostState {
  name: string;
  alias: string;
  /** Those that it has to have again: tuning and the container may have changed them, and a DEL of tuning may never have come. */
  attributes: LinkAttributes;
}

/**
 * Moves the device, names it, writes its old name into its alias and sets it up, in one message.
 *
 * @throws CniError 999: the kernel refuses. The device may be in the container already.
 */
export function moveToContainer(host: Host, device: Link, place: LinkRef): Link {
  const { netns, container, ifName } = place;
  try {
    host.rtnl.request(moveLink(device.index, { netns, name: ifName, alias: device.name, up: true }));
  } catch (error) {
    throw refused(error, device, place);
  }
  return needLink(container, ifName);
}

function refused(error: unknown, { name }: Link, place: LinkRef): unknown {
  if (!(error instanceof NetlinkError)) return error;
  const { netns, ifName } = place;
  if (isErrno(error, "EEXIST")) return nameInUse(place, `moving "${name}" (${error.message})`, { cause: error });
  return new CniError({
    code: ErrorCode.internal,
    msg: `failed to move "${name}" to ${netns.path} as "${ifName}"`,
    details: error.message,
    remedy: isErrno(error, "EINVAL")
      ? "bridges, loopback and some other devices cannot leave their namespace: use another device"
      : isErrno(error, "ENODEV")
        ? "it has disappeared, perhaps into another container: find out what else uses it (ip monitor link)"
        : `see the driver's messages (dmesg), and whether "ip link set ${name} up" works`,
    cause: error,
  });
}

/**
 * Moves the device back to this namespace with its name there, down. All or nothing, but for attributes that the kernel refuses to restore.
 *
 * @throws CniError 999: the name is taken there
 */
export function moveToHost(
  host: Host,
  inside: Link,
  { netns, container }: Pick<LinkRef, "netns" | "container">,
  home: HostState,
): void {
  refuseTaken(host.rtnl, inside.name, home.name);
  const other = findLink(container, home.name);
  const refusal =
    other !== undefined && other.index !== inside.index
      ? moveByDetour(host, inside, { netns, container }, home)
      : moveDirectly(host, inside, container, home);
  if (refusal === undefined) return;
  const restore = [renameLink(inside.index, inside.name), ...(inside.up ? [setUp(inside.index)] : [])];
  container.attemptAll(restore); // for a device that has moved on, these have no effect
  refuseTaken(host.rtnl, inside.name, home.name);
  throw notHome(inside.name, home.name, refusal);
}

/** Moves in one send, so that no other request comes in between. */
function moveDirectly({ netns }: Host, inside: Link, container: Connection, home: HostState): NetlinkError | undefined {
  const { index } = inside;
  const { name, alias } = home;
  const restore = restoreAttributes(container, inside, home);
  const outcomes = container.attemptAll([
    setDown(index),
    renameLink(index, name),
    ...restore,
    moveLink(index, { netns, name, alias }),
  ]);
  tellRefused(home, restore.length === 0 ? undefined : outcomes[2]);
  return outcomes.at(-1);
}

/** Returns the request that gives the device the attributes that it had on the host; none when it has them. */
function restoreAttributes(rtnl: Connection, { index, name }: Link, { attributes }: HostState): Request[] {
  const found = Object.keys(attributes).length === 0 ? undefined : findAttributes(rtnl, name);
  const changed = found === undefined ? {} : differing(found, attributes);
  return Object.keys(changed).length === 0 ? [] : [setAttributes(index, changed)];
}

function tellRefused({ name }: HostState, refusal: NetlinkError | undefined): void {
  if (refusal === undefined) return;
  writeStderr(`host-device: could not restore MAC, MTU, queue length or flags of "${name}": ${refusal.message}\n`);
}

function moveByDetour(
  host: Host,
  inside: Link,
  { netns, container }: Pick<LinkRef, "netns" | "container">,
  home: HostState,
): NetlinkError | undefined {
  const { name, alias } = home;
  const detour = makeNamespace();
  const between = openRtnetlink(detour);
  const [refusal] = container.attemptAll([moveLink(inside.index, { netns: detour, name })]);
  const onTheWay = findLink(between, name) ?? findLink(between, inside.name);
  if (onTheWay === undefined) return refusal;
  const restore = restoreAttributes(between, onTheWay, home);
  const outcomes = between.attemptAll([...restore, moveLink(onTheWay.index, { netns: host.netns, name, alias })]);
  tellRefused(home, restore.length === 0 ? undefined : outcomes[0]);
  const second = outcomes.at(-1);
  if (second !== undefined) between.attemptAll([moveLink(onTheWay.index, { netns, name: inside.name, up: inside.up })]);
  return second;
}

/** Restores the name and attributes of a device that is on the host already, as after the kernel moved it there from a container that died. */
export function restoreState({ rtnl }: Host, device: Link, home: HostState): void {
  if (device.name !== home.name) refuseTaken(rtnl, device.name, home.name);
  const { index } = device;
  const restore = restoreAttributes(rtnl, device, home);
  const outcomes = rtnl.attemptAll([
    ...(device.name === home.name ? [] : [setDown(index), renameLink(index, home.name)]),
    setAlias(index, home.alias),
  ]);
  const refusal = outcomes.find((outcome) => outcome !== undefined);
  if (refusal !== undefined) throw notHome(device.name, home.name, refusal);
  tellRefused(home, rtnl.attemptAll(restore)[0]);
}

function refuseTaken(rtnl: Connection, name: string, home: string): void {
  const other = findLink(rtnl, home);
  if (other === undefined) return;
  throw new CniError({
    code: ErrorCode.internal,
    msg: `"${name}" cannot have its name "${home}" on the host again: another interface has it`,
    details: `that one has index ${other.index} and MAC ${other.mac || "none"}`,
    remedy: `rename or delete that interface (ip link set ${home} name OTHER); the next DEL or GC then restores the name`,
  });
}

function notHome(name: string, home: string, cause: NetlinkError): CniError {
  return new CniError({
    code: ErrorCode.internal,
    msg: `the kernel refuses to move "${name}" back to the host as "${home}"`,
    details: cause.message,
    remedy: "correct what the kernel reports; the next DEL or GC then returns the device",
    cause,
  });
}
