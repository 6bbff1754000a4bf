/** Links that are made inside a container: what `ip link add <name> netns <container> type <kind>` does. */
import { CniError, ErrorCode } from "../cni/error.ts";
import type { Attachment } from "../cni/plugin.ts";
import { type Connection, NetlinkError, type Request, request } from "../netlink/connection.ts";
import { NLM_F_CREATE, NLM_F_EXCL } from "../netlink/frame.ts";
import { type LinkRequest, linkMessage, RTM_NEWLINK, RTM_SETLINK } from "../netlink/rtnetlink/link.ts";
import { isErrno } from "../sys/errno.ts";
import { findNamespace, type Namespace } from "../sys/namespace.ts";
import { deleteLinkFast, wantsFastDelete } from "./fast-delete.ts";
import { deleteLink, findLink, type Link, needLink, openRoute } from "./link.ts";

/** A link by name in a container. */
export interface LinkPlace {
  netns: Namespace;
  /** Routing socket inside `netns`. */
  container: Connection;
  ifName: string;
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
 * Makes the link, down. It has never been on the host.
 *
 * @throws CniError 999: `ifName` exists there, the kernel has no links of that kind, or refuses it
 */
export function createLink(place: LinkPlace, link: NewLink): Link {
  const { container, ifName } = place;
  if (link.parent === undefined || link.parent.route === container) {
    addLink(container, place, link, ifName);
    return madeLink(place, ifName);
  }
  const temporary = unnamed(ifName);
  addLink(link.parent.route, place, link, temporary);
  const made = madeLink(place, temporary);
  try {
    container.request(renameLink(made.index, ifName));
    return { ...made, name: ifName };
  } catch (error) {
    deleteLink(container, made.index); // whatever it is called by now
    throw refused(error, place, link);
  }
}

/**
 * What a link with a parent on the host is called until it is in the container: kernels before 6.14 look for clashes of the name among the
 * host's links, where mostly there is an eth0. The same for every call, so that DEL finds what a killed ADD did not get to name.
 */
const unnamed = (ifName: string): string => `~${ifName.slice(1)}`;

/** What `createLink` made, unless it or its namespace is gone. */
export function deleteCreatedLink({ netns, ifName }: Attachment<unknown>): void {
  const namespace = findNamespace(netns);
  if (namespace === undefined) return;
  if (wantsFastDelete()) deleteLinkFast(namespace, ifName);
  const container = openRoute(namespace);
  for (const name of [ifName, unnamed(ifName)]) deleteLink(container, name);
}

function addLink(route: Connection, place: LinkPlace, link: NewLink, name: string): void {
  const { mtu = 0, mac, parent, linkInfo } = link;
  try {
    route.request(
      request({
        name: "RTM_NEWLINK",
        type: RTM_NEWLINK,
        flags: NLM_F_CREATE | NLM_F_EXCL,
        table: linkMessage,
        value: {
          ifName: name,
          ...(route !== place.container && { netnsFd: place.netns.fd }),
          ...(mtu > 0 && { mtu }),
          ...(mac && { address: mac }),
          ...(parent && { link: parent.index }),
          linkInfo,
        },
      }),
    );
  } catch (error) {
    const notMade = error instanceof NetlinkError && error.request === "RTM_NEWLINK";
    if (!notMade) deleteLink(place.container, name); // perhaps made, and its answer not read
    throw refused(error, place, link);
  }
}

/** A link that was made just now; when it cannot be read it goes again. */
export function madeLink({ container }: LinkPlace, name: string): Link {
  try {
    return needLink(container, name);
  } catch (error) {
    deleteLink(container, name);
    throw error;
  }
}

/** `ip link set <index> name <name>`, of a link that is down. */
export function renameLink(index: number, ifName: string): Request {
  return request({ name: "RTM_SETLINK", type: RTM_SETLINK, table: linkMessage, value: { index, ifName } });
}

function refused(error: unknown, place: LinkPlace, { linkInfo: { kind }, mtu = 0 }: NewLink): unknown {
  if (!(error instanceof NetlinkError)) return error;
  if (isErrno(error, "EEXIST") && isTaken(place))
    return inUse(place, `creating the ${kind} link (${error.request}: EEXIST)`, error);
  if (isErrno(error, "EOPNOTSUPP") && UNKNOWN_KIND.includes(error.kernelMessage)) return lacksKind(kind, error);
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

/** Or another thing of the same kind is in the way. */
function isTaken({ container, ifName }: LinkPlace): boolean {
  return [ifName, unnamed(ifName)].some((name) => findLink(container, name) !== undefined);
}

export function inUse(
  { ifName, netns }: Pick<LinkPlace, "ifName" | "netns">,
  details: string,
  cause?: unknown,
): CniError {
  return new CniError({
    code: ErrorCode.internal,
    msg: `interface "${ifName}" already exists in ${netns.path}`,
    details,
    remedy:
      "delete the attachment first (DEL with the same container ID and interface name), or choose another interface name",
    cause,
  });
}

export function lacksKind(kind: string, cause: Error): CniError {
  return new CniError({
    code: ErrorCode.internal,
    msg: `this kernel cannot make links of kind ${kind}`,
    details: cause.message,
    remedy: `load the module (\`modprobe ${kind}\`) or use a kernel with CONFIG_${kind.toUpperCase()}`,
    cause,
  });
}
