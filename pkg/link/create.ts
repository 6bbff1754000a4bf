/** Links that are made inside a container: what `ip link add <name> netns <container> type <kind>` does. */
import { CniError, ErrorCode } from "../cni/error.ts";
import type { Attachment } from "../cni/plugin.ts";
import { notAvailable } from "../cni/status.ts";
import { type Connection, NetlinkError, type Request, request } from "../netlink/connection.ts";
import { type LinkRequest, linkMessage, RTM_SETLINK } from "../netlink/rtnetlink/link.ts";
import { isErrno } from "../sys/errno.ts";
import { findNamespace, type Namespace } from "../sys/namespace.ts";
import { deleteAttachedLink } from "./delete.ts";
import { addLink, deleteLink, findLink, type Link, linkAfter, listLinks, needLink, openRoute } from "./link.ts";
import { aliasOf, findOwner, type Owner, setOwner } from "./owner.ts";
import { unusedIndex } from "./unused-index.ts";

/** A link by name in a container. */
export interface LinkRef {
  netns: Namespace;
  /** Routing socket inside `netns`. */
  container: Connection;
  ifName: string;
  /** Whose a link that is made there will be; absent for one that several share. */
  owner?: Owner | undefined;
}

export interface NewLink {
  linkInfo: NonNullable<LinkRequest["linkInfo"]> & { kind: string };
  /** 0: the kernel's default. */
  mtu?: number;
  /** Random when absent. */
  mac?: Uint8Array | undefined;
  /** The link below: its index, and a routing socket of the namespace it is in. */
  parent?: { route: Connection; index: number } | undefined;
}

/**
 * Creates a link of the host that bears its owner's alias, so that DEL and GC find it wherever this process is killed.
 *
 * RTM_NEWLINK ignores IFLA_IFALIAS (seen on 6.18; rtnl_create_link in net/core/rtnetlink.c does not read it). So creation, alias and the question for the link are messages of one send: the
 * kernel carries out all of them within that system call, and no signal falls between. It also carries out the second when it refuses the
 * first, and by name the alias would then be written on somebody else's link, which has the name. Therefore the index is chosen here, one that
 * no link has: where no link was made, the alias meets ENODEV.
 *
 * @throws NetlinkError the kernel refuses one of them; then there is no such link
 */
export function createOwnedLink(route: Connection, link: LinkRequest, owner: Owner | undefined): Link {
  const index = unusedIndex(route);
  const marking = owner === undefined ? [] : setOwner(index, owner);
  try {
    return linkAfter(route, [addLink({ ...link, index }), ...marking], index);
  } catch (error) {
    const notMade = error instanceof NetlinkError && error.request === "RTM_NEWLINK";
    if (!notMade) deleteLink(route, index); // made, or perhaps made and its answer not read
    throw error;
  }
}

/**
 * Makes the link, down. It has never been on the host, and has its name only together with its owner's alias.
 *
 * @throws CniError 999: `ifName` exists there, the kernel has no links of that kind, or refuses it
 */
export function createLink(place: LinkRef, link: NewLink): Link {
  const { container, ifName, owner } = place;
  try {
    const { parent } = link;
    if (parent !== undefined && parent.route !== container) return createFromHost(place, link, parent.route);
    return createInside(container, attributesOf(link, ifName), owner);
  } catch (error) {
    throw refused(error, place, link);
  }
}

/**
 * The kernel numbers the link, since programs in the container go by the order of its interfaces. So there are two sends; what a signal
 * between them leaves has the name and no alias, and DEL deletes it as what other plugins made.
 */
function createInside(container: Connection, link: LinkRequest & { ifName: string }, owner: Owner | undefined): Link {
  const { ifName } = link;
  const marking = owner === undefined ? [] : setOwner(ifName, owner);
  try {
    container.request(addLink(link));
    return linkAfter(container, marking, ifName);
  } catch (error) {
    const notMade = error instanceof NetlinkError && error.request === "RTM_NEWLINK";
    if (!notMade) deleteLink(container, ifName); // made, or perhaps made and its answer not read
    throw error;
  }
}

/** A message goes to one namespace, so the link is made from the host, then named and given its alias from the container. */
function createFromHost(place: LinkRef, link: NewLink, host: Connection): Link {
  const { netns, container, ifName, owner } = place;
  const temporary = unnamed(ifName);
  try {
    host.request(addLink({ ...attributesOf(link, temporary), netnsFd: netns.fd }));
  } catch (error) {
    const notMade = error instanceof NetlinkError;
    if (!notMade) deleteLink(container, temporary); // perhaps made, and its answer not read
    throw error;
  }
  const made = madeLink(place, temporary);
  const alias = owner && aliasOf(owner);
  try {
    container.request(renameLink(made.index, ifName, alias));
    return { ...made, name: ifName, alias: alias ?? "" };
  } catch (error) {
    deleteLink(container, made.index); // whatever it is called by now
    throw error;
  }
}

const attributesOf = ({ mtu = 0, mac, parent, linkInfo }: NewLink, ifName: string) => ({
  ifName,
  ...(mtu > 0 && { mtu }),
  ...(mac && { address: mac }),
  ...(parent && { link: parent.index }),
  linkInfo,
});

/**
 * What a link with a parent on the host is called until it is in the container: kernels before 6.14 look for clashes of the name among the
 * host's links, where mostly there is an eth0. The same for every call, so that DEL finds what a killed ADD did not get to name.
 */
const unnamed = (ifName: string): string => `~${ifName.slice(1)}`;

