/** The host end of the container's veth pair, where both directions can be limited. */
import { CniError, ErrorCode, invalidConf } from "../../pkg/cni/error.ts";
import type { Attachment } from "../../pkg/cni/plugin.ts";
import type { Result } from "../../pkg/cni/result.ts";
import { findLink, type Link, openRtnetlink } from "../../pkg/link/link.ts";
import { otherOwnerOf, ownerOf } from "../../pkg/link/owner.ts";
import type { Connection } from "../../pkg/netlink/connection.ts";
import { findNamespace, openNamespace } from "../../pkg/sys/namespace.ts";
import { redirectedTo } from "./redirection.ts";

const behindVeth = `name bandwidth behind a plugin that makes a veth pair, as bridge or ptp`;

/** Returns the host end. @throws CniError 7: no interfaces, or the container's is no veth. 999: its peer is not on the host */
export function needHostInterface(
  host: Connection,
  { netns = "", ifName }: Attachment<unknown>,
  { interfaces }: Result,
): Link {
  if (interfaces.length === 0) throw invalidConf("prevResult cannot be used: no interfaces provided", behindVeth);
  const inside = findLink(openRtnetlink(openNamespace(netns)), ifName);
  if (inside?.kind !== "veth") {
    const why = inside === undefined ? "it does not exist" : `it is of kind "${inside.kind}"`;
    throw invalidConf(`container interface ${ifName} has no veth peer: ${why}`, behindVeth);
  }
  const outside = findLink(host, inside.parent);
  if (outside?.kind !== "veth" || outside.parent !== inside.index)
    throw elsewhere(`veth peer with index ${inside.parent} is not in host ns`);
  if (!interfaces.some(({ name, sandbox }) => !sandbox && name === outside.name)) {
    const listed = interfaces.filter(({ sandbox }) => !sandbox).map(({ name }) => `"${name}"`);
    throw elsewhere(
      `no veth peer of container interface found in host ns: "${outside.name}" is not among prevResult's, ${listed.join(", ") || "which are all in containers"}`,
    );
  }
  return outside;
}

/**
 * Reports whether another attachment's veth pair is redirected to the ifb device, which has no mark: the reference plugin gives all interfaces
 * of a container on a network the same name of device. A pair that cannot be told is taken for the attachment's own.
 */
export function servesAnother(host: Connection, attachment: Attachment<unknown>, ifb: Link): boolean {
  const namespace = findNamespace(attachment.netns);
  const inside = namespace && findLink(openRtnetlink(namespace), attachment.ifName);
  const own = attachment.prevResult?.interfaces.flatMap(({ name, sandbox }) => (sandbox ? [] : name));
  return redirectedTo(host, ifb).some((index) => {
    if (inside?.kind === "veth" && inside.parent === index) return false;
    const port = findLink(host, index);
    if (port === undefined) return false;
    if (ownerOf(port) !== undefined) return otherOwnerOf(port, attachment) !== undefined;
    return inside?.kind === "veth" || (own !== undefined && !own.includes(port.name));
  });
}

function elsewhere(msg: string): CniError {
  return new CniError({
    code: ErrorCode.internal,
    msg,
    remedy:
      "check that the runtime passes the result of the plugin that made the interface, and runs bandwidth in the same namespace as that plugin",
  });
}
