/**
 * A device's way into the container and home.
 *
 * The host never sees a name that is not to stay: udev and network managers act on the names of new interfaces, and lose track when they
 * change at once. So devices get their new names elsewhere: on the way in, in the container; on the way home, in the container
 * before they leave it, or in a namespace of their own when another interface there has the name.
 *
 * Rejected: a namespace of their own always, as the reference plugin does it. Each move waits for all processors twice.
 */
import { CniError, ErrorCode } from "../../pkg/cni/error.ts";
import { type LinkRef, nameInUse, renameLink } from "../../pkg/link/create.ts";
import { findLink, type Link, moveLink, needLink, openRoute, setAlias, setDown, setUp } from "../../pkg/link/link.ts";
import { type Connection, NetlinkError } from "../../pkg/netlink/connection.ts";
import { isErrno } from "../../pkg/sys/errno.ts";
import { makeNamespace, type Namespace, ownNamespace } from "../../pkg/sys/namespace.ts";

/** The plugin's own namespace, held from the start: whatever keeps it from coming back there must not decide where a device goes. */
export interface Host {
  route: Connection;
  netns: Namespace;
}

export const openHost = (): Host => ({ route: openRoute(), netns: ownNamespace() });

/** What a device is called on the host. */
export interface HostIdentity {
  name: string;
  alias: string;
}

/**
 * Moves it, names it, writes its old name into its alias, sets it up: one message.
 *
 * @throws CniError 999: the kernel refuses. Then it may be in the container already.
 */
export function moveToContainer(host: Host, device: Link, place: LinkRef): Link {
  const { netns, container, ifName } = place;
  try {
    host.route.request(moveLink(device.index, { netns, name: ifName, alias: device.name, up: true }));
  } catch (error) {
    throw refused(error, device, place);
  }
  return needLink(container, ifName);
}

function refused(error: unknown, { name }: Link, place: LinkRef): unknown {
  if (!(error instanceof NetlinkError)) return error;
  const { netns, ifName } = place;
  if (isErrno(error, "EEXIST")) return nameInUse(place, `moving "${name}" (${error.message})`, error);
  return new CniError({
    code: ErrorCode.internal,
    msg: `failed to move "${name}" to ${netns.path} as "${ifName}"`,
    details: error.message,
    remedy: isErrno(error, "EINVAL")
      ? "bridges, loopback and some others cannot leave their namespace: name another device"
      : isErrno(error, "ENODEV")
        ? "it went away meanwhile, perhaps to another container: see who else uses it (ip monitor link)"
        : `see what the driver says (dmesg), and whether "ip link set ${name} up" works`,
    cause: error,
  });
}

/**
 * Brings it back to this namespace under its name there, down. All or nothing.
 *
 * @throws CniError 999: the name is taken there
 */
export function moveToHost(host: Host, inside: Link, { netns, container, ifName }: LinkRef, home: HostIdentity): void {
  refuseTaken(host.route, inside.name, home.name);
  const other = findLink(container, home.name);
  const refusal =
    other !== undefined && other.index !== inside.index
      ? moveByDetour(host, inside, { netns, container }, home)
      : moveDirectly(host, inside, container, home);
  if (refusal === undefined) return;
  const restore = [renameLink(inside.index, ifName), ...(inside.up ? [setUp(inside.index)] : [])];
  container.attemptAll(restore); // of what is not there any more nothing is changed
  refuseTaken(host.route, inside.name, home.name);
  throw notHome(inside.name, home.name, refusal);
}

/** In one send, so that nothing comes in between. */
function moveDirectly(
  { netns }: Host,
  { index }: Link,
  container: Connection,
  { name, alias }: HostIdentity,
): NetlinkError | undefined {
  return container
    .attemptAll([setDown(index), renameLink(index, name), moveLink(index, { netns, name, alias })])
    .at(-1); // when that went well, all is well
}

function moveByDetour(
  host: Host,
  inside: Link,
  { netns, container }: Pick<LinkRef, "netns" | "container">,
  { name, alias }: HostIdentity,
): NetlinkError | undefined {
  const detour = makeNamespace();
  const between = openRoute(detour);
  const [refusal] = container.attemptAll([moveLink(inside.index, { netns: detour, name })]);
  const onTheWay = findLink(between, name) ?? findLink(between, inside.name);
  if (onTheWay === undefined) return refusal;
  const [second] = between.attemptAll([moveLink(onTheWay.index, { netns: host.netns, name, alias })]);
  if (second !== undefined) between.attemptAll([moveLink(onTheWay.index, { netns, name: inside.name, up: inside.up })]);
  return second;
}

/** Gives a device that is on the host already its name there, as when the kernel brought it back from a container that died. */
export function rename({ route }: Host, device: Link, home: HostIdentity): void {
  if (device.name !== home.name) refuseTaken(route, device.name, home.name);
  const { index } = device;
  const outcomes = route.attemptAll([
    ...(device.name === home.name ? [] : [setDown(index), renameLink(index, home.name)]),
    setAlias(index, home.alias),
  ]);
  const refusal = outcomes.find((outcome) => outcome !== undefined);
  if (refusal !== undefined) throw notHome(device.name, home.name, refusal);
}

function refuseTaken(route: Connection, name: string, home: string): void {
  const other = findLink(route, home);
  if (other === undefined) return;
  throw new CniError({
    code: ErrorCode.internal,
    msg: `"${name}" cannot have its name "${home}" on the host again: another interface has it`,
    details: `that one has index ${other.index} and MAC ${other.mac || "none"}`,
    remedy: `rename or delete that one (ip link set ${home} name OTHER); the next DEL or GC does the rest`,
  });
}

function notHome(name: string, home: string, cause: NetlinkError): CniError {
  return new CniError({
    code: ErrorCode.internal,
    msg: `the kernel refuses to bring "${name}" back to the host as "${home}"`,
    details: cause.message,
    remedy: "mend what the kernel says; the next DEL or GC does the rest",
    cause,
  });
}