/** Deletes what `createLink` made, unless it or its namespace is gone. */
export function deleteCreatedLink(attachment: Attachment<unknown>): void {
  const namespace = findNamespace(attachment.netns);
  if (namespace === undefined) return;
  deleteAttachedLink(namespace, attachment);
  deleteLink(openRoute(namespace), unnamed(attachment.ifName));
}

/** A link that was made just now; when it cannot be read it goes again. */
export function madeLink({ container }: LinkRef, name: string): Link {
  try {
    return needLink(container, name);
  } catch (error) {
    deleteLink(container, name);
    throw error;
  }
}

/** `ip link set <index> name <name>`, of a link that is down. @param alias Written with the name, in one step; kept when undefined */
export function renameLink(index: number, ifName: string, alias?: string): Request {
  const value = { index, ifName, ...(alias !== undefined && { alias }) };
  return request({ name: "RTM_SETLINK", type: RTM_SETLINK, table: linkMessage, value });
}

function refused(error: unknown, place: LinkRef, { linkInfo: { kind }, mtu = 0 }: NewLink): unknown {
  if (!(error instanceof NetlinkError)) return error;
  if (isErrno(error, "EEXIST") && isTaken(place))
    return nameInUse(place, `creating the ${kind} link (${error.request}: EEXIST)`);
  if (isUnknownKind(error)) return unsupportedKind(kind, error);
  return new CniError({
    code: ErrorCode.internal,
    msg: `the kernel refuses a ${kind} link "${place.ifName}" in ${place.netns.path}${mtu === 0 ? "" : ` with MTU ${mtu}`}`,
    details: error.message,
    remedy: isErrno(error, "EPERM", "EACCES")
      ? "run as root with CAP_NET_ADMIN"
      : "check the network's configuration against what the kernel says",
    cause: error,
  });
}

/** With other words it knows the kind, but not on this parent. */
const UNKNOWN_KIND: readonly (string | undefined)[] = [undefined, "Unknown device type"];

const isUnknownKind = (refusal: NetlinkError): boolean =>
  isErrno(refusal, "EOPNOTSUPP") && UNKNOWN_KIND.includes(refusal.kernelMessage);

/** Or another thing of the same kind is in the way. */
function isTaken({ container, ifName }: LinkRef): boolean {
  return [ifName, unnamed(ifName)].some((name) => findLink(container, name) !== undefined);
}

/** Says whose the link is that has the name, and how to do without it. */
export function nameInUse(
  { ifName, netns, owner }: Pick<LinkRef, "ifName" | "netns" | "owner">,
  details: string,
  cause?: unknown,
): CniError {
  const container = openRoute(netns);
  const link = findLink(container, ifName);
  const holder = link && findOwner(link);
  const isOwn = holder !== undefined && owner !== undefined && aliasOf(holder) === aliasOf(owner);
  return new CniError({
    code: ErrorCode.internal,
    msg: `interface "${ifName}" already exists in ${netns.path}${holder && !isOwn ? `: it belongs to network "${holder.network}"` : ""}`,
    details:
      holder && !isOwn
        ? `${details}; attached as container ${holder.containerId}, interface ${holder.ifName}`
        : details,
    remedy: isOwn
      ? "delete the attachment first (DEL with the same container ID and interface name)"
      : withOtherName(freeName(container, ifName), netns, owner),
    cause,
  });
}

const withOtherName = (name: string, { path }: Namespace, owner: Owner | undefined): string =>
  `choose another interface name: CNI_IFNAME=${name}${owner === undefined ? "" : `, cnitool add --ifname ${name} ${owner.network} ${path}`}`;

/** linux/if.h: IFNAMSIZ, without the NUL. */
const LINK_NAME_MAX = 15;

/** The next name of the kind that no link has: eth1 behind eth0. */
function freeName(container: Connection, taken: string): string {
  const names = new Set(listLinks(container).map(({ name }) => name));
  const stem = taken.replace(/\d+$/, "");
  const named = (number: number) => `${stem.slice(0, LINK_NAME_MAX - `${number}`.length)}${number}`;
  let number = Number(taken.slice(stem.length)) + 1;
  while (names.has(named(number))) number++;
  return named(number);
}

type Kind = NewLink["linkInfo"]["kind"];

/** For STATUS: whether the kernel can make links of these kinds. @throws CniError 50 */
export function needKinds(route: Connection, ...kinds: Kind[]): void {
  const refusals = route.attemptAll(kinds.map(refusedLink));
  kinds.forEach((kind, index) => {
    const refusal = refusals[index];
    if (refusal !== undefined && isUnknownKind(refusal)) throw notAvailable(unsupportedKind(kind, refusal));
  });
}

/** Every kernel refuses it: one that knows the kind because no link can have a multicast address, or for want of a parent. */
const refusedLink = (kind: Kind): Request =>
  addLink({ address: Uint8Array.of(1, 0, 0, 0, 0, 0), linkInfo: { kind } as NewLink["linkInfo"] });

/** Kinds whose module, or whose option, is called otherwise. */
const MODULES: Readonly<Record<string, string>> = { vlan: "8021q" };
const OPTIONS: Readonly<Record<string, string>> = { vlan: "CONFIG_VLAN_8021Q", vrf: "CONFIG_NET_VRF" };

export function unsupportedKind(kind: string, cause: Error): CniError {
  return new CniError({
    code: ErrorCode.internal,
    msg: `this kernel cannot make links of kind ${kind}`,
    details: cause.message,
    remedy: `load the module (\`modprobe ${MODULES[kind] ?? kind}\`) or use a kernel with ${OPTIONS[kind] ?? `CONFIG_${kind.toUpperCase()}`}`,
    cause,
  });
}
